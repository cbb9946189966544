/*
 * What the lines of Forwarded (RFC 7239) and X-Forwarded-For say, as pure functions.
 *
 * Trust boundary: each line is text that the nearest proxy wrote, or that it passed on.
 * Only what stands to the right of every hop that is not trusted can be believed.
 */
#ifndef P2P_HTTP_FORWARDED_H
#define P2P_HTTP_FORWARDED_H

#include "http/address.h"

enum http_forwarded_kind {
    HTTP_X_FORWARDED_FOR,
    HTTP_FORWARDED,
};

/*
 * The address of the client behind the proxies, from one header's `count` lines in the
 * order they arrived. Hops are taken from the right: the first one that is not in
 * `trusted` is the client, or the last one when all are. False, and `out` is all zeros,
 * when a hop on the way cannot be read.
 */
bool http_forwarded_client(enum http_forwarded_kind kind, const char *const *lines,
                           size_t count, const struct http_networks *trusted,
                           struct http_address *out);

/* The last of the values in a list such as X-Forwarded-Host: a part of `line`. */
const char *http_forwarded_last(const char *line);

#endif
