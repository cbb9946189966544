/*
 * swarm - a download from the inside: the peers that may have it, the connections to
 * those that are asked, and the thread that decides.
 *
 * A download is a swarm and a task: a file or a folder (core/download/file.h,
 * folder.h). The swarm knows the task only by struct dl_task.
 *
 * Threads: one control thread decides (run.c: which source gets a connection, when the
 * download is over, what is reported); one worker per connection moves bytes (worker.c;
 * the task says how). A file has three more: one hashes the whole file behind the write
 * frontier (verify.c), one makes chunks durable every few seconds (checkpoint.c), one
 * asks the registry for more sources (source_finder.c).
 *
 * One lock guards what these threads share. Nothing is read, written or logged under
 * it, the callback runs without it, and no function releases its caller's. A function
 * needs the lock when it says P2P_REQUIRES, and takes it itself otherwise.
 */
#ifndef P2P_SWARM_H
#define P2P_SWARM_H

#include <pthread.h>

#include "core/remote/conn_messages.h"
#include "p2p/clock.h"
#include "p2p/download.h"
#include "p2p/lock.h"
#include "p2p/rank.h"

#define DL_SOURCES P2P_DOWNLOAD_SOURCES_MAX
#define DL_WORKERS P2P_DOWNLOAD_CONNECTIONS_MAX

P2P_MUTEX_KIND(p2p_dl_lock);

/* A peer that may become a source. */
struct dl_candidate {
    struct p2p_addr addr;
    struct p2p_id expected;
    bool is_expected;  /* the id was given: another one is refused */
    bool by_user;      /* and not by a registry */
    bool is_unreached; /* a registry could not connect to `addr` */
    struct p2p_ranked rank;
    struct p2p_net_of net; /* family 0: counts alone */
    enum p2p_rank who;
    unsigned failures; /* failures while it had a place as a source */
    uint64_t next_try_ms;
};

/* A peer that is asked for data. Guarded by the lock. */
struct dl_source {
    struct p2p_addr addr;
    struct p2p_id expected;
    bool is_expected;  /* the id was given: another one is refused */
    bool by_user;      /* and not by a registry */
    bool is_unreached; /* a registry could not connect to `addr` */
    struct p2p_ranked rank;
    struct p2p_net_of net;
    enum p2p_rank who; /* its rank before this download */
    bool remembered;   /* it was added to the known peers as met */
    struct p2p_id id;  /* proven */
    bool id_known;
    enum p2p_source_state state;
    enum p2p_err error;
    uint64_t rtt_us; /* of the first connection; 0: not connected yet */
    bool path_known;
    enum p2p_path_kind path; /* of the last connection */
    unsigned scouts;         /* that were sent while there may be a better path */
    bool is_scouted;         /* one is under way */
    uint64_t scout_ms;       /* when the next one is due */
    bool agreed;             /* its META is about our (root, size) */
    bool had;                /* this was true once, and may become true again */
    uint32_t features;       /* P2P_FEATURE_..., as it says with its META */
    unsigned leaves_failed;  /* LEAVES? had no good end: it is not asked for ever */
    bool disagreed; /* dropped because its META describes another file. It gets another
                       chance if ours turns out to be wrong */
    struct p2p_meta meta;
    uint64_t received, sampled; /* verified bytes; the same at the last sample */
    double speed;
    unsigned workers, wanted; /* connections: running, aimed at */
    bool has_new_address;     /* offered since the last look, see p2p_dl_reconnect */
    unsigned failures;        /* in a row without a verified byte */
    unsigned busy; /* how often in a row it was busy; not counted as failures yet */
    uint64_t next_try_ms;
};

struct dl_worker {
    struct p2p_download *dl;
    unsigned lane;
    unsigned source;
    pthread_t thread;
    /* True between spawn and join. Used by the control thread only. */
    bool running;
    /* `end` is final: join it. */
    bool finished P2P_GUARDED_BY(p2p_dl_lock);
    /* Looks for a direct path to a source that is reached through a relay. It does not
     * count among the source's workers until it has found one. */
    bool is_scout P2P_GUARDED_BY(p2p_dl_lock);
    /* Ends when its requests are done. */
    bool retire P2P_GUARDED_BY(p2p_dl_lock);
    /* Ends now. */
    bool stop P2P_GUARDED_BY(p2p_dl_lock);
    enum p2p_err end P2P_GUARDED_BY(p2p_dl_lock);
    /* Set under the lock, by its own thread, while it can be interrupted. */
    struct p2p_conn *conn;
};

