/*
 * progress - how far the hashing of large files has come, so that the next start
 * resumes it.
 *
 * It is kept in the owner's index and belongs to the share's own thread. Functions
 * accept NULL: then nothing is kept.
 */
#ifndef P2P_SHARE_PROGRESS_H
#define P2P_SHARE_PROGRESS_H

#include "core/share/hasher.h"
#include "core/share/index.h"

struct p2p_progress; /* *returned owned*, free with p2p_progress_close */
/* Prepares the statements. Borrows the index until close; *returns owned*. */
P2P_MUST_CHECK enum p2p_err p2p_progress_open(struct p2p_index *index,
                                              struct p2p_progress **out);
/* NULL is fine. */
void p2p_progress_close(struct p2p_progress *progress);
/* Sets where a new job may begin. */
void p2p_progress_load(struct p2p_progress *progress, struct p2p_hash_job *job);
/* True about once per second, when it is time to save. */
bool p2p_progress_is_due(struct p2p_progress *progress, uint64_t now_ms);
uint64_t p2p_progress_due_ms(const struct p2p_progress *progress);
/* In a transaction. */
P2P_MUST_CHECK enum p2p_err p2p_progress_put(struct p2p_progress *progress,
                                             const struct p2p_hash_progress *now);
/* In a transaction: nothing is being hashed, so removes all saved progress. */
P2P_MUST_CHECK enum p2p_err p2p_progress_clear(struct p2p_progress *progress);
bool p2p_progress_is_empty(const struct p2p_progress *progress);

#endif
