#include "peer/server/compress.h"

#include <stdlib.h>

#ifdef P2P_WITH_ZSTD
#include <zstd.h>
#endif

enum {
    INTERVAL_MS = 500,
    /* Below this speed, the network limits a transfer, not the processor. */
    SLOW_BYTES_PER_MS = 60 * 1000,
    SKIP_AFTER_FAILURE = 15,
    RECORD_MIN = 1024,
};

void
goodput_add(struct goodput *g, uint64_t bytes, bool blocked, uint64_t now_ms)
{
    g->bytes += bytes;
    g->was_blocked |= blocked;
    if (g->since_ms == 0)
        g->since_ms = now_ms;
    if (now_ms - g->since_ms < INTERVAL_MS)
        return;
    g->is_slow =
        g->was_blocked && g->bytes / (now_ms - g->since_ms) < SLOW_BYTES_PER_MS;
    g->since_ms = now_ms;
    g->bytes = 0;
    g->was_blocked = false;
}

#ifdef P2P_WITH_ZSTD

struct compressor {
    ZSTD_CCtx *context;
};

struct compressor *
compressor_new(bool enabled)
{
    struct compressor *z = enabled ? calloc(1, sizeof(*z)) : NULL;

    if (z != NULL && (z->context = ZSTD_createCCtx()) == NULL) {
        free(z);
        z = NULL;
    }
    return z;
}

void
compressor_free(struct compressor *z)
{
    if (z == NULL)
        return;
    ZSTD_freeCCtx(z->context);
    free(z);
}

size_t
compressor_try(struct compressor *z, struct goodput *g, const uint8_t *in, size_t len,
               uint8_t *out)
{
    size_t n;

    if (z == NULL || !g->is_slow || len < RECORD_MIN)
        return 0;
    if (g->skip > 0) {
        g->skip--;
        return 0;
    }
    /* The output has room for seven eighths only, so compression fails at once if it
     * saves less. */
    n = ZSTD_compressCCtx(z->context, out, len - len / 8, in, len, 1);
    if (ZSTD_isError(n)) {
        g->skip = SKIP_AFTER_FAILURE;
        return 0;
    }
    return n;
}

#else

struct compressor *
compressor_new(bool enabled)
{
    (void)enabled;
    return NULL;
}

void
compressor_free(struct compressor *z)
{
    (void)z;
}

size_t
compressor_try(struct compressor *z, struct goodput *g, const uint8_t *in, size_t len,
               uint8_t *out)
{
    (void)z, (void)g, (void)in, (void)len, (void)out;
    return 0;
}

#endif
