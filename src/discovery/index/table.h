/*
 * A hash table of item numbers that grows without pauses: it uses linear hashing, and
 * each insert splits at most one bucket. Items are chained through a number of their
 * own (`next`).
 */
#ifndef P2P_DISCOVERY_TABLE_H
#define P2P_DISCOVERY_TABLE_H

#include "discovery/index/slab.h"

struct table_items {
    uint64_t (*hash)(const void *owner, uint32_t id);
    uint32_t *(*next)(const void *owner, uint32_t id);
    /* Links back, for tables in which other parties can make a chain of any length.
     * NULL: to remove an item, its chain is searched. */
    uint32_t *(*prev)(const void *owner, uint32_t id);
};

struct table {
    struct slab heads; /* u32 each */
    const struct table_items *items;
    const void *owner;
    uint32_t level; /* number of buckets before this round of splits, a power of two */
    uint32_t split; /* the bucket that is split next */
    uint32_t count;
};

/* `max` items; borrows items and owner for its life. */
P2P_MUST_CHECK enum p2p_err table_init(struct table *t, const struct table_items *items,
                                       const void *owner, uint32_t max);
void table_clear(struct table *t);

/* The first item of the chain that one with this hash is in, or SLAB_NONE. */
uint32_t table_chain(const struct table *t, uint64_t hash);
void table_insert(struct table *t, uint32_t id);
void table_remove(struct table *t, uint32_t id);

/* Keyed hash for bytes from outside (SipHash-1-3), so that an attacker cannot choose
 * names that collide. */
uint64_t table_hash(const void *data, size_t len);

#endif
