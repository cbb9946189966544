/*
 * mdns - peers of the local network, without a registry: DNS-SD with Avahi (RFC 6762,
 * RFC 6763), service type `_p2pshare._tcp`. The instance is the first 16 digits of the
 * peer id; the TXT record has `id` (64 digits), `proto` and `name`. Announcements of
 * others are checked field by field, and ids are proven by the handshake. UNSUPPORTED:
 * built without Avahi, or no daemon answers on the system bus; everything else works
 * without it. Thread-safe.
 */
#ifndef P2P_MDNS_H
#define P2P_MDNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/crypto.h"
#include "p2p/net.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

#define P2P_MDNS_SERVICE  "_p2pshare._tcp"
#define P2P_MDNS_NAME_MAX 63

struct p2p_mdns_peer {
    struct p2p_id id;
    struct p2p_addr addr;             /* a literal; link-local ones with their scope */
    char name[P2P_MDNS_NAME_MAX + 1]; /* for people: checked UTF-8, may be empty */
    bool protocol_1, protocol_2;
};

/* ---- Announcing ---- */

struct p2p_mdns; /* *returned owned*, free with p2p_mdns_stop */

struct p2p_mdns_announcement {
    struct p2p_id id;
    uint16_t port;
    bool protocol_1;
    const char *name; /* copied, cut to what fits; NULL: the host's name */
};
/*
 * Announces this peer on all interfaces until stopped. Continues automatically when the
 * daemon restarts, and uses another instance name if the first one is taken.
 * UNSUPPORTED: not built in, or no bus.
 */
P2P_MUST_CHECK enum p2p_err p2p_mdns_announce(const struct p2p_mdns_announcement *what,
                                              struct p2p_mdns **out);
void p2p_mdns_stop(struct p2p_mdns *mdns); /* NULL is fine */

/* ---- Finding ---- */

/*
 * Finds the peers that announce themselves now. Waits until no more are expected, at
 * most `wait_ms`. One entry per peer id, IPv4 before IPv6, at most `max`. P2P_OK with
 * no entries is a valid result. UNSUPPORTED as above.
 */
P2P_MUST_CHECK enum p2p_err p2p_mdns_browse(uint64_t wait_ms, struct p2p_mdns_peer *out,
                                            size_t max, size_t *count);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
