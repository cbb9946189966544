/*
 * tree - SHA-256 Merkle trees of files as in BEP 52 (PROTOCOL.md, "Trees").
 *
 * Leaves are hashes of 16 KiB blocks; the layer is the level at which one hash covers
 * one chunk; the root with the size identifies the content. Nothing here reads files:
 * data come in pieces. One object, one thread at a time; plain functions thread-safe.
 */
#ifndef P2P_TREE_H
#define P2P_TREE_H

#include "p2p/chunk.h"
#include "p2p/crypto.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* Computes the hash of one chunk (`len` bytes, 1..chunk size) as it is in the layer of
 * a file with geometry `g`. For a file of one chunk, that is the root. */
P2P_MUST_CHECK enum p2p_err p2p_tree_chunk(const struct p2p_chunks *g,
                                           const uint8_t *data, size_t len,
                                           struct p2p_digest *out);

/* The same from the hashes of its blocks of P2P_BLOCK_SIZE. RANGE: it cannot have so
 * many. */
P2P_MUST_CHECK enum p2p_err p2p_tree_chunk_of_leaves(const struct p2p_chunks *g,
                                                     const struct p2p_digest *leaves,
                                                     size_t count,
                                                     struct p2p_digest *out);

/*
 * Checks that the chunk's hash (see above) is `want`, and adds the chunk to `sha`. Both
 * are done in one pass if that is faster on this CPU. HASH_MISMATCH; RANGE: `sha` must
 * have processed a multiple of 64 bytes before. After an error, `sha` is unchanged.
 */
P2P_MUST_CHECK enum p2p_err p2p_tree_check_next(const struct p2p_chunks *g,
                                                const uint8_t *data, size_t len,
                                                const struct p2p_digest *want,
                                                struct p2p_sha256 *sha);

/* The root that a layer of g->count hashes folds to; 32 zero bytes for an empty file.
 */
P2P_MUST_CHECK enum p2p_err p2p_tree_root(const struct p2p_chunks *g,
                                          const struct p2p_digest *layer,
                                          struct p2p_digest *root);

/* Folds `n` hashes of the layer, in place, to those of chunks 2^levels as large; the
 * last ones of a layer may be fewer. `hashes` has room for one more, and `n` becomes
 * how many there are then. */
P2P_MUST_CHECK enum p2p_err p2p_tree_raise(const struct p2p_chunks *g,
                                           struct p2p_digest *hashes, size_t *n,
                                           unsigned levels);

/* HASH_MISMATCH unless the layer folds to the root. */
P2P_MUST_CHECK enum p2p_err p2p_tree_check_layer(const struct p2p_chunks *g,
                                                 const struct p2p_digest *layer,
                                                 const struct p2p_digest *root);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
