/*
 * Addresses and networks in one form: 16 bytes, with an IPv4 address as ::ffff:a.b.c.d.
 * So different spellings of an address have equal bytes, and an IPv4 network is a
 * longer prefix. Pure functions: safe from any thread.
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

/* Parses an IP address without brackets, port and zone; `text` need not end with a
 * NUL. */
bool http_address_parse(const char *text, size_t len, struct http_address *out);

/* The address of a socket; all zeros if it is neither IPv4 nor IPv6. Accepts NULL. */
void http_address_from(const struct sockaddr *sa, struct http_address *out);

/* Writes an IPv4 address in dotted form. */
void http_address_format(const struct http_address *a, char out[HTTP_ADDRESS_TEXT]);

/* True for IPv4, also in the form ::ffff:a.b.c.d. */
bool http_address_is_v4(const struct http_address *a);
/* True for 127.0.0.0/8 and ::1. */
bool http_address_is_loopback(const struct http_address *a);

/*
 * The part of an address that identifies one customer of a provider: the whole IPv4
 * address, or the first 64 bits of an IPv6 address. Limits "per address" use this part.
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
 * Parses addresses and networks ("10.0.0.7", "172.18.0.0/16", "fd00::/8"); one text may
 * contain several, separated by commas. `list` ends with a NULL; NULL is an empty list.
 * USAGE if one of them can never match an address; `why` names it and tells what is
 * valid.
 */
P2P_MUST_CHECK enum p2p_err http_networks_parse(const char *const *list,
                                                struct http_networks *out, char *why,
                                                size_t size);

/* True if the address is in one of the networks. */
bool http_networks_contain(const struct http_networks *n, const struct http_address *a);

#endif
