// uses p2p-discovery
/* Logins for TURN servers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "discovery/meet/turn.h"

static const char secret[] = "a secret of this test alone";

static void
a_secret_is_one_line(void **state)
{
    static const char with_end[] = "0123456789abcdef\r\n \n",
                      short_one[] = "0123456789abcde\n",
                      two_lines[] = "0123456789abcdef\n0123456789abcdef\n";
    static char long_one[P2P_TURN_SECRET_MAX + 1];
    struct p2p_turn_secret read;

    (void)state;
    assert_int_equal(p2p_turn_secret(with_end, strlen(with_end), &read), P2P_OK);
    assert_int_equal(read.len, 16);
    assert_memory_equal(read.b, with_end, 16);
    assert_int_equal(p2p_turn_secret(short_one, strlen(short_one), &read),
                     P2P_ERR_USAGE);
    assert_int_equal(p2p_turn_secret(two_lines, strlen(two_lines), &read),
                     P2P_ERR_USAGE);
    memset(long_one, 'x', sizeof(long_one));
    assert_int_equal(p2p_turn_secret(long_one, sizeof(long_one), &read), P2P_ERR_USAGE);
    assert_int_equal(p2p_turn_secret(long_one, sizeof(long_one) - 1, &read), P2P_OK);
    assert_int_equal(p2p_turn_secret("", 0, &read), P2P_ERR_USAGE);
}

/* base64(HMAC-SHA1(secret, username)), computed by another program. */
static void
a_login_is_what_coturn_expects(void **state)
{
    struct p2p_turn_secret key;
    struct p2p_turn_login login;
    char long_name[P2P_TURN_USER_MAX];

    (void)state;
    assert_int_equal(p2p_turn_secret(secret, strlen(secret), &key), P2P_OK);
    assert_int_equal(p2p_turn_login(&key, "guest", 1800007200, &login), P2P_OK);
    assert_string_equal(login.username, "1800007200:guest");
    assert_string_equal(login.password, "jgTaRZcEZA3S+GVTlc/V3asBZ2o=");
    memset(long_name, 'x', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    assert_int_equal(p2p_turn_login(&key, long_name, 1, &login), P2P_ERR_USAGE);
}

/* The server counts by the name behind the time. */
static void
an_address_has_a_name_of_its_own(void **state)
{
    const struct box_source alice = {{1}}, bob = {{2}};
    struct turn turn = {.count = 1, .seed = {3, 4}};
    struct p2p_turn_login one, later, other;

    (void)state;
    assert_int_equal(p2p_turn_secret(secret, strlen(secret), &turn.secret), P2P_OK);
    assert_int_equal(turn_login(&turn, &alice, 1000, &one), P2P_OK);
    assert_int_equal(turn_login(&turn, &alice, 2000, &later), P2P_OK);
    assert_int_equal(turn_login(&turn, &bob, 1000, &other), P2P_OK);
    assert_memory_equal(one.username, "8200:", 5);
    assert_string_equal(strchr(one.username, ':'), strchr(later.username, ':'));
    assert_string_not_equal(one.username, later.username);
    assert_string_not_equal(one.password, later.password);
    assert_string_not_equal(strchr(one.username, ':'), strchr(other.username, ':'));
}

static void
a_server_is_an_address(void **state)
{
    static const char *const good[][2] = {
        {"turn:t.example", "turn:t.example:3478"},
        {"turn:t.example:1?transport=tcp", "turn:t.example:1?transport=tcp"},
        {"turns:[2001:db8::1]", "turns:[2001:db8::1]:5349"},
    };
    static const char *const bad[] = {"",
                                      "turn:",
                                      "t.example:x",
                                      "t.example?transport=tcp",
                                      "turn:t.example?transport=sctp",
                                      "turn:t.example?x",
                                      "http://t.example",
                                      "turn:user@t.example/x"};
    struct turn turn = {.count = 0};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (turn_add(&turn, bad[i]) != P2P_ERR_USAGE)
            fail_msg("%s", bad[i]);
    assert_int_equal(turn.count, 0);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(turn_add(&turn, good[i][0]), P2P_OK);
        assert_string_equal(turn.urls[i], good[i][1]);
    }
    assert_int_equal(turn_add(&turn, "t.example:7"), P2P_OK);
    assert_string_equal(turn.urls[3], "turn:t.example:7?transport=udp");
    assert_string_equal(turn.urls[4], "turn:t.example:7?transport=tcp");
    while (turn.count < TURN_URLS_MAX)
        assert_int_equal(turn_add(&turn, "turn:t.example"), P2P_OK);
    assert_int_equal(turn_add(&turn, "turn:t.example"), P2P_ERR_TOO_LARGE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_is_one_line),
        cmocka_unit_test(a_login_is_what_coturn_expects),
        cmocka_unit_test(an_address_has_a_name_of_its_own),
        cmocka_unit_test(a_server_is_an_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
