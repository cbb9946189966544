/*
 * hasher - the threads that read and hash files.
 *
 * Shortest rest first: a thread looks for the job with the least left to read after
 * every span, trees before whole-file hashes (a tree is what makes a file shareable).
 * So a small file never waits for a large one. Holes are hashed without being read.
 */
#ifndef P2P_SHARE_HASHER_H
#define P2P_SHARE_HASHER_H

#include "core/share/hash_job.h"

struct p2p_hasher; /* *returned owned*, free with p2p_hasher_free */
P2P_MUST_CHECK enum p2p_err p2p_hasher_new(const struct p2p_root *root,
                                           unsigned threads, int wake_fd,
                                           struct p2p_hasher **out);
void p2p_hasher_free(struct p2p_hasher *hasher);
void p2p_hasher_add(struct p2p_hasher *hasher, struct p2p_hash_job *job); /* takes it */
/* Ends a job that nobody wants any longer, soon: it comes back with CANCELLED, or
 * finished. The caller still owns its view of it until p2p_hasher_take. */
void p2p_hasher_cancel(struct p2p_hasher *hasher, struct p2p_hash_job *job);
/* Finished jobs as a list (owned), NULL for none. wake_fd (an eventfd) is written when
 * there are. */
struct p2p_hash_job *p2p_hasher_take(struct p2p_hasher *hasher);

/* How far the jobs of large files have come. They stay the hasher's; of `layer` only
 * what is settled may be read. */
struct p2p_hash_progress {
    struct p2p_hash_job *job;
    uint64_t settled;                   /* tree: chunks */
    struct p2p_sha256_state flat_state; /* flat */
};
#define P2P_HASH_SAVED_MIN (64 * P2P_MIB)
size_t p2p_hasher_progress(struct p2p_hasher *hasher, struct p2p_hash_progress *out,
                           size_t max);

/* Up to this size the SHA-256 comes with the tree; beyond, the tree first: that is when
 * the file can be shared, and it takes a fifth of the time. */
#define P2P_HASH_TOGETHER_MAX (256 * P2P_KIB)

#endif
