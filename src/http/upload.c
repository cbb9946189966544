#include "http/upload.h"

#include <stdlib.h>

#include "http/internal.h"

struct http_upload {
    const struct http_upload_sink *sink;
    void *arg;
    struct http_multipart *parser; /* NULL: the body is not a form */
    enum p2p_err err;
};

void
http_upload_into(struct http_request *req, const struct http_upload_sink *sink,
                 void *arg)
{
    char boundary[HTTP_MULTIPART_BOUNDARY_MAX + 1];
    struct http_upload *u = NULL;
    enum p2p_err err;

    err = http_multipart_boundary(http_header(req, "Content-Type"), boundary);
    if (err == P2P_ERR_UNSUPPORTED) {
        http_fail(req, 415, "unsupported_type", "the body must be multipart/form-data");
        goto out;
    }
    if (err != P2P_OK) {
        http_fail(req, 400, "malformed", "missing or invalid boundary in Content-Type");
        goto out;
    }
    if ((u = calloc(1, sizeof(*u))) == NULL ||
        (u->parser = http_multipart_new(boundary, &sink->events, arg)) == NULL) {
        http_fail_err(req, P2P_ERR_NOMEM, NULL);
        goto out;
    }
    u->sink = sink;
    u->arg = arg;
    req->upload = u;
    return;
out:
    free(u);
    sink->on_free(arg);
}

void
http_body_into(struct http_request *req, const struct http_upload_sink *sink, void *arg)
{
    struct http_upload *u = calloc(1, sizeof(*u));

    if (u == NULL) {
        http_fail_err(req, P2P_ERR_NOMEM, NULL);
        sink->on_free(arg);
        return;
    }
    u->sink = sink;
    u->arg = arg;
    req->upload = u;
}

/* True if so much of the body is still to come that the client should not wait for the
 * answer until then. */
static bool
is_long_way(const struct http_request *req)
{
    return req->declared == UINT64_MAX ||
           req->declared - req->received > HTTP_DRAIN_BYTES;
}

bool
http_upload_feed(struct http_request *req, const char *data, size_t n)
{
    struct http_upload *u = req->upload;

    if (u->err != P2P_OK)
        return false;
    u->err = u->parser != NULL ? http_multipart_feed(u->parser, data, n)
                               : u->sink->events.on_data(u->arg, data, n);
    if (u->err != P2P_OK && is_long_way(req)) {
        req->is_early = true;
        http_upload_finish(req);
        http_early_send(req);
    }
    return u->err == P2P_OK;
}

void
http_upload_finish(struct http_request *req)
{
    struct http_upload *u = req->upload;

    if (u->err == P2P_OK && u->parser != NULL)
        u->err = http_multipart_finish(u->parser);
    if (u->err == P2P_ERR_MALFORMED && u->parser != NULL)
        http_fail(req, 400, "malformed", "the body is not valid form data");
    else
        u->sink->on_done(u->arg, req, u->err);
}

void
http_upload_free(struct http_request *req)
{
    struct http_upload *u = req->upload;

    if (u == NULL)
        return;
    req->upload = NULL;
    http_multipart_free(u->parser);
    u->sink->on_free(u->arg);
    free(u);
}
