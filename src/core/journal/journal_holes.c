/* Chunks of zeros: they are not downloaded, and take no space on the disk. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "core/journal/journal_state.h"
#include "p2p/tree.h"

static enum p2p_err
hash_zeros(const struct p2p_chunks *g, struct p2p_digest *out)
{
    uint8_t *zeros = calloc(1, g->chunk_size);
    enum p2p_err err =
        zeros != NULL ? p2p_tree_chunk(g, zeros, g->chunk_size, out) : P2P_ERR_NOMEM;

    free(zeros);
    return err;
}

static enum p2p_err
note_hole(struct p2p_journal *j, uint64_t chunk)
{
    if (j->holes == NULL)
        j->holes = calloc((size_t)j->info.geometry.count / 8 + 1, 1);
    if (j->holes == NULL)
        return P2P_ERR_NOMEM;
    p2p_journal_bit_put(j->holes, chunk, true);
    j->hole_bytes += j->info.geometry.chunk_size;
    return P2P_OK;
}

/* The last chunk may be shorter; its hash is another one then. */
static bool
is_zero(const struct p2p_chunks *g, const struct p2p_digest *layer,
        const struct p2p_digest *zero, uint64_t chunk)
{
    return p2p_chunk_length(g, chunk) == g->chunk_size &&
           memcmp(&layer[chunk], zero, sizeof(*zero)) == 0;
}

enum p2p_err
p2p_journal_zero_bytes(const struct p2p_chunks *geometry,
                       const struct p2p_digest *layer, uint64_t *out)
{
    struct p2p_digest zero;
    enum p2p_err err;

    *out = 0;
    if (layer == NULL || geometry->count < 2)
        return P2P_OK;
    err = hash_zeros(geometry, &zero);
    for (uint64_t i = 0; i < geometry->count && err == P2P_OK; i++)
        if (is_zero(geometry, layer, &zero, i))
            *out += geometry->chunk_size;
    return err;
}

enum p2p_err
p2p_journal_find_holes(struct p2p_journal *j)
{
    const struct p2p_chunks *g = &j->info.geometry;
    struct p2p_digest zero;
    enum p2p_err err;

    if (j->layer == NULL || g->count < 2)
        return P2P_OK;
    err = hash_zeros(g, &zero);
    for (uint64_t i = 0; i < g->count && err == P2P_OK; i++)
        if (is_zero(g, j->layer, &zero, i))
            err = note_hole(j, i);
    return err;
}

/* False: the file system cannot; the chunks are downloaded like any other. */
static bool
punch(const struct p2p_journal *j, uint64_t first, uint64_t end)
{
    uint64_t size = j->info.geometry.chunk_size;

    return fallocate(j->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                     (off_t)(first * size), (off_t)((end - first) * size)) == 0;
}

static uint64_t
end_of_run(const struct p2p_journal *j, uint64_t first)
{
    uint64_t end = first;

    while (end < j->info.geometry.count && p2p_journal_bit(j->holes, end))
        end++;
    return end;
}

enum p2p_err
p2p_journal_mark_holes(struct p2p_journal *j, bool is_new)
{
    uint64_t count = j->info.geometry.count;
    enum p2p_err err = P2P_OK;

    for (uint64_t first = 0, end; j->holes != NULL && first < count; first = end + 1) {
        end = end_of_run(j, first);
        if (end == first || (!is_new && !punch(j, first, end)))
            continue;
        for (uint64_t i = first; i < end; i++) {
            p2p_journal_set_doubt(j, i, false);
            p2p_journal_set_written(j, i, true);
        }
        j->unflushed = true;
    }
    for (uint64_t p = 0; j->holes != NULL && err == P2P_OK &&
                         p < p2p_journal_page_count(&j->info.geometry);
         p++)
        err = p2p_journal_write_page(j, p);
    return err;
}
