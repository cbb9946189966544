/* Compressed DATA: frames that are unpacked, and frames that are refused before that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/remote/request.h"

#ifdef P2P_WITH_ZSTD
#include <zstd.h>

static uint8_t text[P2P_DATA_MAX + 1]; /* compresses well */
static uint8_t frame[2 * P2P_DATA_MAX], out[P2P_DATA_MAX];

static size_t
pack(size_t len)
{
    size_t n;

    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (uint8_t)(i / 100);
    n = ZSTD_compress(frame, sizeof(frame), text, len, 1);
    assert_false(ZSTD_isError(n));
    return n;
}

static void
assert_refused(size_t len, size_t room)
{
    uint8_t *exact = malloc(len + 1); /* so that a sanitizer sees a read too far */
    size_t got = 99;

    memcpy(exact, frame, len);
    assert_int_equal(p2p_unpack(exact, len, out, room, &got), P2P_ERR_PROTOCOL);
    free(exact);
}

static void
unpacks_what_states_its_size(void **state)
{
    static const size_t sizes[] = {1, 1000, P2P_DATA_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t len = pack(sizes[i]), got;

        assert_int_equal(p2p_unpack(frame, len, NULL, sizes[i], &got), P2P_OK);
        assert_int_equal(got, sizes[i]);
        assert_int_equal(p2p_unpack(frame, len, out, sizes[i], &got), P2P_OK);
        assert_memory_equal(out, text, sizes[i]);
    }
}

static void
refuses_more_than_there_is_room_for(void **state)
{
    (void)state;
    assert_refused(pack(1000), 999);
    assert_refused(pack(P2P_DATA_MAX + 1), SIZE_MAX); /* more than a record may hold */
    assert_refused(pack(0), 1000);
}

static void
refuses_a_frame_of_unknown_size(void **state)
{
    ZSTD_CCtx *z = ZSTD_createCCtx();
    size_t n;

    (void)state;
    pack(1000);
    ZSTD_CCtx_setParameter(z, ZSTD_c_contentSizeFlag, 0);
    n = ZSTD_compress2(z, frame, sizeof(frame), text, 1000);
    assert_false(ZSTD_isError(n));
    assert_refused(n, 1000);
    ZSTD_freeCCtx(z);
}

/* A skippable frame unpacks to nothing: the sizes alone would not show the difference.
 */
static void
refuses_bytes_behind_the_frame(void **state)
{
    static const uint8_t skippable[] = {0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 'x'};
    size_t len = pack(1000);

    (void)state;
    memcpy(frame + len, skippable, sizeof(skippable));
    assert_refused(len + sizeof(skippable), 1000);
    assert_refused(len + 1, 1000);
}

static void
refuses_every_shorter_frame(void **state)
{
    size_t len = pack(1000);

    (void)state;
    for (size_t cut = 0; cut < len; cut++)
        assert_refused(cut, 1000);
}

static void
writes_nothing_beyond_its_room(void **state)
{
    size_t len = pack(1000), got;

    (void)state;
    for (size_t bit = 0; bit < 8 * len; bit++) {
        frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
        out[1000] = 0xa5;
        if (p2p_unpack(frame, len, out, 1000, &got) == P2P_OK)
            assert_in_range(got, 1, 1000);
        assert_int_equal(out[1000], 0xa5);
        frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unpacks_what_states_its_size),
        cmocka_unit_test(refuses_more_than_there_is_room_for),
        cmocka_unit_test(refuses_a_frame_of_unknown_size),
        cmocka_unit_test(refuses_bytes_behind_the_frame),
        cmocka_unit_test(refuses_every_shorter_frame),
        cmocka_unit_test(writes_nothing_beyond_its_room),
    };

    return cmocka_run_group_tests_name("unpack", tests, NULL, NULL);
}

#else

static void
refuses_without_zstd(void **state)
{
    size_t got;

    (void)state;
    assert_int_equal(p2p_unpack((const uint8_t *)"x", 1, NULL, 1, &got),
                     P2P_ERR_UNSUPPORTED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(refuses_without_zstd)};

    return cmocka_run_group_tests_name("unpack", tests, NULL, NULL);
}

#endif
