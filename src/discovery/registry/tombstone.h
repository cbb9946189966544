/*
 * The seq of a peer that is gone, kept as long as one of its signatures could be
 * replayed. Tombstones have a table of their own, so that they never take a place from
 * live peers. When it is full, in total or for one source, the oldest one is forgotten.
 *
 * The registry's lock guards it. Times are CLOCK_MONOTONIC: a wrong clock keeps no peer
 * out for longer than a signature is valid.
 */
#ifndef P2P_DISCOVERY_TOMBSTONE_H
#define P2P_DISCOVERY_TOMBSTONE_H

#include "discovery/registry/source.h"
#include "p2p/crypto.h"

struct tombstone {
    uint32_t next;         /* of the hash chain */
    uint32_t newer, older; /* of its source */
    uint32_t source;       /* SLAB_NONE: nobody's */
    struct p2p_id id;
    uint64_t seq;
    uint64_t until_ms; /* 0: the place is free */
};
/* With its place in the table. */
#define TOMBSTONE_BYTES (sizeof(struct tombstone) + sizeof(uint32_t))

struct tombstones {
    struct slab slab;
    struct table by_id;
    struct sources *sources; /* borrowed */
    uint32_t max, max_per_source;
    uint32_t hand; /* the place where the search for an old one continues, over all
                      sources */
};

/* Starts empty, for at most `max` peers and `max_per_source` of one source. Borrows
 * `sources`. */
P2P_MUST_CHECK enum p2p_err tombstones_init(struct tombstones *t,
                                            struct sources *sources, uint32_t max,
                                            uint32_t max_per_source);
/* Frees everything. */
void tombstones_clear(struct tombstones *t);

static inline struct tombstone *
tombstone_at(const struct tombstones *t, uint32_t at)
{
    return slab_at(&t->slab, at);
}

/* The row of a peer that left, or SLAB_NONE. */
uint32_t tombstones_find(const struct tombstones *t, const struct p2p_id *id);
/* Remembers the higher seq and the later end. May drop other tombstones to make room.
 * `from` NULL: it counts for no source. */
void tombstones_put(struct tombstones *t, const uint8_t *from, const struct p2p_id *id,
                    uint64_t seq, uint64_t until_ms);
void tombstones_drop(struct tombstones *t, uint32_t at);

#endif
