/* Builds answers, and errors in their common form. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "http/internal.h"
#include "http/text/json.h"

#define JSON_TYPE    "application/json"
#define PROBLEM_TYPE "application/problem+json"

/* This many bytes of an answer cost one token of the rate limit. */
#define TOKEN_BYTES (128u * 1024)

struct http_prepared {
    struct MHD_Response *response;
    struct http_server *server;
};

void
http_add_server_headers(const struct http_server *s, struct MHD_Response *r)
{
    if (s->opt.headers == NULL)
        return;
    for (const struct http_header *h = s->opt.headers; h->name != NULL; h++)
        if (MHD_get_response_header(r, h->name) == NULL)
            MHD_add_response_header(r, h->name, h->value);
}

/* Takes ownership of `r`. A second answer is a bug of the handler; the first one is
 * kept. */
void
http_answer(struct http_request *req, unsigned status, struct MHD_Response *r)
{
    if (r == NULL)
        return; /* out of memory: the dispatcher closes the connection */
    if (req->response != NULL) {
        MHD_destroy_response(r);
        return;
    }
    for (unsigned i = 0; i < req->n_extra; i++)
        MHD_add_response_header(r, req->extra[i].name, req->extra[i].value);
    http_add_server_headers(req->server, r);
    req->response = r;
    req->status = status;
}

/* A request with an answer of megabytes costs more than one token. */
static void
charge_rate(const struct http_request *req)
{
    struct http_server *s = req->server;

    if (s->limiter != NULL && req->answer_bytes >= TOKEN_BYTES &&
        !http_client_is_loopback(req))
        http_ratelimit_charge_ip(s->limiter, http_client_ip(req),
                                 (double)req->answer_bytes / TOKEN_BYTES, p2p_now_ms());
}

enum MHD_Result
http_answer_queue(struct http_request *req)
{
    enum MHD_Result done;

    if (req->response == NULL)
        return MHD_NO;
    atomic_fetch_add(&req->server->n_by_class[req->status / 100 % 6], 1);
    http_conn_set_phase(
        req->conn,
        HTTP_ANSWER); /* from here on, a slow client is the reason for a delay */
    charge_rate(req);
    done = MHD_queue_response(req->mhd, req->status, req->response);
    if (!req->is_shared)
        MHD_destroy_response(req->response);
    req->response = NULL;
    return done;
}

bool
http_is_answered(const struct http_request *req)
{
    return req->response != NULL;
}

void
http_set_header(struct http_request *req, const char *name, const char *value)
{
    unsigned i = req->n_extra;

    if (i == HTTP_MAX_EXTRA)
        return;
    req->extra[i].name = strdup(name);
    req->extra[i].value = strndup(value, strcspn(value, "\r\n"));
    if (req->extra[i].name != NULL && req->extra[i].value != NULL) {
        req->n_extra++;
        return;
    }
    free(req->extra[i].name);
    free(req->extra[i].value);
}

static void
reply_buffer(struct http_request *req, unsigned status, const char *type, void *body,
             size_t len, enum MHD_ResponseMemoryMode mode)
{
    struct MHD_Response *r;

    if (req->is_early && req->early_text == NULL)
        req->early_text = strndup(body, len);
    r = MHD_create_response_from_buffer(len, body, mode);
    if (r == NULL && mode == MHD_RESPMEM_MUST_FREE)
        free(body);
    if (r != NULL && type != NULL)
        MHD_add_response_header(r, "Content-Type", type);
    if (r != NULL && req->response == NULL)
        req->answer_bytes = len;
    http_answer(req, status, r);
}

void
http_reply(struct http_request *req, unsigned status, const char *type,
           const void *body, size_t len)
{
    /* The library only copies from it. */
    reply_buffer(req, status, type, (void *)(uintptr_t)body, len,
                 MHD_RESPMEM_MUST_COPY);
}

void
http_reply_owned(struct http_request *req, unsigned status, const char *type,
                 char *body, size_t len)
{
    if (body != NULL)
        reply_buffer(req, status, type, body, len, MHD_RESPMEM_MUST_FREE);
    else
        http_fail_err(req, P2P_ERR_NOMEM, NULL);
}

void
http_reply_empty(struct http_request *req, unsigned status)
{
    reply_buffer(req, status, NULL, (char[]){""}, 0, MHD_RESPMEM_MUST_COPY);
}

void
http_reply_json(struct http_request *req, unsigned status, struct cJSON *json)
{
    char *text = json != NULL ? cJSON_PrintUnformatted(json) : NULL;

    cJSON_Delete(json);
    http_reply_owned(req, status, JSON_TYPE, text, text != NULL ? strlen(text) : 0);
}

void
http_reply_message(struct http_request *req, unsigned status, const char *name,
                   const char *value)
{
    struct http_json_out o;
    size_t len;
    char *text;

    http_json_init(&o, strlen(name) + strlen(value));
    http_json_begin(&o, NULL, '{');
    http_json_put_string(&o, name, value);
    http_json_end(&o, '}');
    text = http_json_take(&o, &len);
    http_reply_owned(req, status, JSON_TYPE, text, len);
}

/* ---- prepared answers ---- */

struct http_prepared *
http_prepare(struct http_server *s, const char *type, const void *body, size_t len)
{
    struct http_prepared *p = calloc(1, sizeof(*p));

    if (p == NULL)
        return NULL;
    p->server = s;
    p->response = MHD_create_response_from_buffer(len, (void *)(uintptr_t)body,
                                                  MHD_RESPMEM_MUST_COPY);
    if (p->response == NULL) {
        free(p);
        return NULL;
    }
    MHD_add_response_header(p->response, "Content-Type", type);
    http_add_server_headers(s, p->response);
    return p;
}

