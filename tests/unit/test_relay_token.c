// uses tests/unit/mutate.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "mutate.h"
#include "p2p/bytes.h"
#include "p2p/relay.h"

static const char secret[] = "correct horse battery staple\n";

static const struct p2p_relay_token example = {
    .expires_s = 1800000000,
    .session = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}},
    .from = {{0xaa, 0xab}},
    .to = {{0xbb, 0xbc}},
    .side = P2P_RELAY_CALLEE,
    .bytes = 1u << 30,
};

static void
base64_of_rfc_4648(void **state)
{
    static const char *const known[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
    };
    char text[32];
    uint8_t back[8];

    (void)state;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        size_t len = strlen(known[i][0]);

        p2p_base64_format(known[i][0], len, text);
        assert_string_equal(text, known[i][1]);
        assert_true(p2p_base64_parse(text, back, len));
        assert_memory_equal(back, known[i][0], len);
        p2p_base64url_format(known[i][0], len, text);
        assert_int_equal(strlen(text), strcspn(known[i][1], "="));
        assert_true(p2p_base64url_parse(text, strlen(text), back, len));
        assert_memory_equal(back, known[i][0], len);
    }
}

static void
base64_has_one_spelling(void **state)
{
    static const char *const wrong[] = {
        "Zg=",   "Zg",    "Zg===",  "Zh==", "Z===",    "Zg=A",
        "Zg ==", " Zg==", "Zg==\n", "=Zg=", "Z\xc3==", "Zg--",
    };
    uint8_t out[3];

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(p2p_base64_parse(wrong[i], out, 1));
    assert_false(p2p_base64_parse(NULL, out, 1));
    assert_true(p2p_base64_parse("+/+/", out, 3));
    assert_false(p2p_base64_parse("-_-_", out, 3));
    assert_true(p2p_base64url_parse("-_-_", 4, out, 3));
    assert_false(p2p_base64url_parse("+/+/", 4, out, 3));
    assert_false(p2p_base64url_parse("Zg==", 4, out, 1));
}

static void
make(const char *text, struct p2p_secret *key)
{
    assert_int_equal(p2p_relay_key(text, strlen(text), key), P2P_OK);
}

static void
a_token_comes_back(void **state)
{
    char text[P2P_RELAY_TOKEN_TEXT];
    struct p2p_relay_token back;
    struct p2p_secret key;

    (void)state;
    make(secret, &key);
    assert_int_equal(p2p_relay_token_format(&key, &example, text), P2P_OK);
    assert_int_equal(strlen(text), 151);
    assert_int_equal(p2p_relay_token_parse(&key, text, strlen(text), &back), P2P_OK);
    assert_int_equal(back.expires_s, example.expires_s);
    assert_memory_equal(&back.session, &example.session, sizeof(back.session));
    assert_memory_equal(&back.from, &example.from, sizeof(back.from));
    assert_memory_equal(&back.to, &example.to, sizeof(back.to));
    assert_int_equal(back.side, P2P_RELAY_CALLEE);
    assert_int_equal(back.bytes, example.bytes);
}

/* Computed with Python's hmac and base64 (PROTOCOL.md, "Relay"). */
static void
a_known_answer(void **state)
{
    char text[P2P_RELAY_TOKEN_TEXT];
    struct p2p_secret key;

    (void)state;
    make(secret, &key);
    assert_int_equal(p2p_relay_token_format(&key, &example, text), P2P_OK);
    assert_string_equal(text,
                        "AAAAAGtJ0gABAgMEBQYHCAkKCwwNDg8QqqsAAAAAAAAAAAAAAAAAAAAAAAAA"
                        "AAAAAAAAAAAAAAC7vAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEA"
                        "AAAAQAAAAIoFQMxuSGQ6PRA2W7BYyBA");
}

static void
a_secret_has_a_length(void **state)
{
    struct p2p_secret with_newline, without, other;

    (void)state;
    make("0123456789abcdef\r\n", &with_newline);
    make("0123456789abcdef", &without);
    make("0123456789abcdeF", &other);
    assert_memory_equal(&with_newline, &without, sizeof(without));
    assert_memory_not_equal(&other, &without, sizeof(without));
    assert_int_equal(p2p_relay_key("0123456789abcde", 15, &other), P2P_ERR_USAGE);
    assert_int_equal(p2p_relay_key("0123456789abcde \n", 17, &other), P2P_ERR_USAGE);
    assert_int_equal(p2p_relay_key("", 0, &other), P2P_ERR_USAGE);
}

static void
another_relay_refuses_it(void **state)
{
    char text[P2P_RELAY_TOKEN_TEXT];
    struct p2p_relay_token back;
    struct p2p_secret key, other;

    (void)state;
    make(secret, &key);
    make("another secret of another relay", &other);
    assert_int_equal(p2p_relay_token_format(&key, &example, text), P2P_OK);
    assert_int_equal(p2p_relay_token_parse(&other, text, strlen(text), &back),
                     P2P_ERR_AUTH);
}

static bool
is_taken(void *key, uint8_t *data, size_t len)
{
    struct p2p_relay_token token;

    return p2p_relay_token_parse(key, (const char *)data, len, &token) == P2P_OK;
}

static void
nothing_else_is_taken(void **state)
{
    char text[P2P_RELAY_TOKEN_TEXT];
    struct mutation_counts counts;
    struct p2p_secret key;

    (void)state;
    make(secret, &key);
    assert_int_equal(p2p_relay_token_format(&key, &example, text), P2P_OK);
    counts = mutate_all(text, strlen(text), is_taken, &key);
    assert_int_equal(counts.prefixes, 0);
    assert_int_equal(counts.flips, 0);
}

/* Genuine, and still not a token: a side that does not exist. */
static void
a_third_side(void **state)
{
    struct p2p_relay_token odd = example, back;
    char text[P2P_RELAY_TOKEN_TEXT];
    struct p2p_secret key;

    (void)state;
    odd.side = 2;
    make(secret, &key);
    assert_int_equal(p2p_relay_token_format(&key, &odd, text), P2P_OK);
    assert_int_equal(p2p_relay_token_parse(&key, text, strlen(text), &back),
                     P2P_ERR_MALFORMED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_of_rfc_4648),
        cmocka_unit_test(base64_has_one_spelling),
        cmocka_unit_test(a_token_comes_back),
        cmocka_unit_test(a_known_answer),
        cmocka_unit_test(a_secret_has_a_length),
        cmocka_unit_test(another_relay_refuses_it),
        cmocka_unit_test(nothing_else_is_taken),
        cmocka_unit_test(a_third_side),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
