/*
 * Sources: one entry for each address that registers (IPv6: each /64), with the peers
 * and tombstones that count for it. Knows no limits; the registry's lock guards it.
 */
#ifndef P2P_DISCOVERY_SOURCE_H
#define P2P_DISCOVERY_SOURCE_H

#include <stdbool.h>

#include "discovery/index/table.h"

struct source {
    uint32_t next; /* of the hash chain */
    uint32_t peers, tombstones;
    uint32_t first_tombstone, last_tombstone; /* the oldest and the newest */
    uint64_t
        bytes; /* of its peers, each counted as if no other peer had the same files */
    uint8_t from[16]; /* IPv4 as ::ffff:a.b.c.d */
};

struct sources {
    struct slab slab;
    struct table by_from;
};

P2P_MUST_CHECK enum p2p_err sources_init(struct sources *s, uint32_t max);
void sources_clear(struct sources *s);

static inline struct source *
source_at(const struct sources *s, uint32_t at)
{
    return slab_at(&s->slab, at);
}

/* SLAB_NONE: nothing counts for this address. */
uint32_t sources_find(const struct sources *s, const uint8_t from[16]);
/* Makes the source if it is new; SLAB_NONE: out of memory. Count something for it, or
 * drop it. */
uint32_t sources_get(struct sources *s, const uint8_t from[16]);
/* Removes the source if nothing counts for it any longer. */
void sources_drop_if_empty(struct sources *s, uint32_t at);

#endif
