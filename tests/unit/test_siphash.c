/* siphash: the known answers of its authors, and every length. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "p2p/siphash.h"

/* The bytes 0 to 15 in the byte order of the paper. */
static const uint64_t key[2] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};

static void
known_answers(void **state)
{
    uint8_t in[15];

    (void)state;
    for (uint8_t i = 0; i < sizeof(in); i++)
        in[i] = i;
    assert_true(p2p_siphash24(key, in, 15) == 0xa129ca6149be45e5u);
    assert_true(p2p_siphash24(key, in, 0) == 0x726fdb47dd0e0e31u);
    assert_true(p2p_siphash24(key, in, 8) == 0x93f5f5799a932462u);
}

static void
every_bit_counts(void **state)
{
    const uint64_t other[2] = {key[0], key[1] ^ 1};
    uint8_t in[24] = {0};

    (void)state;
    for (size_t len = 0; len <= sizeof(in); len++) {
        uint64_t plain = p2p_siphash13(key, in, len);
        assert_true(plain != p2p_siphash13(other, in, len));
        assert_true(plain != p2p_siphash24(key, in, len));
        assert_true(len == 0 || plain != p2p_siphash13(key, in, len - 1));
        for (size_t bit = 0; bit < 8 * len; bit++) {
            in[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_true(plain != p2p_siphash13(key, in, len));
            in[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(every_bit_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
