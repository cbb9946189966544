/*
 * hash_job - one file to hash: the question, then the result.
 */
#ifndef P2P_SHARE_HASH_JOB_H
#define P2P_SHARE_HASH_JOB_H

#include <stdatomic.h>

#include "core/share/item.h"

/* One file to hash: the question, then the result. */
struct p2p_hash_job {
    struct p2p_hash_job *next;
    struct p2p_item *item; /* for the loop; the threads do not look at it */
    struct p2p_file_state state;
    uint32_t chunk_size;
    bool flat;                /* only the SHA-256 of the whole file */
    bool is_recheck;          /* the file stays shared meanwhile */
    uint64_t given_ms;        /* when the hasher got it */
    atomic_bool is_cancelled; /* by the loop: nobody wants the result any longer */
    enum p2p_err
        err; /* FILE_CHANGED: look again; CANCELLED: the result is not complete */
    struct p2p_digest root, sha256;
    bool sha256_known;
    struct p2p_digest *layer; /* owned; NULL for one chunk or none */
    /* Where it begins: chunks that `layer` holds already, bytes in `flat_state`. */
    uint64_t begin;
    struct p2p_sha256_state flat_state;
    uint64_t saved; /* the loop's: chunks or bytes that are in the index */
    /* The threads' own. */
    struct p2p_chunks geometry;
    int fd;
    bool is_begun, is_busy; /* busy: a thread opens it, or hashes it flat */
    bool is_sparse;
    struct p2p_digest zeros;         /* sparse: the hash of a chunk of zeros */
    uint64_t claimed, done, settled; /* chunks; settled: all before it are hashed */
    bool *settled_spans;             /* owned */
    char name[];
};

/* One job (share_job.c). CANCELLED, FILE_CHANGED: not what was to be hashed. */
struct p2p_hash_job *p2p_hash_job_new(const char *name);
void p2p_hash_job_free(struct p2p_hash_job *job);
P2P_MUST_CHECK enum p2p_err p2p_hash_job_open(struct p2p_hash_job *job,
                                              const struct p2p_root *root);
P2P_MUST_CHECK enum p2p_err p2p_hash_job_check(const struct p2p_hash_job *job);
/* Exactly `len` bytes; a file that ends before has changed. */
P2P_MUST_CHECK enum p2p_err p2p_hash_job_read(const struct p2p_hash_job *job,
                                              uint8_t *buf, size_t len,
                                              uint64_t offset);
/* Chunks in a span: what is claimed and settled at once. */
#define P2P_HASH_SPAN_BYTES (16 * P2P_MIB)
uint64_t p2p_hash_job_span(const struct p2p_hash_job *job);
/* Bytes that no thread has claimed yet. */
uint64_t p2p_hash_job_rest(const struct p2p_hash_job *job);
/* The offset of the first byte at or after `offset` that is no hole; the size when only
 * a hole follows. `offset` itself where the file system does not tell. */
uint64_t p2p_hash_job_data(const struct p2p_hash_job *job, uint64_t offset);
/* The span that begins at chunk `first` is in the layer. */
void p2p_hash_job_settle(struct p2p_hash_job *job, uint64_t first);

#endif
