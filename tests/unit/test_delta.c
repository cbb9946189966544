/* delta: the sums of blocks, the search for them at any offset (against a naive one),
 * and what a file that is here has of a new content. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/delta/base.h"
#include "core/delta/match.h"
#include "p2p/tree.h"
#include "scratch.h"

#define BLOCK P2P_BLOCK_SIZE

static uint32_t seed;

static uint32_t
number(void)
{
    seed = seed * 1664525 + 1013904223;
    return seed >> 12;
}

static uint8_t *
noise(size_t len)
{
    uint8_t *out = malloc(len + 1);

    assert_non_null(out);
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(number() >> 12); /* the lower bits repeat soon */
    return out;
}

/* ---- Sums ---- */

static uint32_t
naive_sum(const uint8_t *data, size_t len)
{
    uint32_t a = 0, b = 0;

    for (size_t i = 0; i < len; i++) {
        a = (a + data[i]) % 65536;
        b = (b + a) % 65536;
    }
    return a | b << 16;
}

static void
sums(void **state)
{
    uint8_t *data = noise(3 * BLOCK);
    const size_t lengths[] = {0, 1, 31, 32, 33, 63, 64, 1000, BLOCK - 1, BLOCK};

    (void)state;
    memset(data + BLOCK, 0xff, BLOCK); /* the largest ones */
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
        for (size_t at = 0; at <= 2 * BLOCK; at += BLOCK / 2)
            assert_int_equal(p2p_leaf_sum(data + at, lengths[i]),
                             naive_sum(data + at, lengths[i]));
    free(data);
}

static void
a_sum_moves_along(void **state)
{
    uint8_t *data = noise(3 * BLOCK);
    uint32_t sum = p2p_leaf_sum(data, BLOCK);

    (void)state;
    memset(data + BLOCK + 7, 0xff, BLOCK);
    for (size_t at = 0; at + BLOCK < 3 * BLOCK; at++) {
        sum = p2p_leaf_sum_move(sum, BLOCK, data[at], data[at + BLOCK]);
        if (at % 97 == 0 || at > 2 * BLOCK - 20)
            assert_int_equal(sum, naive_sum(data + at + 1, BLOCK));
    }
    free(data);
}

static void
leaves_of_all_lengths(void **state)
{
    uint8_t *data = noise(40 * BLOCK);
    struct p2p_leaf leaves[40];
    const size_t lengths[] = {1,         BLOCK - 1,  BLOCK,
                              BLOCK + 1, 16 * BLOCK, 40 * BLOCK - 9};

    (void)state;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        size_t len = lengths[i];
        uint8_t *exact = malloc(len);
        memcpy(exact, data, len);
        assert_int_equal(p2p_leaves_make(exact, len, leaves), P2P_OK);
        for (size_t at = 0, n = 0; at < len; at += BLOCK, n++) {
            size_t part = len - at < BLOCK ? len - at : BLOCK;
            struct p2p_digest hash;
            assert_int_equal(p2p_sha256(exact + at, part, &hash), P2P_OK);
            assert_memory_equal(&hash, &leaves[n].hash, sizeof(hash));
            assert_int_equal(leaves[n].sum, naive_sum(exact + at, part));
        }
        free(exact);
    }
    free(data);
}

/* ---- The search ---- */

static struct match_want *
wants_of(const uint8_t *data, size_t count)
{
    struct p2p_leaf *leaves = calloc(count, sizeof(*leaves));
    struct match_want *wants = calloc(count, sizeof(*wants));

    assert_int_equal(p2p_leaves_make(data, count * BLOCK, leaves), P2P_OK);
    for (size_t i = 0; i < count; i++)
        wants[i] = (struct match_want){.hash = leaves[i].hash, .sum = leaves[i].sum};
    free(leaves);
    return wants;
}

/* Feeds pieces of these sizes in turn, as a reader of a file does. */
static void
feed(struct match *m, const uint8_t *data, size_t len, const size_t *pieces, size_t n)
{
    uint8_t *held = malloc(len + 1);
    size_t count = 0, at = 0;

    for (size_t i = 0; at < len; i++) {
        size_t part = pieces[i % n] < len - at ? pieces[i % n] : len - at, used;
        memcpy(held + count, data + at, part);
        count += part;
        at += part;
        assert_int_equal(p2p_match_feed(m, held, count, at - count, &used), P2P_OK);
        assert_true(used <= count);
        count -= used;
        memmove(held, held + used, count);
    }
    free(held);
}

