// uses tests/unit/vectors.c tests/unit/pair.c
/*
 * Single-bit flips of M1 to M5: handshakes with an attacker in the middle. With
 * P2P_LONG_TESTS=1 these are all 12,840.
 * The side that got the flipped message must never finish nor carry a byte of data. A
 * flip of M1 or M2, after which both sides continue, must end the handshake with M3 at
 * the latest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "long_tests.h"
#include "pair.h"
#include "vectors.h"

/* Every bit of the first and the last bytes of a message (length, nonce, tag), and a
 * sample of those between. */
enum { EDGE_BITS = 8 * 16, STEP = 37 };

static struct p2p_rsa *client_key, *server_key;
static struct wire
    recorded[5]; /* messages of an undisturbed run: all randomness is fixed */

static void
new_sides(struct side *client, struct side *server)
{
    *client = side_new(P2P_CLIENT, client_key, 1);
    *server = side_new(P2P_SERVER, server_key, 100);
}

static void
flip(struct wire *m, size_t bit)
{
    m->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
}

/* Both sides continue after a changed hello, up to M3, which must not open. */
static void
flip_hello(int which, size_t bit)
{
    struct side client, server;
    struct wire m;

    new_sides(&client, &server);
    for (int i = 0; i < 3 && client.err == P2P_OK && server.err == P2P_OK; i++) {
        struct side *from = i % 2 == 0 ? &client : &server;
        struct side *to = i % 2 == 0 ? &server : &client;

        side_write(from, &m);
        if (i == which)
            flip(&m, bit);
        side_read(to, &m);
    }
    if (client.err == P2P_OK && server.err == P2P_OK)
        fail_msg("M%d with bit %zu flipped was taken", which + 1, bit);
    side_end(&client);
    side_end(&server);
}

/* One side in the state after the recorded messages before `which`. */
static struct side
side_before(int which)
{
    struct side sides[2], *receiver = &sides[which % 2 == 0 ? 1 : 0];

    new_sides(&sides[0], &sides[1]);
    side_end(receiver == &sides[0] ? &sides[1] : &sides[0]);
    for (int i = 0; i < which; i++) {
        struct wire own;

        if (i % 2 == which % 2) {
            side_read(receiver, &recorded[i]);
        } else {
            side_write(receiver, &own);
            assert_memory_equal(own.bytes, recorded[i].bytes, own.len);
        }
        assert_int_equal(receiver->err, P2P_OK);
    }
    return *receiver;
}

static void
flip_frame(int which, size_t bit)
{
    struct side receiver = side_before(which);
    struct wire m = recorded[which];

    flip(&m, bit);
    side_read(&receiver, &m);
    if (receiver.err == P2P_OK || p2p_handshake_next(receiver.hs) != P2P_HS_FAILED)
        fail_msg("M%d with bit %zu flipped was taken", which + 1, bit);
    side_end(&receiver);
}

static void
flip_all(int which)
{
    const size_t bits = 8 * recorded[which].len;
    const unsigned step = long_tests_step(STEP);

    for (size_t bit = 0; bit < bits; bit++) {
        if (bit >= EDGE_BITS && bit < bits - EDGE_BITS && bit % step != 0)
            continue;
        if (which < 2)
            flip_hello(which, bit);
        else
            flip_frame(which, bit);
    }
}

static void
unflipped_messages_are_taken(void **state)
{
    (void)state;
    for (int which = 0; which < 5; which++) {
        struct side receiver = side_before(which);

        side_read(&receiver, &recorded[which]);
        side_work(&receiver, P2P_OK);
        assert_int_equal(receiver.err, P2P_OK);
        side_end(&receiver);
    }
}

static void
flipped_m1(void **state)
{
    (void)state;
    flip_all(0);
}

static void
flipped_m2(void **state)
{
    (void)state;
    flip_all(1);
}

static void
flipped_m3(void **state)
{
    (void)state;
    flip_all(2);
}

static void
flipped_m4(void **state)
{
    (void)state;
    flip_all(3);
}

static void
flipped_m5(void **state)
{
    (void)state;
    flip_all(4);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unflipped_messages_are_taken),
        cmocka_unit_test(flipped_m1),
        cmocka_unit_test(flipped_m2),
        cmocka_unit_test(flipped_m3),
        cmocka_unit_test(flipped_m4),
        cmocka_unit_test(flipped_m5),
    };
    struct side client, server;
    int failed;

    if (p2p_crypto_init() != P2P_OK)
        return 1;
    client_key = vectors_key("client");
    server_key = vectors_key("server");
    vectors_random_on(NULL, 0); /* the same PSS salts and OAEP seed every time */
    new_sides(&client, &server);
    pair_run(&client, &server, recorded);
    side_end(&client);
    side_end(&server);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    vectors_random_off();
    p2p_rsa_free(client_key);
    p2p_rsa_free(server_key);
    return failed;
}
