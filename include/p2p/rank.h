/*
 * rank - the order in which peers are asked. Trust decides, numbers never do. All code
 * that chooses among peers uses this order: trusted peers first, then those the user
 * has met (p2p_known_met), then the rest. Equal peers are in random order, with a key
 * of this process, because ids cost nothing and nobody should be able to make one that
 * comes first. Blocked peers come last and are never chosen. Knows nothing of
 * downloads, registries or files. Thread-safe.
 */
#ifndef P2P_RANK_H
#define P2P_RANK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/addr.h"
#include "p2p/identity.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

enum p2p_rank {
    P2P_RANK_TRUSTED,
    P2P_RANK_MET, /* known as SEEN, or named by the user just now */
    P2P_RANK_NEW,
    P2P_RANK_BLOCKED,
    P2P_RANKS
};
const char *
p2p_rank_name(enum p2p_rank rank); /* "trusted", "known", "new", "blocked" */

/* The rank of a peer, from the list of known peers; NEW for NULL. */
enum p2p_rank p2p_rank_of(struct p2p_identity *identity, const struct p2p_id *id);

/* The random order among equals: SipHash-2-4 with the key of this process. */
uint64_t p2p_rank_order(const void *data, size_t len);

/* One of the peers to choose from. */
struct p2p_ranked {
    enum p2p_rank rank;
    size_t turn; /* compared first among equals; with 0 for all, the order is random */
    uint64_t order; /* of p2p_rank_order */
    size_t index;   /* the caller's */
};
/* Best first. */
void p2p_rank_sort(struct p2p_ranked *list, size_t count);
/* The order of p2p_rank_sort, for qsort: negative when `a` is the better one. Never 0
 * for two with different indexes. */
int p2p_rank_compare(const struct p2p_ranked *a, const struct p2p_ranked *b);

/*
 * The network that an address on the open Internet belongs to: its /24 or /64, as
 * something to compare. False for loopback, private, shared (RFC 6598), link-local and
 * unique local addresses, and for names: these count one by one.
 */
struct p2p_net_of {
    uint8_t family; /* 4 or 6 */
    uint8_t prefix[8];
};
bool p2p_rank_net(const struct p2p_addr *addr, struct p2p_net_of *out);
/* The same for the 16 bytes of an IPv6 address (IPv4 as ::ffff:a.b.c.d). */
bool p2p_rank_net_of_ip(const uint8_t ip[16], struct p2p_net_of *out);
/* True if both have such a network and it is the same. */
bool p2p_rank_same_net(const struct p2p_addr *a, const struct p2p_addr *b);

/* The number of unknown peers of one such network that are asked at a time. */
#define P2P_RANK_PER_NET_MAX 4

/* The addresses at which a trusted or met peer is remembered: a registry may say where
 * it is now, but not make it unreachable. Up to P2P_PEER_ADDRESSES_MAX; 0 for others.
 */
size_t p2p_rank_remembered(struct p2p_identity *identity, const struct p2p_id *id,
                           struct p2p_addr out[P2P_PEER_ADDRESSES_MAX]);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