/* The request; constant after start. */
struct dl_options {
    struct p2p_identity *identity;
    const struct p2p_root *downloads;
    const struct p2p_reach *reach;
    struct p2p_discovery *discovery;
    struct p2p_rate *rate;
    char name[P2P_NAME_MAX + 1], save_as[P2P_NAME_MAX + 1];
    char base[P2P_NAME_MAX + 1]; /* a file that may have some of the content */
    enum p2p_on_conflict conflict;
    enum p2p_verify verify;
    unsigned connections, retries;
    uint64_t timeout_ms;
    int protocol;
    bool root_asked, size_announced;
    uint64_t announced_size, keep_free, restart_ms;
    p2p_download_event *on_event;
    void (*on_readable)(void *arg);
    void *event_arg;
};

/* What the user wants. */
struct dl_wants {
    bool pause, cancel, keep_data;
    bool resume; /* stop waiting for room on the disk */
};

/* Sources and the connections to them. */
struct dl_swarm {
    struct dl_worker workers[DL_WORKERS];
    struct dl_source sources[DL_SOURCES];
    size_t source_count;
    struct dl_candidate *waiting; /* best first; owned */
    size_t waiting_count;
    unsigned waiters; /* connections that wait for a chunk, a buffer or a verdict */
    enum p2p_err local_error; /* an error of the disk or of memory: stops all workers */
    bool is_stirred; /* something has changed since the control thread last looked */
};

/* The state that is reported. */
struct dl_report {
    enum p2p_download_state state;
    enum p2p_err error;
    char message[256];
    char stored[P2P_NAME_MAX + 1];
    char works[P2P_NAME_MAX + 1]; /* with TARGET_NAME: a name that would work; or "" */
    uint64_t disk_bytes; /* with DISK_TOO_SMALL: size of the disk; 0: unknown */
    uint64_t received, sampled_received, sampled_ms;
    uint64_t reused; /* bytes of files that were here */
    double speed;
    uint64_t reported_ms;
    bool over;         /* COMPLETED, FAILED or CANCELLED */
    bool reported_end; /* the last event was delivered, too */
};

/*
 * The task: a file of protocol 2 or 1 (file.c, file1.c), or a folder (folder.c). The
 * functions marked "control" run on the control thread. Those marked "locked" need the
 * lock, and the others are called without it.
 */
struct dl_task {
    /* A connected worker's job: moves bytes until there is no more to do. */
    enum p2p_err (*work)(struct dl_worker *w);
    /* Locked. Connections for this source, at most `share`; `usable` sources can be
     * asked. */
    unsigned (*wanted)(const struct p2p_download *dl, const struct dl_source *s,
                       unsigned usable, unsigned share);
    /* Locked. True while it is unknown which content the name means: then only the best
     * ranked sources are asked. */
    bool (*is_open)(const struct p2p_download *dl);
    /* Locked. Another source has this place now. May be NULL. */
    void (*on_seat)(struct p2p_download *dl, unsigned place);
    /* Locked. Our own rate limit, not the source, delays this worker. May be NULL. */
    void (*on_throttle)(struct dl_worker *w);
    /* Control, locked, several times a second. May be NULL. */
    void (*on_tick)(struct p2p_download *dl);

    /* Control: before the workers start. May be NULL. */
    void (*begin)(struct p2p_download *dl);
    /* Control: checks the progress of the workers; `*is_done`: everything is here. */
    enum p2p_err (*step)(struct p2p_download *dl, bool *is_done);
    /* Control: the workers have downloaded everything (P2P_OK), or failed. Ends them,
     * and does the rest. */
    enum p2p_err (*finish)(struct p2p_download *dl, enum p2p_err err);
    /* Control: true if another try can succeed after this error; prepares it. May be
     * NULL. */
    bool (*retry)(struct p2p_download *dl, enum p2p_err err);
    /* Control: the download is over. `discard`: the written data is not needed. May be
     * NULL. */
    void (*close)(struct p2p_download *dl, bool discard);
    /* Control: true if the disk has room for the rest. */
    bool (*has_room)(struct p2p_download *dl);
    /* Locked, the next three. */
    uint64_t (*bytes_to_come)(const struct p2p_download *dl);
    /* Sets the message for an error that ended it. */
    void (*explain)(struct p2p_download *dl, enum p2p_err err);
    void (*fill_status)(const struct p2p_download *dl, struct p2p_download_status *out);
    /* Releases dl->file or dl->folder. */
    void (*free)(struct p2p_download *dl);
    /* True if it cannot be known which source sent wrong bytes: then only one source at
     * a time is used. */
    bool one_source;
};

