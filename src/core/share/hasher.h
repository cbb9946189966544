/*
 * hasher - the threads that read and hash files. The job with the least remaining data
 * comes first: after every span a thread chooses again, trees before whole-file hashes
 * (a tree is needed to share a file). So a small file never waits for a large one.
 * Holes are hashed without being read.
 */
#ifndef P2P_SHARE_HASHER_H
#define P2P_SHARE_HASHER_H

#include "core/share/hash_job.h"

struct p2p_hasher; /* *returned owned*, free with p2p_hasher_free */
/* Starts `threads` threads at idle priority. `wake_fd` is written to when a job is
 * finished. Borrows `root`; *returns owned*. */
P2P_MUST_CHECK enum p2p_err p2p_hasher_new(const struct p2p_root *root,
                                           unsigned threads, int wake_fd,
                                           struct p2p_hasher **out);
/* Stops the threads and drops the jobs that they have. NULL is fine. */
void p2p_hasher_free(struct p2p_hasher *hasher);
void p2p_hasher_add(struct p2p_hasher *hasher, struct p2p_hash_job *job); /* takes it */
/* Ends a job whose result is no longer needed. It comes back soon, with CANCELLED or
 * finished. The caller must not free it before p2p_hasher_take. */
void p2p_hasher_cancel(struct p2p_hasher *hasher, struct p2p_hash_job *job);
/* Takes the finished jobs as a list (owned); NULL if there are none. wake_fd (an
 * eventfd) is written when there are some. */
struct p2p_hash_job *p2p_hasher_take(struct p2p_hasher *hasher);

/* Visits the unfinished jobs of large files, to save their progress. They still belong
 * to the hasher; only the settled part of `layer` may be read. */
struct p2p_hash_progress {
    struct p2p_hash_job *job;
    uint64_t settled;                   /* tree: chunks */
    struct p2p_sha256_state flat_state; /* flat */
};
#define P2P_HASH_SAVED_MIN (64 * P2P_MIB)
/* Copies how far the jobs of large files are, at most `max`; returns their number. */
size_t p2p_hasher_progress(struct p2p_hasher *hasher, struct p2p_hash_progress *out,
                           size_t max);

/* Up to this size, the SHA-256 is computed together with the tree. For larger files the
 * tree comes first: the file can be shared then, and the tree takes a fifth of the
 * time. */
#define P2P_HASH_TOGETHER_MAX (256 * P2P_KIB)

#endif
