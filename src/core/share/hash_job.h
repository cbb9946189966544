/*
 * hash_job - one file to hash: the task, then its result.
 */
#ifndef P2P_SHARE_HASH_JOB_H
#define P2P_SHARE_HASH_JOB_H

#include <stdatomic.h>

#include "core/share/item.h"

/* One file to hash: the task, then its result. */
struct p2p_hash_job {
    struct p2p_hash_job *next;
    struct p2p_item *item; /* for the share's loop; the threads do not use it */
    struct p2p_file_state state;
    uint32_t chunk_size;
    bool flat;         /* compute only the SHA-256 of the whole file */
    bool is_recheck;   /* the file stays shared meanwhile */
    uint64_t given_ms; /* when the hasher got it */
    atomic_bool
        is_cancelled; /* set by the share's loop: the result is no longer needed */
    enum p2p_err err; /* FILE_CHANGED: examine the file again; CANCELLED: the result is
                       * incomplete */
    struct p2p_digest root, sha256;
    bool sha256_known;
    struct p2p_digest *layer; /* owned; NULL for one chunk or none */
    /* Where the job begins: chunks that are in `layer` already, bytes in `flat_state`.
     */
    uint64_t begin;
    struct p2p_sha256_state flat_state;
    uint64_t saved; /* for the share's loop: chunks or bytes that are in the index */
    /* The threads' own. */
    struct p2p_chunks geometry;
    int fd;
    bool is_begun, is_busy; /* busy: a thread opens the file, or computes its SHA-256 */
    bool is_sparse;
    bool has_links;                  /* the file had several names when it was opened */
    struct p2p_digest zeros;         /* sparse: the hash of a chunk of zeros */
    uint64_t claimed, done, settled; /* numbers of chunks; settled: all chunks before it
                                      * are hashed */
    bool *settled_spans;             /* owned */
    char name[];
};

/* One job (share_hash_job.c). CANCELLED, FILE_CHANGED: it is not the file to hash. */
struct p2p_hash_job *p2p_hash_job_new(const char *name);
void p2p_hash_job_free(struct p2p_hash_job *job);
P2P_MUST_CHECK enum p2p_err p2p_hash_job_open(struct p2p_hash_job *job,
                                              const struct p2p_root *root);
P2P_MUST_CHECK enum p2p_err p2p_hash_job_check(const struct p2p_hash_job *job);
/* Reads exactly `len` bytes; FILE_CHANGED if the file ends before. */
P2P_MUST_CHECK enum p2p_err p2p_hash_job_read(const struct p2p_hash_job *job,
                                              uint8_t *buf, size_t len,
                                              uint64_t offset);
/* Chunks of a span, which one thread claims and hashes at once. */
#define P2P_HASH_SPAN_BYTES (16 * P2P_MIB)
/* How many chunks a thread hashes at a time. */
uint64_t p2p_hash_job_span(const struct p2p_hash_job *job);
/* The number of bytes that no thread has claimed yet. */
uint64_t p2p_hash_job_rest(const struct p2p_hash_job *job);
/* The offset of the first byte at or after `offset` that is not in a hole; the size if
 * only a hole follows. Returns `offset` itself if the file system does not report
 * holes. */
uint64_t p2p_hash_job_data(const struct p2p_hash_job *job, uint64_t offset);
/* The hashes of the span that begins at chunk `first` are in the layer. */
void p2p_hash_job_settle(struct p2p_hash_job *job, uint64_t first);

#endif
