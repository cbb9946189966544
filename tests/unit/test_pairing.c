// uses p2p-ui
/* Pairing codes: what lets a device in, and what stops guessing. Time is an argument.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ui/access/pairing.h"

static struct ui_pairing pairing;

static int
set_up(void **state)
{
    (void)state;
    ui_pairing_init(&pairing);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    ui_pairing_clear(&pairing);
    return 0;
}

/* A code that differs from `code` in its last digit. */
static const char *
wrong(const char *code)
{
    static char other[UI_CODE_LEN + 1];

    memcpy(other, code, sizeof(other));
    other[5] = other[5] == '0' ? '1' : '0';
    return other;
}

static enum p2p_err
try(uint64_t now_s, const char *address, const char *code)
{
    unsigned retry_s;

    return ui_pairing_try(&pairing, now_s, address, code, &retry_s);
}

static void
a_code_is_six_digits_and_works_once(void **state)
{
    char code[UI_CODE_LEN + 1];
    uint64_t left_s;

    (void)state;
    assert_int_equal(ui_pairing_renew(&pairing, 100, code, &left_s), P2P_OK);
    assert_int_equal(strspn(code, "0123456789"), 6);
    assert_int_equal(left_s, UI_CODE_LIFE_S);
    assert_int_equal(try(101, "192.0.2.1", code), P2P_OK);
    assert_int_equal(try(102, "192.0.2.1", code), P2P_ERR_NOT_ALLOWED);
    assert_false(ui_pairing_current(&pairing, 103, code, &left_s));
}

static void
a_code_lives_ten_minutes(void **state)
{
    char code[UI_CODE_LEN + 1], seen[UI_CODE_LEN + 1];
    uint64_t left_s;

    (void)state;
    assert_int_equal(ui_pairing_renew(&pairing, 100, code, &left_s), P2P_OK);
    assert_true(ui_pairing_current(&pairing, 699, seen, &left_s));
    assert_string_equal(seen, code);
    assert_int_equal(left_s, 1);
    assert_false(ui_pairing_current(&pairing, 700, seen, &left_s));
    assert_int_equal(try(700, "192.0.2.1", code), P2P_ERR_NOT_ALLOWED);
}

static void
a_new_code_ends_the_old_one(void **state)
{
    char first[UI_CODE_LEN + 1], second[UI_CODE_LEN + 1];
    uint64_t left_s;

    (void)state;
    assert_int_equal(ui_pairing_renew(&pairing, 1, first, &left_s), P2P_OK);
    do
        assert_int_equal(ui_pairing_renew(&pairing, 1, second, &left_s), P2P_OK);
    while (strcmp(first, second) == 0);
    assert_int_equal(try(2, "192.0.2.1", first), P2P_ERR_NOT_ALLOWED);
    assert_int_equal(try(2, "192.0.2.1", second), P2P_OK);
}

static void
no_code_matches_nothing(void **state)
{
    static const char *const codes[] = {"", "000000", "0", "0000000", "      "};

    (void)state;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        assert_int_equal(try(1, "192.0.2.1", codes[i]), P2P_ERR_NOT_ALLOWED);
}

static void
five_wrong_codes_lock_an_address_out(void **state)
{
    char code[UI_CODE_LEN + 1];
    uint64_t left_s;
    unsigned retry_s;

    (void)state;
    assert_int_equal(ui_pairing_renew(&pairing, 0, code, &left_s), P2P_OK);
    for (int i = 0; i < UI_PAIR_TRIES; i++)
        assert_int_equal(try(10, "192.0.2.1", wrong(code)), P2P_ERR_NOT_ALLOWED);
    assert_int_equal(ui_pairing_try(&pairing, 20, "192.0.2.1", code, &retry_s),
                     P2P_ERR_RATE_LIMITED);
    assert_int_equal(retry_s, UI_PAIR_LOCKOUT_S - 10);
    /* Another address is not concerned, and the right code was not used up. */
    assert_int_equal(try(20, "192.0.2.2", code), P2P_OK);
    assert_int_equal(ui_pairing_renew(&pairing, 900, code, &left_s), P2P_OK);
    assert_int_equal(try(909, "192.0.2.1", code), P2P_ERR_RATE_LIMITED);
    assert_int_equal(try(10 + UI_PAIR_LOCKOUT_S, "192.0.2.1", code), P2P_OK);
}

static void
a_network_of_ipv6_counts_as_one(void **state)
{
    char code[UI_CODE_LEN + 1], address[64];
    uint64_t left_s;

    (void)state;
    assert_int_equal(ui_pairing_renew(&pairing, 0, code, &left_s), P2P_OK);
    for (int i = 0; i < UI_PAIR_TRIES; i++) {
        snprintf(address, sizeof(address), "2001:db8::%x", i + 1);
        assert_int_equal(try(1, address, wrong(code)), P2P_ERR_NOT_ALLOWED);
    }
    assert_int_equal(try(1, "2001:db8::ffff", code), P2P_ERR_RATE_LIMITED);
    assert_int_equal(try(1, "2001:db8:0:1::1", code), P2P_OK);
}

static void
many_addresses_together_give_a_code_up(void **state)
{
    char code[UI_CODE_LEN + 1], address[64];
    uint64_t left_s;

    (void)state;
    assert_int_equal(ui_pairing_renew(&pairing, 0, code, &left_s), P2P_OK);
    for (int i = 0; i < UI_CODE_TRIES; i++) {
        snprintf(address, sizeof(address), "198.51.100.%d", i);
        assert_int_equal(try(1, address, wrong(code)), P2P_ERR_NOT_ALLOWED);
    }
    assert_int_equal(try(1, "192.0.2.1", code), P2P_ERR_NOT_ALLOWED);
}

static void
a_full_table_keeps_lockouts(void **state)
{
    char code[UI_CODE_LEN + 1], address[64];
    uint64_t left_s;

    (void)state;
    for (int i = 0; i < UI_PAIR_TRIES; i++)
        assert_int_equal(try(1, "192.0.2.1", "x"), P2P_ERR_NOT_ALLOWED);
    for (int i = 0; i < 2 * UI_PAIR_ADDRESSES; i++) {
        snprintf(address, sizeof(address), "10.0.%d.%d", i / 256, i % 256);
        assert_int_equal(try(2, address, "x"), P2P_ERR_NOT_ALLOWED);
    }
    assert_int_equal(ui_pairing_renew(&pairing, 3, code, &left_s), P2P_OK);
    assert_int_equal(try(3, "192.0.2.1", code), P2P_ERR_RATE_LIMITED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        TEST(a_code_is_six_digits_and_works_once),
        TEST(a_code_lives_ten_minutes),
        TEST(a_new_code_ends_the_old_one),
        TEST(no_code_matches_nothing),
        TEST(five_wrong_codes_lock_an_address_out),
        TEST(a_network_of_ipv6_counts_as_one),
        TEST(many_addresses_together_give_a_code_up),
        TEST(a_full_table_keeps_lockouts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
