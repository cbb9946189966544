/* The transfers from the inside, for the files of this room. transfers_list.c: the
 * list; pieces.c, content.c: what a running one has; run.c: the thread of one;
 * queue.c: the manager; transfers.c: life and verbs. */
#ifndef P2P_UI_QUEUE_H
#define P2P_UI_QUEUE_H

#include <pthread.h>

#include "p2p/lock.h"
#include "ui/transfers/transfers.h"

P2P_MUTEX_KIND(ui_transfers_lock);
struct ui_transfers {
    struct ui_transfers_parts parts;
    struct ui_transfers_lock lock; /* the list and every transfer in it */
    pthread_cond_t changed;
    /* Newest first. */
    struct ui_transfer *first P2P_GUARDED_BY(ui_transfers_lock);
    size_t count P2P_GUARDED_BY(ui_transfers_lock);
    uint64_t last_place P2P_GUARDED_BY(ui_transfers_lock);
    /* Running transfers, including those that are ending. */
    unsigned threads P2P_GUARDED_BY(ui_transfers_lock);
    /* Bytes that a download with a full disk lacks; 0: none does. */
    uint64_t missing P2P_GUARDED_BY(ui_transfers_lock);
    struct p2p_rate rate; /* of all downloads together */
    pthread_t manager;
    bool has_manager;
    bool is_stopping P2P_GUARDED_BY(ui_transfers_lock);
    /* Something has changed since the manager last looked. */
    bool is_stirred P2P_GUARDED_BY(ui_transfers_lock);
    /* Requests that wait for bytes of a running download (content.c). */
    struct http_waitlist *arrivals;
    /* The readers of p2p_download_read that are in use. */
    bool readers[P2P_DOWNLOAD_READERS_MAX] P2P_GUARDED_BY(ui_transfers_lock);
};

/* ---- transfers_list.c; all under the lock, except the last one ---- */

/* Something has changed that another thread may wait for. */
void ui_transfers_wake(struct ui_transfers *ts) P2P_REQUIRES(ui_transfers_lock);
struct ui_transfer *ui_transfers_find(struct ui_transfers *ts, const char *id)
    P2P_REQUIRES(ui_transfers_lock);
/* Puts it into the list, as the newest; and takes it out. */
void ui_transfers_link(struct ui_transfers *ts, struct ui_transfer *t)
    P2P_REQUIRES(ui_transfers_lock);
void ui_transfers_unlink(struct ui_transfers *ts, struct ui_transfer *t)
    P2P_REQUIRES(ui_transfers_lock);
/* Reports the change to the dashboards and to the store. */
void ui_transfers_tell(struct ui_transfers *ts, const struct ui_transfer *t)
    P2P_REQUIRES(ui_transfers_lock);
void ui_transfers_save(struct ui_transfers *ts, const struct ui_transfer *t)
    P2P_REQUIRES(ui_transfers_lock);
/* Position in the queue, from 0; -1 if it is not queued. */
long ui_transfers_position(struct ui_transfers *ts, const struct ui_transfer *t)
    P2P_REQUIRES(ui_transfers_lock);
/* True if `a` starts before `b`. */
bool ui_transfer_is_before(const struct ui_transfer *a, const struct ui_transfer *b);
/* Puts the transfer at the end of the queue (again), without its error. */
void ui_transfer_enqueue(struct ui_transfers *ts, struct ui_transfer *t)
    P2P_REQUIRES(ui_transfers_lock);

/* The running download of the transfer, for use without the lock until
 * ui_transfer_leave; NULL: none. */
struct p2p_download *ui_transfer_use(struct ui_transfer *t)
    P2P_REQUIRES(ui_transfers_lock);
void ui_transfer_leave(struct ui_transfers *ts, struct ui_transfer *t)
    P2P_REQUIRES(ui_transfers_lock);
/* Bytes have arrived, or a transfer has ended: requests that wait look again. */
void ui_transfers_wake_readers(struct ui_transfers *ts) P2P_EXCLUDES(ui_transfers_lock);

/* ---- queue.c ---- */

/* The manager thread. */
void *ui_queue_main(void *transfers);
/* Sets the rate of all downloads from the settings and the time of day. */
void ui_queue_apply_rate(struct ui_transfers *ts) P2P_REQUIRES(ui_transfers_lock);

/* How often to check whether a missing downloads folder is back. */
#define UI_PLACE_CHECK_S 2

/* ---- run.c ---- */

/* Ends this run for now, and keeps what it has; under the lock. */
void ui_run_give_way(struct ui_transfers *ts, struct ui_transfer *t, enum p2p_err err,
                     const char *message) P2P_REQUIRES(ui_transfers_lock);
/* Starts the thread of one transfer; under the lock. */
void ui_run_begin(struct ui_transfers *ts, struct ui_transfer *t)
    P2P_REQUIRES(ui_transfers_lock);

#endif
