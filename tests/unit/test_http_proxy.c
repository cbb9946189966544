/* Addresses, networks and forwarding headers: src/http/address, forwarded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "http/http.h"
#include "http/source/forwarded.h"

static struct http_networks
networks(const char *list)
{
    const char *const lists[] = {list, NULL};
    struct http_networks n;
    char why[256];

    assert_int_equal(http_networks_parse(lists, &n, why, sizeof(why)), P2P_OK);
    return n;
}

static struct http_address
address(const char *text)
{
    struct http_address a;

    assert_true(http_address_parse(text, strlen(text), &a));
    return a;
}

static void
takes_addresses_and_networks(void **state)
{
    static const struct {
        const char *list, *address;
        bool contains;
    } cases[] = {
        {"10.0.0.7", "10.0.0.7", true},
        {"10.0.0.7", "10.0.0.8", false},
        {"10.0.0.7", "::ffff:10.0.0.7", true},
        {"::ffff:10.0.0.7", "10.0.0.7", true},
        {"172.18.0.0/16", "172.18.255.1", true},
        {"172.18.3.4/16", "172.18.255.1", true},
        {"172.18.0.0/16", "172.19.0.1", false},
        {"128.0.0.0/1", "200.1.1.1", true},
        {"128.0.0.0/1", "100.1.1.1", false},
        {"::ffff:10.0.0.0/104", "10.9.9.9", true},
        {"fd00::/8", "fd12::1", true},
        {"fd00::/8", "fe80::1", false},
        {"2001:DB8::1", "2001:db8:0:0::1", true},
        {"10.0.0.1,  10.0.0.2/31", "10.0.0.3", true},
        {"fd00::/8", "10.0.0.1", false},
        {"10.0.0.1,", "10.0.0.1", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_networks n = networks(cases[i].list);
        struct http_address a = address(cases[i].address);

        assert_int_equal(http_networks_contain(&n, &a), cases[i].contains);
    }
}

static void
refuses_what_never_matches(void **state)
{
    static const char *const wrong[] = {"",
                                        "localhost",
                                        "foo",
                                        "[::1]",
                                        "10.0.0.1:80",
                                        "10.0.0",
                                        "10.0.0.1/",
                                        "10.0.0.1/33",
                                        "10.0.0.1/x",
                                        "10.0.0.1/-1",
                                        "10.0.0.1/0",
                                        "0.0.0.0/0",
                                        "::/0",
                                        "fd00::/129",
                                        "fe80::1%eth0",
                                        "0.0.0.0",
                                        "::",
                                        "224.0.0.1",
                                        "ff02::1",
                                        "255.255.255.255",
                                        "a, b",

                                        ",10.0.0.1",
                                        "10.0.0.1;b",
                                        "10.0.0.1 10.0.0.2",
                                        "*",
                                        "::ffff:0.0.0.0",
                                        "::ffff:0:0/96",
                                        "010.0.0.0.1",
                                        "0x7f.1",
                                        "10.0.0.1/8/8"};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        const char *const list[] = {"10.0.0.9", wrong[i], NULL};
        char why[256] = "";

        assert_int_equal(http_proxies_check(list, why, sizeof(why)), P2P_ERR_USAGE);
        assert_int_equal(why[0], '"');
    }
}

static void
counts_a_customer_once(void **state)
{
    struct http_address a = address("2001:db8::1"), b = address("2001:db8::ffff:2"),
                        c = address("2001:db8:0:1::1"), d = address("::ffff:10.0.0.1"),
                        e = address("10.0.0.1"), f = address("10.0.0.2");
    struct http_address x, y;

    (void)state;
    x = http_address_source(&a), y = http_address_source(&b);
    assert_memory_equal(&x, &y, sizeof(x));
    y = http_address_source(&c);
    assert_memory_not_equal(&x, &y, sizeof(x));
    x = http_address_source(&d), y = http_address_source(&e);
    assert_memory_equal(&x, &y, sizeof(x));
    y = http_address_source(&f);
    assert_memory_not_equal(&x, &y, sizeof(x));
}

/* "" if the client cannot be known; a `|` ends a line. */
static const char *
client_of(enum http_forwarded_kind kind, const char *header)
{
    static char text[HTTP_ADDRESS_TEXT];
    struct http_networks trusted = networks("10.0.0.1,fd00::/8,127.0.0.1");
    const char *lines[8];
    struct http_address a;
    char copy[1024];
    size_t n = 0;

    snprintf(copy, sizeof(copy), "%s", header);
    for (char *at = copy; at != NULL && n < 8; n++) {
        char *end = strchr(at, '|');

        lines[n] = at;
        if (end != NULL)
            *end++ = '\0';
        at = end;
    }
    text[0] = '\0';
    if (http_forwarded_client(kind, lines, n, &trusted, &a))
        http_address_format(&a, text);
    return text;
}

