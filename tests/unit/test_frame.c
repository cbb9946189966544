// uses tests/unit/mutate.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mutate.h"
#include "p2p/bytes.h"
#include "p2p/frame.h"
#include "p2p/limits.h"

static const struct p2p_secret key = {{1, 2, 3}};
static const struct p2p_nonce nonce = {{4, 5, 6}};

static enum p2p_err
peek_length(uint32_t length, size_t *size)
{
    uint8_t *head = malloc(
        P2P_FRAME_HEAD); /* an exact block: the bytes behind it must not be read */
    enum p2p_err err;

    p2p_store_u32(head, length);
    err = p2p_frame_peek(head, P2P_FRAME_HEAD, 1, P2P_RECORD_PLAIN_MAX, size);
    free(head);
    return err;
}

static void
lengths_are_judged_from_the_head_alone(void **state)
{
    static const uint32_t wrong[] = {0,          1,          27,         28,
                                     65629,      65630,      0x00ffffff, 0x7fffffff,
                                     0x80000000, 0xfffffffe, 0xffffffff};
    size_t size;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(peek_length(wrong[i], &size), P2P_ERR_MALFORMED);
    assert_int_equal(peek_length(29, &size), P2P_ERR_MORE);
    assert_int_equal(size, 33);
    assert_int_equal(peek_length(65628, &size), P2P_ERR_MORE);
    assert_int_equal(size, 65632);
}

static void
pieces_of_any_size(void **state)
{
    uint8_t frame[P2P_FRAME_SIZE(10)] = {0, 0, 0, 38};
    size_t size;

    (void)state;
    for (size_t len = 0; len < sizeof(frame); len++) {
        uint8_t *exact = malloc(len > 0 ? len : 1);

        memcpy(exact, frame, len);
        assert_int_equal(p2p_frame_peek(exact, len, 1, 100, &size), P2P_ERR_MORE);
        assert_int_equal(size, len < 4 ? 4 : sizeof(frame));
        free(exact);
    }
    assert_int_equal(p2p_frame_peek(frame, sizeof(frame), 1, 100, &size), P2P_OK);
    assert_int_equal(p2p_frame_peek(frame, sizeof(frame), 10, 10, &size), P2P_OK);
    assert_int_equal(p2p_frame_peek(frame, sizeof(frame), 11, 100, &size),
                     P2P_ERR_MALFORMED);
    assert_int_equal(p2p_frame_peek(frame, sizeof(frame), 1, 9, &size),
                     P2P_ERR_MALFORMED);
}

static bool
opens(void *arg, uint8_t *data, size_t len)
{
    uint8_t *plain;
    size_t plain_len;
    enum p2p_err err = p2p_frame_open(data, len, &key, "aad", 3, &plain, &plain_len);

    (void)arg;
    assert_true(err == P2P_OK || err == P2P_ERR_AUTH || err == P2P_ERR_MALFORMED);
    assert_true(err == P2P_OK || (plain == NULL && plain_len == 0));
    return err == P2P_OK;
}

static void
only_the_frame_itself_opens(void **state)
{
    uint8_t frame[P2P_FRAME_SIZE(20)], copy[sizeof(frame)], *plain;
    struct p2p_secret other = key;
    struct mutation_counts taken;
    size_t len;

    (void)state;
    memcpy(frame + P2P_FRAME_PREFIX, "twenty bytes of text", 20);
    assert_int_equal(p2p_frame_seal(frame, 20, &key, &nonce, "aad", 3), P2P_OK);
    taken = mutate_all(frame, sizeof(frame), opens, NULL);
    assert_int_equal(taken.prefixes + taken.flips, 0);

    memcpy(copy, frame, sizeof(frame));
    assert_int_equal(p2p_frame_open(copy, sizeof(copy), &key, "aae", 3, &plain, &len),
                     P2P_ERR_AUTH);
    memcpy(copy, frame, sizeof(frame));
    assert_int_equal(p2p_frame_open(copy, sizeof(copy), &key, "aad", 2, &plain, &len),
                     P2P_ERR_AUTH);
    memcpy(copy, frame, sizeof(frame));
    other.b[31] ^= 1;
    assert_int_equal(p2p_frame_open(copy, sizeof(copy), &other, "aad", 3, &plain, &len),
                     P2P_ERR_AUTH);
    assert_int_equal(p2p_frame_open(frame, sizeof(frame), &key, "aad", 3, &plain, &len),
                     P2P_OK);
    assert_int_equal(len, 20);
    assert_memory_equal(plain, "twenty bytes of text", 20);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_are_judged_from_the_head_alone),
        cmocka_unit_test(pieces_of_any_size),
        cmocka_unit_test(only_the_frame_itself_opens),
    };

    if (p2p_crypto_init() != P2P_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
