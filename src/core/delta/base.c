#include "core/delta/base.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/delta/match.h"
#include "p2p/array.h"
#include "p2p/io.h"
#include "p2p/tree.h"

/* Reading and comparing the whole file is worth its time if this part of it may be
 * saved. */
#define WORTH_PART 64
#define READ_SIZE  (1 * P2P_MIB)

/* A chunk of the new content whose leaves are known. */
struct base_chunk {
    uint64_t chunk;
    uint32_t first; /* of its leaves in `wants` */
    uint32_t found;
};

struct p2p_base {
    int fd;
    uint64_t size;
    struct p2p_chunks g;
    const struct p2p_digest *layer;
    const struct base_calls *calls;
    struct match_want *wants;
    size_t want_count, want_room;
    struct base_chunk *chunks;
    size_t chunk_count, chunk_room;
};

enum p2p_err
p2p_base_open(int fd, const struct p2p_chunks *geometry, const struct p2p_digest *layer,
              const struct base_calls *calls, struct p2p_base **out)
{
    struct p2p_base *b = calloc(1, sizeof(*b));
    struct stat st;
    enum p2p_err err = b != NULL ? P2P_OK : P2P_ERR_NOMEM;

    *out = NULL;
    if (err == P2P_OK && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
                          st.st_size <= 0 || geometry->count == 0))
        err = P2P_ERR_NOT_FOUND;
    if (err != P2P_OK) {
        free(b);
        close(fd);
        return err;
    }
    *b = (struct p2p_base){.fd = fd,
                           .size = (uint64_t)st.st_size,
                           .g = *geometry,
                           .layer = layer,
                           .calls = calls};
    *out = b;
    return P2P_OK;
}

void
p2p_base_close(struct p2p_base *b)
{
    if (b == NULL)
        return;
    close(b->fd);
    free(b->wants);
    free(b->chunks);
    free(b);
}

static bool
is_stopped(const struct p2p_base *b)
{
    return b->calls->is_stopped(b->calls->arg);
}

/* ---- Whole chunks ---- */

/* Numbers of missing chunks, sorted by their hashes. */
struct sorted {
    uint64_t *chunks;
    size_t count;
};

static int
by_hash(const void *a, const void *b, void *layer)
{
    const struct p2p_digest *at = layer;

    return memcmp(&at[*(const uint64_t *)a], &at[*(const uint64_t *)b], sizeof(*at));
}

static enum p2p_err
sort_missing(const struct p2p_base *b, struct sorted *out, uint64_t *bytes)
{
    *bytes = 0;
    out->count = 0;
    out->chunks = malloc((size_t)b->g.count * sizeof(*out->chunks));
    if (out->chunks == NULL)
        return P2P_ERR_NOMEM;
    for (uint64_t i = 0; i < b->g.count; i++) {
        if (!b->calls->is_missing(b->calls->arg, i))
            continue;
        out->chunks[out->count++] = i;
        *bytes += p2p_chunk_length(&b->g, i);
    }
    if (out->count > 0)
        qsort_r(out->chunks, out->count, sizeof(*out->chunks), by_hash,
                (void *)(uintptr_t)b->layer);
    return P2P_OK;
}

