/* The registry from the inside, for the files of this room. registry_peer.c: the rows
 * of peers; pressure.c: which of them make room; registry_put.c, registry_leave.c:
 * changes; registry_list.c, registry_export.c: what is read; registry.c: the beginning
 * and the end, heartbeats, the dictionary. */
#ifndef P2P_DISCOVERY_REGISTRY_INTERNAL_H
#define P2P_DISCOVERY_REGISTRY_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "discovery/registry/pressure.h"
#include "discovery/registry/registry.h"
#include "discovery/registry/source.h"
#include "discovery/registry/tombstone.h"
#include "p2p/clock.h"
#include "p2p/lock.h"

/* One sixteenth of the memory is for tombstones. */
#define REGISTRY_STONES_PART 16u

/* After this many steps, a writer releases the lock for readers. */
#define REGISTRY_SLICE 64u

struct peer {
    uint32_t next;   /* of the hash chain */
    uint32_t source; /* the source for which it counts; SLAB_NONE: none */
    uint32_t count;
    uint32_t *files;      /* ascending numbers of files; NULL when count is 0 */
    char *addresses;      /* see record.h; NULL: none */
    struct p2p_spki *key; /* key of a signed record; NULL: unsigned */
    struct p2p_id id;
    uint8_t ip[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint16_t port;
    uint8_t protocols;
    bool is_used; /* false: the place is free */
    bool has_content;
    bool is_ip_stated;  /* false: `ip` is the address from which it registered */
    bool is_ip_claimed; /* see record.h */
    enum registry_direct direct;
    bool is_home_known; /* it registered here, so is_ip_stated is valid */
    /* Its first bytes are in the cache line that a search reads of a peer anyway. */
    struct p2p_about about;
    _Atomic uint32_t told_source; /* the last source that was told that the peer has
                                   * moved */
    _Atomic uint64_t told_move_ms;
    _Atomic uint64_t heard_ms;
    _Atomic uint64_t told_ms; /* the heard_ms that other registries know */
    uint64_t tag;             /* hash of a signed record, to recognize it again; 0:
                               * unknown */
    uint64_t seq;
    uint64_t stamp;        /* of an unsigned record */
    uint64_t expires_at_s; /* signed: expiry of this record, time of day */
    uint64_t expires_ms;   /* the same by CLOCK_MONOTONIC */
    uint64_t guard_ms; /* until this time, an older signed record could be replayed */
    uint64_t since_ms; /* when it came */
    uint64_t put_ms;   /* when it registered last */
    uint64_t charge;   /* bytes that it costs if no other peer has the same files */
};

P2P_RWLOCK_KIND(registry_data_lock);
P2P_MUTEX_KIND(registry_writer_lock);
struct registry {
    struct registry_options opt;
    /* Guards everything below. No thread takes it twice; writers let readers in after
     * each slice. */
    struct registry_data_lock lock;
    /* Held by a writer over all slices of its change. */
    struct registry_writer_lock writer;
    struct slab peers P2P_GUARDED_BY(registry_data_lock);
    struct table by_id P2P_GUARDED_BY(registry_data_lock);
    struct sources sources P2P_GUARDED_BY(registry_data_lock);
    struct tombstones tombstones P2P_GUARDED_BY(registry_data_lock);
    struct pressure pressure P2P_GUARDED_BY(registry_data_lock);
    struct catalogue catalogue P2P_GUARDED_BY(registry_data_lock);
    struct dict *dict;
    uint32_t live_signed P2P_GUARDED_BY(registry_data_lock);
    /* Total of all peers' lists of files. */
    uint64_t list_bytes P2P_GUARDED_BY(registry_data_lock);
    /* Number of peers removed to make room for others. */
    uint64_t evicted P2P_GUARDED_BY(registry_data_lock);
    uint64_t stones_looked_ms; /* registry_expire()'s, without a lock */
    uint16_t mark; /* the last digits of the stamps made here, so that no two registries
                    * make the same */
    uint64_t weighed_changes, weighed_ms; /* registry_tidy()'s, without a lock */
};

static inline struct peer *
peer_at(const struct registry *r, uint32_t id)
{
    return slab_at(&r->peers, id);
}

/* Bytes of a peer without its files, including its places in tables and a key. */
#define PEER_BYTES (sizeof(struct peer) + 16 + sizeof(struct p2p_spki) + 16)

/* ---- registry_peer.c ---- */

/* With a lock held: the peer's number, or SLAB_NONE. */
uint32_t registry_find(const struct registry *r, const struct p2p_id *id);

/* The hash of by_id: the id's first bytes mirrored, so that buckets are ranges of ids.
 */
uint64_t registry_id_hash(const struct p2p_id *id);

/* As registry_find, for a peer with a signed record only. */
uint32_t registry_find_signed(const struct registry *r, const struct p2p_id *id);

/* ---- with `writer` held ---- */

static inline void
registry_lock(struct registry *r) P2P_ACQUIRES(registry_data_lock)
{
    p2p_write_lock(&r->lock);
}

static inline void
registry_unlock(struct registry *r) P2P_RELEASES(registry_data_lock)
{
    p2p_rw_unlock(&r->lock);
}

/* Lets readers in between two slices of a long change: releases the lock and takes it
 * again. */
static inline void
registry_breathe_unlocks(struct registry *r, uint32_t done)
    P2P_REQUIRES(registry_data_lock)
{
    if (done % REGISTRY_SLICE != REGISTRY_SLICE - 1)
        return;
    registry_unlock(r);
    registry_lock(r);
}

/* Call it without any lock. */
static inline void
registry_announce(struct registry *r, const struct p2p_id *id, bool is_gone)
{
    if (r->opt.on_change != NULL)
        r->opt.on_change(r->opt.arg, id, is_gone);
}

/* Takes a free row for this id. SLAB_NONE: there is none. */
uint32_t registry_new_peer(struct registry *r, const struct p2p_id *id);

/* Sets the source that the peer counts for (NULL: none), and its bytes. */
void registry_set_source(struct registry *r, uint32_t at, const uint8_t *from,
                         uint64_t charge);

/* Removes a peer, in slices. Keeps its seq as long as an old signature could be
 * replayed. */
void registry_bury(struct registry *r, uint32_t at) P2P_REQUIRES(registry_data_lock);

/* Lists of files ascend. */
void registry_sort_files(uint32_t *files, uint32_t count);

/* Removes the postings of `old` that `now` does not have. Both lists ascend. */
void registry_unpost_missing(struct registry *r, uint32_t peer, const uint32_t *old,
                             uint32_t n_old, const uint32_t *now, uint32_t n_now)
    P2P_REQUIRES(registry_data_lock);

/* Replaces the peer's old list by `files` (takes ownership). */
void registry_swap_files(struct registry *r, uint32_t at, uint32_t *files,
                         uint32_t count) P2P_REQUIRES(registry_data_lock);

/* ---- with any lock ---- */

/*
 * The seq that a new one has to exceed. A known seq that is too far ahead of the clock
 * was accepted while a clock was wrong; it counts as the current time. Otherwise its
 * peer could not register until that time.
 */
uint64_t registry_seq_that_counts(uint64_t seq);
/* The expiry of a signature as CLOCK_MONOTONIC, at most two hours from now; 0: it has
 * expired. */
uint64_t registry_guard_ms(uint64_t until_s, uint64_t now_s);
/* The bytes that all live peers take. */
uint64_t registry_bytes(const struct registry *r);

/* Describes the peer of a row. The texts are borrowed while the lock is held. */
void registry_fill_peer(const struct registry *r, uint32_t peer,
                        struct registry_peer *out);

#endif
