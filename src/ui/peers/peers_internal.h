/* The lists of peers from the inside, for the files of this room. peer.c: one peer;
 * meet.c: connecting to one; neighbors.c: peers that no registry lists; peers.c: the
 * snapshot of all of them. Each uses those before it. */
#ifndef P2P_UI_PEERS_INTERNAL_H
#define P2P_UI_PEERS_INTERNAL_H

#include <pthread.h>

#include "p2p/lock.h"
#include "ui/peers/paths.h"
#include "ui/peers/peers.h"

P2P_MUTEX_KIND(ui_peers_lock);
P2P_MUTEX_KIND(ui_peers_looking);
struct ui_peers {
    struct ui_peers_parts parts;
    struct ui_jobs *jobs;      /* NULL until the server is open */
    struct ui_peers_lock lock; /* everything below */
    /* The snapshot. */
    struct ui_peer *list P2P_GUARDED_BY(ui_peers_lock);
    size_t count P2P_GUARDED_BY(ui_peers_lock);
    uint64_t made_ms P2P_GUARDED_BY(ui_peers_lock);
    /* When the registries last answered, or failed to. */
    uint64_t took_ms P2P_GUARDED_BY(ui_peers_lock);
    /* A registry answered last time. */
    bool is_reachable P2P_GUARDED_BY(ui_peers_lock);
    /* Added by hand, or announced by mDNS. */
    struct ui_peer *neighbors P2P_GUARDED_BY(ui_peers_lock);
    size_t neighbor_count P2P_GUARDED_BY(ui_peers_lock);
    uint64_t neighbor_asked_ms P2P_GUARDED_BY(ui_peers_lock);
    uint64_t browsed_ms P2P_GUARDED_BY(ui_peers_lock);
    struct ui_paths paths P2P_GUARDED_BY(ui_peers_lock);
    /* A worker does. */
    bool is_asking_neighbors P2P_GUARDED_BY(ui_peers_lock);
    _Atomic bool is_stopping;
    struct ui_peers_looking looking; /* while registries are asked; before `lock` */
};

/* ---- peer.c ---- */

/* Frees what the peer owns. */
void ui_peer_clear(struct ui_peer *peer);
/* False: no memory. */
bool ui_peer_copy(struct ui_peer *to, const struct ui_peer *from);
/* Frees the peers and the list. */
void ui_peers_clear_list(struct ui_peer *list, size_t count);

/* ---- peers.c ---- */

/* Under the lock. */
struct ui_peer *ui_peers_find(struct ui_peers *p, const struct p2p_id *id)
    P2P_REQUIRES(ui_peers_lock);

/* ---- neighbors.c ---- */

/* Reads the peers that were added by hand from the store. */
void ui_neighbors_load(struct ui_peers *p);
/* Lets a worker find out, at most every ten seconds, which peers announce themselves
 * and what neighbors share. */
void ui_neighbors_look(struct ui_peers *p);
/* Asks. Connects to the peer at an address and keeps it as added by hand. EXISTS: it is
 * this machine. */
P2P_MUST_CHECK enum p2p_err
ui_neighbors_add(struct ui_peers *p, const struct p2p_addr *addr, struct p2p_id *id);

#endif
