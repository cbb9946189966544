/* Addresses in their canonical form: which spellings are equal, and which are refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "p2p/addr.h"

static void
spellings_become_one(void **state)
{
    static const struct {
        const char *text, *host;
    } cases[] = {
        {"127.0.0.1", "127.0.0.1"},
        {"127.0.0.1.", "127.0.0.1"},
        {"::ffff:127.0.0.1", "127.0.0.1"},
        {"::FFFF:7f00:0001", "127.0.0.1"},
        {"0:0:0:0:0:ffff:10.1.2.3", "10.1.2.3"},
        {"2001:0DB8:0::0001", "2001:db8::1"},
        {"FE80::0001%eth-none", "fe80::1%eth-none"},
        {"fe80::1%1", "fe80::1%lo"},
        {"LocalHost", "localhost"},
        {"localhost.", "localhost"},
        {"NAS_2.Example", "nas_2.example"},
        {"1a.2b", "1a.2b"},
        {"0xg", "0xg"},
        {"h\u00e4user.example", "h\u00e4user.example"},
        {"::", "::"},
    };
    char out[P2P_HOST_MAX + 1], again[P2P_HOST_MAX + 1];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *text = cases[i].text;
        assert_int_equal(p2p_host_canonical(text, strlen(text), out), P2P_OK);
        assert_string_equal(out, cases[i].host);
        assert_int_equal(p2p_host_canonical(out, strlen(out), again), P2P_OK);
        assert_string_equal(again, out);
    }
}

static void
shorthands_are_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        ".",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0X7F.1",
        "0x",
        "0177.0.0.1",
        "127.0.0.01",
        "1.2.3.4.5",
        "256.0.0.1",
        "a.1",
        "a.0x1f",
        "1.2.3.4..",
        "::1%1",
        "::ffff:1.2.3.4%1",
        "fe80::1%",
        "fe80::1%a%b",
        "fe80::1%aaaaaaaaaaaaaaaaaaaa",
        "host%eth0",
        "a:b",
        ":::",
        "::ffff:1.2.3",
        "::ffff:01.2.3.4",
        "a b",
        "a/b",
        "a@b",
        "\xff",
    };
    char out[P2P_HOST_MAX + 1];

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (p2p_host_canonical(wrong[i], strlen(wrong[i]), out) != P2P_ERR_USAGE)
            fail_msg("accepted: %s as %s", wrong[i], out);
        assert_string_equal(out, "");
    }
    assert_int_equal(p2p_host_canonical("a\0b", 3, out), P2P_ERR_USAGE);
}

static void
a_host_and_a_port_make_an_address(void **state)
{
    struct p2p_addr a, b;
    char text[P2P_ADDR_TEXT];

    (void)state;
    assert_int_equal(p2p_addr_make("::ffff:10.0.0.1", 9000, &a), P2P_OK);
    assert_int_equal(p2p_addr_parse("10.0.0.1:9000", 0, &b), P2P_OK);
    assert_true(p2p_addr_equal(&a, &b));
    assert_string_equal(p2p_addr_format(&a, text, sizeof(text)), "10.0.0.1:9000");
    b.port++;
    assert_false(p2p_addr_equal(&a, &b));
    assert_int_equal(p2p_addr_make("10.0.0.1", 0, &a), P2P_ERR_USAGE);
    assert_int_equal(p2p_addr_make("10.1", 9000, &a), P2P_ERR_USAGE);
}

/* Random bytes: no crash, and an accepted address has the same canonical form when it
 * is read again. */
static void
random_bytes_are_checked_safely(void **state)
{
    static const char alphabet[] = "0123456789abcdefxX.:%-[]LoZ\xc3\xa4";
    uint32_t seed = 1;
    char out[P2P_HOST_MAX + 1], again[P2P_HOST_MAX + 1];

    (void)state;
    for (int round = 0; round < 200000; round++) {
        size_t len = (size_t)round % 24;
        char *text = malloc(len + !len);
        for (size_t i = 0; i < len; i++) {
            seed = seed * 1664525 + 1013904223;
            text[i] = alphabet[(seed >> 16) % (sizeof(alphabet) - 1)];
        }
        if (p2p_host_canonical(text, len, out) == P2P_OK) {
            assert_int_equal(p2p_host_canonical(out, strlen(out), again), P2P_OK);
            assert_string_equal(out, again);
        }
        free(text);
    }
}

static struct p2p_addr
parsed(const char *text)
{
    struct p2p_addr addr;

    assert_int_equal(p2p_addr_parse(text, 0, &addr), P2P_OK);
    return addr;
}

static void
lists_are_read_as_they_were_written(void **state)
{
    const struct p2p_addr a = parsed("10.0.0.1:1"), b = parsed("[2001:db8::1]:2"),
                          c = parsed("home.example:3"), d = parsed("10.0.0.1:11");
    struct p2p_addr out[4];
    char list[64] = "";

    (void)state;
    assert_int_equal(p2p_addr_list_read(list, out, 4), 0);
    assert_true(p2p_addr_list_add(list, sizeof(list), &d));
    assert_true(p2p_addr_list_add(list, sizeof(list), &a));
    assert_true(p2p_addr_list_add(list, sizeof(list), &b));
    assert_true(p2p_addr_list_add(list, sizeof(list), &a)); /* it is there */
    assert_string_equal(list, "10.0.0.1:11 10.0.0.1:1 [2001:db8::1]:2");
    assert_true(p2p_addr_list_add(list, sizeof(list), &c));
    assert_int_equal(p2p_addr_list_read(list, out, 4), 4);
    assert_true(p2p_addr_equal(&out[1], &a) && p2p_addr_equal(&out[3], &c));
    assert_int_equal(p2p_addr_list_read(list, out, 2), 2);
}

static void
a_full_list_stays_as_it_is(void **state)
{
    const struct p2p_addr a = parsed("10.0.0.1:1"), b = parsed("10.0.0.2:2");
    char list[sizeof("10.0.0.1:1 10.0.0.2:2")] = "";

    (void)state;
    assert_false(p2p_addr_list_add(list, 10, &a));
    assert_string_equal(list, "");
    assert_true(p2p_addr_list_add(list, 11, &a));
    assert_false(p2p_addr_list_add(list, sizeof(list) - 1, &b));
    assert_string_equal(list, "10.0.0.1:1");
    assert_true(p2p_addr_list_add(list, sizeof(list), &b));
}

static void
what_is_no_address_is_left_out(void **state)
{
    struct p2p_addr out[8];
    char longer[P2P_ADDR_TEXT + 20];

    (void)state;
    assert_int_equal(p2p_addr_list_read("x 10.0.0.1 10.0.0.1:0  10.0.0.2:5 ", out, 8),
                     1);
    assert_string_equal(out[0].host, "10.0.0.2");
    memset(longer, 'a', sizeof(longer));
    strcpy(longer + sizeof(longer) - 12, " 10.0.0.1:7");
    assert_int_equal(p2p_addr_list_read(longer, out, 8), 1);
    assert_int_equal(out[0].port, 7);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_read_as_they_were_written),
        cmocka_unit_test(a_full_list_stays_as_it_is),
        cmocka_unit_test(what_is_no_address_is_left_out),
        cmocka_unit_test(spellings_become_one),
        cmocka_unit_test(shorthands_are_refused),
        cmocka_unit_test(a_host_and_a_port_make_an_address),
        cmocka_unit_test(random_bytes_are_checked_safely),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
