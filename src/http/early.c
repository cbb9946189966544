/*
 * Early answers: an upload is refused while its body arrives.
 *
 * libmicrohttpd takes an answer before the body or after all of it. So this one is
 * written to the connection directly, which is possible because nothing else was sent
 * for the request. Afterwards the connection stays open for a while, and what arrives
 * is discarded: a connection that is closed with unread bytes can lose the answer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#ifdef P2P_WITH_GNUTLS
#include <gnutls/gnutls.h>
#endif

#include "http/internal.h"

#define HEAD_MAX 4096

struct head {
    char text[HEAD_MAX];
    size_t len;
};

static void
add(struct head *head, const char *name, const char *value)
{
    int n = snprintf(head->text + head->len, HEAD_MAX - head->len, "%s: %s\r\n", name,
                     value);

    if (n > 0 && (size_t)n < HEAD_MAX - head->len)
        head->len += (size_t)n;
}

static enum MHD_Result
add_header(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    add(arg, name, value);
    return MHD_YES;
}

static void
make_head(const struct http_request *req, size_t body_len, struct head *head)
{
    char length[24];
    int n = snprintf(head->text, HEAD_MAX, "HTTP/1.1 %u %s\r\n", req->status,
                     MHD_get_reason_phrase_for(req->status));

    head->len = n > 0 ? (size_t)n : 0;
    MHD_get_response_headers(req->response, add_header, head);
    snprintf(length, sizeof(length), "%zu", body_len);
    add(head, "Content-Length", length);
    add(head, "Connection", "close");
    if (HEAD_MAX - head->len > 2) {
        memcpy(head->text + head->len, "\r\n", 2);
        head->len += 2;
    }
}

#ifdef P2P_WITH_GNUTLS
static bool
send_tls(struct http_request *req, const char *data, size_t len)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(req->mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);

    return info != NULL && info->tls_session != NULL &&
           gnutls_record_send(info->tls_session, data, len) == (ssize_t)len;
}
#else
static bool
send_tls(struct http_request *req, const char *data, size_t len)
{
    (void)req, (void)data, (void)len;
    return false;
}
#endif

/* The buffer of the connection is empty, so short texts fit without waiting. */
static bool
send_all(struct http_request *req, const char *data, size_t len)
{
    if (req->server->opt.tls.cert != NULL)
        return send_tls(req, data, len);
    return send(req->conn->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len;
}

void
http_early_send(struct http_request *req)
{
    size_t len = req->early_text != NULL ? strlen(req->early_text) : 0;
    struct head head;

    if (req->response == NULL)
        return;
    make_head(req, len, &head);
    atomic_fetch_add(&req->server->n_by_class[req->status / 100 % 6], 1);
    req->is_early = true;
    req->early_at = req->received;
    http_conn_set_phase(req->conn, HTTP_LINGER);
    if (!send_all(req, head.text, head.len) ||
        (len > 0 && !send_all(req, req->early_text, len)))
        shutdown(req->conn->fd, SHUT_RDWR);
}

bool
http_early_is_over(const struct http_request *req)
{
    return req->is_early && req->received - req->early_at > HTTP_DRAIN_BYTES;
}
