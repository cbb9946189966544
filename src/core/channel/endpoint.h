/*
 * endpoint - an IP address and a UDP port, as the machines of this room compare and
 * write them. An IPv4 address inside IPv6 (::ffff:a.b.c.d) is IPv4 here, so that one
 * address has one form. Pure. Thread-safe.
 */
#ifndef P2P_CHANNEL_ENDPOINT_H
#define P2P_CHANNEL_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/err.h"

enum p2p_family { P2P_FAMILY_NONE, P2P_FAMILY_4, P2P_FAMILY_6 };

/* Zero in all bytes that the family does not use: can be compared as bytes. */
struct p2p_endpoint {
    uint8_t ip[16]; /* network order; of IPv4 the first four */
    uint16_t port;
    uint8_t family; /* enum p2p_family */
    uint8_t unused;
};

#define P2P_ENDPOINT_TEXT 54 /* the longest "ip port", with its NUL */

/* From the bytes of an address: 4 or 16 of them. */
struct p2p_endpoint p2p_endpoint_make(const uint8_t *ip, size_t len, uint16_t port);
/* True if address and port are the same. */
bool p2p_endpoint_equal(const struct p2p_endpoint *a, const struct p2p_endpoint *b);
/* True for an address that one machine can have: not "any", multicast or broadcast, and
 * a port that is not 0. */
bool p2p_endpoint_is_unicast(const struct p2p_endpoint *e);
/* Reads a literal address; no names, no zones. MALFORMED. */
P2P_MUST_CHECK enum p2p_err p2p_endpoint_parse(const char *ip, uint16_t port,
                                               struct p2p_endpoint *out);
/* Writes the address without its port. Returns `out`. */
const char *p2p_endpoint_format_ip(const struct p2p_endpoint *e,
                                   char out[P2P_ENDPOINT_TEXT]);

#endif