/* The first one whose hash is not below `hash`. */
static size_t
lower_bound(const struct p2p_base *b, const struct sorted *s,
            const struct p2p_digest *hash)
{
    size_t low = 0, high = s->count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (memcmp(&b->layer[s->chunks[mid]], hash, sizeof(*hash)) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* The file has this chunk: gives it to all places that miss it. */
static enum p2p_err
give(struct p2p_base *b, const struct sorted *s, const uint8_t *data, uint32_t len)
{
    struct p2p_digest hash;
    enum p2p_err err = p2p_tree_chunk(&b->g, data, len, &hash);

    for (size_t i = lower_bound(b, s, &hash); i < s->count && err == P2P_OK; i++) {
        uint64_t chunk = s->chunks[i];
        if (memcmp(&b->layer[chunk], &hash, sizeof(hash)) != 0)
            break;
        if (p2p_chunk_length(&b->g, chunk) == len &&
            b->calls->is_missing(b->calls->arg, chunk))
            err = b->calls->take(b->calls->arg, chunk, data);
    }
    return err;
}

enum p2p_err
p2p_base_scan(struct p2p_base *b)
{
    struct sorted missing;
    uint64_t bytes;
    enum p2p_err err = sort_missing(b, &missing, &bytes);
    uint8_t *buf = malloc(b->g.chunk_size);
    /* Else only the places of missing chunks are read. */
    bool all = bytes >= b->size / WORTH_PART;

    if (buf == NULL)
        err = P2P_ERR_NOMEM;
    for (uint64_t at = 0, i = 0; err == P2P_OK && missing.count > 0 && at < b->size;
         at += b->g.chunk_size, i++) {
        uint64_t left = b->size - at;
        uint32_t len = left < b->g.chunk_size ? (uint32_t)left : b->g.chunk_size;
        if (!all && (i >= b->g.count || !b->calls->is_missing(b->calls->arg, i)))
            continue;
        if (is_stopped(b))
            err = P2P_ERR_CANCELLED;
        else if (p2p_pread_full(b->fd, buf, len, at) == P2P_OK)
            err = give(b, &missing, buf, len);
    }
    free(buf);
    free(missing.chunks);
    return err;
}

/* ---- Leaves ---- */

void
p2p_base_forget(struct p2p_base *b)
{
    b->want_count = b->chunk_count = 0;
}

uint32_t
p2p_base_leaves_of(const struct p2p_base *b, uint64_t chunk)
{
    return (p2p_chunk_length(&b->g, chunk) + (uint32_t)P2P_BLOCK_SIZE - 1) /
           (uint32_t)P2P_BLOCK_SIZE;
}

static enum p2p_err
check_leaves(const struct p2p_base *b, uint64_t chunk, const struct p2p_leaf *leaves,
             uint32_t count)
{
    struct p2p_digest hashes[P2P_LEAVES_MAX], folded;
    enum p2p_err err;

    for (uint32_t i = 0; i < count; i++)
        hashes[i] = leaves[i].hash;
    err = p2p_tree_chunk_of_leaves(&b->g, hashes, count, &folded);
    if (err == P2P_OK && memcmp(&folded, &b->layer[chunk], sizeof(folded)) != 0)
        err = P2P_ERR_HASH_MISMATCH;
    return err;
}

enum p2p_err
p2p_base_want(struct p2p_base *b, uint64_t chunk, const struct p2p_leaf *leaves)
{
    uint32_t count = p2p_base_leaves_of(b, chunk);
    enum p2p_err err = check_leaves(b, chunk, leaves, count);
    struct base_chunk *chunks;

    if (err == P2P_OK && b->want_count + count > MATCH_WANTS_MAX)
        err = P2P_ERR_RANGE;
    if (err != P2P_OK)
        return err;
    for (uint32_t i = 0; i < count; i++) {
        struct match_want *wants =
            p2p_array_room(b->wants, b->want_count + i, &b->want_room, sizeof(*wants));
        if (wants == NULL)
            return P2P_ERR_NOMEM;
        b->wants = wants;
        wants[b->want_count + i] =
            (struct match_want){.hash = leaves[i].hash, .sum = leaves[i].sum};
    }
    chunks = p2p_array_room(b->chunks, b->chunk_count, &b->chunk_room, sizeof(*chunks));
    if (chunks == NULL)
        return P2P_ERR_NOMEM;
    b->chunks = chunks;
    chunks[b->chunk_count++] =
        (struct base_chunk){.chunk = chunk, .first = (uint32_t)b->want_count};
    b->want_count += count;
    return P2P_OK;
}

/* The blocks of one chunk that are at their own places. */
static enum p2p_err
match_in_place(struct p2p_base *b, const struct base_chunk *c, uint8_t *buf)
{
    uint64_t at = p2p_chunk_offset(&b->g, c->chunk), left;
    uint32_t len = p2p_chunk_length(&b->g, c->chunk);
    struct p2p_leaf here[P2P_LEAVES_MAX];
    enum p2p_err err;

    if (at >= b->size)
        return P2P_OK;
    left = b->size - at;
    if (left < len)
        len = (uint32_t)left;
    if (p2p_pread_full(b->fd, buf, len, at) != P2P_OK)
        return P2P_OK;
    if ((err = p2p_leaves_make(buf, len, here)) != P2P_OK)
        return err;
    for (uint32_t i = 0; i * P2P_BLOCK_SIZE < len; i++) {
        struct match_want *want = &b->wants[c->first + i];
        if (memcmp(&want->hash, &here[i].hash, sizeof(want->hash)) == 0)
            want->at = at + i * P2P_BLOCK_SIZE + 1;
    }
    return P2P_OK;
}

/* The last block may be short: a window of 16 KiB does not find it, but the file's end
 * may have it. */
static void
match_end(struct p2p_base *b)
{
    uint32_t len = (uint32_t)(b->g.size % P2P_BLOCK_SIZE);
    const struct base_chunk *last = &b->chunks[b->chunk_count - 1];
    uint8_t end[P2P_BLOCK_SIZE];
    struct p2p_digest hash;
    struct match_want *want;

    if (len == 0 || last->chunk != b->g.count - 1)
        return;
    want = &b->wants[last->first + p2p_base_leaves_of(b, last->chunk) - 1];
    if (want->at == 0 && b->size >= len &&
        p2p_pread_full(b->fd, end, len, b->size - len) == P2P_OK &&
        p2p_sha256(end, len, &hash) == P2P_OK &&
        memcmp(&want->hash, &hash, sizeof(hash)) == 0)
        want->at = b->size - len + 1;
}

static enum p2p_err
roll(struct p2p_base *b, struct match *m)
{
    uint8_t *buf = malloc(READ_SIZE);
    size_t held = 0;
    enum p2p_err err = buf != NULL ? P2P_OK : P2P_ERR_NOMEM;

    for (uint64_t at = 0; err == P2P_OK && at < b->size && !p2p_match_is_over(m);) {
        size_t used = 0, want = READ_SIZE - held;
        if (b->size - at < want)
            want = (size_t)(b->size - at);
        if (is_stopped(b))
            err = P2P_ERR_CANCELLED;
        else if (p2p_pread_full(b->fd, buf + held, want, at) != P2P_OK)
            break; /* what was found counts */
        if (err == P2P_OK)
            err = p2p_match_feed(m, buf, held + want, at - held, &used);
        at += want;
        held = held + want - used;
        memmove(buf, buf + used, held);
    }
    free(buf);
    return err;
}

/* Looks for blocks at other places, if that can be worth reading the whole file. */
static enum p2p_err
match_anywhere(struct p2p_base *b)
{
    struct match *m = NULL;
    uint64_t missing = 0;
    enum p2p_err err;

    for (size_t i = 0; i < b->want_count; i++)
        missing += b->wants[i].at == 0;
    if (missing == 0 || missing * P2P_BLOCK_SIZE < b->size / WORTH_PART)
        return P2P_OK;
    if ((err = p2p_match_new(b->wants, b->want_count, &m)) == P2P_OK)
        err = roll(b, m);
    p2p_match_free(m);
    return err;
}

static int
by_number(const void *a, const void *b)
{
    const struct base_chunk *x = a, *y = b;

    return x->chunk < y->chunk ? -1 : x->chunk > y->chunk;
}

enum p2p_err
p2p_base_match(struct p2p_base *b)
{
    uint8_t *buf = malloc(b->g.chunk_size);
    enum p2p_err err = buf != NULL ? P2P_OK : P2P_ERR_NOMEM;

    if (b->chunk_count > 0)
        qsort(b->chunks, b->chunk_count, sizeof(*b->chunks), by_number);
    for (size_t i = 0; i < b->chunk_count && err == P2P_OK; i++)
        err = is_stopped(b) ? P2P_ERR_CANCELLED : match_in_place(b, &b->chunks[i], buf);
    free(buf);
    if (err == P2P_OK && b->chunk_count > 0) {
        match_end(b);
        err = match_anywhere(b);
    }
    for (size_t i = 0; i < b->chunk_count; i++)
        for (uint32_t k = 0; k < p2p_base_leaves_of(b, b->chunks[i].chunk); k++)
            b->chunks[i].found += b->wants[b->chunks[i].first + k].at != 0;
    return err;
}

bool
p2p_base_found(const struct p2p_base *b, size_t i, uint64_t *chunk, bool *is_whole)
{
    if (i >= b->chunk_count)
        return false;
    *chunk = b->chunks[i].chunk;
    *is_whole = b->chunks[i].found == p2p_base_leaves_of(b, *chunk);
    return true;
}

/* ---- Filling ---- */

static int
by_chunk(const void *key, const void *item)
{
    uint64_t chunk = *(const uint64_t *)key;
    const struct base_chunk *c = item;

    return chunk < c->chunk ? -1 : chunk > c->chunk;
}

uint32_t
p2p_base_fill(const struct p2p_base *b, uint64_t chunk, uint8_t *buf,
              struct base_blocks *have)
{
    const struct base_chunk *c =
        b->chunk_count > 0
            ? bsearch(&chunk, b->chunks, b->chunk_count, sizeof(*b->chunks), by_chunk)
            : NULL;
    uint32_t length = p2p_chunk_length(&b->g, chunk), filled = 0;

    memset(have, 0, sizeof(*have));
    for (uint32_t i = 0; c != NULL && c->found > 0 && i * P2P_BLOCK_SIZE < length;
         i++) {
        uint32_t at = i * (uint32_t)P2P_BLOCK_SIZE, left = length - at;
        uint32_t len = left < P2P_BLOCK_SIZE ? left : (uint32_t)P2P_BLOCK_SIZE;
        const struct match_want *want = &b->wants[c->first + i];
        if (want->at == 0 ||
            p2p_pread_full(b->fd, buf + at, len, want->at - 1) != P2P_OK)
            continue;
        have->bits[i / 8] |= (uint8_t)(1u << i % 8);
        filled += len;
    }
    return filled;
}
