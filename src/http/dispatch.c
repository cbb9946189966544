/*
 * Handles a request in the way libmicrohttpd delivers it. The library calls
 * http_on_request first with the headers, then with pieces of the body, then once more
 * at the end; after a wait, the last call is repeated. An answer may be sent only in
 * the first and in the last call.
 */
#include <stdlib.h>
#include <string.h>

#include "http/internal.h"

#define NO_BODY UINT64_MAX

/* The first piece of memory for a body, and the amount that each source may always
 * use. */
#define BODY_FIRST  (16u * 1024)
#define BODY_ALWAYS (64u * 1024)

void *
http_on_uri(void *server, const char *uri, struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct http_conn *c = info != NULL ? info->socket_context : NULL;

    (void)server;
    if (c == NULL)
        return NULL; /* there was no memory when it connected */
    http_request_end(&c->req);
    c->req.serial = atomic_fetch_add(&c->server->last_serial, 1) + 1;
    c->req.conn = c;
    c->req.server = c->server;
    c->req.source = c->source;
    c->req.mhd = mhd;
    c->req.text_need = strlen(uri) + 1 + HTTP_MAX_PARAMS + 2 * HTTP_MAX_QUERY;
    http_conn_set_phase(c, HTTP_HEADERS);
    return &c->req;
}

/*
 * The next request reuses the memory of this one. So everything that remembers the
 * request must first be told that it is over.
 */
void
http_request_end(struct http_request *req)
{
    struct http_server *s = req->server;
    uint64_t serial = req->serial;
    size_t body_cap = req->body_cap;

    if (serial != 0) {
        req->serial = 0;
        if (req->is_begun && s->opt.on_end != NULL)
            s->opt.on_end(serial, s->opt.app);
    }
    http_request_clear(req);
    if (body_cap >= HTTP_LONG_BODY && s->opt.on_long_body_freed != NULL)
        s->opt.on_long_body_freed(s->opt.app);
}

void
http_on_completed(void *server, struct MHD_Connection *mhd, void **context,
                  enum MHD_RequestTerminationCode why)
{
    struct http_request *req = *context;

    (void)server, (void)mhd, (void)why;
    if (req == NULL)
        return;
    http_request_end(req);
    http_conn_set_phase(req->conn, HTTP_IDLE);
    *context = NULL;
}

/* ---- first call ---- */

struct header_census {
    unsigned headers, hosts, lengths, encodings;
    const char *length;
    bool is_chunked;
};

static enum MHD_Result
count_header(void *arg, enum MHD_ValueKind kind, const char *key, const char *value)
{
    struct header_census *n = arg;

    (void)kind;
    n->headers++;
    if (strcasecmp(key, "Host") == 0)
        n->hosts++;
    else if (strcasecmp(key, "Content-Length") == 0) {
        n->lengths++;
        n->length = value;
    } else if (strcasecmp(key, "Transfer-Encoding") == 0) {
        n->encodings++;
        n->is_chunked = strcasecmp(value, "chunked") == 0;
    }
    return MHD_YES;
}

/* Refuses requests that two servers could read differently (RFC 9112, 6.3 and 3.2). */
static bool
framing_is_clear(struct http_request *req, const char *version)
{
    struct header_census n = {0};

    MHD_get_connection_values(req->mhd, MHD_HEADER_KIND, count_header, &n);
    req->declared = 0;
    if (n.hosts == 0 && strcmp(version, "HTTP/1.1") == 0) {
        http_fail(req, 400, "malformed", "missing Host header (HTTP/1.1 requires it)");
        return false;
    }
    if (n.lengths + n.encodings > 1 || n.hosts > 1 ||
        (n.encodings == 1 && !n.is_chunked)) {
        http_fail(req, 400, "malformed", "ambiguous Host header or body length");
        return false;
    }
    if (n.headers > HTTP_MAX_HEADERS) {
        http_fail(req, 431, "too_many_headers",
                  "too many headers: at most %u are allowed", HTTP_MAX_HEADERS);
        return false;
    }
    if (n.encodings == 1)
        req->declared = UINT64_MAX;
    else if (n.length != NULL)
        req->declared = strtoull(n.length, NULL, 10); /* the library has checked that
                                                       * these are digits */
    return true;
}

