/*
 * ring - a queue of bytes in a buffer that grows up to a bound. One thread at a time.
 */
#ifndef P2P_CHANNEL_RING_H
#define P2P_CHANNEL_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero but `max` is an empty ring. Free with p2p_ring_clear. */
struct p2p_ring {
    uint8_t *buf;
    size_t cap; /* a power of two, or 0 */
    size_t head, used;
    size_t max; /* the largest value of `used`; a power of two */
};

/* Frees its memory; it is empty then, and can be used again. */
void p2p_ring_clear(struct p2p_ring *r);
/* Appends all bytes, or none: false if there is no room or no memory. */
bool p2p_ring_put(struct p2p_ring *r, const void *data, size_t len);
/* Copies `len` bytes that begin `at` bytes behind the oldest one; all must be there. */
void p2p_ring_copy(const struct p2p_ring *r, size_t at, void *out, size_t len);
/* The bytes at the front that lie side by side. Valid until the next put. */
const uint8_t *p2p_ring_front(const struct p2p_ring *r, size_t *len);
/* Drops the oldest bytes; gives memory back when the ring is empty and large. */
void p2p_ring_drop(struct p2p_ring *r, size_t len);

#endif
