/*
 * compress - zstd for DATA records, when it pays: only for connections whose link is
 * the limit (a processor that compresses is slower than a fast network), only where the
 * client understands it, kept only when it saves an eighth, and after data that did not
 * shrink the next records are sent as they are.
 */
#ifndef PEER_COMPRESS_H
#define PEER_COMPRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How fast a connection takes bytes, and what compression was worth lately. */
struct goodput {
    uint64_t since_ms, bytes;
    bool was_blocked; /* the socket was full in this interval */
    bool is_slow;     /* in the last one */
    unsigned skip;    /* records to send as they are */
};
void goodput_add(struct goodput *g, uint64_t bytes, bool blocked, uint64_t now_ms);

struct compressor; /* one per loop; *returned owned*, free with compressor_free */

/* NULL when it is off or this build has no zstd: everything is sent as it is. */
struct compressor *compressor_new(bool enabled);
void compressor_free(struct compressor *z);
/* Tries `len` bytes; returns the compressed length in `out` (cap: len is enough), 0 to
 * send as it is. */
size_t compressor_try(struct compressor *z, struct goodput *g, const uint8_t *in,
                      size_t len, uint8_t *out);

#endif
