/*
 * Parses the headers Forwarded (RFC 7239) and X-Forwarded-For, as pure functions. Trust
 * boundary: each line is text that the nearest proxy wrote or passed on. Only the part
 * to the right of all untrusted hops can be believed.
 */
#ifndef P2P_HTTP_FORWARDED_H
#define P2P_HTTP_FORWARDED_H

#include "http/source/address.h"

enum http_forwarded_kind {
    HTTP_X_FORWARDED_FOR,
    HTTP_FORWARDED,
};

/*
 * Finds the client's address behind the proxies, from the `count` lines of one header
 * in the order they arrived. Hops are read from the right: the first one that is not in
 * `trusted` is the client, or the leftmost one if all are trusted. If a hop on the way
 * cannot be read, returns false and sets `out` to zeros.
 */
bool http_forwarded_client(enum http_forwarded_kind kind, const char *const *lines,
                           size_t count, const struct http_networks *trusted,
                           struct http_address *out);

/* The last value of a list such as X-Forwarded-Host; a part of `line`. */
const char *http_forwarded_last(const char *line);

#endif
