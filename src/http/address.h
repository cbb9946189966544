/*
 * Addresses and networks in one form: 16 bytes, an IPv4 address as ::ffff:a.b.c.d. Two
 * spellings of an address are equal bytes, and an IPv4 network is a longer prefix.
 * Pure functions: safe from any thread.
 */
#ifndef P2P_HTTP_ADDRESS_H
#define P2P_HTTP_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/err.h"

struct sockaddr;

#define HTTP_ADDRESS_TEXT 46 /* INET6_ADDRSTRLEN */

struct http_address {
    uint8_t b[16];
};

/* An IP address without brackets, port and zone; `text` need not end with a NUL. */
bool http_address_parse(const char *text, size_t len, struct http_address *out);

/* Of a socket; all zeros for what is neither IPv4 nor IPv6. NULL is fine. */
void http_address_from(const struct sockaddr *sa, struct http_address *out);

/* IPv4 in its dotted form. */
void http_address_format(const struct http_address *a, char out[HTTP_ADDRESS_TEXT]);

bool http_address_is_v4(const struct http_address *a);
bool http_address_is_loopback(const struct http_address *a);

/*
 * The part of an address that one customer of a provider has: all of an IPv4 address,
 * the first 64 bits of an IPv6 address. Whatever is counted "per address" is counted by
 * this.
 */
struct http_address http_address_source(const struct http_address *a);

struct http_network {
    struct http_address base; /* bits beyond the prefix are zero */
    unsigned bits;
};

#define HTTP_NETWORKS_MAX 64u
struct http_networks {
    struct http_network at[HTTP_NETWORKS_MAX];
    unsigned count;
};

/*
 * Addresses and networks ("10.0.0.7", "172.18.0.0/16", "fd00::/8"), several in one text
 * when commas separate them. `list` ends with a NULL; NULL is an empty list. USAGE: one
 * of them can never match an address, and `why` says which one and what is right.
 */
P2P_MUST_CHECK enum p2p_err http_networks_parse(const char *const *list,
                                                struct http_networks *out, char *why,
                                                size_t size);

bool http_networks_contain(const struct http_networks *n, const struct http_address *a);

#endif