/* Looks at each window, and takes those that are equal; behind one, goes on at its
 * end. */
static void
naive_search(struct match_want *wants, size_t count, const uint8_t *data, size_t len,
             const uint8_t *wanted)
{
    for (size_t at = 0; at + BLOCK <= len;) {
        bool found = false;
        for (size_t i = 0; i < count; i++) {
            if (wants[i].at != 0 || memcmp(data + at, wanted + i * BLOCK, BLOCK) != 0)
                continue;
            wants[i].at = at + 1;
            found = true;
        }
        at += found ? BLOCK : 1;
    }
}

static void
compare(const uint8_t *wanted, size_t count, const uint8_t *data, size_t len)
{
    const size_t pieces[][3] = {
        {1u << 20, 1u << 20, 1u << 20}, {BLOCK, 1, BLOCK + 1}, {5000, 40000, 17}};
    struct match_want *expected = wants_of(wanted, count);

    naive_search(expected, count, data, len, wanted);
    for (size_t p = 0; p < 3; p++) {
        struct match_want *wants = wants_of(wanted, count);
        struct match *m = NULL;
        bool all = true;
        assert_int_equal(p2p_match_new(wants, count, &m), P2P_OK);
        feed(m, data, len, pieces[p], 3);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(wants[i].at, expected[i].at);
            all &= wants[i].at != 0;
        }
        assert_int_equal(p2p_match_is_over(m), all);
        p2p_match_free(m);
        free(wants);
    }
    free(expected);
}

/* Blocks of the old file, moved, repeated, missing, and between other bytes. */
static void
the_search_is_as_the_naive_one(void **state)
{
    enum { COUNT = 6 };
    uint8_t *wanted = noise(COUNT * BLOCK);

    (void)state;
    memcpy(wanted + 3 * BLOCK, wanted, BLOCK); /* the same content twice */
    memset(wanted + 4 * BLOCK, 0, BLOCK);      /* and zeros */
    for (int round = 0; round < 12; round++) {
        uint8_t *old = malloc(12 * BLOCK);
        size_t len = 0;
        while (len < 9 * BLOCK) {
            size_t what = number() % 4, n = number() % BLOCK;
            if (what == 0) { /* other bytes */
                for (size_t i = 0; i < n; i++)
                    old[len++] = (uint8_t)number();
            } else if (what == 1) { /* many windows that are equal */
                memset(old + len, 0, n);
                len += n;
            } else { /* a block, sometimes only its beginning */
                n = what == 2 ? BLOCK : n;
                memcpy(old + len, wanted + number() % COUNT * BLOCK, n);
                len += n;
            }
        }
        compare(wanted, COUNT, old, len);
        free(old);
    }
    compare(wanted, COUNT, wanted, COUNT * BLOCK);
    compare(wanted, COUNT, wanted, BLOCK - 1); /* no window at all */
    compare(wanted, COUNT, wanted + 1, 3 * BLOCK);
    free(wanted);
}

/* A peer sends sums that fit everywhere: the search gives up soon. */
static void
sums_that_are_everywhere(void **state)
{
    enum { COUNT = 20 };
    uint8_t *wanted = noise(COUNT * BLOCK);
    uint8_t *old = calloc(1, 64 * BLOCK);
    struct match_want *wants = wants_of(wanted, COUNT);
    struct match *m = NULL;
    size_t used;

    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        wants[i].sum = 0; /* that of zeros */
    assert_int_equal(p2p_match_new(wants, COUNT, &m), P2P_OK);
    assert_false(p2p_match_is_over(m));
    assert_int_equal(p2p_match_feed(m, old, 64 * BLOCK, 0, &used), P2P_OK);
    assert_true(p2p_match_is_over(m));
    assert_true(used < 200); /* two for each block, and some */
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(wants[i].at, 0);
    p2p_match_free(m);
    free(wants);
    free(old);
    free(wanted);
}

static void
nothing_and_too_much(void **state)
{
    struct match *m = NULL;
    uint8_t byte = 0;
    size_t used = 7;

    (void)state;
    assert_int_equal(p2p_match_new(NULL, 0, &m), P2P_OK);
    assert_true(p2p_match_is_over(m));
    assert_int_equal(p2p_match_feed(m, &byte, 1, 0, &used), P2P_OK);
    assert_int_equal(used, 0);
    p2p_match_free(m);
    assert_int_equal(p2p_match_new(NULL, MATCH_WANTS_MAX + 1, &m), P2P_ERR_RANGE);
    assert_null(m);
}

