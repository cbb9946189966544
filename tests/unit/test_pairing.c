// uses p2p-ui
/* Pairing codes: which codes are accepted, and how guessing is stopped. The time is an
 * argument. */
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
    char *last = other + strlen(code) - 1;

    memcpy(other, code, strlen(code) + 1);
    *last = *last == '0' ? '1' : '0';
    return other;
}

static enum p2p_err
try(uint64_t now_s, const char *address, const char *code)
{
    struct ui_pairing_answer answer;

    return ui_pairing_try(&pairing, now_s, address, code, &answer);
}

/* Wrong codes from as many addresses as necessary. */
static void
make_alarm(uint64_t now_s)
{
    char address[64];

    for (int i = 0; i < UI_CODE_TRIES; i++) {
        snprintf(address, sizeof(address), "198.51.100.%d", i);
        assert_int_equal(try(now_s, address, "x"), P2P_ERR_NOT_ALLOWED);
    }
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
    char code[UI_CODE_LEN + 1], now[UI_CODE_LEN + 1];
    struct ui_pairing_answer answer;
    uint64_t left_s;

    (void)state;
    assert_int_equal(ui_pairing_renew(&pairing, 0, code, &left_s), P2P_OK);
    for (int i = 1; i < UI_PAIR_TRIES; i++) {
        assert_int_equal(
            ui_pairing_try(&pairing, 10, "192.0.2.1", wrong(code), &answer),
            P2P_ERR_NOT_ALLOWED);
        assert_false(answer.is_alarm_raised || answer.is_long);
    }
    assert_int_equal(ui_pairing_try(&pairing, 10, "192.0.2.1", wrong(code), &answer),
                     P2P_ERR_NOT_ALLOWED);
    assert_true(answer.is_alarm_raised && answer.is_long);
    assert_int_equal(try(20, "192.0.2.1", code), P2P_ERR_NOT_ALLOWED); /* as anywhere */
    assert_true(ui_pairing_current(&pairing, 20, now, &left_s));
    assert_int_equal(strlen(now), UI_CODE_LEN);
    assert_int_equal(left_s, UI_CODE_LIFE_S - 10);
    assert_int_equal(ui_pairing_try(&pairing, 20, "192.0.2.1", wrong(now), &answer),
                     P2P_ERR_RATE_LIMITED);
    assert_int_equal(answer.retry_s, UI_PAIR_LOCKOUT_S - 10);
    /* From other addresses the old code is wrong, but does not count as a guess. */
    for (int i = 0; i < 2 * UI_PAIR_TRIES; i++)
        assert_int_equal(ui_pairing_try(&pairing, 20, "192.0.2.2", code, &answer),
                         P2P_ERR_NOT_ALLOWED);
    assert_true(answer.is_long && !answer.is_alarm_raised);
    assert_int_equal(try(20, "192.0.2.2", now), P2P_OK);
}

static void
nobody_is_locked_out_of_a_long_code(void **state)
{
    char code[UI_CODE_LEN + 1];
    uint64_t left_s;

    (void)state;
    make_alarm(1);
    assert_int_equal(ui_pairing_renew(&pairing, 2, code, &left_s), P2P_OK);
    assert_int_equal(strspn(code, "0123456789"), UI_CODE_LEN);
    for (int i = 0; i < 10000; i++)
        assert_int_not_equal(try(3, "192.0.2.1", wrong(code)), P2P_OK);
    assert_int_equal(try(3, "192.0.2.1", wrong(code)), P2P_ERR_RATE_LIMITED);
    assert_int_equal(try(3, "192.0.2.1", code), P2P_OK);
    assert_int_equal(try(3, "192.0.2.1", code), P2P_ERR_NOT_ALLOWED); /* used up */
}

static void
an_alarm_lasts_a_day(void **state)
{
    char code[UI_CODE_LEN + 1];
    uint64_t left_s;

    (void)state;
    make_alarm(1);
    assert_int_equal(ui_pairing_renew(&pairing, UI_CODE_ALARM_S, code, &left_s),
                     P2P_OK);
    assert_int_equal(strlen(code), UI_CODE_LEN);
    assert_int_equal(ui_pairing_renew(&pairing, UI_CODE_ALARM_S + 1, code, &left_s),
                     P2P_OK);
    assert_int_equal(strlen(code), UI_CODE_SHORT);
}

/* This holds for any number of addresses and codes. */
static void
a_day_has_less_than_forty_tries_at_short_codes(void **state)
{
    char code[UI_CODE_LEN + 1], address[64];
    unsigned compared = 0;
    uint64_t left_s;

    (void)state;
    for (uint64_t now_s = 0; now_s < UI_CODE_TRIES_S; now_s += 10) {
        assert_int_equal(ui_pairing_renew(&pairing, now_s, code, &left_s), P2P_OK);
        snprintf(address, sizeof(address), "10.%u.%u.1", (unsigned)(now_s / 2560 % 256),
                 (unsigned)(now_s / 10 % 256));
        compared += strlen(code) == UI_CODE_SHORT;
        assert_int_equal(try(now_s, address, wrong(code)), P2P_ERR_NOT_ALLOWED);
    }
    assert_in_range(compared, 1, 2 * UI_CODE_TRIES - 1);
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
    assert_true(ui_pairing_current(&pairing, 1, code, &left_s));
    assert_int_equal(try(1, "2001:db8::ffff", wrong(code)), P2P_ERR_RATE_LIMITED);
    assert_int_equal(try(1, "2001:db8:0:1::1", code), P2P_OK);
}

static void
many_addresses_together_replace_a_code(void **state)
{
    char code[UI_CODE_LEN + 1], now[UI_CODE_LEN + 1], address[64];
    struct ui_pairing_answer answer;
    uint64_t left_s;

    (void)state;
    assert_int_equal(ui_pairing_renew(&pairing, 0, code, &left_s), P2P_OK);
    for (int i = 0; i < UI_CODE_TRIES; i++) {
        snprintf(address, sizeof(address), "198.51.100.%d", i);
        assert_int_equal(ui_pairing_try(&pairing, 1, address, wrong(code), &answer),
                         P2P_ERR_NOT_ALLOWED);
        assert_int_equal(answer.is_alarm_raised, i == UI_CODE_TRIES - 1);
    }
    assert_int_equal(try(1, "192.0.2.1", code), P2P_ERR_NOT_ALLOWED);
    assert_true(ui_pairing_current(&pairing, 1, now, &left_s));
    assert_int_equal(try(1, "192.0.2.1", now), P2P_OK);
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
    assert_int_equal(try(3, "192.0.2.1", wrong(code)), P2P_ERR_RATE_LIMITED);
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
        TEST(many_addresses_together_replace_a_code),
        TEST(nobody_is_locked_out_of_a_long_code),
        TEST(an_alarm_lasts_a_day),
        TEST(a_day_has_less_than_forty_tries_at_short_codes),
        TEST(a_full_table_keeps_lockouts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
