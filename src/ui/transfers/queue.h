/* Shared by transfers.c, queue.c, run.c and transfers_read.c; no other file includes
 * it. */
#ifndef P2P_UI_QUEUE_H
#define P2P_UI_QUEUE_H

#include <pthread.h>

#include "p2p/lock.h"
#include "ui/transfers/transfers.h"

P2P_MUTEX_KIND(ui_transfers_lock);
struct ui_transfers {
    struct ui_app *app;
    struct ui_transfers_lock lock; /* the list and every transfer in it */
    pthread_cond_t changed;
    struct ui_transfer *first; /* newest first */
    size_t count;
    uint64_t last_place;
    unsigned threads;     /* running transfers, including those that are ending */
    struct p2p_rate rate; /* of all downloads together */
    pthread_t manager;
    bool has_manager, is_stopping;
};

/* All under the lock. */
struct ui_transfer *ui_transfers_find(struct ui_transfers *ts, const char *id);
void ui_transfers_unlink(struct ui_transfers *ts, struct ui_transfer *t);
/* Reports the change to the dashboards and to the store. */
void ui_transfers_tell(struct ui_transfers *ts, const struct ui_transfer *t);
void ui_transfers_save(struct ui_transfers *ts, const struct ui_transfer *t);
/* Position in the queue, from 0; -1 if it is not queued. */
long ui_transfers_position(struct ui_transfers *ts, const struct ui_transfer *t);
/* True if `a` starts before `b`. */
bool ui_transfer_is_before(const struct ui_transfer *a, const struct ui_transfer *b);
/* Puts the transfer at the end of the queue (again), without its error. */
void ui_transfer_enqueue(struct ui_transfers *ts, struct ui_transfer *t);

/* queue.c: the manager thread. */
void *ui_queue_main(void *transfers);
/* Sets the rate of all downloads from the settings and the time of day. */
void ui_queue_apply_rate(struct ui_transfers *ts);

/* How often to check whether a missing downloads folder is back. */
#define UI_PLACE_CHECK_S 2

/* run.c: ends this run for now, and keeps what it has; under the lock. */
void ui_run_give_way(struct ui_transfers *ts, struct ui_transfer *t, enum p2p_err err,
                     const char *message);
/* run.c: starts the thread of one transfer; under the lock. */
void ui_run_begin(struct ui_transfers *ts, struct ui_transfer *t);

#endif
