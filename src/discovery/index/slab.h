/*
 * An array that grows without moving and without a pause: address space is reserved
 * once, memory is added in steps as it is used. Items are named by number; numbers
 * given back are given out again. Not safe from several threads by itself.
 */
#ifndef P2P_DISCOVERY_SLAB_H
#define P2P_DISCOVERY_SLAB_H

#include <stddef.h>
#include <stdint.h>

#include "p2p/err.h"

#define SLAB_NONE UINT32_MAX

struct slab {
    char *base;
    size_t item_size;    /* at least 4 */
    uint32_t max;        /* items reserved */
    uint32_t used;       /* number of items ever used: all ids are below it */
    uint32_t free_first; /* list of free items, linked through their first 4 bytes */
    uint32_t live;       /* number of items in use */
    size_t committed;    /* bytes readable */
};

/* Reserves `max` items, or fewer on a machine of 32 bits. */
P2P_MUST_CHECK enum p2p_err slab_init(struct slab *s, size_t item_size, uint32_t max);
void slab_clear(struct slab *s);

/* Allocates a zeroed item and returns its number; SLAB_NONE: out of memory, or `max`
 * are in use. */
uint32_t slab_take(struct slab *s);
void slab_give_back(struct slab *s, uint32_t id);

static inline void *
slab_at(const struct slab *s, uint32_t id)
{
    return s->base + (size_t)id * s->item_size;
}

#endif
