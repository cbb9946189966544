// uses tests/unit/vectors.c tests/unit/pair.c tests/unit/forger.c
/* M1 and M2 of an attacker: offers and points; and messages in places where they do not
 * belong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "forger.h"
#include "p2p/bytes.h"
#include "vectors.h"

/* ---- Hellos ---- */

static const struct offer {
    uint8_t four[4];
    const char *reason; /* NULL: taken */
} m1_offers[] =
    {
        {{2, 2, 1, 0}, NULL},
        {{3, 2, 1, 0}, NULL},
        {{255, 0, 255, 0}, NULL},
        {{2, 1, 3, 0}, NULL},
        {{1, 1, 1, 0}, "no protocol version in common"},
        {{3, 3, 1, 0}, "no protocol version in common"},
        {{1, 3, 1, 0}, "no protocol version in common"},
        {{0, 0, 1, 0}, "no protocol version in common"},
        {{2, 2, 0, 0}, "no cipher suite in common"},
        {{2, 2, 0xfe, 0}, "no cipher suite in common"},
        {{2, 2, 1, 1}, "M1 has unknown flags"},
        {{2, 2, 1, 0x80}, "M1 has unknown flags"},
},
  m2_answers[] = {
      {{2, 1, 1, 0}, NULL},
      {{2, 1, 3, 0}, NULL},
      {{1, 1, 1, 0}, "M2 chooses something that was not offered"},
      {{3, 1, 1, 0}, "M2 chooses something that was not offered"},
      {{2, 0, 1, 0}, "M2 chooses something that was not offered"},
      {{2, 2, 3, 0}, "M2 chooses something that was not offered"},
      {{2, 1, 2, 0}, "M2 chooses something that was not offered"},
      {{2, 1, 1, 1}, "M2 has unknown flags"},
      {{2, 1, 1, 0x80}, "M2 has unknown flags"},
};

static void
send_hello(struct side *to, const uint8_t hello[75])
{
    struct wire m = {.len = 75};

    memcpy(m.bytes, hello, m.len);
    side_read(to, &m);
}

static void
versions_suites_and_flags_of_m1(void **state)
{
    struct forger f;

    (void)state;
    for (size_t i = 0; i < sizeof(m1_offers) / sizeof(m1_offers[0]); i++) {
        struct side server = real_server();

        p2p_transcript_init(&f.said);
        forger_hello(&f, P2P_CLIENT, client_key);
        memcpy(f.said.m1 + 7, m1_offers[i].four, 4);
        send_hello(&server, f.said.m1);
        if (m1_offers[i].reason != NULL) {
            assert_failed(&server, P2P_ERR_MALFORMED, m1_offers[i].reason);
        } else {
            assert_int_equal(server.err, P2P_OK);
            side_end(&server);
        }
    }
}

static void
versions_suites_and_flags_of_m2(void **state)
{
    struct forger f;

    (void)state;
    for (size_t i = 0; i < sizeof(m2_answers) / sizeof(m2_answers[0]); i++) {
        struct side client = real_client();
        struct wire m1;

        side_write(&client, &m1);
        p2p_transcript_init(&f.said);
        forger_hello(&f, P2P_SERVER, server_key);
        memcpy(f.said.m2 + 7, m2_answers[i].four, 4);
        send_hello(&client, f.said.m2);
        if (m2_answers[i].reason != NULL) {
            assert_failed(&client, P2P_ERR_MALFORMED, m2_answers[i].reason);
        } else {
            assert_int_equal(client.err, P2P_OK);
            side_end(&client);
        }
    }
}

static void
magic(void **state)
{
    struct forger f;
    struct wire m1;

    (void)state;
    for (int i = 0; i < 7; i++) {
        struct side server = real_server(), client = real_client();

        p2p_transcript_init(&f.said);
        forger_hello(&f, P2P_CLIENT, client_key);
        forger_hello(&f, P2P_SERVER, server_key);
        f.said.m1[i] ^= 0x20;
        f.said.m2[i] ^= 0x20;
        send_hello(&server, f.said.m1);
        assert_failed(&server, P2P_ERR_MALFORMED,
                      "M1 does not start with the magic bytes");
        side_write(&client, &m1);
        send_hello(&client, f.said.m2);
        assert_failed(&client, P2P_ERR_MALFORMED,
                      "M2 does not start with the magic bytes");
    }
}

