/*
 * download_internal - a download from the inside, shared by the files that run it.
 *
 * Threads: one control thread decides (control.c, folder.c: which source gets a
 * connection, when the download is over, what is reported); one worker per connection
 * moves bytes (worker.c, fetch.c); one hashes the whole file behind the write frontier
 * (verify.c, frontier.c); one makes chunks durable every few seconds (checkpoint.c);
 * one asks the registry for more sources (source_finder.c). `lock` guards everything
 * below, unless a comment says otherwise. Data is not read or written under it.
 */
#ifndef P2P_DOWNLOAD_INTERNAL_H
#define P2P_DOWNLOAD_INTERNAL_H

#include <pthread.h>

#include "core/download/frontier.h"
#include "core/download/plan.h"
#include "core/download/pool.h"
#include "core/remote/conn_internal.h"
#include "p2p/download.h"
#include "p2p/journal.h"
#include "p2p/lock.h"
#include "p2p/rank.h"

#define DL_SOURCES P2P_DOWNLOAD_SOURCES_MAX
#define DL_WORKERS P2P_DOWNLOAD_CONNECTIONS_MAX

/* A peer that may become a source. */
struct dl_candidate {
    struct p2p_addr addr;
    struct p2p_id expected;
    bool is_expected; /* the id was given: another one is refused */
    bool by_user;     /* and not by a registry */
    struct p2p_ranked rank;
    struct p2p_net_of net; /* family 0: counts alone */
    enum p2p_rank who;
    unsigned failures; /* while it had a place */
    uint64_t next_try_ms;
};
struct dl_source {
    struct p2p_addr addr;
    struct p2p_id expected;
    bool is_expected; /* the id was given: another one is refused */
    bool by_user;     /* and not by a registry */
    struct p2p_ranked rank;
    struct p2p_net_of net;
    enum p2p_rank who; /* its rank before this download */
    bool remembered;   /* it was added to the known peers as met */
    struct p2p_id id;  /* proven */
    bool id_known;
    enum p2p_source_state state;
    enum p2p_err error;
    uint64_t rtt_us; /* of the first connection; 0: not connected yet */
    bool agreed;     /* its META is about our (root, size) */
    bool had;        /* that was so once, and may be so again */
    bool disagreed;  /* dropped because its META describes another file. It gets another
                        chance if ours turns out to be wrong */
    struct p2p_meta meta;
    uint64_t received, sampled; /* verified bytes; the same at the last sample */
    double speed;
    unsigned workers, wanted; /* connections: running, aimed at */
    unsigned failures;        /* in a row without a verified byte */
    unsigned busy; /* times in a row that it was busy; not counted as failures yet */
    uint64_t next_try_ms;
};

struct dl_worker {
    struct p2p_download *dl;
    unsigned lane;
    unsigned source;
    pthread_t thread;
    bool running;  /* between spawn and join */
    bool finished; /* `end` is final: join it */
    bool retire;   /* ends when its requests are done */
    bool stop;     /* ends now */
    enum p2p_err end;
    struct p2p_conn *conn; /* set while it can be interrupted */
};

P2P_MUTEX_KIND(p2p_dl_lock);
struct p2p_download {
    struct p2p_dl_lock lock;
    pthread_cond_t
        changed; /* broadcast when anything changes that another thread may wait for */

    /* Options, constant after start. */
    struct p2p_identity *identity;
    const struct p2p_root *downloads;
    struct p2p_discovery *discovery;
    struct p2p_rate *rate;
    char name[P2P_NAME_MAX + 1], save_as[P2P_NAME_MAX + 1];
    enum p2p_on_conflict conflict;
    enum p2p_verify verify;
    unsigned connections, retries;
    uint64_t timeout_ms;
    int protocol;
    bool root_asked, size_announced;
    uint64_t announced_size, keep_free;
    p2p_download_event *on_event;
    void *event_arg;

    /* Threads. */
    pthread_t control;
    struct dl_worker workers[DL_WORKERS];
    struct dl_source sources[DL_SOURCES];
    size_t source_count;
    struct dl_candidate *waiting; /* best first; owned */
    size_t waiting_count;

    /* What the user wants. */
    bool want_pause, want_cancel, keep_data;
    bool want_resume; /* do not wait any longer for room on the disk */

