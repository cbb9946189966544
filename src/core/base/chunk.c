#include "p2p/chunk.h"

#include <stdint.h>

#include "p2p/limits.h"

/* One hash a chunk, twice: what is in memory for a tree. Only a 32-bit machine has less
 * address space than the largest file needs. */
#define COUNT_MAX (SIZE_MAX / 64)

bool
p2p_chunk_size_is_valid(uint64_t chunk_size)
{
    return chunk_size >= P2P_CHUNK_SIZE_MIN && chunk_size <= P2P_CHUNK_SIZE_MAX &&
           (chunk_size & (chunk_size - 1)) == 0;
}

uint32_t
p2p_chunk_size_floor(uint64_t size)
{
    uint32_t floor = P2P_CHUNK_SIZE_MIN;

    while (floor < P2P_CHUNK_SIZE_MAX && 2ull * floor <= size)
        floor *= 2;
    return floor;
}

enum p2p_err
p2p_chunks_init(struct p2p_chunks *g, uint64_t size, uint64_t chunk_size)
{
    *g = (struct p2p_chunks){0};
    if (size > P2P_FILE_SIZE_MAX || !p2p_chunk_size_is_valid(chunk_size))
        return P2P_ERR_RANGE;
    if (size / chunk_size >= COUNT_MAX)
        return P2P_ERR_TOO_LARGE;
    g->size = size;
    g->chunk_size = (uint32_t)chunk_size;
    g->count = size / chunk_size + (size % chunk_size != 0);
    return P2P_OK;
}

uint64_t
p2p_chunk_offset(const struct p2p_chunks *g, uint64_t i)
{
    return i * g->chunk_size;
}

uint32_t
p2p_chunk_length(const struct p2p_chunks *g, uint64_t i)
{
    uint64_t left = g->size - p2p_chunk_offset(g, i);

    return left < g->chunk_size ? (uint32_t)left : g->chunk_size;
}

bool
p2p_chunks_has_range(const struct p2p_chunks *g, uint64_t offset, uint64_t length)
{
    return offset <= g->size && length <= g->size - offset;
}
