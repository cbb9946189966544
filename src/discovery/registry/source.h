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
    uint64_t bytes; /* memory of its peers, each one counted as if no other peer had the
                       same files */
    uint8_t from[16]; /* IPv4 as ::ffff:a.b.c.d; of a wider one see source_widen */
    /* The one that contains it: of a /64 its /56, of this its /48, or SLAB_NONE. It
     * counts the same peers and bytes. */
    uint32_t wider, narrower; /* how many it contains */
};

struct sources {
    struct slab slab;
    struct table by_from;
};

/* Network providers give a customer a /64, a /56 or a /48. So that none of them counts
 * as thousands of sources, a wider one has limits as well: those of one source times
 * these. */
#define SOURCE_WIDTHS 3
unsigned source_factor(const uint8_t from[16]);
/* The key of the next wider source; false: there is none. */
bool source_widen(const uint8_t from[16], uint8_t out[16]);

/* max: of the narrow ones. */
P2P_MUST_CHECK enum p2p_err sources_init(struct sources *s, uint32_t max);
void sources_clear(struct sources *s);

static inline struct source *
source_at(const struct sources *s, uint32_t at)
{
    return slab_at(&s->slab, at);
}

/* Counts a peer of this many bytes for the source and for all that contain it. */
void sources_add_peer(struct sources *s, uint32_t at, uint64_t bytes);
void sources_remove_peer(struct sources *s, uint32_t at, uint64_t bytes);
/* True if `at` (may be SLAB_NONE) is `outer` or is contained in it. */
bool sources_is_within(const struct sources *s, uint32_t at, uint32_t outer);
/* SLAB_NONE: nothing counts for this address. */
uint32_t sources_find(const struct sources *s, const uint8_t from[16]);
/* Makes the source if it is new; SLAB_NONE: out of memory. Count something for it, or
 * drop it. */
uint32_t sources_get(struct sources *s, const uint8_t from[16]);
/* Removes the source if nothing counts for it any longer. */
void sources_drop_if_empty(struct sources *s, uint32_t at);

#endif
