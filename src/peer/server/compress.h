/*
 * compress - zstd compression of DATA records, when it is useful. It is used only if
 * the network limits the connection (compressing is slower than a fast network) and the
 * client supports it. A result is used only if it saves an eighth. After data that did
 * not shrink, the next records are sent uncompressed.
 */
#ifndef PEER_COMPRESS_H
#define PEER_COMPRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How fast a connection accepts bytes, and how useful compression was lately. */
struct goodput {
    uint64_t since_ms, bytes;
    bool was_blocked; /* the socket was full in this interval */
    bool is_slow;     /* in the last one */
    unsigned skip;    /* number of records to send uncompressed */
};
/* Counts bytes that were sent. `blocked`: the socket took no more, so the network is
 * the limit. */
void goodput_add(struct goodput *g, uint64_t bytes, bool blocked, uint64_t now_ms);

struct compressor; /* one per loop; *returned owned*, free with compressor_free */

/* NULL if compression is off or this build has no zstd: then everything is sent
 * uncompressed. */
struct compressor *compressor_new(bool enabled);
void compressor_free(struct compressor *z);
/* Tries to compress `len` bytes to `out` (cap: len is enough). Returns the compressed
 * length; 0: send them uncompressed. */
size_t compressor_try(struct compressor *z, struct goodput *g, const uint8_t *in,
                      size_t len, uint8_t *out);

#endif