/* ---- The file ---- */

struct world {
    struct scratch scratch;
    struct p2p_chunks g;
    struct p2p_digest *layer;
    const uint8_t *data; /* the new content */
    uint8_t *got;
    bool *have;
    unsigned looks, stop_after; /* 0: never */
    struct base_calls calls;
    struct p2p_base *base;
};

static bool
is_missing(void *arg, uint64_t chunk)
{
    return !((struct world *)arg)->have[chunk];
}

static enum p2p_err
take(void *arg, uint64_t chunk, const uint8_t *data)
{
    struct world *w = arg;

    assert_false(w->have[chunk]);
    w->have[chunk] = true;
    memcpy(w->got + p2p_chunk_offset(&w->g, chunk), data,
           p2p_chunk_length(&w->g, chunk));
    return P2P_OK;
}

static bool
is_stopped(void *arg)
{
    struct world *w = arg;

    return w->stop_after > 0 && ++w->looks >= w->stop_after;
}

static void
begin(struct world *w, const uint8_t *data, size_t size, uint32_t chunk_size,
      const uint8_t *old, size_t old_size)
{
    int fd;

    memset(w, 0, sizeof(*w));
    scratch_make(&w->scratch);
    scratch_put_bytes(&w->scratch, "old", old, old_size);
    assert_int_equal(p2p_chunks_init(&w->g, size, chunk_size), P2P_OK);
    w->data = data;
    w->layer = calloc(w->g.count + 1, sizeof(*w->layer));
    w->have = calloc(w->g.count + 1, sizeof(*w->have));
    w->got = calloc(1, size + 1);
    for (uint64_t i = 0; i < w->g.count; i++)
        assert_int_equal(p2p_tree_chunk(&w->g, data + p2p_chunk_offset(&w->g, i),
                                        p2p_chunk_length(&w->g, i), &w->layer[i]),
                         P2P_OK);
    w->calls = (struct base_calls){w, is_missing, take, is_stopped};
    fd = open(scratch_path(&w->scratch, "old"), O_RDONLY);
    assert_true(fd >= 0);
    enum p2p_err err = p2p_base_open(fd, &w->g, w->layer, &w->calls, &w->base);
    assert_int_equal(err, old_size > 0 && size > 0 ? P2P_OK : P2P_ERR_NOT_FOUND);
}

static void
finish(struct world *w)
{
    p2p_base_close(w->base);
    free(w->layer);
    free(w->have);
    free(w->got);
    scratch_remove(&w->scratch);
}

static enum p2p_err
want(struct world *w, uint64_t chunk)
{
    struct p2p_leaf leaves[P2P_LEAVES_MAX];
    uint32_t len = p2p_chunk_length(&w->g, chunk);

    assert_int_equal(
        p2p_leaves_make(w->data + p2p_chunk_offset(&w->g, chunk), len, leaves), P2P_OK);
    return p2p_base_want(w->base, chunk, leaves);
}

/* Scans, matches the rest, and fills. Returns the bytes that had to come from
 * elsewhere. */
static uint64_t
missing_bytes(struct world *w)
{
    uint64_t missing = 0, chunk;
    bool is_whole;

    assert_int_equal(p2p_base_scan(w->base), P2P_OK);
    for (uint64_t i = w->g.count; i > 0; i--) /* answers may come in any order */
        if (!w->have[i - 1])
            assert_int_equal(want(w, i - 1), P2P_OK);
    assert_int_equal(p2p_base_match(w->base), P2P_OK);
    for (size_t i = 0; p2p_base_found(w->base, i, &chunk, &is_whole); i++) {
        uint8_t *at = w->got + p2p_chunk_offset(&w->g, chunk);
        const uint8_t *right = w->data + p2p_chunk_offset(&w->g, chunk);
        uint32_t len = p2p_chunk_length(&w->g, chunk), filled;
        struct base_blocks have;
        assert_false(w->have[chunk]);
        w->have[chunk] = true;
        filled = p2p_base_fill(w->base, chunk, at, &have);
        assert_int_equal(is_whole, filled == len);
        missing += len - filled;
        for (uint32_t b = 0; b * BLOCK < len; b++)
            if (!(have.bits[b / 8] & 1u << b % 8)) {
                size_t rest = len - b * BLOCK < BLOCK ? len - b * BLOCK : BLOCK;
                memcpy(at + b * BLOCK, right + b * BLOCK, rest);
            }
    }
    for (uint64_t i = 0; i < w->g.count; i++)
        assert_true(w->have[i]);
    assert_memory_equal(w->got, w->data, w->g.size);
    return missing;
}

