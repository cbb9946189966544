/* Blocks and a stream in one pass, compared with OpenSSL; and the check of a tree that
 * also feeds a stream. If this CPU cannot do it in one pass, two passes are tested. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/crypto/sha256_kernel.h"
#include "p2p/sha256_stitched.h"
#include "p2p/tree.h"

enum { GROUPS_MAX = 5 };

/* Exactly `len` bytes at `misaligned` in a heap block that ends with them. */
static uint8_t *
make_data(size_t len, size_t misaligned, uint8_t **block)
{
    *block = malloc(misaligned + len + (misaligned + len == 0));
    assert_non_null(*block);
    for (size_t i = 0; i < misaligned + len; i++)
        (*block)[i] = (uint8_t)((i + len) * 2654435761u >> 16);
    return *block + misaligned;
}

/* The first `before` bytes by update, then the groups, then the rest by update. */
static void
compare(size_t before, size_t groups, size_t after, size_t misaligned)
{
    size_t size = groups * P2P_STITCHED_SIZE, len = before + size + after;
    struct p2p_digest leaves[GROUPS_MAX * P2P_STITCHED_LEAVES], got, want;
    struct p2p_sha256 *sha;
    uint8_t *block, *data = make_data(len, misaligned, &block);

    assert_int_equal(p2p_sha256_new(&sha), P2P_OK);
    assert_int_equal(p2p_sha256_update(sha, data, before), P2P_OK);
    assert_int_equal(p2p_sha256_stitched(sha, data + before, groups, leaves), P2P_OK);
    assert_int_equal(p2p_sha256_update(sha, data + before + size, after), P2P_OK);
    assert_int_equal(p2p_sha256_peek(sha, &got), P2P_OK);
    assert_int_equal(p2p_sha256(data, len, &want), P2P_OK);
    assert_memory_equal(&got, &want, sizeof(want));
    for (size_t i = 0; i < groups * P2P_STITCHED_LEAVES; i++) {
        assert_int_equal(
            p2p_sha256(data + before + i * P2P_BLOCK_SIZE, P2P_BLOCK_SIZE, &want),
            P2P_OK);
        assert_memory_equal(&leaves[i], &want, sizeof(want));
    }
    p2p_sha256_free(sha);
    free(block);
}

static void
any_number_of_groups(void **state)
{
    (void)state;
    for (size_t groups = 0; groups <= GROUPS_MAX; groups++)
        compare(0, groups, 0, 0);
}

static void
every_alignment(void **state)
{
    (void)state;
    for (size_t misaligned = 0; misaligned < 64; misaligned++)
        compare(0, 1, 1, misaligned);
}

static void
every_place_in_a_stream(void **state)
{
    (void)state;
    for (size_t before = 0; before <= 320; before += 64)
        for (size_t after = 0; after <= 130; after++)
            compare(before, 1, after, before / 64);
}

static void
only_at_whole_blocks(void **state)
{
    struct p2p_digest leaves[P2P_STITCHED_LEAVES];
    uint8_t *block, *data;
    struct p2p_sha256 *sha;

    (void)state;
    if (!p2p_sha256_is_stitched())
        skip();
    data = make_data(P2P_STITCHED_SIZE, 0, &block);
    assert_int_equal(p2p_sha256_new(&sha), P2P_OK);
    assert_int_equal(p2p_sha256_update(sha, data, 63), P2P_OK);
    assert_int_equal(p2p_sha256_stitched(sha, data, 1, leaves), P2P_ERR_RANGE);
    p2p_sha256_free(sha);
    free(block);
}

#if defined(__x86_64__)
static void
used_where_the_cpu_can(void **state)
{
    (void)state;
    if (!p2p_sha256_avx512.is_supported() || !p2p_sha256_sha_ni.is_supported())
        skip();
    assert_true(p2p_sha256_is_stitched());
}
#endif

/* A file in chunks of 1 MiB: hash, stream, and what a wrong byte does. */
static void
check_file(size_t size)
{
    struct p2p_chunks g;
    struct p2p_digest want, got;
    struct p2p_sha256 *sha;
    uint8_t *block, *data = make_data(size, 0, &block);

    assert_int_equal(p2p_chunks_init(&g, size, P2P_CHUNK_SIZE_DEFAULT), P2P_OK);
    assert_int_equal(p2p_sha256_new(&sha), P2P_OK);
    for (uint64_t i = 0; i < g.count; i++) {
        uint8_t *chunk = data + p2p_chunk_offset(&g, i);
        uint32_t len = p2p_chunk_length(&g, i);
        assert_int_equal(p2p_tree_chunk(&g, chunk, len, &want), P2P_OK);
        chunk[len - 1] ^= 1;
        assert_int_equal(p2p_tree_check_next(&g, chunk, len, &want, sha),
                         P2P_ERR_HASH_MISMATCH);
        chunk[len - 1] ^= 1;
        assert_int_equal(p2p_tree_check_next(&g, chunk, len, &want, sha), P2P_OK);
    }
    assert_int_equal(p2p_sha256_peek(sha, &got), P2P_OK);
    assert_int_equal(p2p_sha256(data, size, &want), P2P_OK);
    assert_memory_equal(&got, &want, sizeof(want));
    p2p_sha256_free(sha);
    free(block);
}

static void
a_tree_is_checked_with_its_stream(void **state)
{
    static const size_t around[] = {64, 16384, 262144, 1048576, 3 * 1048576};

    (void)state;
    for (size_t i = 0; i < sizeof(around) / sizeof(around[0]); i++)
        for (size_t size = around[i] - 1; size <= around[i] + 1; size++)
            check_file(size);
    check_file(1);
    check_file(2 * 1048576 + 262144 + 5 * 16384 + 77);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_of_groups),
        cmocka_unit_test(every_alignment),
        cmocka_unit_test(every_place_in_a_stream),
        cmocka_unit_test(only_at_whole_blocks),
#if defined(__x86_64__)
        cmocka_unit_test(used_where_the_cpu_can),
#endif
        cmocka_unit_test(a_tree_is_checked_with_its_stream),
    };

    setenv("P2P_SHA256_STITCHED", "yes", 1); /* whatever the speed on a busy machine */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
