/* What a request says of itself, and what is known about its connection. */
#include "http/internal.h"

#include <string.h>
#include <strings.h>
#include <sys/socket.h>

/* ---- the request ---- */

const char *
http_header(const struct http_request *req, const char *name)
{
    return MHD_lookup_connection_value(req->mhd, MHD_HEADER_KIND, name);
}

bool
http_cookie(const struct http_request *req, const char *name, char *out, size_t size)
{
    const char *at = http_header(req, "Cookie");
    size_t name_len = strlen(name);

    while (at != NULL && *at != '\0') {
        size_t len;

        at += strspn(at, " ;");
        len = strcspn(at, ";");
        if (len > name_len && strncmp(at, name, name_len) == 0 && at[name_len] == '=') {
            len -= name_len + 1;
            if (len >= size)
                return false;
            memcpy(out, at + name_len + 1, len);
            out[len] = '\0';
            return true;
        }
        at += len;
    }
    return false;
}

const char *
http_client_ip(const struct http_request *req)
{
    return req->proxied_ip[0] != '\0' ? req->proxied_ip : req->conn->ip;
}

bool
http_client_is_loopback(const struct http_request *req)
{
    return req->conn->is_loopback && !req->is_by_proxy && !req->shows_proxy;
}

const char *
http_host(const struct http_request *req)
{
    return req->forwarded_host != NULL ? req->forwarded_host : http_header(req, "Host");
}

const char *
http_scheme(const struct http_request *req)
{
    if (req->forwarded_proto != NULL)
        return strcasecmp(req->forwarded_proto, "https") == 0 ? "https" : "http";
    return NULL;
}

bool
http_is_secure(const struct http_request *req)
{
    const char *scheme = http_scheme(req);

    return req->server->opt.tls.cert != NULL ||
           (scheme != NULL && strcmp(scheme, "https") == 0);
}

/* ---- its connection ---- */

const char *
http_local_ip(const struct http_request *req)
{
    struct http_conn *c = req->conn;
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    struct http_address address;

    if (c->local_ip[0] == '\0' &&
        getsockname(c->fd, (struct sockaddr *)&sa, &len) == 0) {
        http_address_from((struct sockaddr *)&sa, &address);
        http_address_format(&address, c->local_ip);
    }
    return c->local_ip;
}

bool
http_connection_ends(const struct http_request *req, struct sockaddr_storage *ours,
                     struct sockaddr_storage *theirs)
{
    socklen_t our_len = sizeof(*ours), their_len = sizeof(*theirs);

    memset(ours, 0, sizeof(*ours));
    memset(theirs, 0, sizeof(*theirs));
    return getsockname(req->conn->fd, (struct sockaddr *)ours, &our_len) == 0 &&
           getpeername(req->conn->fd, (struct sockaddr *)theirs, &their_len) == 0;
}

_Atomic uint64_t *
http_connection_note(const struct http_request *req)
{
    return &req->conn->note;
}
