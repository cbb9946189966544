/* What peers.c, peers_hand.c and peers_show.c share; nobody else includes it. */
#ifndef P2P_UI_PEERS_INTERNAL_H
#define P2P_UI_PEERS_INTERNAL_H

#include <pthread.h>

#include "ui/peers.h"

struct ui_peers {
    struct ui_app *app;
    pthread_mutex_t lock; /* everything below */
    struct ui_peer *list; /* the snapshot */
    size_t count;
    uint64_t made_ms;
    bool is_reachable; /* a registry answered last time */
    struct ui_peer *by_hand;
    size_t by_hand_count;
    uint64_t hand_looked_ms;
    pthread_mutex_t looking; /* held while the registries are asked; before `lock` */
};

void ui_peer_clear(struct ui_peer *peer);
/* Under the lock. */
struct ui_peer *ui_peers_find(struct ui_peers *p, const struct p2p_id *id);

/* peers_hand.c: those added by hand, from the store; and, once a minute, what they
 * share. */
void ui_hand_load(struct ui_peers *p);
void ui_hand_look(struct ui_peers *p); /* asks */

#endif