static uint64_t
missing_of(const uint8_t *data, size_t size, uint32_t chunk_size, const uint8_t *old,
           size_t old_size)
{
    struct world w;
    uint64_t missing;

    begin(&w, data, size, chunk_size, old, old_size);
    missing = missing_bytes(&w);
    finish(&w);
    return missing;
}

enum { SIZE = 90 * BLOCK + 1234, CHUNK = 4 * BLOCK };

/* What an edit costs: the blocks that it touches. */
static void
edits(void **state)
{
    uint8_t *old = noise(SIZE);
    uint8_t *new = malloc(SIZE + 8 * BLOCK);
    const size_t middle = SIZE / 2;

    (void)state;
    assert_int_equal(missing_of(old, SIZE, CHUNK, old, SIZE), 0);

    /* A byte is overwritten: one block. */
    memcpy(new, old, SIZE);
    new[middle] ^= 1;
    assert_int_equal(missing_of(new, SIZE, CHUNK, old, SIZE), BLOCK);
    /* In many places: a block each. */
    for (size_t at = 0; at < SIZE; at += 10 * BLOCK)
        new[at] ^= 2;
    assert_int_equal(missing_of(new, SIZE, CHUNK, old, SIZE), 10 * BLOCK + 1234);

    /* 100 bytes are inserted: the block that has them, and one that is cut. */
    memcpy(new, old, middle);
    memset(new + middle, 7, 100);
    memcpy(new + middle + 100, old + middle, SIZE - middle);
    assert_true(missing_of(new, SIZE + 100, CHUNK, old, SIZE) <= 2 * BLOCK);
    /* And deleted. */
    assert_true(missing_of(old, SIZE, CHUNK, new, SIZE + 100) <= 2 * BLOCK);

    /* Put at the front, and at the end. */
    memset(new, 9, 50);
    memcpy(new + 50, old, SIZE);
    assert_true(missing_of(new, SIZE + 50, CHUNK, old, SIZE) <= 2 * BLOCK);
    memcpy(new, old, SIZE);
    memset(new + SIZE, 9, 50);
    assert_true(missing_of(new, SIZE + 50, CHUNK, old, SIZE) <= 2 * BLOCK);
    /* Cut off at the end. */
    assert_true(missing_of(old, SIZE - 50, CHUNK, old, SIZE) <= BLOCK);
    assert_int_equal(missing_of(old, SIZE - 1234, CHUNK, old, SIZE), 0);

    /* Whole chunks change places. */
    memcpy(new, old, SIZE);
    memcpy(new, old + 40 * BLOCK, 2 * CHUNK);
    memcpy(new + 40 * BLOCK, old, 2 * CHUNK);
    assert_int_equal(missing_of(new, SIZE, CHUNK, old, SIZE), 0);

    /* Other contents: all of it, and nothing breaks. */
    uint8_t *other = noise(SIZE);
    assert_int_equal(missing_of(other, SIZE, CHUNK, old, SIZE), SIZE);
    assert_int_equal(missing_of(other, SIZE, CHUNK, old, 1), SIZE);
    free(other);
    free(new);
    free(old);
}

/* Every shift within a block, and sizes around blocks and chunks. */
static void
shifts_and_sizes(void **state)
{
    enum { SMALL = 12 * BLOCK };
    uint8_t *old = noise(SMALL + 2 * BLOCK);
    const uint64_t sizes[] = {1,         BLOCK,         BLOCK + 1, CHUNK - 1,
                              CHUNK,     CHUNK + 1,     SMALL - 1, SMALL,
                              SMALL + 1, 2 * CHUNK + 7, 3 * BLOCK};

    (void)state;
    for (size_t shift = 0; shift <= BLOCK; shift += 509)
        assert_true(missing_of(old + shift, SMALL, CHUNK, old, SMALL) <= 2 * BLOCK);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_int_equal(missing_of(old, sizes[i], CHUNK, old, SMALL + BLOCK), 0);
        (void)missing_of(old, SMALL, CHUNK, old + 5, sizes[i]);
    }
    free(old);
}

