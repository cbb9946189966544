/*
 * base - a file that is here, and what of a new content it has: whole chunks, and
 * blocks of 16 KiB at the same or at any other offset. It reads the file and takes no
 * lock. What it finds is a hint: the file may change at any time, so the caller checks
 * each chunk as one that came over the network.
 *
 * Order: open; look for whole chunks (scan); note the leaves of the chunks that are
 * missing (want); look for these (match); fill chunks. Only fill may be called by
 * several threads at a time, after match.
 */
#ifndef P2P_BASE_H
#define P2P_BASE_H

#include <stdbool.h>
#include <stdint.h>

#include "p2p/chunk.h"
#include "p2p/leaves.h"
#include "p2p/limits.h"

struct p2p_base; /* *returned owned*, free with p2p_base_close */

/* What the caller does for the base. */
struct base_calls {
    void *arg;
    bool (*is_missing)(void *arg, uint64_t chunk);
    /* A whole chunk of the new content; an error ends the search. */
    enum p2p_err (*take)(void *arg, uint64_t chunk, const uint8_t *data);
    bool (*is_stopped)(void *arg);
};

/* Takes the descriptor of the file, also after an error. `layer`: of the new content;
 * borrowed, as `calls`. NOT_FOUND: the file is empty. */
P2P_MUST_CHECK enum p2p_err p2p_base_open(int fd, const struct p2p_chunks *geometry,
                                          const struct p2p_digest *layer,
                                          const struct base_calls *calls,
                                          struct p2p_base **out);
void p2p_base_close(struct p2p_base *b); /* NULL is fine */

/* Gives each missing chunk that the file has to `take`. An unreadable part has none.
 * CANCELLED: stopped. */
P2P_MUST_CHECK enum p2p_err p2p_base_scan(struct p2p_base *b);

/* Blocks in a chunk. */
uint32_t p2p_base_leaves_of(const struct p2p_base *b, uint64_t chunk);
/* Forgets all leaves. */
void p2p_base_forget(struct p2p_base *b);
/* Notes the leaves of a chunk that has none yet. HASH_MISMATCH: they are not those of
 * the layer. RANGE: more than MATCH_WANTS_MAX (match.h) in all. */
P2P_MUST_CHECK enum p2p_err p2p_base_want(struct p2p_base *b, uint64_t chunk,
                                          const struct p2p_leaf *leaves);
/* Looks for them. CANCELLED, NOMEM. */
P2P_MUST_CHECK enum p2p_err p2p_base_match(struct p2p_base *b);

/* Chunks with leaves that were found, in rising order: the i-th. `*is_whole`: all of
 * it was found. False: there are no more. */
bool p2p_base_found(const struct p2p_base *b, size_t i, uint64_t *chunk,
                    bool *is_whole);

/* A bit for each block of a chunk. */
struct base_blocks {
    uint8_t bits[P2P_CHUNK_SIZE_MAX / P2P_BLOCK_SIZE / 8];
};
/* Reads what the file has of a chunk into `buf`, and marks the blocks. Returns the
 * bytes. */
uint32_t p2p_base_fill(const struct p2p_base *b, uint64_t chunk, uint8_t *buf,
                       struct base_blocks *have);

#endif
