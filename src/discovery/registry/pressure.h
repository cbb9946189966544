/*
 * Room in a registry that is full: whose place it is that others need more.
 *
 * A peer's worth of going is the bytes of all that its source has registered, four
 * times that without a signature, divided by how long it is known. So what goes first
 * is young and large, and a crowd from one address counts as one. Ids and signatures
 * cost nothing and decide nothing alone. A newcomer takes a place only from a peer that
 * is worth more than twice its going, so equals do not push each other out; it is
 * refused instead.
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

/* Of the registry: the peers that go first, as they were at the last look. */
struct pressure {
    struct pressure_victim victims[PRESSURE_VICTIMS]; /* the first to go is the last */
    uint32_t count;
    uint64_t looked_ms;
};

/* Those that one change has sent away, to be told when its locks are given up. */
struct evicted {
    struct p2p_id ids[PRESSURE_VICTIMS];
    uint32_t count;
};

uint64_t pressure_score(uint64_t source_bytes, bool is_signed, uint64_t age_ms);

/*
 * Sends one peer away, but never the one numbered `except` nor one that is not worth
 * more than twice `score`: false. Needs the writers' lock; may give it up and take it
 * again meanwhile, as a long change does.
 */
bool pressure_evict(struct registry *r, uint64_t score, uint32_t except,
                    struct evicted *evicted);

#endif