struct p2p_download {
    struct p2p_dl_lock lock;
    pthread_cond_t changed; /* broadcast by p2p_dl_wake */
    struct dl_options opt;
    const struct dl_task *task; /* with one of: */
    struct dl_file *file;
    struct folder *folder;
    pthread_t control;
    struct dl_wants wants P2P_GUARDED_BY(p2p_dl_lock);
    struct dl_swarm swarm P2P_GUARDED_BY(p2p_dl_lock);
    struct dl_report report P2P_GUARDED_BY(p2p_dl_lock);
};

/* ---- monitor.c: waiting for changes ---- */
/* Reports a change for which another thread may wait. */
void p2p_dl_wake(struct p2p_download *dl) P2P_REQUIRES(p2p_dl_lock);
/* Waits for such a change, at most `ms`; releases the lock meanwhile, as every wait
 * does. */
void p2p_dl_wait(struct p2p_download *dl, uint64_t ms) P2P_REQUIRES(p2p_dl_lock);
/* Control: waits until something has changed since the last rest, for DL_TICK_MS at
 * most. A change while the thread was busy is not missed. */
#define DL_TICK_MS 100
void p2p_dl_rest(struct p2p_download *dl) P2P_EXCLUDES(p2p_dl_lock);
/* A chunk, a buffer or a verdict has become available: wakes the connections that wait
 * for one. Other waiters are not woken, because this happens a thousand times per GB.
 */
void p2p_dl_wake_waiters(struct p2p_download *dl) P2P_REQUIRES(p2p_dl_lock);
/* Waits for p2p_dl_wake_waiters, at most `ms`. */
void p2p_dl_wait_for_chunk(struct p2p_download *dl, uint64_t ms)
    P2P_REQUIRES(p2p_dl_lock);

/* ---- worker.c: connections, each a thread ---- */
/* Starts the thread of one more connection to this source. */
P2P_MUST_CHECK enum p2p_err p2p_dl_worker_spawn(struct p2p_download *dl,
                                                unsigned source)
    P2P_REQUIRES(p2p_dl_lock);
/* Sets how many connections each source should have, and starts those that the source's
 * back-off allows. */
void p2p_dl_spawn_workers(struct p2p_download *dl) P2P_REQUIRES(p2p_dl_lock);
/* Looks for better paths to sources that are reached through a relay, when that is due.
 */
void p2p_dl_send_scouts(struct p2p_download *dl) P2P_REQUIRES(p2p_dl_lock);
/* True if this worker is told to end. */
bool p2p_dl_worker_is_stopped(struct dl_worker *w) P2P_EXCLUDES(p2p_dl_lock);
/* Joins workers that have finished, and judges their sources; true when none runs. */
bool p2p_dl_workers_reap(struct p2p_download *dl) P2P_EXCLUDES(p2p_dl_lock);
/* Interrupts all workers and waits until they have ended. */
void p2p_dl_workers_end(struct p2p_download *dl) P2P_EXCLUDES(p2p_dl_lock);
/* Waits as long as the rate limit demands for `bytes` that were received, or until told
 * to stop. */
void p2p_dl_throttle(struct dl_worker *w, uint64_t bytes) P2P_EXCLUDES(p2p_dl_lock);

/* ---- candidates.c: which peers become sources ---- */
/* Adds a peer as a candidate, at the given address and at those where it was met. Among
 * equals, a lower `turn` comes first. Reads the known peers. Duplicates are ignored.
 * TOO_LARGE: the list is full of better candidates. */
P2P_MUST_CHECK enum p2p_err p2p_dl_offer_source(struct p2p_download *dl,
                                                const struct p2p_source_spec *spec,
                                                size_t turn) P2P_EXCLUDES(p2p_dl_lock);
/* The addresses of the waiting candidates that are the same peer as this source: they
 * are tried together with its own. Returns their number. */
size_t p2p_dl_other_addresses(struct p2p_download *dl, const struct dl_source *s,
                              struct p2p_addr out[P2P_CONN_OTHERS_MAX])
    P2P_REQUIRES(p2p_dl_lock);
/* The source was reached at this one of its addresses: it comes first from now on. */
void p2p_dl_source_is_at(struct p2p_download *dl, struct dl_source *s,
                         const struct p2p_addr *addr) P2P_REQUIRES(p2p_dl_lock);
/* None of the addresses that were tried together has worked. */
void p2p_dl_all_addresses_failed(struct p2p_download *dl, const struct dl_source *s)
    P2P_REQUIRES(p2p_dl_lock);
/* Gives free places, and those of failing sources, to candidates. */
void p2p_dl_fill_places(struct p2p_download *dl) P2P_REQUIRES(p2p_dl_lock);
/* True if it has a connection, or may get one: it was not dropped, and has not failed
 * too often. */
