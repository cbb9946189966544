/* The accessors of a request, for handlers. */
#include "http/internal.h"
#include "http/text/decode.h"
#include "http/text/json.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include <cjson/cJSON.h>

#define FORM_TYPE "application/x-www-form-urlencoded"

uint64_t
http_serial(const struct http_request *req)
{
    return req->serial;
}

void
http_set_group(struct http_request *req, uint64_t group)
{
    atomic_store(&req->group, group);
}

const char *
http_method(const struct http_request *req)
{
    return req->method;
}

const char *
http_path(const struct http_request *req)
{
    return req->path;
}

static const char *
find_pair(const struct http_pair *pairs, unsigned n, const char *name)
{
    size_t len = strlen(name);

    for (unsigned i = 0; i < n; i++)
        if (pairs[i].name_len == len && memcmp(pairs[i].name, name, len) == 0)
            return pairs[i].value;
    return NULL;
}

const char *
http_param(const struct http_request *req, const char *name)
{
    return find_pair(req->params, req->n_params, name);
}

const char *
http_query(const struct http_request *req, const char *name)
{
    return find_pair(req->query, req->n_query, name);
}

const char *
http_query_nth(const struct http_request *req, const char *name, unsigned n)
{
    for (unsigned i = 0; i < req->n_query; i++) {
        const char *found = find_pair(&req->query[i], 1, name);

        if (found != NULL && n-- == 0)
            return found;
    }
    return NULL;
}

bool
http_query_u64(struct http_request *req, const char *name, uint64_t min, uint64_t max,
               uint64_t fallback, uint64_t *out)
{
    const char *text = http_query(req, name);
    uint64_t value = 0;

    *out = fallback;
    if (text == NULL)
        return true;
    for (const char *p = text; *p != '\0'; p++) {
        if (*p < '0' || *p > '9' || value > (UINT64_MAX - 9) / 10)
            goto refuse;
        value = value * 10 + (uint64_t)(*p - '0');
    }
    if (*text == '\0' || value < min || value > max)
        goto refuse;
    *out = value;
    return true;
refuse:
    http_fail(req, 400, "malformed", "%s must be a number from %llu to %llu", name,
              (unsigned long long)min, (unsigned long long)max);
    return false;
}

void
http_request_mark_known(struct http_request *req)
{
    /* The connection of a proxy is also used by other callers. */
    if (!req->is_by_proxy && !req->shows_proxy)
        http_place_set_known(req->conn, true);
}

uint64_t
http_content_length(const struct http_request *req)
{
    return req->declared;
}

const void *
http_body(const struct http_request *req, size_t *len)
{
    *len = req->body_len;
    return req->body;
}

static bool
is_json_type(const char *type, bool is_strict)
{
    static const char json[] = "application/json";
    size_t n = sizeof(json) - 1;

    /* Documented clients send this Content-Type; curl -d and simple scripts send
     * another one. A form of another site can send what curl -d sends, but not JSON. */
    if (type == NULL || (!is_strict && strcasecmp(type, FORM_TYPE) == 0))
        return true;
    return strncasecmp(type, json, n) == 0 && strchr(" ;\t", type[n]) != NULL;
}

struct cJSON *
http_json(struct http_request *req)
{
    bool strict = req->server->opt.guard.check_site;
    const char *why;

    if (req->json != NULL)
        return req->json;
    if (!is_json_type(http_header(req, "Content-Type"), strict)) {
        http_fail(req, 415, "unsupported_type", "the body must be application/json");
        return NULL;
    }
    req->json = http_json_parse(req->body, req->body_len, &why);
    if (req->json == NULL)
        http_fail(req, 400, "malformed", "the body is not valid JSON: %s", why);
    else if (!cJSON_IsObject(req->json)) {
        http_fail(req, 400, "malformed", "the body must be a JSON object");
        cJSON_Delete(req->json);
        req->json = NULL;
    }
    return req->json;
}

/* ---- behind the scenes ---- */