void
http_prepared_free(struct http_prepared *p)
{
    if (p == NULL)
        return;
    MHD_destroy_response(p->response);
    free(p);
}

void
http_reply_prepared(struct http_request *req, unsigned status,
                    const struct http_prepared *p)
{
    if (req->response != NULL)
        return;
    req->response = p->response;
    req->is_shared = true;
    req->status = status;
}

/* ---- errors ---- */

static const char *
title_of(unsigned status)
{
    const char *title = MHD_get_reason_phrase_for(status);

    return title != NULL ? title : "Error";
}

struct page_text {
    char at[1200];
    size_t len;
};

/* True for a browser that opens a page; programs do not ask for HTML. Under /api the
 * answer is always JSON. */
static bool
wants_page(const struct http_request *req)
{
    const char *accept = http_header(req, "Accept");

    return accept != NULL && strstr(accept, "text/html") != NULL && req->path != NULL &&
           strncmp(req->path, "/api/", 5) != 0 && strcmp(req->path, "/api") != 0 &&
           (strcmp(req->method, "GET") == 0 || strcmp(req->method, "HEAD") == 0);
}

static void
put_html(struct page_text *p, const char *text)
{
    for (; *text != '\0' && p->len + 8 < sizeof(p->at); text++) {
        const char *entity = *text == '<'   ? "&lt;"
                             : *text == '>' ? "&gt;"
                             : *text == '&' ? "&amp;"
                             : *text == '"' ? "&quot;"
                                            : NULL;

        if (entity == NULL)
            p->at[p->len++] = *text;
        else
            p->len += (size_t)snprintf(p->at + p->len, 8, "%s", entity);
    }
    p->at[p->len] = '\0';
}

/* The page has no styles, because the server's policy may forbid them, and so may a
 * wrong Host. */
static void
fail_page(struct http_request *req, unsigned status, const char *detail)
{
    struct page_text title = {.len = 0}, text = {.len = 0};
    char page[2 * sizeof(title.at) + 512];
    int len;

    put_html(&title, title_of(status));
    put_html(&text, detail);
    len = snprintf(page, sizeof(page),
                   "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">"
                   "<meta name=\"viewport\" content=\"width=device-width\">"
                   "<meta name=\"color-scheme\" content=\"light dark\">"
                   "<title>%s</title><h1>%s</h1><p>%s</p>\n",
                   title.at, title.at, text.at);
    http_reply(req, status, "text/html; charset=utf-8", page, (size_t)len);
}

static void
fail_text(struct http_request *req, unsigned status, const char *code,
          const char *detail)
{
    struct http_json_out o;
    size_t len;
    char *text;

    if (wants_page(req)) {
        fail_page(req, status, detail);
        return;
    }
    http_json_init(&o, 256);
    http_json_begin(&o, NULL, '{');
    http_json_put_string(&o, "type", "about:blank");
    http_json_put_string(&o, "title", title_of(status));
    http_json_put_u64(&o, "status", status);
    http_json_put_string(&o, "detail", detail);
    http_json_put_string(&o, "code", code);
    http_json_put_string(&o, "error", detail);
    if (req->problem_member != NULL)
        http_json_put_u64(&o, req->problem_member, req->problem_value);
    http_json_end(&o, '}');
    if ((text = http_json_take(&o, &len)) != NULL)
        reply_buffer(req, status, PROBLEM_TYPE, text, len, MHD_RESPMEM_MUST_FREE);
}

void
http_problem_member(struct http_request *req, const char *name, uint64_t value)
{
    req->problem_member = name;
    req->problem_value = value;
}

void
http_fail(struct http_request *req, unsigned status, const char *code,
          const char *detail_format, ...)
{
    char detail[512];
    va_list args;

    va_start(args, detail_format);
    vsnprintf(detail, sizeof(detail), detail_format, args);
    va_end(args);
    fail_text(req, status, code, detail);
}

void
http_fail_err(struct http_request *req, enum p2p_err err, const char *detail)
{
    char code[32];

    snprintf(code, sizeof(code), "%s", p2p_err_name(err));
    for (char *c = code; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    if (err == P2P_ERR_RATE_LIMITED || err == P2P_ERR_BUSY)
        http_set_header(req, "Retry-After", "1");
    fail_text(req, (unsigned)p2p_err_http_status(err), code,
              detail != NULL ? detail : p2p_err_text(err));
}

void
http_fail_busy(struct http_request *req, unsigned retry_after_s, const char *detail)
{
    char seconds[16];

    snprintf(seconds, sizeof(seconds), "%u", retry_after_s);
    http_set_header(req, "Retry-After", seconds);
    fail_text(req, 429, "too_many", detail);
}

/* ---- entity tags ---- */

/* RFC 9110, 13.1.2: a list of tags, weak comparison, or "*". */
static bool
names_tag(const char *list, const char *tag)
{
    size_t n = strlen(tag);

    for (const char *p = list; (p = strchr(p, '"')) != NULL;) {
        const char *end = strchr(++p, '"');

        if (end == NULL)
            return false;
        if ((size_t)(end - p) == n && memcmp(p, tag, n) == 0)
            return true;
        p = end + 1;
    }
    return strcmp(list, "*") == 0;
}

bool
http_not_modified(struct http_request *req, const char *tag)
{
    const char *seen = http_header(req, "If-None-Match");
    char quoted[160];

    snprintf(quoted, sizeof(quoted), "\"%s\"", tag);
    http_set_header(req, "ETag", quoted);
    if (seen == NULL || !names_tag(seen, tag))
        return false;
    http_reply_empty(req, 304);
    return true;
}
