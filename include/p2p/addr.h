/*
 * addr - the address of a listener, as people and registries write it, in one canonical
 * form. Two texts that mean the same address get the same bytes here. So code that
 * compares addresses compares struct p2p_addr or formatted texts, and a different
 * spelling cannot bypass the key that is remembered for an address. Pure except for the
 * names of IPv6 zones; looks up no host names. Thread-safe.
 */
#ifndef P2P_ADDR_H
#define P2P_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/err.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* An address as a person writes it: host:port, [v6]:port. */
#define P2P_HOST_MAX 254
struct p2p_addr {
    char host[P2P_HOST_MAX + 1]; /* canonical name or literal, no brackets */
    uint16_t port;
};
/* Room for any formatted address, with its NUL. */
#define P2P_ADDR_TEXT (P2P_HOST_MAX + 9)

/*
 * Writes a host in its canonical form. IPv4 is written as four decimal numbers. IPv6 is
 * written as in RFC 5952, or as IPv4 if it only carries one (::ffff:a.b.c.d); a
 * link-local address keeps its zone, as the name of the interface. Other names are
 * written in lower case without the final dot. USAGE: not a host, a shorthand of IPv4
 * that only some programs accept (127.1, 0x7f000001, 0177.0.0.1), or a zone on an
 * address that cannot have one.
 */
P2P_MUST_CHECK enum p2p_err p2p_host_canonical(const char *text, size_t len,
                                               char out[P2P_HOST_MAX + 1]);

/* Makes an address of a host and a port. USAGE as above, and for port 0. */
P2P_MUST_CHECK enum p2p_err p2p_addr_make(const char *host, uint16_t port,
                                          struct p2p_addr *out);
/* Parses "host", "host:port", "[v6]:port" or "v6"; with default_port 0, a port is
 * required. Port 0, spaces and control characters are refused. USAGE. */
P2P_MUST_CHECK enum p2p_err p2p_addr_parse(const char *text, uint16_t default_port,
                                           struct p2p_addr *out);
/* Writes "host:port" or "[v6]:port"; cap >= P2P_ADDR_TEXT always fits. Returns out. */
const char *p2p_addr_format(const struct p2p_addr *addr, char *out, size_t cap);
/* A list is several formatted addresses as one text, with a space between two. Appends
 * one to a list of `cap` bytes, unless it is in there already. False: no room. */
bool p2p_addr_list_add(char *list, size_t cap, const struct p2p_addr *addr);
/* Reads at most `max` addresses of a list and returns their number; leaves out what is
 * no address. */
size_t p2p_addr_list_read(const char *list, struct p2p_addr *out, size_t max);
/* True if both have the same host, byte for byte, and the same port. Both must come
 * from the functions above. */
bool p2p_addr_equal(const struct p2p_addr *a, const struct p2p_addr *b);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
