// uses tests/unit/vectors.c
/*
 * After a handshake, none of its secrets is left in the process: not on the heap,
 * freed or not, not on the stack, not inside OpenSSL. A separate process runs a known
 * handshake, and all writable memory is searched for the values of tests/vectors. The
 * test keeps them only in hex or masked, so that it does not find itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/crypto.h>

#include "p2p/bytes.h"
#include "p2p/handshake.h"
#include "residue.h"
#include "vectors.h"

static bool
secret_is_left(const char *hex)
{
    for (int i = 0; i < 4; i++) {
        struct piece p = piece_of(hex, i % 2 == 0 ? 0 : 16, i >= 2);

        if (memory_holds(&p))
            return true;
    }
    return false;
}

/* ---- A known handshake, leaving no traces of its own ---- */

static void
fill(const cJSON *from, const char *field, uint8_t out[32])
{
    const char *hex = vectors_text(from, field);

    for (size_t i = 0; i < 32; i++)
        out[i] = hex_byte(hex, i);
}

static struct p2p_handshake *
start(enum p2p_role role, const struct p2p_rsa *own, const cJSON *random)
{
    struct p2p_handshake_random rnd = {{0}, {{0}}, {{0}}};
    struct p2p_handshake *hs;

    fill(random, role == P2P_CLIENT ? "random_c" : "random_s", rnd.hello);
    fill(random, "x25519_private", rnd.x25519.b);
    if (role == P2P_SERVER)
        fill(random, "k", rnd.session_key.b);
    assert_int_equal(p2p_handshake_new(role, own, &rnd, &hs), P2P_OK);
    return hs;
}

/* Runs `from` until it has written a message, which `to` then reads. */
static void
pass(struct p2p_handshake *from, struct p2p_handshake *to)
{
    static const struct p2p_nonce nonce = {{1}};
    uint8_t m[P2P_M4_SIZE];
    size_t len;

    while (p2p_handshake_next(from) != P2P_HS_WRITE) {
        enum p2p_err err = p2p_handshake_next(from) == P2P_HS_TRUST
                               ? p2p_handshake_trust(from, P2P_OK)
                               : p2p_handshake_work(from);

        assert_int_equal(err, P2P_OK);
    }
    assert_int_equal(p2p_handshake_write(from, &nonce, m, &len), P2P_OK);
    assert_int_equal(p2p_handshake_read(to, m, len), P2P_OK);
}

struct outcome {
    struct p2p_direction c_send, c_receive, s_send, s_receive;
};

static void
assert_nothing_left(const cJSON *want)
{
    static const char *const of_schedule[] = {"dh", "hs", "ms", "key_hs_c2s",
                                              "key_hs_s2c"};
    const cJSON *schedule = cJSON_GetObjectItem(want, "schedule");
    const cJSON *random_c = cJSON_GetObjectItem(want, "client_randomness");
    const cJSON *random_s = cJSON_GetObjectItem(want, "server_randomness");

    for (size_t i = 0; i < sizeof(of_schedule) / sizeof(of_schedule[0]); i++)
        if (secret_is_left(vectors_text(schedule, of_schedule[i])))
            fail_msg("%s is left in memory", of_schedule[i]);
    if (secret_is_left(vectors_text(random_s, "k")))
        fail_msg("k is left in memory");
    if (secret_is_left(vectors_text(random_c, "x25519_private")))
        fail_msg("the client's ephemeral key is left in memory");
    if (secret_is_left(vectors_text(random_s, "x25519_private")))
        fail_msg("the server's ephemeral key is left in memory");
}

/* `messages` is 5 for a whole handshake; with fewer, it stops there. */
static void
run(const cJSON *want, int messages, struct outcome *out)
{
    const cJSON *random_c = cJSON_GetObjectItem(want, "client_randomness");
    const cJSON *random_s = cJSON_GetObjectItem(want, "server_randomness");
    struct p2p_rsa *client_key = vectors_key(vectors_text(want, "client_key"));
    struct p2p_rsa *server_key = vectors_key(vectors_text(want, "server_key"));
    struct p2p_handshake *c = start(P2P_CLIENT, client_key, random_c);
    struct p2p_handshake *s = start(P2P_SERVER, server_key, random_s);
    uint8_t padding[96];

    fill(random_c, "sig_c_pss_salt", padding);
    fill(random_s, "oaep_seed", padding + 32);
    fill(random_s, "sig_s_pss_salt", padding + 64);
    vectors_random_on(padding, messages < 3 ? 0 : messages == 3 ? 1 : 3);
    for (int i = 0; i < messages; i++)
        pass(i % 2 == 0 ? c : s, i % 2 == 0 ? s : c);
    vectors_random_off();
    if (messages == 5) {
        assert_nothing_left(want); /* while both sides still exist */
        assert_int_equal(
            p2p_handshake_take_session(c, 0, &out->c_send, &out->c_receive), P2P_OK);
        assert_int_equal(
            p2p_handshake_take_session(s, 0, &out->s_send, &out->s_receive), P2P_OK);
    }
    p2p_handshake_free(c);
    p2p_handshake_free(s);
    p2p_rsa_free(client_key);
    p2p_rsa_free(server_key);
}

static void
nothing_is_left_after_a_handshake(void **state)
{
    cJSON *all = vectors_load("handshake.json");
    const cJSON *want = cJSON_GetArrayItem(all, 0);
    const cJSON *schedule = cJSON_GetObjectItem(want, "schedule");
    struct outcome out;

    (void)state;
    run(want, 5, &out);
    /* Secrets in use are found, so the search works. */
    assert_true(secret_is_left(vectors_text(schedule, "s_c2s_1")));
    assert_true(secret_is_left(vectors_text(schedule, "key_s2c_1")));
    assert_nothing_left(want);

    p2p_direction_clear(&out.c_send);
    p2p_direction_clear(&out.c_receive);
    p2p_direction_clear(&out.s_send);
    p2p_direction_clear(&out.s_receive);
    assert_false(secret_is_left(vectors_text(schedule, "s_c2s_1")));
    assert_false(secret_is_left(vectors_text(schedule, "s_s2c_1")));
    cJSON_Delete(all);
}

static void
nothing_is_left_after_one_that_broke_off(void **state)
{
    cJSON *all = vectors_load("handshake.json");
    const cJSON *want = cJSON_GetArrayItem(all, 1);

    (void)state;
    for (int messages = 0; messages < 5; messages++)
        run(want, messages, NULL);
    assert_nothing_left(want);
    cJSON_Delete(all);
}

/* OpenSSL frees the padded block of OAEP, which reveals k, without clearing it. */
static void
what_openssl_frees_is_wiped(void **state)
{
    static const char hex[] =
        "6f1d2c3b4a596877869504132231405f6f1d2c3b4a596877869504132231405f";
    uint8_t *block = OPENSSL_malloc(4096), *moved;

    (void)state;
    for (size_t i = 0; i < 32; i++)
        block[1024 + i] = hex_byte(hex, i);
    assert_true(secret_is_left(hex));
    moved = OPENSSL_realloc(block, 1 << 20);
    assert_non_null(moved);
    p2p_wipe(moved, 4096);
    assert_false(secret_is_left(hex));
    for (size_t i = 0; i < 32; i++)
        moved[1024 + i] = hex_byte(hex, i);
    OPENSSL_free(moved);
    assert_false(secret_is_left(hex));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_left_after_a_handshake),
        cmocka_unit_test(nothing_is_left_after_one_that_broke_off),
        cmocka_unit_test(what_openssl_frees_is_wiped),
    };

    if (p2p_crypto_init() != P2P_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