static void
points_of_low_order(void **state)
{
    cJSON *whole = vectors_load("primitives.json");
    cJSON *points = cJSON_GetObjectItem(whole, "low_order_points");
    struct wire m1;
    struct forger f;

    (void)state;
    for (cJSON *p = points->child; p != NULL; p = p->next) {
        struct side server = real_server(), client = real_client();

        p2p_transcript_init(&f.said);
        forger_hello(&f, P2P_CLIENT, client_key);
        forger_hello(&f, P2P_SERVER, server_key);
        assert_int_equal(p2p_hex_parse(p->valuestring, f.said.m1 + 43, 32), P2P_OK);
        memcpy(f.said.m2 + 43, f.said.m1 + 43, 32);
        send_hello(&server, f.said.m1);
        assert_failed(&server, P2P_ERR_AUTH, "public point of low order");
        side_write(&client, &m1);
        send_hello(&client, f.said.m2);
        assert_failed(&client, P2P_ERR_AUTH, "public point of low order");
    }
    cJSON_Delete(whole);
}

static void
hello_reflected_to_the_client(void **state)
{
    struct side client = real_client();
    struct wire m;

    (void)state;
    side_write(&client, &m);
    m.bytes[8] = 1; /* otherwise it is not even accepted as an answer */
    side_read(&client, &m);
    assert_failed(&client, P2P_ERR_AUTH, "M2 repeats our own key share");
}

/* ---- Messages in the wrong place ---- */

static void
messages_swapped(void **state)
{
    struct side client = real_client(), server = real_server();
    struct wire m[5];

    (void)state;
    pair_run(&client, &server, m);
    side_end(&client);
    side_end(&server);
    for (int first = 0; first < 5;
         first++) { /* each message as the first to each role */
        client = real_client();
        server = real_server();
        side_read(&client, &m[first]); /* this side has to write */
        assert_int_equal(client.err, P2P_ERR_PROTOCOL);
        if (first != 0 &&
            first != 1) { /* M1; with these four bytes it could be an M2 */
            side_read(&server, &m[first]);
            assert_int_not_equal(server.err, P2P_OK);
        }
        side_end(&client);
        side_end(&server);
    }
}

static void
messages_truncated_or_longer(void **state)
{
    struct side client = real_client(), server = real_server();
    struct wire m[5];

    (void)state;
    pair_run(&client, &server, m);
    side_end(&client);
    side_end(&server);
    for (size_t len = 0; len <= P2P_M1_SIZE + 1; len++) {
        struct wire cut = m[0];

        if (len == P2P_M1_SIZE)
            continue;
        cut.len = len;
        server = real_server();
        side_read(&server, &cut);
        assert_int_equal(server.err, P2P_ERR_PROTOCOL);
        side_end(&server);
    }
}

static void
steps_out_of_turn(void **state)
{
    struct side server = real_server(), client = real_client();
    struct wire m;
    struct p2p_nonce nonce = {{0}};

    (void)state;
    assert_int_equal(p2p_handshake_write(server.hs, &nonce, m.bytes, &m.len),
                     P2P_ERR_PROTOCOL);
    side_end(&server);
    server = real_server();
    assert_int_equal(p2p_handshake_work(server.hs), P2P_ERR_PROTOCOL);
    side_end(&server);
    server = real_server();
    assert_int_equal(p2p_handshake_trust(server.hs, P2P_OK), P2P_ERR_PROTOCOL);
    side_end(&server);
    assert_int_equal(p2p_handshake_want(client.hs), 0);
    side_end(&client);
    p2p_handshake_free(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_suites_and_flags_of_m1),
        cmocka_unit_test(versions_suites_and_flags_of_m2),
        cmocka_unit_test(magic),
        cmocka_unit_test(points_of_low_order),
        cmocka_unit_test(hello_reflected_to_the_client),
        cmocka_unit_test(messages_swapped),
        cmocka_unit_test(messages_truncated_or_longer),
        cmocka_unit_test(steps_out_of_turn),
    };

    return forger_init() ? cmocka_run_group_tests(tests, NULL, forger_exit) : 1;
}
