/* What registry.c, registry_put.c and registry_list.c share. */
#ifndef P2P_DISCOVERY_REGISTRY_INTERNAL_H
#define P2P_DISCOVERY_REGISTRY_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "discovery/registry/registry.h"

/* Work done under one hold of the writers' lock. */
#define REGISTRY_SLICE 64u

struct peer {
    uint32_t next; /* of the hash chain */
    uint32_t next_of_ip;
    uint32_t count;
    uint32_t *files; /* ascending numbers of files; NULL when count is 0 */
    struct p2p_id id;
    uint8_t ip[16];   /* IPv4 as ::ffff:a.b.c.d */
    uint8_t from[16]; /* who registered it: what is counted, IPv6 by its /64 */
    uint16_t port;
    uint8_t protocols;
    bool is_used; /* else the place is free */
    bool is_live; /* else only seq and seq_until_s are remembered */
    bool has_content;
    bool is_counted;      /* in the chain of `from` */
    struct p2p_spki *key; /* of a signed record; NULL: unsigned */
    _Atomic uint64_t heard_ms;
    _Atomic uint64_t told_ms; /* the heard_ms that other registries know of */
    uint64_t tag;             /* of a signed record: to know it again; 0: unknown */
    uint64_t seq;
    uint64_t stamp;        /* of an unsigned record */
    uint64_t expires_at_s; /* signed: of this record */
    uint64_t seq_until_s;  /* until then an older signed record could be played again */
};

struct registry {
    struct registry_options opt;
    pthread_rwlock_t lock;  /* everything below */
    pthread_mutex_t writer; /* held by whoever changes something, over all its slices */
    struct slab peers;
    struct table by_id, by_ip;
    struct catalogue catalogue;
    struct dict *dict;
    uint32_t live, live_signed;
    uint16_t mark; /* ends the stamps given here: no two registries give the same */
    uint64_t weighed_changes, weighed_ms; /* registry_tidy()'s, without a lock */
};

static inline struct peer *
peer_at(const struct registry *r, uint32_t id)
{
    return slab_at(&r->peers, id);
}

/* With a lock held: the peer's number, live or remembered, or SLAB_NONE. */
uint32_t registry_find(const struct registry *r, const struct p2p_id *id);

/* The hash of by_id: the id's first bytes mirrored, so that buckets are ranges of ids.
 */
uint64_t registry_id_hash(const struct p2p_id *id);

/* A live one with a signed record. */
uint32_t registry_find_signed(const struct registry *r, const struct p2p_id *id);

/* ---- with `writer` held ---- */

static inline void
registry_lock(struct registry *r)
{
    pthread_rwlock_wrlock(&r->lock);
}

static inline void
registry_unlock(struct registry *r)
{
    pthread_rwlock_unlock(&r->lock);
}

/* Lets readers in between two slices of a long change. */
static inline void
registry_breathe(struct registry *r, uint32_t done)
{
    if (done % REGISTRY_SLICE != REGISTRY_SLICE - 1)
        return;
    registry_unlock(r);
    registry_lock(r);
}

/* Without any lock. */
static inline void
registry_announce(struct registry *r, const struct p2p_id *id, bool is_gone)
{
    if (r->opt.on_change != NULL)
        r->opt.on_change(r->opt.arg, id, is_gone);
}

uint32_t registry_new_peer(struct registry *r, const struct p2p_id *id);

/* Whom the peer counts for; NULL: nobody. */
void registry_set_from(struct registry *r, uint32_t at, const uint8_t from[16]);

/* Gives the peer the list `files` (taken) in place of its old one. */
void registry_swap_files(struct registry *r, uint32_t at, uint32_t *files,
                         uint32_t count);

/* ---- with any lock ---- */

void registry_fill_view(const struct registry *r, uint32_t peer,
                        struct registry_peer *out);

#endif
