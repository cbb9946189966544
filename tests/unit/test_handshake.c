// uses tests/unit/vectors.c tests/unit/pair.c
/* Successful handshakes: the known answers of tests/vectors, byte for byte, and the
 * steps of both roles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/wire/schedule.h"
#include "core/wire/transcript.h"
#include "p2p/bytes.h"
#include "p2p/msg.h"
#include "pair.h"
#include "vectors.h"

/* One handshake of the file, with both sides ready to start. */
struct known {
    const cJSON *want, *client_random, *server_random;
    struct p2p_rsa *client_key, *server_key;
    struct side client, server;
};

static struct side
known_side(enum p2p_role role, const struct p2p_rsa *own, const cJSON *random)
{
    struct p2p_handshake_random rnd = {{0}, {{0}}, {{0}}};
    struct side side = {.err = P2P_OK};

    vectors_fill(random, role == P2P_CLIENT ? "random_c" : "random_s", rnd.hello, 32);
    vectors_fill(random, "x25519_private", rnd.x25519.b, 32);
    if (role == P2P_SERVER)
        vectors_fill(random, "k", rnd.session_key.b, 32);
    assert_int_equal(p2p_handshake_new(role, own, &rnd, &side.hs), P2P_OK);
    return side;
}

static void
known_begin(struct known *k, const cJSON *want)
{
    k->want = want;
    k->client_random = cJSON_GetObjectItem(want, "client_randomness");
    k->server_random = cJSON_GetObjectItem(want, "server_randomness");
    k->client_key = vectors_key(vectors_text(want, "client_key"));
    k->server_key = vectors_key(vectors_text(want, "server_key"));
    k->client = known_side(P2P_CLIENT, k->client_key, k->client_random);
    k->server = known_side(P2P_SERVER, k->server_key, k->server_random);
}

static void
known_end(struct known *k)
{
    side_end(&k->client);
    side_end(&k->server);
    p2p_rsa_free(k->client_key);
    p2p_rsa_free(k->server_key);
}

/* One message from one side to the other, compared with the known answer. */
static void
known_message(struct known *k, struct side *from, struct side *to, const char *name,
              const char *nonce_field)
{
    struct p2p_nonce nonce = {{0}};
    struct wire m;

    if (nonce_field != NULL)
        vectors_fill(from == &k->client ? k->client_random : k->server_random,
                     nonce_field, nonce.b, sizeof(nonce.b));
    side_work(from, P2P_OK);
    assert_int_equal(from->err, P2P_OK);
    assert_int_equal(p2p_handshake_write(from->hs, &nonce, m.bytes, &m.len), P2P_OK);
    vectors_assert_equal(k->want, name, m.bytes, m.len);
    side_read(to, &m);
    assert_int_equal(to->err, P2P_OK);
}

/* Seals a record of the file on one side and opens it on the other. */
static void
known_record(const cJSON *r, struct p2p_direction *send, struct p2p_direction *receive)
{
    struct p2p_nonce nonce;
    size_t len, size, opened_len;
    uint8_t *plain = vectors_bytes(r, "plaintext", &len), *opened;
    uint8_t *frame = malloc(P2P_FRAME_SIZE(len));

    vectors_assert_equal(r, "key", send->key.b, sizeof(send->key.b));
    assert_int_equal(send->epoch, vectors_number(r, "epoch"));
    assert_int_equal(send->seq, vectors_number(r, "seq"));
    vectors_fill(r, "nonce", nonce.b, sizeof(nonce.b));
    memcpy(frame + P2P_FRAME_PREFIX, plain, len);
    if (plain[0] == P2P_MSG_REKEY)
        assert_int_equal(p2p_direction_rekey(send, frame, &nonce, 0), P2P_OK);
    else
        assert_int_equal(p2p_direction_seal(send, frame, len, &nonce), P2P_OK);
    vectors_assert_equal(r, "frame", frame, P2P_FRAME_SIZE(len));

    assert_int_equal(p2p_direction_peek(frame, P2P_FRAME_SIZE(len), &size), P2P_OK);
    assert_int_equal(p2p_direction_open(receive, frame, size, 0, &opened, &opened_len),
                     P2P_OK);
    assert_int_equal(opened_len, plain[0] == P2P_MSG_REKEY ? 0 : len);
    if (opened_len > 0)
        assert_memory_equal(opened, plain, len);
    free(frame);
    free(plain);
}

static void
known_records(const cJSON *want, struct session_pair *s)
{
    const cJSON *schedule = cJSON_GetObjectItem(want, "schedule");

    vectors_assert_equal(schedule, "s_c2s_1", s->client_send.secret.b, 32);
    vectors_assert_equal(schedule, "s_s2c_1", s->server_send.secret.b, 32);
    for (cJSON *r = cJSON_GetObjectItem(want, "records")->child; r != NULL;
         r = r->next) {
        if (vectors_text(r, "from")[0] == 'C')
            known_record(r, &s->client_send, &s->server_receive);
        else
            known_record(r, &s->server_send, &s->client_receive);
    }
}

