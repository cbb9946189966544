#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

#include "p2p/chunk.h"
#include "p2p/limits.h"

static void
chunks_cover_a_file_once(void **state)
{
    static const uint64_t sizes[] = {0,
                                     1,
                                     16383,
                                     16384,
                                     16385,
                                     32768,
                                     1000000,
                                     P2P_FILE_SIZE_MAX - 1,
                                     P2P_FILE_SIZE_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (uint64_t chunk = P2P_CHUNK_SIZE_MIN; chunk <= P2P_CHUNK_SIZE_MAX;
             chunk *= 2) {
            struct p2p_chunks g;

            if (sizes[i] / chunk >= SIZE_MAX / 64) { /* a machine of 32 bits */
                assert_int_equal(p2p_chunks_init(&g, sizes[i], chunk),
                                 P2P_ERR_TOO_LARGE);
                continue;
            }
            assert_int_equal(p2p_chunks_init(&g, sizes[i], chunk), P2P_OK);
            if (g.count == 0) {
                assert_int_equal(sizes[i], 0);
                continue;
            }
            assert_int_equal(p2p_chunk_offset(&g, 0), 0);
            assert_true(p2p_chunk_length(&g, g.count - 1) > 0);
            assert_true(p2p_chunk_offset(&g, g.count - 1) +
                            p2p_chunk_length(&g, g.count - 1) ==
                        sizes[i]);
            if (g.count > 1)
                assert_int_equal(p2p_chunk_length(&g, g.count - 2), chunk);
        }
    }
}

static void
geometry_beyond_the_limits_is_refused(void **state)
{
    static const uint64_t wrong[] = {
        0,          1,          8192,      16383, 16385, 24576, 2 * P2P_CHUNK_SIZE_MAX,
        1ull << 32, 1ull << 63, UINT64_MAX};
    struct p2p_chunks g;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(p2p_chunks_init(&g, 1, wrong[i]), P2P_ERR_RANGE);
    assert_int_equal(p2p_chunks_init(&g, P2P_FILE_SIZE_MAX + 1, P2P_MIB),
                     P2P_ERR_RANGE);
    assert_int_equal(p2p_chunks_init(&g, UINT64_MAX, P2P_MIB), P2P_ERR_RANGE);
    assert_int_equal(g.count, 0);
}

static void
ranges_do_not_wrap(void **state)
{
    struct p2p_chunks g;

    (void)state;
    assert_int_equal(p2p_chunks_init(&g, 1000, P2P_MIB), P2P_OK);
    assert_true(p2p_chunks_has_range(&g, 0, 1000));
    assert_true(p2p_chunks_has_range(&g, 1000, 0));
    assert_true(p2p_chunks_has_range(&g, 999, 1));
    assert_false(p2p_chunks_has_range(&g, 999, 2));
    assert_false(p2p_chunks_has_range(&g, 1001, 0));
    assert_false(p2p_chunks_has_range(&g, 1, UINT64_MAX));
    assert_false(p2p_chunks_has_range(&g, UINT64_MAX, 2));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_cover_a_file_once),
        cmocka_unit_test(geometry_beyond_the_limits_is_refused),
        cmocka_unit_test(ranges_do_not_wrap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