/*
 * Stores a part of the request's text. The decoded form is never longer than the
 * encoded one, so all parameters and values fit into one buffer of text_need bytes,
 * which is made for the URI.
 */
char *
http_request_text(struct http_request *req, size_t size)
{
    char *text;

    if (req->text == NULL) {
        size_t all = req->text_need;

        req->text = all <= sizeof(req->small) ? req->small : malloc(all);
        req->text_used = 0;
        if (req->text == NULL)
            return NULL;
    }
    if (size > req->text_need - req->text_used)
        return NULL;
    text = req->text + req->text_used;
    req->text_used += size;
    return text;
}

struct query_walk {
    struct http_request *req;
    bool failed;
};

static enum MHD_Result
decode_pair(void *arg, enum MHD_ValueKind kind, const char *key, const char *value)
{
    struct query_walk *w = arg;
    struct http_request *req = w->req;
    size_t key_len = strlen(key), value_len = value != NULL ? strlen(value) : 0;
    char *k = http_request_text(req, key_len + 1);
    char *v = http_request_text(req, value_len + 1);

    (void)kind;
    w->failed =
        req->n_query == HTTP_MAX_QUERY || k == NULL || v == NULL ||
        !http_percent_decode(key, key_len, k, &key_len) ||
        !http_percent_decode(value != NULL ? value : "", value_len, v, &value_len);
    if (w->failed)
        return MHD_NO;
    req->query[req->n_query++] = (struct http_pair){k, key_len, v};
    return MHD_YES;
}

bool
http_request_decode_query(struct http_request *req)
{
    struct query_walk w = {req, false};

    MHD_get_connection_values(req->mhd, MHD_GET_ARGUMENT_KIND, decode_pair, &w);
    if (w.failed)
        http_fail(req, 400, "malformed",
                  "the query must be valid percent-encoded UTF-8 of at most %u values",
                  HTTP_MAX_QUERY);
    return !w.failed;
}

/* Releases the source and the bytes that it was charged for, if the source is not that
 * of the connection. */
static void
give_back(struct http_request *req)
{
    struct http_server *s = req->server;

    if (req->source == NULL)
        return;
    if (req->body_cap > 0)
        http_source_give_body(&s->sources, req->source, req->body_cap);
    if (req->charged_bytes > 0) {
        http_source_sub_answer(&s->sources, req->source, req->charged_bytes);
        http_pool_poke(s->pool);
    }
    if (req->source != req->conn->source)
        http_source_release(&s->sources, req->source);
    req->source = NULL;
}

void
http_request_run(struct http_request *req)
{
    void *app = req->server->opt.app;
    size_t part = req->route->part;

    req->route->handler(req, part > 0 ? (char *)app + part : app);
}

void
http_request_clear(struct http_request *req)
{
    give_back(req);
    http_upload_free(req);
    cJSON_Delete(req->json);
    free(req->body);
    free(req->early_text);
    if (req->text != req->small)
        free(req->text);
    for (unsigned i = 0; i < req->n_extra; i++) {
        free(req->extra[i].name);
        free(req->extra[i].value);
    }
    if (req->response != NULL && !req->is_shared)
        MHD_destroy_response(req->response);
    req->group = 0;
    req->text = NULL;
    req->text_need = req->text_used = 0;
    req->n_params = req->n_query = req->n_extra = 0;
    req->proxied_ip[0] = '\0';
    req->forwarded_host = req->forwarded_proto = NULL;
    req->is_by_proxy = req->shows_proxy = req->shows_address = false;
    req->route = NULL;
    req->body = NULL;
    req->body_len = req->body_cap = 0;
    req->declared = 0;
    req->received = 0;
    req->json = NULL;
    req->response = NULL;
    req->is_shared = req->is_begun = false;
    req->status = 0;
    req->answer_bytes = req->charged_bytes = 0;
    req->is_early = false;
    req->early_text = NULL;
    req->early_at = 0;
    req->problem_member = NULL;
    req->has_waited = req->has_parked = req->is_offloaded = false;
}
