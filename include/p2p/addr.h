/*
 * addr - where something listens, as people and registries write it, in one canonical
 * form.
 *
 * Two texts that mean the same address become the same bytes here, so that whoever
 * compares addresses compares struct p2p_addr or formatted texts and nothing else: the
 * key that is remembered for an address cannot be avoided by another spelling. Pure but
 * for the name of a zone; looks up no names. Thread-safe.
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

/* What a person writes as host:port, [v6]:port. */
#define P2P_HOST_MAX 254
struct p2p_addr {
    char host[P2P_HOST_MAX + 1]; /* canonical name or literal, no brackets */
    uint16_t port;
};
/* Room for any formatted address, with its NUL. */
#define P2P_ADDR_TEXT (P2P_HOST_MAX + 9)

/*
 * The one form of a host. IPv4 as four decimal numbers; IPv6 as in RFC 5952, and as
 * IPv4 where it only carries one (::ffff:a.b.c.d); a link-local address keeps its zone,
 * by the interface's name; other names in lower case and without the final dot. USAGE:
 * not a host, a shorthand of IPv4 that only some programs read as one (127.1,
 * 0x7f000001, 0177.0.0.1), a zone on an address that has none.
 */
P2P_MUST_CHECK enum p2p_err p2p_host_canonical(const char *text, size_t len,
                                               char out[P2P_HOST_MAX + 1]);

/* A host and a port. USAGE as above, and for port 0. */
P2P_MUST_CHECK enum p2p_err p2p_addr_make(const char *host, uint16_t port,
                                          struct p2p_addr *out);
/* "host", "host:port", "[v6]:port", "v6"; default_port 0: a port is required. Port 0,
 * spaces and control characters are refused. USAGE. */
P2P_MUST_CHECK enum p2p_err p2p_addr_parse(const char *text, uint16_t default_port,
                                           struct p2p_addr *out);
/* "host:port" or "[v6]:port"; cap >= P2P_ADDR_TEXT always fits. Returns out. */
const char *p2p_addr_format(const struct p2p_addr *addr, char *out, size_t cap);
/* Same host, byte for byte, and same port: both come from the calls above. */
bool p2p_addr_equal(const struct p2p_addr *a, const struct p2p_addr *b);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