static void
whole_handshakes_byte_for_byte(void **state)
{
    cJSON *all = vectors_load("handshake.json");

    (void)state;
    for (cJSON *want = all->child; want != NULL; want = want->next) {
        struct known k;
        struct session_pair s;
        uint8_t client_salt[32], server_padding[64];

        known_begin(&k, want);
        vectors_fill(k.client_random, "sig_c_pss_salt", client_salt, 32);
        vectors_fill(k.server_random, "oaep_seed", server_padding, 32);
        vectors_fill(k.server_random, "sig_s_pss_salt", server_padding + 32, 32);

        known_message(&k, &k.client, &k.server, "m1", NULL);
        known_message(&k, &k.server, &k.client, "m2", NULL);
        vectors_random_on(client_salt, 1);
        known_message(&k, &k.client, &k.server, "m3", "m3_nonce");
        vectors_random_off();
        vectors_assert_equal(want, "client_id", p2p_handshake_peer(k.server.hs)->b, 32);
        vectors_random_on(server_padding, 2);
        known_message(&k, &k.server, &k.client, "m4", "m4_nonce");
        vectors_random_off();
        vectors_assert_equal(want, "server_id", p2p_handshake_peer(k.client.hs)->b, 32);
        known_message(&k, &k.client, &k.server, "m5", "m5_nonce");

        pair_take(&k.client, &k.server, 0, &s);
        known_records(want, &s);
        known_end(&k);
    }
    cJSON_Delete(all);
}

/* The transcript after the handshake of the file. */
static void
known_transcript(const cJSON *want, struct p2p_transcript *t)
{
    const cJSON *schedule = cJSON_GetObjectItem(want, "schedule");
    uint8_t plain[807];

    p2p_transcript_init(t);
    vectors_fill(want, "m1", t->m1, sizeof(t->m1));
    vectors_fill(want, "m2", t->m2, sizeof(t->m2));
    vectors_fill(want, "m3_plaintext", plain, 551);
    memcpy(t->spki_c.b, plain + 1, 294);
    memcpy(t->sig_c.b, plain + 295, 256);
    vectors_fill(want, "m4_plaintext", plain, 807);
    memcpy(t->spki_s.b, plain + 1, 294);
    vectors_fill(schedule, "oaep", t->oaep, sizeof(t->oaep));
    vectors_fill(schedule, "sig_s", t->sig_s.b, sizeof(t->sig_s.b));
}

static void
every_step_of_the_key_schedule(void **state)
{
    cJSON *all = vectors_load("handshake.json");

    (void)state;
    for (cJSON *want = all->child; want != NULL; want = want->next) {
        const cJSON *schedule = cJSON_GetObjectItem(want, "schedule");
        struct p2p_transcript t;
        struct p2p_digest hash;
        struct p2p_secret dh, k, s, key;
        struct p2p_secret_pair pair;

        known_transcript(want, &t);
        vectors_fill(schedule, "dh", dh.b, 32);
        vectors_fill(cJSON_GetObjectItem(want, "server_randomness"), "k", k.b, 32);

        assert_int_equal(p2p_transcript_hash(&t, P2P_TO_M2, &hash), P2P_OK);
        vectors_assert_equal(schedule, "th2", hash.b, 32);
        assert_int_equal(p2p_hkdf_extract(&hash, dh.b, 32, &s), P2P_OK);
        vectors_assert_equal(schedule, "hs", s.b, 32);
        assert_int_equal(p2p_schedule_handshake(&hash, &dh, &pair), P2P_OK);
        vectors_assert_equal(schedule, "key_hs_c2s", pair.c2s.b, 32);
        vectors_assert_equal(schedule, "key_hs_s2c", pair.s2c.b, 32);

        assert_int_equal(p2p_transcript_hash(&t, P2P_TO_SIG_S, &hash), P2P_OK);
        vectors_assert_equal(schedule, "thf", hash.b, 32);
        assert_int_equal(p2p_schedule_application(&hash, &dh, &k, &pair), P2P_OK);
        vectors_assert_equal(schedule, "s_c2s_1", pair.c2s.b, 32);
        vectors_assert_equal(schedule, "s_s2c_1", pair.s2c.b, 32);
        assert_int_equal(p2p_schedule_key(&pair.c2s, &key), P2P_OK);
        vectors_assert_equal(schedule, "key_c2s_1", key.b, 32);
        assert_int_equal(p2p_schedule_next(&pair.c2s, &s), P2P_OK);
        vectors_assert_equal(schedule, "s_c2s_2", s.b, 32);
        assert_int_equal(p2p_schedule_key(&s, &key), P2P_OK);
        vectors_assert_equal(schedule, "key_c2s_2", key.b, 32);

        assert_int_equal(p2p_transcript_verify_c(&t), P2P_OK);
        assert_int_equal(p2p_transcript_verify_s(&t), P2P_OK);
    }
    cJSON_Delete(all);
}

static void
both_sides_name_each_other(void **state)
{
    struct p2p_rsa *c = vectors_key("client"), *s = vectors_key("server");
    struct side client = side_new(P2P_CLIENT, c, 1),
                server = side_new(P2P_SERVER, s, 9);
    struct wire m[5];
    struct p2p_id id;

    (void)state;
    pair_run(&client, &server, m);
    assert_int_equal(p2p_spki_id(p2p_rsa_spki(s), &id), P2P_OK);
    assert_true(p2p_id_equal(&id, p2p_handshake_peer(client.hs)));
    assert_memory_equal(p2p_handshake_peer_spki(client.hs), p2p_rsa_spki(s),
                        P2P_SPKI_LEN);
    assert_int_equal(p2p_spki_id(p2p_rsa_spki(c), &id), P2P_OK);
    assert_true(p2p_id_equal(&id, p2p_handshake_peer(server.hs)));
    assert_memory_equal(p2p_handshake_peer_spki(server.hs), p2p_rsa_spki(c),
                        P2P_SPKI_LEN);
    assert_string_equal(p2p_handshake_reason(client.hs), "");
    side_end(&client);
    side_end(&server);
    p2p_rsa_free(c);
    p2p_rsa_free(s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_handshakes_byte_for_byte),
        cmocka_unit_test(every_step_of_the_key_schedule),
        cmocka_unit_test(both_sides_name_each_other),
    };

    if (p2p_crypto_init() != P2P_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
