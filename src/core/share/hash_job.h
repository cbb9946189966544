/*
 * hash_job - one file to hash: the question, then the result.
 */
#ifndef P2P_SHARE_HASH_JOB_H
#define P2P_SHARE_HASH_JOB_H

#include "core/share/item.h"

/* One file to hash: what was asked, then what came of it. */
struct p2p_hash_job {
    struct p2p_hash_job *next;
    struct p2p_item *item; /* for the loop; the threads do not look at it */
    struct p2p_file_state state;
    uint32_t chunk_size;
    bool flat;        /* only the SHA-256 of the whole file */
    enum p2p_err err; /* FILE_CHANGED: look again */
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
/* The span that begins at chunk `first` is in the layer. */
void p2p_hash_job_settle(struct p2p_hash_job *job, uint64_t first);

#endif
