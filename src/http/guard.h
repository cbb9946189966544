/* Host and Origin (HTTP.md, "Who may call") as pure functions. */
#ifndef P2P_HTTP_GUARD_H
#define P2P_HTTP_GUARD_H

#include <stdbool.h>
#include <stddef.h>

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

/*
 * Whether a request with these headers (NULL: absent) comes from a page of this server
 * or from no page at all.
 */
bool http_origin_is_own(const char *origin, const char *fetch_site, const char *host);

#endif
