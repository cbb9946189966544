#include "p2p/tree.h"

#include <stdlib.h>
#include <string.h>

#include "p2p/limits.h"
#include "p2p/sha256_lanes.h"
#include "p2p/sha256_stitched.h"

enum { LEAVES_MAX = P2P_CHUNK_SIZE_MAX / P2P_BLOCK_SIZE };

/* ceil(log2(n)), 0 for n <= 1: the number of levels from n hashes up to one. */
static unsigned
levels_above(uint64_t n)
{
    return n > 1 ? 64 - (unsigned)__builtin_clzll(n - 1) : 0;
}

static enum p2p_err
parent(const struct p2p_digest *left, const struct p2p_digest *right,
       struct p2p_digest *out)
{
    uint8_t both[2 * P2P_DIGEST_LEN];

    memcpy(both, left->b, P2P_DIGEST_LEN);
    memcpy(both + P2P_DIGEST_LEN, right->b, P2P_DIGEST_LEN);
    return p2p_sha256(both, sizeof(both), out);
}

/*
 * Combines `n` hashes in place, `levels` levels up, into h[0]. Missing hashes on the
 * right are replaced by `pad`, the hash of an empty subtree of that level. h must have
 * room for one more hash if n is odd.
 */
static enum p2p_err
fold(struct p2p_digest *h, size_t n, unsigned levels, struct p2p_digest pad)
{
    enum p2p_err err = P2P_OK;

    for (; levels > 0 && err == P2P_OK; levels--) {
        if (n % 2 == 1)
            h[n++] = pad;
        n /= 2;
        err = p2p_sha256_lanes(h->b, sizeof(h[0]) * 2, sizeof(h[0]) * 2, n, h);
        if (err == P2P_OK && levels > 1)
            err = parent(&pad, &pad, &pad);
    }
    return err;
}

/* The number of levels between the leaves and the layer. For a file of one chunk, the
 * layer is the root. */
static unsigned
chunk_levels(const struct p2p_chunks *g)
{
    uint64_t covered = g->count > 1 ? g->chunk_size : g->size;

    return levels_above((covered + P2P_BLOCK_SIZE - 1) / P2P_BLOCK_SIZE);
}

/* Like p2p_tree_chunk, but also adds the bytes to `sha` unless it is NULL. */
static enum p2p_err
hash_chunk(const struct p2p_chunks *g, const uint8_t *data, size_t len,
           struct p2p_sha256 *sha, struct p2p_digest *out)
{
    struct p2p_digest leaves[LEAVES_MAX], none = {{0}};
    size_t whole = len / P2P_BLOCK_SIZE, rest = len % P2P_BLOCK_SIZE;
    size_t groups = sha != NULL ? len / P2P_STITCHED_SIZE : 0;
    size_t together = groups * P2P_STITCHED_LEAVES, at = groups * P2P_STITCHED_SIZE;
    enum p2p_err err = P2P_OK;

    memset(out, 0, sizeof(*out));
    if (len == 0 || len > g->chunk_size)
        return P2P_ERR_RANGE;
    if (groups > 0)
        err = p2p_sha256_stitched(sha, data, groups, leaves);
    if (err == P2P_OK)
        err = p2p_sha256_lanes(data + at, P2P_BLOCK_SIZE, P2P_BLOCK_SIZE,
                               whole - together, leaves + together);
    if (err == P2P_OK && rest > 0)
        err = p2p_sha256(data + len - rest, rest, &leaves[whole]);
    if (err == P2P_OK && sha != NULL && len > at)
        err = p2p_sha256_update(sha, data + at, len - at);
    if (err == P2P_OK)
        err = fold(leaves, whole + (rest > 0), chunk_levels(g), none);
    if (err == P2P_OK)
        *out = leaves[0];
    return err;
}

enum p2p_err
p2p_tree_chunk(const struct p2p_chunks *g, const uint8_t *data, size_t len,
               struct p2p_digest *out)
{
    return hash_chunk(g, data, len, NULL, out);
}

enum p2p_err
p2p_tree_chunk_of_leaves(const struct p2p_chunks *g, const struct p2p_digest *leaves,
                         size_t count, struct p2p_digest *out)
{
    struct p2p_digest h[LEAVES_MAX + 1], none = {{0}};
    enum p2p_err err;

    memset(out, 0, sizeof(*out));
    if (count == 0 || count > g->chunk_size / P2P_BLOCK_SIZE)
        return P2P_ERR_RANGE;
    memcpy(h, leaves, count * sizeof(*h));
    err = fold(h, count, chunk_levels(g), none);
    if (err == P2P_OK)
        *out = h[0];
    return err;
}

enum p2p_err
p2p_tree_check_next(const struct p2p_chunks *g, const uint8_t *data, size_t len,
                    const struct p2p_digest *want, struct p2p_sha256 *sha)
{
    struct p2p_sha256_state before;
    struct p2p_digest hash;
    enum p2p_err err = p2p_sha256_save(sha, &before);

    if (err != P2P_OK)
        return err;
    err = hash_chunk(g, data, len, sha, &hash);
    if (err == P2P_OK && memcmp(&hash, want, sizeof(hash)) != 0)
        err = P2P_ERR_HASH_MISMATCH;
    if (err != P2P_OK && p2p_sha256_restore(sha, &before) != P2P_OK)
        err = P2P_ERR_CRYPTO;
    return err;
}

/* The hash of a missing chunk: a subtree of zero leaves. */
static enum p2p_err
empty_chunk(const struct p2p_chunks *g, struct p2p_digest *out)
{
    enum p2p_err err = P2P_OK;

    memset(out, 0, sizeof(*out));
    for (unsigned i = chunk_levels(g); i > 0 && err == P2P_OK; i--)
        err = parent(out, out, out);
    return err;
}

enum p2p_err
p2p_tree_root(const struct p2p_chunks *g, const struct p2p_digest *layer,
              struct p2p_digest *root)
{
    struct p2p_digest *h, pad;
    enum p2p_err err;

    memset(root, 0, sizeof(*root));
    if (g->count == 0)
        return P2P_OK;
    err = empty_chunk(g, &pad);
    if (err != P2P_OK)
        return err;
    h = malloc(((size_t)g->count + 1) * sizeof(*h));
    if (h == NULL)
        return P2P_ERR_NOMEM;
    memcpy(h, layer, (size_t)g->count * sizeof(*h));
    err = fold(h, (size_t)g->count, levels_above(g->count), pad);
    if (err == P2P_OK)
        *root = h[0];
    free(h);
    return err;
}

enum p2p_err
p2p_tree_raise(const struct p2p_chunks *g, struct p2p_digest *hashes, size_t *n,
               unsigned levels)
{
    struct p2p_digest pad;
    enum p2p_err err = empty_chunk(g, &pad);

    if (err == P2P_OK)
        err = fold(hashes, *n, levels, pad);
    *n = (*n + ((size_t)1 << levels) - 1) >> levels;
    return err;
}

enum p2p_err
p2p_tree_check_layer(const struct p2p_chunks *g, const struct p2p_digest *layer,
                     const struct p2p_digest *root)
{
    struct p2p_digest folded;
    enum p2p_err err = p2p_tree_root(g, layer, &folded);

    if (err == P2P_OK && memcmp(folded.b, root->b, sizeof(folded.b)) != 0)
        err = P2P_ERR_HASH_MISMATCH;
    return err;
}