static void
reads_x_forwarded_for_from_the_right(void **state)
{
    static const char *const cases[][2] = {
        {"192.0.2.9", "192.0.2.9"},
        {"1.1.1.1, 192.0.2.9", "192.0.2.9"},
        {"1.1.1.1|192.0.2.9", "192.0.2.9"}, /* HAProxy appends a line */
        {"1.1.1.1, 2.2.2.2|192.0.2.9|10.0.0.1", "192.0.2.9"},
        {"192.0.2.9|10.0.0.1, fd00::1", "192.0.2.9"},
        {"192.0.2.9:4711", "192.0.2.9"},
        {"[2001:db8::1]:80", "2001:db8::1"},
        {"2001:DB8:0::1", "2001:db8::1"},
        {"::ffff:192.0.2.9", "192.0.2.9"},
        {"10.0.0.1", "10.0.0.1"},
        {"127.0.0.1, 192.0.2.9", "192.0.2.9"},
        {"192.0.2.9, unknown", ""},
        {"192.0.2.9,", ""},
        {"192.0.2.9, ,10.0.0.1", ""},
        {"", ""},
        {"192.0.2.9|", ""},
        {"192.0.2.9 evil", ""},
        {"[192.0.2.9", ""},
        {"192.0.2.256", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(client_of(HTTP_X_FORWARDED_FOR, cases[i][0]), cases[i][1]);
}

static void
reads_forwarded_from_the_right(void **state)
{
    static const char *const cases[][2] = {
        {"for=192.0.2.9", "192.0.2.9"},
        {"For=\"192.0.2.9:4711\"", "192.0.2.9"},
        {"for=\"[2001:db8::1]:80\";proto=https", "2001:db8::1"},
        {"proto=http; by=10.0.0.1;for=192.0.2.9 ;host=x", "192.0.2.9"},
        {"for=1.1.1.1, for=192.0.2.9", "192.0.2.9"},
        {"for=1.1.1.1|for=192.0.2.9", "192.0.2.9"},
        {"for=192.0.2.9, for=10.0.0.1", "192.0.2.9"},
        {"host=\"for=1.1.1.1\";for=192.0.2.9", "192.0.2.9"},
        {"for=192.0.2.9;host=\"x, for=1.1.1.1\"", "192.0.2.9"},
        {"for=192.0.2.9;host=\"x\\\", for=1.1.1.1\"", "192.0.2.9"},
        /* An open quotation mark does not hide what follows it. */
        {"for=1.1.1.1;x=\", for=192.0.2.9", ""},
        {"for=1.1.1.1;x=\", for=192.0.2.9;host=\"a\"", ""},
        {"for=1.1.1.1;x=\", for=\"[2001:db8::1]\"", ""},
        {"for=1.1.1.1;x=\"|for=192.0.2.9", "192.0.2.9"},
        {"for=unknown", ""},
        {"for=_hidden", ""},
        {"for=", ""},
        {"by=10.0.0.1", ""},
        {"192.0.2.9", ""},
        {"for=192.0.2.9,", ""},
        {"", ""},
        {"for=192.0.2.9 1", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(client_of(HTTP_FORWARDED, cases[i][0]), cases[i][1]);
}

static void
believes_no_line_without_end(void **state)
{
    char line[1024] = "1.1.1.1";

    (void)state;
    for (int i = 0; i < 70; i++)
        strcat(line, ",10.0.0.1");
    assert_string_equal(client_of(HTTP_X_FORWARDED_FOR, line), "");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_addresses_and_networks),
        cmocka_unit_test(refuses_what_never_matches),
        cmocka_unit_test(counts_a_customer_once),
        cmocka_unit_test(reads_x_forwarded_for_from_the_right),
        cmocka_unit_test(reads_forwarded_from_the_right),
        cmocka_unit_test(believes_no_line_without_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