static void
an_empty_file_has_nothing(void **state)
{
    uint8_t *data = noise(BLOCK);
    struct world w;

    (void)state;
    begin(&w, data, BLOCK, CHUNK, data, 0);
    assert_null(w.base);
    finish(&w);
    begin(&w, data, 0, CHUNK, data, BLOCK);
    assert_null(w.base);
    finish(&w);
    free(data);
}

static void
false_leaves_are_refused(void **state)
{
    uint8_t *data = noise(3 * CHUNK + 5);
    struct p2p_leaf leaves[4];
    struct world w;

    (void)state;
    begin(&w, data, 3 * CHUNK + 5, CHUNK, data + 1, CHUNK);
    assert_int_equal(p2p_leaves_make(data + CHUNK, CHUNK, leaves), P2P_OK);
    assert_int_equal(p2p_base_want(w.base, 0, leaves), P2P_ERR_HASH_MISMATCH);
    leaves[2].hash.b[31] ^= 1;
    assert_int_equal(p2p_base_want(w.base, 1, leaves), P2P_ERR_HASH_MISMATCH);
    leaves[2].hash.b[31] ^= 1;
    assert_int_equal(p2p_base_want(w.base, 1, leaves), P2P_OK);
    assert_int_equal(want(&w, 3), P2P_OK); /* of five bytes */
    assert_int_equal(p2p_base_leaves_of(w.base, 3), 1);
    p2p_base_forget(w.base);
    assert_int_equal(p2p_base_match(w.base), P2P_OK);
    finish(&w);
    free(data);
}

/* The file changes between the comparison and the use: the caller notices by the hash,
 * and a part that is gone is missing. */
static void
the_file_changes_meanwhile(void **state)
{
    uint8_t *data = noise(2 * CHUNK), *old = malloc(2 * CHUNK), buf[CHUNK];
    struct base_blocks have;
    struct world w;

    (void)state;
    memcpy(old, data, 2 * CHUNK);
    old[CHUNK - 1] ^= 1;
    old[2 * CHUNK - 1] ^= 1;
    begin(&w, data, 2 * CHUNK, CHUNK, old, 2 * CHUNK);
    assert_int_equal(want(&w, 0), P2P_OK);
    assert_int_equal(want(&w, 1), P2P_OK);
    assert_int_equal(p2p_base_match(w.base), P2P_OK);
    assert_int_equal(p2p_base_fill(w.base, 1, buf, &have), 3 * BLOCK);
    assert_int_equal(truncate(scratch_path(&w.scratch, "old"), CHUNK + BLOCK + 1), 0);
    assert_int_equal(p2p_base_fill(w.base, 1, buf, &have), BLOCK);
    assert_int_equal(have.bits[0], 1);
    assert_int_equal(truncate(scratch_path(&w.scratch, "old"), 0), 0);
    assert_int_equal(p2p_base_fill(w.base, 0, buf, &have), 0);
    assert_int_equal(p2p_base_scan(w.base), P2P_OK);
    assert_false(w.have[0]);
    finish(&w);
    free(old);
    free(data);
}

static void
it_can_be_stopped_anywhere(void **state)
{
    uint8_t *data = noise(SIZE);
    struct world w;

    (void)state;
    for (unsigned after = 1; after < 40; after += 3) {
        begin(&w, data + 1, SIZE - 1, CHUNK, data, SIZE);
        w.stop_after = after;
        enum p2p_err err = p2p_base_scan(w.base);
        for (uint64_t i = 0; err == P2P_OK && i < w.g.count; i++)
            assert_int_equal(want(&w, i), P2P_OK);
        if (err == P2P_OK)
            err = p2p_base_match(w.base);
        assert_int_equal(err, P2P_ERR_CANCELLED);
        finish(&w);
    }
    free(data);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums),
        cmocka_unit_test(a_sum_moves_along),
        cmocka_unit_test(leaves_of_all_lengths),
        cmocka_unit_test(the_search_is_as_the_naive_one),
        cmocka_unit_test(sums_that_are_everywhere),
        cmocka_unit_test(nothing_and_too_much),
        cmocka_unit_test(edits),
        cmocka_unit_test(shifts_and_sizes),
        cmocka_unit_test(an_empty_file_has_nothing),
        cmocka_unit_test(false_leaves_are_refused),
        cmocka_unit_test(the_file_changes_meanwhile),
        cmocka_unit_test(it_can_be_stopped_anywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
