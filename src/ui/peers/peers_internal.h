/* What peers.c, peers_near.c and peers_show.c share; nobody else includes it. */
#ifndef P2P_UI_PEERS_INTERNAL_H
#define P2P_UI_PEERS_INTERNAL_H

#include <pthread.h>

#include "ui/peers/peers.h"

struct ui_peers {
    struct ui_app *app;
    pthread_mutex_t lock; /* everything below */
    struct ui_peer *list; /* the snapshot */
    size_t count;
    uint64_t made_ms;
    uint64_t took_ms;     /* the registries' last answer, or their silence */
    bool is_reachable;    /* a registry answered last time */
    struct ui_peer *near; /* added by hand, or announced by mDNS */
    size_t near_count;
    uint64_t near_asked_ms, browsed_ms;
    bool is_looking_near; /* a worker does */
    _Atomic bool is_stopping;
    pthread_mutex_t looking; /* held while the registries are asked; before `lock` */
};

void ui_peer_clear(struct ui_peer *peer);
/* Under the lock. */
struct ui_peer *ui_peers_find(struct ui_peers *p, const struct p2p_id *id);

/* peers_near.c: neighbours. Reads those added by hand from the store. */
void ui_near_load(struct ui_peers *p);
/* Lets a worker look (every ten seconds at most) who announces itself, and what
 * neighbours share. */
void ui_near_look(struct ui_peers *p);

#endif
