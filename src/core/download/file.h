/*
 * file - a download of one file: what the file is (meta.c), the chunks that are here
 * (chunks.c), the hash of the whole file (verify.c), and the end (file.c).
 *
 * The control thread opens the journal and makes the plan when the layer is known; then
 * the file is ready, and workers fetch. It takes both away again only after all workers
 * have ended.
 */
#ifndef P2P_DOWNLOAD_FILE_H
#define P2P_DOWNLOAD_FILE_H

#include "core/delta/base.h"
#include "core/plan/frontier.h"
#include "core/plan/grow.h"
#include "core/plan/plan.h"
#include "core/plan/pool.h"
#include "core/swarm/swarm.h"
#include "p2p/journal.h"

/* Which device sent which chunk in this run. */
struct dl_senders {
    /* For each chunk: 0, it is missing; UINT8_MAX, nobody in this run; or the number of
     * its sender in `at`, from 1. */
    uint8_t *of;
    uint64_t count_of;
    struct p2p_digest root;
    unsigned count;
    struct p2p_download_sender at[P2P_DOWNLOAD_SENDERS_MAX];
};

/* A file that is here and may have some of the new content (reuse.c). One worker at a
 * time compares it (`busy`), and the others wait. */
struct dl_reuse {
    struct p2p_base *base;                       /* constant while ready; NULL: none */
    struct base_calls calls;                     /* of the worker that is busy */
    uint8_t *barred P2P_GUARDED_BY(p2p_dl_lock); /* per chunk: what it had was wrong */
    bool busy P2P_GUARDED_BY(p2p_dl_lock);
    /* Its whole chunks were looked for; there is nothing more to compare. */
    bool scanned P2P_GUARDED_BY(p2p_dl_lock);
    bool over P2P_GUARDED_BY(p2p_dl_lock);
};

struct dl_file {
    /* The identity of the file. Written under the lock; constant once the layer is
     * known, except for the SHA-256 that sources state. */
    struct p2p_meta meta;        /* name, geometry, root as agreed */
    struct p2p_digest *layer;    /* constant once layer_known; NULL: protocol 1 */
    struct p2p_journal *journal; /* constant while ready */
    bool meta_known P2P_GUARDED_BY(p2p_dl_lock);
    bool layer_known P2P_GUARDED_BY(p2p_dl_lock);
    uint64_t zero_bytes P2P_GUARDED_BY(p2p_dl_lock); /* of the layer; need no space */
    /* A worker is downloading the layer, or checks whether the file is there already.
     */
    bool layer_wanted P2P_GUARDED_BY(p2p_dl_lock);
    /* The folder was searched for the file. */
    bool looked P2P_GUARDED_BY(p2p_dl_lock);
    /* The file is there already, under the name `stored`. */
    bool present P2P_GUARDED_BY(p2p_dl_lock);
    /* The journal and the plan exist. */
    bool ready P2P_GUARDED_BY(p2p_dl_lock);

    /* Its chunks. */
    struct plan plan P2P_GUARDED_BY(p2p_dl_lock);
    struct pool pool P2P_GUARDED_BY(p2p_dl_lock);
    struct frontier frontier P2P_GUARDED_BY(p2p_dl_lock);
    pthread_cond_t next_ready; /* signals the verifier, which waits for chunks only */
    /* Bytes stored in this run, and bytes hashed so far. */
    uint64_t fetched P2P_GUARDED_BY(p2p_dl_lock);
    uint64_t hashed P2P_GUARDED_BY(p2p_dl_lock);

    struct dl_reuse reuse;
    struct dl_senders senders P2P_GUARDED_BY(p2p_dl_lock);
    /* The places of readers, plus one; 0: no reader. They outlive the plan. */
    uint64_t read_at[P2P_DOWNLOAD_READERS_MAX] P2P_GUARDED_BY(p2p_dl_lock);

    /* The whole file. */
    struct p2p_digest sha256 P2P_GUARDED_BY(p2p_dl_lock);
    bool sha256_done P2P_GUARDED_BY(p2p_dl_lock);
    /* The verifier is running. */
    bool hashing P2P_GUARDED_BY(p2p_dl_lock);
    /* The sources that stated the SHA-256 were wrong: another one has to confirm the
     * file first. */
    bool needs_witness P2P_GUARDED_BY(p2p_dl_lock);
    /* Time of the next try, because the file had changed or moved; 0: none. */
    uint64_t retry_ms P2P_GUARDED_BY(p2p_dl_lock);
    /* Connections added to each source because they made the download faster. */
    unsigned grown P2P_GUARDED_BY(p2p_dl_lock);

