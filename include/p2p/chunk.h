/*
 * chunk - geometry of a file cut into chunks: count, offset and length of chunk i.
 * Pure arithmetic on checked values; nothing here can overflow once init succeeded.
 */
#ifndef P2P_CHUNK_H
#define P2P_CHUNK_H

#include <stdbool.h>
#include <stdint.h>

#include "p2p/err.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

struct p2p_chunks {
    uint64_t size;       /* of the file, at most P2P_FILE_SIZE_MAX */
    uint32_t chunk_size; /* power of two, P2P_CHUNK_SIZE_MIN..MAX */
    uint64_t count;      /* ceil(size / chunk_size), 0 for an empty file */
};

/* True for a power of two from P2P_CHUNK_SIZE_MIN to P2P_CHUNK_SIZE_MAX. */
bool p2p_chunk_size_is_valid(uint64_t chunk_size);
/* The largest power of two that is not above `size`: the chunk size of protocol 2 if
 * protocol 1 uses `size`. For sizes from P2P_CHUNK_SIZE_MIN on. */
uint32_t p2p_chunk_size_floor(uint64_t size);

/* RANGE if the size or the chunk size is outside its limits, or the chunk size is not a
 * power of two. */
P2P_MUST_CHECK enum p2p_err p2p_chunks_init(struct p2p_chunks *g, uint64_t size,
                                            uint64_t chunk_size);
/* The length of chunk i, for i < count: all chunks have chunk_size bytes, except the
 * last one. */
uint64_t p2p_chunk_offset(const struct p2p_chunks *g, uint64_t i);
/* The length of chunk i, for i < count: chunk_size, or less for the last chunk. */
uint32_t p2p_chunk_length(const struct p2p_chunks *g, uint64_t i);
/* True if offset .. offset + length is within the file. */
bool p2p_chunks_has_range(const struct p2p_chunks *g, uint64_t offset, uint64_t length);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