    /* The file. */
    bool meta_known, layer_known, ready; /* ready: journal and plan are there */
    bool layer_wanted;                   /* a worker is fetching it */
    bool looked, present; /* was looked for in the folder; is there (`stored`) */
    bool data_gone;       /* somebody has removed what was written so far */
    uint64_t retry_ms; /* asked again then, because it had changed or moved; 0: not */
    struct p2p_meta meta;         /* name, geometry, root as agreed */
    struct p2p_digest *layer;     /* constant once layer_known */
    struct p2p_digest *old_layer; /* NULL: no older version is kept (versions.c) */
    struct p2p_digest old_root;
    struct p2p_chunks old_geometry;
    struct p2p_journal *journal; /* constant while ready */
    struct plan plan;
    struct pool pool;
    struct frontier frontier;
    pthread_cond_t next_ready; /* signals the verifier, which waits for chunks only */
    unsigned hungry; /* connections that wait for a chunk, a buffer or a verdict */
    struct p2p_digest sha256;
    bool sha256_done;
    bool needs_witness;       /* the sources that stated the SHA-256 were wrong: another
                                 source has to confirm the file first */
    bool hashing;             /* the verifier is at work */
    uint64_t hashed, fetched; /* bytes hashed so far, and bytes stored in this run */
    unsigned restarts;
    unsigned grown; /* connections added to each source because they made the download
                       faster */
    enum p2p_err local_error; /* a local error (disk, memory) that stops all workers */

    /* Reporting. */
    enum p2p_download_state state;
    enum p2p_err error;
    char message[256];
    char stored[P2P_NAME_MAX + 1];
    char works[P2P_NAME_MAX + 1]; /* TARGET_NAME: a name that would do; or "" */
    uint64_t received, sampled_received, sampled_ms;
    double speed;
    uint32_t files_done, files_total;
    struct folder *folder; /* NULL: one file */
    uint64_t folder_verified;
    bool over;         /* COMPLETED, FAILED or CANCELLED */
    bool reported_end; /* the last event was delivered, too */
};

/* Lock held. A chunk, a buffer or a verdict has become available: wakes the connections
 * that wait for one. Other waiters are not woken, because this happens a thousand times
 * per GB. */
void p2p_dl_feed(struct p2p_download *dl);
/* Waits for p2p_dl_feed, at most `ms`. The lock is held before and after. */
void p2p_dl_wait_hungry(struct p2p_download *dl, uint64_t ms);

/* Waits on `changed` for at most `ms`; the lock is held before and after. */
void p2p_dl_wait(struct p2p_download *dl, uint64_t ms);

/* ---- control.c ---- */
/* Fills `info` with what is known about the file. Lock held. */
void p2p_dl_journal_info(const struct p2p_download *dl, struct p2p_journal_info *info);
void *p2p_dl_control_main(void *arg);                   /* of a file */
bool p2p_dl_is_stopping(const struct p2p_download *dl); /* pause or cancel; lock held */
/* The same from outside the lock, as a callback: `arg` is the download. */
bool p2p_dl_should_stop(void *arg);

/* ---- candidates.c: which peers become sources ---- */
/* Adds a peer as a candidate, at the given address and at those where it was met. Among
 * equals, a lower `turn` comes first. Lock not held: reads the known peers. Duplicates
 * are ignored. TOO_LARGE: the list is full of better candidates. */
P2P_MUST_CHECK enum p2p_err p2p_dl_offer_source(struct p2p_download *dl,
                                                const struct p2p_source_spec *spec,
                                                size_t turn);
/* The functions below need the lock. */
/* Gives free places, and those of failing sources, to candidates. */
void p2p_dl_fill_places(struct p2p_download *dl);
bool p2p_dl_source_is_live(const struct p2p_download *dl, const struct dl_source *s);

/* ---- sources.c (lock held) ---- */
/* "peer 0123456789abcdef at host:port" */
#define DL_LABEL_MAX (P2P_HOST_MAX + 64)
const char *p2p_dl_source_label(const struct dl_source *s, char out[DL_LABEL_MAX]);
/* Ends the source's connections; it is not asked again in this session. */
void p2p_dl_drop_source(struct p2p_download *dl, unsigned source, enum p2p_err why);
void p2p_dl_source_failed(struct p2p_download *dl, unsigned source, enum p2p_err why);
void p2p_dl_source_delivered(struct p2p_download *dl, unsigned source, uint64_t bytes);
/* Sets how many connections each source should have now. */
void p2p_dl_share_out_connections(struct p2p_download *dl);
/* Sources that are not dropped; true when one of them has confirmed (root, size). */
unsigned p2p_dl_usable_sources(const struct p2p_download *dl);
bool p2p_dl_has_witness(const struct p2p_download *dl);
/* The reason why no source can deliver; P2P_OK while one still may. */
enum p2p_err p2p_dl_hopeless(struct p2p_download *dl);