    /* The control thread's own. */
    struct dl_verifier *verifier;
    struct dl_checkpoint *checkpoint;
    struct dl_source_finder *source_finder;
    struct grow grow;
    unsigned restarts;
    bool data_gone; /* another program has removed the written data */

    /* An older version that is kept (target.c): of the control thread; workers read
     * it under the lock. NULL: none. */
    struct p2p_digest *old_layer;
    struct p2p_digest old_root;
    struct p2p_chunks old_geometry;
};

/* ---- file.c, file1.c: the tasks of protocol 2 and of protocol 1 ---- */
extern const struct dl_task p2p_dl_file_task, p2p_dl_file1_task;
/* Makes dl->file; `root` may be NULL (the first source decides). NOMEM. */
P2P_MUST_CHECK enum p2p_err p2p_dl_file_new(struct p2p_download *dl,
                                            const struct p2p_digest *root);
/* The steps that both tasks share. */
unsigned p2p_dl_file_wanted(const struct p2p_download *dl, const struct dl_source *s,
                            unsigned usable, unsigned share) P2P_REQUIRES(p2p_dl_lock);
bool p2p_dl_file_is_open(const struct p2p_download *dl) P2P_REQUIRES(p2p_dl_lock);
void p2p_dl_file_on_tick(struct p2p_download *dl) P2P_REQUIRES(p2p_dl_lock);
void p2p_dl_file_begin(struct p2p_download *dl);
enum p2p_err p2p_dl_file_step(struct p2p_download *dl, bool *is_done);
enum p2p_err p2p_dl_file_finish(struct p2p_download *dl, enum p2p_err err);
bool p2p_dl_file_retry(struct p2p_download *dl, enum p2p_err err);
void p2p_dl_file_close(struct p2p_download *dl, bool discard);
bool p2p_dl_file_has_room(struct p2p_download *dl);
uint64_t p2p_dl_file_bytes_to_come(const struct p2p_download *dl)
    P2P_REQUIRES(p2p_dl_lock);
void p2p_dl_file_explain(struct p2p_download *dl, enum p2p_err err)
    P2P_REQUIRES(p2p_dl_lock);
void p2p_dl_file_fill_status(const struct p2p_download *dl,
                             struct p2p_download_status *out) P2P_REQUIRES(p2p_dl_lock);
void p2p_dl_file_free(struct p2p_download *dl);

/* ---- meta.c: META and LAYER, until the worker may fetch ---- */
/* Fills `info` with what is known about the file. */
void p2p_dl_journal_info(const struct p2p_download *dl, struct p2p_journal_info *info)
    P2P_REQUIRES(p2p_dl_lock);
P2P_MUST_CHECK enum p2p_err p2p_dl_learn(struct dl_worker *w);

/* ---- fetch.c, file1.c: move chunks until told to stop or something breaks ---- */
P2P_MUST_CHECK enum p2p_err p2p_dl_fetch(struct dl_worker *w);
P2P_MUST_CHECK enum p2p_err p2p_dl_fetch1(struct dl_worker *w);

/* ---- chunks.c ---- */
/* Finds out what the file is, then runs `fetch` with a lane of the plan. */
P2P_MUST_CHECK enum p2p_err
p2p_dl_work_in_lane(struct dl_worker *w, enum p2p_err (*fetch)(struct dl_worker *));
/* Our own rate limit causes a wait, so the lane does not count as silent. */
void p2p_dl_lane_on_throttle(struct dl_worker *w) P2P_REQUIRES(p2p_dl_lock);
/* Handles a complete chunk: checks it, writes it, marks it. `reused`: of it, bytes that
 * were here. HASH_MISMATCH, DISK_FULL, ... */
P2P_MUST_CHECK enum p2p_err p2p_dl_store_chunk(struct dl_worker *w, uint64_t chunk,
                                               const uint8_t *data, uint32_t reused)
    P2P_EXCLUDES(p2p_dl_lock);
/* The same of a chunk that has been checked. */
P2P_MUST_CHECK enum p2p_err p2p_dl_keep_chunk(struct dl_worker *w, uint64_t chunk,
                                              const uint8_t *data, uint32_t reused)
    P2P_EXCLUDES(p2p_dl_lock);
