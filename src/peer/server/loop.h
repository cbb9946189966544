/*
 * loop - one thread with an epoll instance and the connections that it owns. Sockets
 * are edge-triggered. A connection that can make progress is in the run queue and gets
 * a quantum in its turn, so that all are served fairly. There are four kinds of
 * time-outs, each with a list of its own. All deadlines of a list have the same length,
 * so the list is always sorted. The loop never wakes up without a reason.
 */
#ifndef PEER_LOOP_H
#define PEER_LOOP_H

#include <pthread.h>
#include <sys/queue.h>

#include "p2p/access.h"
#include "p2p/lock.h"
#include "p2p/net.h"
#include "peer/server/conn.h"
#include "peer/server/server_internal.h"

/* The bytes that one connection may send before the next one has its turn. */
#define LOOP_QUANTUM (256 * P2P_KIB)

/* A client that has not read for this long may be closed to make room. */
#define LOOP_STALLED_MS 2000

/* The maximum number of this machine's networks that are considered. */
#define LOOP_LINKS_MAX 64

TAILQ_HEAD(conn_list, conn);

/* A descriptor or a finished job, from another thread. */
struct loop_parcel {
    STAILQ_ENTRY(loop_parcel) link;
    int fd;
    struct sockaddr_storage from;
    bool has_caller, has_guest;
    struct p2p_id caller;
    struct p2p_guest_id guest;
};

P2P_MUTEX_KIND(loop_inbox_lock);
struct loop {
    struct server *server;
    pthread_t thread;
    bool started;
    int epoll_fd, event_fd, listen_fd;
    _Atomic unsigned load; /* connections */
    bool accept_paused;
    uint64_t accept_again_ms;
    uint64_t stop_at_ms; /* P2P_NO_DEADLINE until it is stopping */

    uint64_t parked_until_ms; /* when the first parked request is over */
    struct conn_list all, run, throttled, waiting, parked, graveyard;
    _Atomic bool files_changed;  /* parked requests may have an answer now */
    _Atomic bool access_changed; /* connected clients may be refused now */
    _Atomic bool has_revoked;    /* handshakes that lost their place to another one */
    struct conn_list timers[CONN_TIMERS];
    uint64_t throttled_until_us;
    struct conn *throttled_again; /* the first throttled connection that has had its
                                   * turn */

    struct p2p_access *rules;                  /* what callers may see */
    struct p2p_net_link links[LOOP_LINKS_MAX]; /* the local networks */
    size_t link_count;
    uint64_t links_until_ms; /* when they are read again */

    uint8_t
        *scratch; /* buffer in which a record or chunk is read, encrypted and sent */
    size_t scratch_size;
    struct compressor *compressor;
    uint8_t packed[P2P_DATA_MAX]; /* a compressed record */

    struct loop_inbox_lock inbox_lock;
    STAILQ_HEAD(, loop_parcel) arrived P2P_GUARDED_BY(loop_inbox_lock);
    STAILQ_HEAD(, job) finished P2P_GUARDED_BY(loop_inbox_lock);
};

/* A loop without its thread. Takes `listen_fd`; *returns owned*, free with loop_free.
 */
P2P_MUST_CHECK enum p2p_err loop_new(struct server *s, int listen_fd,
                                     struct loop **out);
/* Starts its thread. */
P2P_MUST_CHECK enum p2p_err loop_start(struct loop *loop);
void loop_wake(struct loop *loop);           /* from any thread */
void loop_files_changed(struct loop *loop);  /* from any thread */
void loop_access_changed(struct loop *loop); /* from any thread */
void loop_on_revoked(void *loop);            /* from any thread */
/* Waits for the end of its thread. */
void loop_join(struct loop *loop);
/* After loop_join. Closes its connections and the listener. */
void loop_free(struct loop *loop);
/* The number of its connections. From any thread. */
unsigned loop_load(const struct loop *loop);

/* accept.c: the listener's side of a loop. */
extern char loop_is_listener; /* its address marks the listener in epoll */
/* Accepts all connections that wait, and gives each to the loop with the fewest. */
void loop_accept(struct loop *loop);
/* Accepts again after a pause (no descriptors were left). */
void loop_resume_accept(struct loop *loop);
/* Takes `fd` as a new connection. `caller`: the id that a call promised, or NULL;
 * `guest`: see conn_new. */
void loop_adopt(struct loop *loop, int fd, const struct sockaddr_storage *from,
                const struct p2p_id *caller, const struct p2p_guest_id *guest);
/* Does this source belong to the local networks? On the loop's own thread. */
bool loop_is_near(struct loop *loop, const struct sockaddr_storage *from);
/* Starts waiting connections when a place for a handshake becomes free. */
void loop_admit_waiting(struct loop *loop);

/* For connections, on the loop's own thread. set_timer: the full length from now; _at:
 * an earlier time. */
void loop_set_timer(struct loop *loop, struct conn *c, enum conn_timer timer);
void loop_set_timer_at(struct loop *loop, struct conn *c, enum conn_timer timer,
                       uint64_t at_ms);
void loop_run_soon(struct loop *loop, struct conn *c);
/* Waits until the rate limits allow sending again. Connections that were refused come
 * before those that had their turn; otherwise the first one would always be first. */
void loop_throttle(struct loop *loop, struct conn *c, uint64_t wait_us);
void loop_unthrottle(struct loop *loop, struct conn *c);
/* Runs the connection again when the shared files have changed. */
void loop_park(struct loop *loop, struct conn *c);
/* The same, at this time at the latest. */
void loop_park_until(struct loop *loop, struct conn *c, uint64_t until_ms);
/* Makes room: closes the connection of the unknown client that has been idle for
 * longest, but not `asking`. False: there is none. */
bool loop_close_idle_stranger(struct loop *loop, const struct conn *asking);
/* Runs `run` on a worker, and then job->resume here. BUSY: the queue is full. */
P2P_MUST_CHECK enum p2p_err loop_submit(struct workers *w, struct conn_job *job,
                                        void (*run)(struct job *job));

#endif
