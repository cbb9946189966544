/*
 * Makes room in a full registry: decides which peers are removed for others. The score
 * of a peer is the bytes of everything that its source has registered, times four if
 * the peer is unsigned, divided by the time that it is known. So large and young peers
 * are removed first, and a crowd from one address counts as one. The number of ids and
 * signatures alone has no effect, because they cost nothing. A new peer replaces only
 * peers whose score is more than twice its own, so that equals do not replace each
 * other; otherwise it is refused.
 */
#ifndef P2P_DISCOVERY_PRESSURE_H
#define P2P_DISCOVERY_PRESSURE_H

#include <stdint.h>

#include "p2p/crypto.h"

struct registry;
struct peer;

#define PRESSURE_VICTIMS 64u

struct pressure_victim {
    struct p2p_id id;
    uint64_t score;
};

/* The peers to remove first, as found by the last search. */
struct pressure {
    struct pressure_victim
        victims[PRESSURE_VICTIMS]; /* the one to remove first is at the end */
    uint32_t count;
    uint64_t looked_ms;
};

/* The peers that one change has removed, to be reported after its locks are
 * released. */
struct evicted {
    struct p2p_id ids[PRESSURE_VICTIMS];
    uint32_t count;
};

/* How much a peer should make room for others: more for sources that use much memory,
 * less for signed and for old registrations. */
uint64_t pressure_score(uint64_t source_bytes, bool is_signed, uint64_t age_ms);

/*
 * Removes one peer, but not the one numbered `except`, nor one whose score is at most
 * twice `score`; then it returns false. Needs the writers' lock; may release and take
 * it again, as a long change does.
 */
bool pressure_evict(struct registry *r, uint64_t score, uint32_t except,
                    struct evicted *evicted);

#endif