/* A chunk that was found here, and that no lane has to hold. keep_found: it has been
 * checked. */
P2P_MUST_CHECK enum p2p_err p2p_dl_store_found(struct p2p_download *dl, uint64_t chunk,
                                               const uint8_t *data)
    P2P_EXCLUDES(p2p_dl_lock);
P2P_MUST_CHECK enum p2p_err p2p_dl_keep_found(struct p2p_download *dl, uint64_t chunk,
                                              const uint8_t *data)
    P2P_EXCLUDES(p2p_dl_lock);

/* ---- reuse.c: the file that is here ---- */
/* Opens it, when the plan is made; and closes it, when the workers have ended. */
void p2p_dl_reuse_begin(struct p2p_download *dl) P2P_EXCLUDES(p2p_dl_lock);
void p2p_dl_reuse_end(struct p2p_download *dl) P2P_EXCLUDES(p2p_dl_lock);
/* Of a worker that has nothing in flight: compares the file, if nobody else does. An
 * error of the connection, or of the disk. */
P2P_MUST_CHECK enum p2p_err p2p_dl_reuse(struct dl_worker *w) P2P_EXCLUDES(p2p_dl_lock);
/* Reads what the file has of a chunk. Returns the bytes. */
uint32_t p2p_dl_reuse_fill(struct p2p_download *dl, uint64_t chunk, uint8_t *buf,
                           struct base_blocks *have) P2P_EXCLUDES(p2p_dl_lock);
/* The chunk was wrong: nothing of it is taken from the file again. */
void p2p_dl_reuse_bar(struct p2p_download *dl, uint64_t chunk)
    P2P_REQUIRES(p2p_dl_lock);

/* ---- pieces.c ---- */
/* The chunk was found here. */
void p2p_dl_note_found(struct p2p_download *dl, uint64_t chunk)
    P2P_REQUIRES(p2p_dl_lock);
/* Begins to record which peer sends which bytes; continues the record if it is the same
 * file. NOMEM. */
P2P_MUST_CHECK enum p2p_err p2p_dl_senders_begin(struct p2p_download *dl)
    P2P_REQUIRES(p2p_dl_lock);
void p2p_dl_senders_clear(struct p2p_download *dl) P2P_REQUIRES(p2p_dl_lock);
/* This source has sent the chunk. */
void p2p_dl_note_sender(struct p2p_download *dl, unsigned source, uint64_t chunk)
    P2P_REQUIRES(p2p_dl_lock);
/* Tells a new plan what readers need. */
void p2p_dl_readers_begin(struct p2p_download *dl) P2P_REQUIRES(p2p_dl_lock);

/* ---- target.c: on the control thread ---- */
/* Keeps the layer of the old version, because the file changed at its sources. */
void p2p_dl_keep_version(struct p2p_download *dl) P2P_REQUIRES(p2p_dl_lock);
/* Decides about the data of the old version. The new version is known, its journal not
 * opened yet. */
void p2p_dl_settle_version(struct p2p_download *dl) P2P_EXCLUDES(p2p_dl_lock);

/* ---- verify.c ---- */
P2P_MUST_CHECK enum p2p_err p2p_dl_verifier_start(struct p2p_download *dl,
                                                  struct dl_verifier **out)
    P2P_EXCLUDES(p2p_dl_lock);
void p2p_dl_verifier_stop(struct dl_verifier *v)
    P2P_EXCLUDES(p2p_dl_lock); /* NULL is fine */
/* P2P_OK while the verifier works or is done (sha256_done), else its error. */
enum p2p_err p2p_dl_verifier_error(const struct dl_verifier *v)
    P2P_REQUIRES(p2p_dl_lock);

/* ---- checkpoint.c ---- */
P2P_MUST_CHECK enum p2p_err p2p_dl_checkpoint_start(struct p2p_journal *journal,
                                                    struct dl_checkpoint **out);
void p2p_dl_checkpoint_stop(struct dl_checkpoint *k); /* NULL is fine */

/* ---- source_finder.c ---- */
P2P_MUST_CHECK enum p2p_err p2p_dl_source_finder_start(struct p2p_download *dl,
                                                       struct dl_source_finder **out);
void p2p_dl_source_finder_stop(struct dl_source_finder *f)
    P2P_EXCLUDES(p2p_dl_lock); /* NULL: fine */

#endif
