/* Checks of the headers Host and Origin (HTTP.md, "Who may call"), as pure
 * functions. */
#ifndef P2P_HTTP_GUARD_H
#define P2P_HTTP_GUARD_H

#include <stdbool.h>
#include <stddef.h>

#include "p2p/err.h"

/*
 * Parses a Host value: writes the name or address in lower case, without brackets, port
 * and trailing dot. False if the value is invalid.
 */
bool http_host_parse(const char *host, char *name, size_t size);

/*
 * True if this Host may be this server's own name: a loopback name, the address
 * `local_ip` of the connection, or one of `allowed`. A rebound DNS name is none of
 * these.
 */
bool http_host_is_own(const char *host, const char *local_ip,
                      const char *const *allowed);

/* The headers that tell where a request comes from; NULL for missing ones. */
struct http_origin_headers {
    const char *origin;
    const char *fetch_site; /* Sec-Fetch-Site */
    const char *host;       /* what the client typed */
    const char *scheme;     /* "http" or "https", when it is known */
};

/*
 * True if the request comes from a page of this server or from no page at all.
 * "same-origin" in Sec-Fetch-Site is believed, because no page can set that header.
 * Otherwise the Origin is compared with the Host; a default port equals no port.
 */
bool http_origin_is_own(const struct http_origin_headers *h);

/* Names of this server without ports, in the form that http_host_is_own() compares. */
#define HTTP_HOSTS_MAX 64u
struct http_hosts {
    const char *at[HTTP_HOSTS_MAX + 1]; /* NULL behind the last */
    unsigned count;
};

/*
 * Parses host names or addresses; one text may contain several, separated by commas.
 * Ports are dropped, because a Host is valid on every port. USAGE if one of them is not
 * a host; `why` names it. Free with http_hosts_clear() in either case.
 */
P2P_MUST_CHECK enum p2p_err http_hosts_parse(const char *const *list,
                                             struct http_hosts *out, char *why,
                                             size_t size);
/* The names of this machine in a local network: NAME and NAME.local. */
void http_hosts_add_machine(struct http_hosts *out);
void http_hosts_clear(struct http_hosts *out);

#endif
