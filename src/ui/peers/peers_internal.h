/* Shared by peers.c, neighbors.c, near_results.c and peers_show.c; no other file
 * includes it. */
#ifndef P2P_UI_PEERS_INTERNAL_H
#define P2P_UI_PEERS_INTERNAL_H

#include <pthread.h>

#include "p2p/lock.h"
#include "ui/peers/peers.h"

P2P_MUTEX_KIND(ui_peers_lock);
P2P_MUTEX_KIND(ui_peers_looking);
struct ui_peers {
    struct ui_app *app;
    struct ui_peers_lock lock; /* everything below */
    struct ui_peer *list;      /* the snapshot */
    size_t count;
    uint64_t made_ms;
    uint64_t took_ms;     /* when the registries last answered, or failed to */
    bool is_reachable;    /* a registry answered last time */
    struct ui_peer *near; /* added by hand, or announced by mDNS */
    size_t near_count;
    uint64_t near_asked_ms, browsed_ms;
    bool is_looking_near; /* a worker does */
    _Atomic bool is_stopping;
    struct ui_peers_looking looking; /* while registries are asked; before `lock` */
};

void ui_peer_clear(struct ui_peer *peer);
/* Under the lock. */
struct ui_peer *ui_peers_find(struct ui_peers *p, const struct p2p_id *id);

/* neighbors.c. Reads the peers that were added by hand from the store. */
void ui_near_load(struct ui_peers *p);
/* Lets a worker find out, at most every ten seconds, which peers announce themselves
 * and what neighbors share. */
void ui_near_look(struct ui_peers *p);

#endif