static bool
is_within_rate(struct http_request *req)
{
    struct http_server *s = req->server;
    unsigned wait_s;

    if (s->limiter == NULL || http_client_is_loopback(req))
        return true;
    wait_s = http_ratelimit_take_ip(s->limiter, http_client_ip(req), 1, p2p_now_ms());
    if (wait_s == 0)
        return true;
    atomic_fetch_add(&s->n_limited, 1);
    http_fail_busy(req, wait_s, "too many requests from this address");
    return false;
}

static bool
body_is_acceptable(struct http_request *req)
{
    const struct http_route *r = req->route;

    if (r->flags & HTTP_MULTIPART) {
        http_request_run(req);
        return req->response == NULL && req->upload != NULL;
    }
    if (req->declared == UINT64_MAX || req->declared <= r->max_body)
        return true;
    http_fail(req, 413, "too_large",
              "the request body is too large: at most %zu bytes are allowed",
              r->max_body);
    return false;
}

static bool
is_admitted(struct http_request *req)
{
    const struct http_options *opt = &req->server->opt;

    if (opt->admit == NULL || (req->route->flags & HTTP_OPEN) ||
        opt->admit(req, req->route, opt->app))
        return true;
    if (req->status == 401) /* known no longer */
        http_place_set_known(req->conn, false);
    return false;
}

/*
 * RFC 9112, 3.2.2: a client may send `GET http://host/path`. If the target and the Host
 * header name different servers, the request is refused, like one with two Host
 * headers.
 */
static bool
strip_authority(struct http_request *req)
{
    const char *at = req->path, *host = http_header(req, "Host");
    size_t len;

    if (strncasecmp(at, "http://", 7) == 0)
        at += 7;
    else if (strncasecmp(at, "https://", 8) == 0)
        at += 8;
    else
        return true;
    len = strcspn(at, "/");
    if (host == NULL || strlen(host) != len || strncasecmp(at, host, len) != 0) {
        http_fail(req, 400, "malformed",
                  "the request target and the Host header name different servers");
        return false;
    }
    req->path = at[len] == '/' ? at + len : "/";
    return true;
}

/* Runs the checks from the cheapest to the most expensive; the first one that fails has
 * answered. */
static bool
is_welcome(struct http_request *req, size_t uri_len, const char *version)
{
    if (uri_len > HTTP_MAX_URI) {
        http_fail(req, 414, "uri_too_long",
                  "the request target is too long: at most %u bytes are allowed",
                  HTTP_MAX_URI);
        return false;
    }
    http_proxy_resolve(req, version);
    return framing_is_clear(req, version) && strip_authority(req) &&
           is_within_rate(req) && http_guard_passes(req) && http_route_find(req) &&
           http_guard_allows_site(req) && http_request_decode_query(req) &&
           is_admitted(req) && body_is_acceptable(req);
}

/*
 * If the refused body is short, it is read and discarded, so that the client sees the
 * answer and keeps its connection. A client that sends a long body, or that asked
 * before sending, gets the answer at once and is disconnected.
 */
static bool
should_drain(const struct http_request *req)
{
    return req->declared > 0 && req->declared <= HTTP_DRAIN_BYTES &&
           http_header(req, "Expect") == NULL;
}