bool p2p_dl_source_is_live(const struct p2p_download *dl, const struct dl_source *s)
    P2P_REQUIRES(p2p_dl_lock);

/* ---- sources.c ---- */
/* "peer 0123456789abcdef at host:port" */
#define DL_LABEL_MAX (P2P_HOST_MAX + 64)
const char *p2p_dl_source_label(const struct dl_source *s, char out[DL_LABEL_MAX])
    P2P_REQUIRES(p2p_dl_lock);
/* Ends the source's connections; it is not asked again in this session. */
void p2p_dl_drop_source(struct p2p_download *dl, unsigned source, enum p2p_err why)
    P2P_EXCLUDES(p2p_dl_lock);
/* A connection ended with this error: counts the failure, and delays the next try. */
void p2p_dl_source_failed(struct p2p_download *dl, unsigned source, enum p2p_err why)
    P2P_EXCLUDES(p2p_dl_lock);
/* The connections are silent: ends those of sources that have a new address, so that it
 * is tried. */
void p2p_dl_reconnect(struct p2p_download *dl) P2P_REQUIRES(p2p_dl_lock);
/* The source has sent these bytes: earlier failures no longer count. */
void p2p_dl_source_delivered(struct p2p_download *dl, unsigned source, uint64_t bytes)
    P2P_REQUIRES(p2p_dl_lock);
/* Sets how many connections each source should have now. */
void p2p_dl_share_out_connections(struct p2p_download *dl) P2P_REQUIRES(p2p_dl_lock);
/* How many sources are not dropped; and whether one of them has confirmed (root,
 * size). */
unsigned p2p_dl_usable_sources(const struct p2p_download *dl) P2P_REQUIRES(p2p_dl_lock);
bool p2p_dl_has_witness(const struct p2p_download *dl) P2P_REQUIRES(p2p_dl_lock);
/* The reason why no source can deliver; P2P_OK if one still may. */
P2P_MUST_CHECK enum p2p_err p2p_dl_hopeless(struct p2p_download *dl)
    P2P_REQUIRES(p2p_dl_lock);
/* The content of the file is unknown again: sources that disagreed or had changed get
 * another chance. */
void p2p_dl_ask_sources_again(struct p2p_download *dl) P2P_REQUIRES(p2p_dl_lock);

/* ---- status.c ---- */
/* Sets the state and wakes waiting threads; true if it is a new state, to be
 * reported. */
bool p2p_dl_set_state(struct p2p_download *dl, enum p2p_download_state state)
    P2P_REQUIRES(p2p_dl_lock);
/* Sets the error and its message. */
void p2p_dl_set_error(struct p2p_download *dl, enum p2p_err err, const char *format,
                      ...) __attribute__((format(printf, 3, 4)))
P2P_REQUIRES(p2p_dl_lock);
/* Before p2p_dl_explain: asks the file system for what the message of this error says.
 */
void p2p_dl_measure(struct p2p_download *dl, enum p2p_err err)
    P2P_EXCLUDES(p2p_dl_lock);
/* Sets the message for an error that has none yet. `size`: of the file. */
void p2p_dl_explain(struct p2p_download *dl, enum p2p_err err, uint64_t size)
    P2P_REQUIRES(p2p_dl_lock);
/* Updates the speeds, about four times per second. */
void p2p_dl_sample(struct p2p_download *dl) P2P_REQUIRES(p2p_dl_lock);
/* Copies the whole state for the callback. */
void p2p_dl_fill_status(struct p2p_download *dl, struct p2p_download_status *out)
    P2P_REQUIRES(p2p_dl_lock);
/* Calls the callback. */
void p2p_dl_report(struct p2p_download *dl) P2P_EXCLUDES(p2p_dl_lock);
/* Sets the state, and reports it if it is new. */
void p2p_dl_enter(struct p2p_download *dl, enum p2p_download_state state)
    P2P_EXCLUDES(p2p_dl_lock);

/* ---- run.c: the control thread ---- */
void *p2p_dl_run(void *download);
/* True if the user wants the download to pause or to end. */
bool p2p_dl_is_stopping(const struct p2p_download *dl) P2P_REQUIRES(p2p_dl_lock);
/* The same as a callback, called without the lock: `arg` is the download. */
bool p2p_dl_should_stop(void *arg) P2P_EXCLUDES(p2p_dl_lock);
/* Measures speeds, and reports a few times per second. Then waits for the next
 * change. */
void p2p_dl_tick(struct p2p_download *dl) P2P_EXCLUDES(p2p_dl_lock);

/* ---- verbs.c: with the public functions for a download that runs ---- */
/* Frees one whose thread has ended, or was not started. */
void p2p_dl_free(struct p2p_download *dl);

#endif