/* Forgets what is known about the file; sources that disagreed or had changed get
 * another chance. */
void p2p_dl_forget_file(struct p2p_download *dl);

/* ---- versions.c ---- */
/* Lock held. Keeps the layer of the old version before p2p_dl_forget_file, because the
 * file changed at its sources. */
void p2p_dl_keep_version(struct p2p_download *dl);
/* Decides about the data of the old version. The new version is known, its journal not
 * opened yet. Lock not held. */
void p2p_dl_settle_version(struct p2p_download *dl);

/* ---- target.c ---- */
/* Whether this content is in the folder already; sets `present` and `stored`. Lock held
 * before and after, not meanwhile. */
void p2p_dl_look(struct p2p_download *dl);
/* Before the first byte: whether the file system takes such a name and such a size.
 * Lock not held; what is known of the file does not change meanwhile. */
P2P_MUST_CHECK enum p2p_err p2p_dl_check_target(struct p2p_download *dl);

/* The file's modification time is the one at its source, as far as that has been. */
void p2p_dl_keep_time(int fd, uint64_t mtime_s);

/* ---- worker.c ---- */
enum p2p_err p2p_dl_worker_spawn(struct p2p_download *dl, unsigned source);
bool p2p_dl_worker_is_stopped(struct dl_worker *w); /* lock not held */
void p2p_dl_workers_stop(struct p2p_download *dl);  /* lock held: asks and interrupts */
bool p2p_dl_workers_reap(
    struct p2p_download *dl); /* lock held: joins finished ones; true when none runs */

/* ---- meta.c: META and LAYER, until the worker may fetch ---- */
enum p2p_err p2p_dl_learn(struct dl_worker *w);

/* ---- fetch.c, fetch1.c: move chunks until told to stop or something breaks ---- */
enum p2p_err p2p_dl_fetch(struct dl_worker *w);
enum p2p_err p2p_dl_fetch1(struct dl_worker *w);
/* Waits as long as the rate limit demands for `bytes` that were received, or until told
 * to stop. */
void p2p_dl_throttle(struct dl_worker *w, uint64_t bytes);
/* A whole chunk came: checks it, writes it, marks it. HASH_MISMATCH, DISK_FULL, ... */
enum p2p_err p2p_dl_store_chunk(struct dl_worker *w, uint64_t chunk,
                                const uint8_t *data);
/* The same of a chunk that has been checked. */
enum p2p_err p2p_dl_keep_chunk(struct dl_worker *w, uint64_t chunk,
                               const uint8_t *data);

/* ---- verify.c ---- */
struct dl_verifier;
enum p2p_err p2p_dl_verifier_start(struct p2p_download *dl, struct dl_verifier **out);
void p2p_dl_verifier_stop(struct dl_verifier *v); /* lock not held; NULL is fine */
/* P2P_OK while it works or is done (dl->sha256_done), else why it cannot. Lock held. */
enum p2p_err p2p_dl_verifier_error(const struct dl_verifier *v);

/* ---- keeper.c ---- */
struct dl_keeper;
enum p2p_err p2p_dl_keeper_start(struct p2p_journal *journal, struct dl_keeper **out);
void p2p_dl_keeper_stop(struct dl_keeper *k);

/* ---- finder.c ---- */
struct dl_finder;
enum p2p_err p2p_dl_finder_start(struct p2p_download *dl, struct dl_finder **out);
void p2p_dl_finder_stop(struct dl_finder *f);

/* ---- status.c ---- */
void p2p_dl_set_state(struct p2p_download *dl, enum p2p_download_state state);
void p2p_dl_set_error(struct p2p_download *dl, enum p2p_err err, const char *format,
                      ...) __attribute__((format(printf, 3, 4)));
/* Sets the message for an error that has none yet. */
void p2p_dl_explain(struct p2p_download *dl, enum p2p_err err);
/* Speeds; about four times a second. */
void p2p_dl_sample(struct p2p_download *dl);
void p2p_dl_fill_status(struct p2p_download *dl, struct p2p_download_status *out);
/* Calls the callback. Releases the lock while it runs. */
void p2p_dl_report(struct p2p_download *dl);

/* ---- folder.c ---- */
void *p2p_dl_folder_main(void *arg); /* the control thread of a folder */

#endif
