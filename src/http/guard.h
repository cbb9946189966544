/* Host and Origin (HTTP.md, "Who may call") as pure functions. */
#ifndef P2P_HTTP_GUARD_H
#define P2P_HTTP_GUARD_H

#include <stdbool.h>
#include <stddef.h>

#include "p2p/err.h"

/*
 * Splits a Host value: the name or address without brackets, port and a trailing dot,
 * in lower case. False for what is not a Host.
 */
bool http_host_parse(const char *host, char *name, size_t size);

/*
 * Whether a page opened under this Host may be this server's own: a loopback name, the
 * address `local_ip` of the connection, or one of `allowed`. A rebound name is none of
 * these.
 */
bool http_host_is_own(const char *host, const char *local_ip,
                      const char *const *allowed);

/* What a request says of where it comes from; NULL for what is absent. */
struct http_origin_headers {
    const char *origin;
    const char *fetch_site; /* Sec-Fetch-Site */
    const char *host;       /* what the client typed */
    const char *scheme;     /* "http" or "https", when it is known */
};

/*
 * Whether the request comes from a page of this server or from no page at all. A
 * browser that says same-origin is believed: no page can write that header. Otherwise
 * the Origin is compared with the Host, a default port with none.
 */
bool http_origin_is_own(const struct http_origin_headers *h);

/* Names of this server without ports, in the form that http_host_is_own() compares. */
#define HTTP_HOSTS_MAX 64u
struct http_hosts {
    const char *at[HTTP_HOSTS_MAX + 1]; /* NULL behind the last */
    unsigned count;
};

/*
 * Host names or addresses, several in one text when commas separate them; a port is
 * dropped, since a Host is right on every port. USAGE: one of them is no host, and
 * `why` says which one. Free with http_hosts_clear() in either case.
 */
P2P_MUST_CHECK enum p2p_err http_hosts_parse(const char *const *list,
                                             struct http_hosts *out, char *why,
                                             size_t size);
/* The names that this machine has in a local network: NAME and NAME.local. */
void http_hosts_add_machine(struct http_hosts *out);
void http_hosts_clear(struct http_hosts *out);

#endif