static enum MHD_Result
begin(struct http_request *req, const char *path, const char *method,
      const char *version)
{
    size_t uri_len = req->text_need - 1 - HTTP_MAX_PARAMS - 2 * HTTP_MAX_QUERY;

    req->is_begun = true;
    req->path = path;
    req->method = method;
    atomic_fetch_add_explicit(&req->server->n_requests, 1, memory_order_relaxed);
    if (is_welcome(req, uri_len, version)) {
        if (req->declared > 0)
            http_conn_set_phase(req->conn, req->upload ? HTTP_UPLOAD : HTTP_BODY);
        return MHD_YES;
    }
    atomic_fetch_add(&req->server->n_refused, 1);
    if (req->response != NULL && should_drain(req)) {
        http_conn_set_phase(req->conn, HTTP_BODY);
        return MHD_YES;
    }
    http_conn_set_phase(req->conn, HTTP_ANSWER);
    return http_answer_queue(req);
}

/* ---- body ---- */

/*
 * Memory grows by doubling with the received bytes, never with the announced length, so
 * an announcement costs nothing.
 */
static bool
grow_body(struct http_request *req, size_t need)
{
    struct http_server *s = req->server;
    size_t cap = req->body_cap > 0 ? req->body_cap * 2 : BODY_FIRST, more;
    char *body;

    if (cap < need)
        cap = need;
    if (cap > req->declared)
        cap = (size_t)req->declared;
    if (cap > req->route->max_body)
        cap = req->route->max_body;
    more = cap - req->body_cap;
    if (!http_source_take_body(&s->sources, req->source, more, s->opt.body_budget,
                               BODY_ALWAYS)) {
        http_set_header(req, "Retry-After", "1");
        http_fail(req, 503, "busy",
                  "too many request bytes from this address are arriving at once; try "
                  "again later");
        return false;
    }
    if ((body = realloc(req->body, cap)) == NULL) {
        http_source_give_body(&s->sources, req->source, more);
        http_fail_err(req, P2P_ERR_NOMEM, NULL);
        return false;
    }
    req->body = body;
    req->body_cap = cap;
    return true;
}

static void
keep_body(struct http_request *req, const char *data, size_t n)
{
    if (n > req->route->max_body - req->body_len) {
        http_fail(req, 413, "too_large",
                  "the request body is too large: at most %zu bytes are allowed",
                  req->route->max_body);
        return;
    }
    if (n > req->body_cap - req->body_len && !grow_body(req, req->body_len + n))
        return;
    memcpy(req->body + req->body_len, data, n);
    req->body_len += n;
}

static enum MHD_Result
take_body(struct http_request *req, const char *data, size_t n)
{
    bool is_unwanted = req->response != NULL;

    req->received += n;
    if (!is_unwanted && req->upload != NULL)
        is_unwanted = !http_upload_feed(req, data, n);
    else if (!is_unwanted)
        keep_body(req, data, n);
    if (http_early_is_over(req))
        return MHD_NO;
    return is_unwanted && req->received > HTTP_DRAIN_BYTES && req->upload == NULL
               ? MHD_NO
               : MHD_YES;
}

/* ---- last call ---- */

static enum MHD_Result
finish(struct http_request *req)
{
    if (req->is_early)
        return MHD_NO; /* all was said */
    req->has_parked = false;
    http_conn_set_phase(req->conn, HTTP_ANSWER); /* also while it waits */
    if (req->response == NULL && req->upload != NULL)
        http_upload_finish(req);
    else if (req->response == NULL)
        http_request_run(req);
    if (req->has_parked)
        return MHD_YES;
    if (req->response == NULL)
        http_fail(req, 500, "internal", "internal error: the request was not answered");
    return http_answer_queue(req);
}

enum MHD_Result
http_on_request(void *server, struct MHD_Connection *mhd, const char *url,
                const char *method, const char *version, const char *data, size_t *size,
                void **context)
{
    struct http_request *req = *context;
    enum MHD_Result more;

    (void)server, (void)mhd;
    if (req == NULL)
        return MHD_NO;
    if (!req->is_begun)
        return begin(req, url, method, version);
    if (*size == 0)
        return finish(req);
    more = take_body(req, data, *size);
    *size = 0;
    return more;
}
