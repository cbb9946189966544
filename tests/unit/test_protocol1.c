// uses tests/unit/vectors.c tests/unit/mutate.c
/* Protocol 1: HELLO and SESSION, frames and their nonces, messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mutate.h"
#include "p2p/bytes.h"
#include "p2p/limits.h"
#include "p2p/msg.h"
#include "p2p/session.h"
#include "vectors.h"

static void
known_hello_and_session(void **state)
{
    cJSON *v = vectors_load("protocol1.json");
    struct p2p_rsa *client = vectors_key(vectors_text(v, "client_key"));
    uint8_t hello[P2P_HELLO1_SIZE], session[P2P_SESSION1_SIZE], seed[32];
    struct p2p_secret key, got;
    struct p2p_spki spki;
    struct p2p_id id;
    size_t used;

    (void)state;
    assert_int_equal(p2p_hello1_put(p2p_rsa_spki(client), hello), P2P_OK);
    vectors_assert_equal(v, "hello", hello, sizeof(hello));
    assert_int_equal(p2p_hello1_parse(hello, sizeof(hello), &spki, &id, &used), P2P_OK);
    assert_int_equal(used, sizeof(hello));
    assert_memory_equal(&spki, p2p_rsa_spki(client), sizeof(spki));

    vectors_fill(v, "session_key", key.b, sizeof(key.b));
    vectors_fill(v, "oaep_seed", seed, sizeof(seed));
    vectors_random_on(seed, 1);
    assert_int_equal(p2p_session1_offer(&spki, &key, session), P2P_OK);
    vectors_random_off();
    vectors_assert_equal(v, "session", session, sizeof(session));
    assert_int_equal(p2p_session1_accept(client, session, &got), P2P_OK);
    assert_memory_equal(&got, &key, sizeof(key));
    session[0] = 'X';
    assert_int_equal(p2p_session1_accept(client, session, &got), P2P_ERR_MALFORMED);
    session[0] = 'S';
    session[100] ^= 1;
    assert_int_equal(p2p_session1_accept(client, session, &got), P2P_ERR_AUTH);
    p2p_rsa_free(client);
    cJSON_Delete(v);
}

static bool
hello_taken(void *arg, uint8_t *data, size_t len)
{
    struct p2p_spki spki;
    struct p2p_id id;
    size_t used;
    enum p2p_err err = p2p_hello1_parse(data, len, &spki, &id, &used);

    if (len < P2P_HELLO1_SIZE)
        assert_int_equal(err, P2P_ERR_MORE);
    assert_int_equal(used, err == P2P_OK ? P2P_HELLO1_SIZE : 0);
    *(size_t *)arg += err == P2P_ERR_MORE;
    return err == P2P_OK;
}

static void
every_mutated_hello_is_refused(void **state)
{
    struct p2p_rsa *client = vectors_key("client");
    uint8_t hello[P2P_HELLO1_SIZE];
    struct mutation_counts taken;
    size_t waiting = 0;

    (void)state;
    assert_int_equal(p2p_hello1_put(p2p_rsa_spki(client), hello), P2P_OK);
    taken = mutate_all(hello, sizeof(hello), hello_taken, &waiting);
    assert_int_equal(taken.prefixes, 0);
    assert_int_equal(
        waiting,
        sizeof(hello)); /* the prefixes; no flip makes the parser wait for more */
    /* Hex digits a to f may be capitals. */
    assert_true(taken.flips > 0 && taken.flips < P2P_ID_HEX_LEN);
    p2p_rsa_free(client);
}

static enum p2p_err
parse_text(const char *text)
{
    struct p2p_spki spki;
    struct p2p_id id;
    size_t used;

    return p2p_hello1_parse((const uint8_t *)text, strlen(text), &spki, &id, &used);
}

static void
hopeless_hellos_do_not_wait(void **state)
{
    char flood[P2P_HELLO1_SIZE + 1] = "HELLO|";

    (void)state;
    assert_int_equal(parse_text("HELLO|ab|-----END PUBLIC KEY-----\n"),
                     P2P_ERR_MALFORMED);
    assert_int_equal(parse_text("GET / HTTP/1.1"), P2P_ERR_MALFORMED);
    assert_int_equal(parse_text("HELLO2"), P2P_ERR_MALFORMED);
    memset(flood + 6, 'a', sizeof(flood) - 7);
    assert_int_equal(parse_text(flood), P2P_ERR_MALFORMED);
}

static void
somebody_elses_id_is_refused(void **state)
{
    struct p2p_rsa *client = vectors_key("client"), *server = vectors_key("server");
    uint8_t hello[P2P_HELLO1_SIZE], other[P2P_HELLO1_SIZE];
    struct p2p_spki spki;
    struct p2p_id id;
    size_t used;

    (void)state;
    assert_int_equal(p2p_hello1_put(p2p_rsa_spki(client), hello), P2P_OK);
    assert_int_equal(p2p_hello1_put(p2p_rsa_spki(server), other), P2P_OK);
    memcpy(hello + 6, other + 6, P2P_ID_HEX_LEN);
    assert_int_equal(p2p_hello1_parse(hello, sizeof(hello), &spki, &id, &used),
                     P2P_ERR_AUTH);
    p2p_rsa_free(client);
    p2p_rsa_free(server);
}

static void
known_frames(void **state)
{
    cJSON *v = vectors_load("protocol1.json");
    struct p2p_secret key;
    struct p2p_session1 *here, *there;

    (void)state;
    vectors_fill(v, "session_key", key.b, sizeof(key.b));
    assert_int_equal(p2p_session1_new(&key, &here), P2P_OK);
    assert_int_equal(p2p_session1_new(&key, &there), P2P_OK);
    for (cJSON *f = cJSON_GetObjectItem(v, "frames")->child; f != NULL; f = f->next) {
        struct p2p_nonce nonce;
        size_t len, opened_len;
        uint8_t *plain = vectors_bytes(f, "plaintext", &len), *opened;
        uint8_t *frame = malloc(P2P_FRAME_SIZE(len));

        vectors_fill(f, "nonce", nonce.b, sizeof(nonce.b));
        memcpy(frame + P2P_FRAME_PREFIX, plain, len);
        assert_int_equal(p2p_session1_seal(here, frame, len, &nonce), P2P_OK);
        vectors_assert_equal(f, "frame", frame, P2P_FRAME_SIZE(len));
        assert_int_equal(
            p2p_session1_open(there, frame, P2P_FRAME_SIZE(len), &opened, &opened_len),
            P2P_OK);
        assert_int_equal(opened_len, len);
        assert_memory_equal(opened, plain, len);
        free(frame);
        free(plain);
    }
    p2p_session1_free(here);
    p2p_session1_free(there);
    cJSON_Delete(v);
}

static void
a_nonce_counts_once(void **state)
{
    static const struct p2p_secret key = {{5}};
    struct p2p_session1 *s, *other;
    uint8_t frame[P2P_FRAME_SIZE(4)], again[sizeof(frame)], *plain;
    struct p2p_nonce nonce = {{0}}; /* a nonce of zeros is valid */
    size_t len;

    (void)state;
    assert_int_equal(p2p_session1_new(&key, &s), P2P_OK);
    assert_int_equal(p2p_session1_new(&key, &other), P2P_OK);
    for (uint32_t i = 0; i < 1000; i++) {
        p2p_store_u32(nonce.b, i);
        memcpy(frame + P2P_FRAME_PREFIX, "DONE", 4);
        assert_int_equal(p2p_session1_seal(s, frame, 4, &nonce), P2P_OK);
        memcpy(again, frame, sizeof(frame));
        /* reflected to its sender */
        assert_int_equal(p2p_session1_open(s, again, sizeof(again), &plain, &len),
                         P2P_ERR_AUTH);
        assert_int_equal(p2p_session1_open(other, again, sizeof(again), &plain, &len),
                         P2P_OK);
        assert_int_equal(p2p_session1_open(other, frame, sizeof(frame), &plain, &len),
                         P2P_ERR_AUTH);
        assert_int_equal(len, 0);
        assert_int_equal(p2p_session1_seal(s, frame, 4, &nonce), P2P_ERR_AUTH);
    }
    p2p_store_u32(nonce.b, 17); /* one of the first nonces, after the table has grown */
    assert_int_equal(p2p_session1_seal(other, frame, 4, &nonce), P2P_ERR_AUTH);
    p2p_session1_free(s);
    p2p_session1_free(other);
}

static void
what_does_not_open_is_not_remembered(void **state)
{
    static const struct p2p_secret key = {{5}};
    struct p2p_session1 *s, *other;
    uint8_t frame[P2P_FRAME_SIZE(4)], bad[sizeof(frame)], *plain;
    struct p2p_nonce nonce = {{1}};
    size_t len;

    (void)state;
    assert_int_equal(p2p_session1_new(&key, &s), P2P_OK);
    assert_int_equal(p2p_session1_new(&key, &other), P2P_OK);
    memcpy(frame + P2P_FRAME_PREFIX, "DONE", 4);
    assert_int_equal(p2p_session1_seal(s, frame, 4, &nonce), P2P_OK);
    memcpy(bad, frame, sizeof(frame));
    bad[sizeof(bad) - 1] ^= 1;
    assert_int_equal(p2p_session1_open(other, bad, sizeof(bad), &plain, &len),
                     P2P_ERR_AUTH);
    for (size_t n = 0; n < sizeof(frame); n++) {
        memcpy(bad, frame, n);
        assert_int_equal(p2p_session1_open(other, bad, n, &plain, &len),
                         P2P_ERR_MALFORMED);
    }
    assert_int_equal(p2p_session1_open(other, frame, sizeof(frame), &plain, &len),
                     P2P_OK);
    p2p_session1_free(s);
    p2p_session1_free(other);
}

/* ---- Messages ---- */

static void
assert_name(struct p2p_text name, const char *want)
{
    assert_int_equal(name.len, strlen(want));
    assert_memory_equal(name.at, want, name.len);
}

static void
known_messages(void **state)
{
    cJSON *v = vectors_load("protocol1.json");
    int requests = 0, answers = 0;

    (void)state;
    for (cJSON *f = cJSON_GetObjectItem(v, "frames")->child; f != NULL; f = f->next) {
        size_t len, put_len;
        uint8_t *plain = vectors_bytes(f, "plaintext", &len), out[512];
        struct p2p_msg1 m;
        struct p2p_wr wr;
        bool is_answer = p2p_msg1_parse_answer(plain, len, &m) == P2P_OK;

        if (!is_answer)
            assert_int_equal(p2p_msg1_parse_request(plain, len, &m), P2P_OK);
        answers += is_answer;
        requests += !is_answer;
        p2p_wr_init(&wr, out, sizeof(out));
        p2p_msg1_put(&wr, &m);
        assert_int_equal(p2p_wr_end(&wr, &put_len), P2P_OK);
        assert_int_equal(put_len, len);
        assert_memory_equal(out, plain, len);
        free(plain);
    }
    assert_int_equal(requests, 3);
    assert_int_equal(answers, 3);
    cJSON_Delete(v);
}

static void
names_may_contain_bars(void **state)
{
    static const char hash[] =
        "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    char text[200];
    struct p2p_msg1 m;

    (void)state;
    assert_int_equal(p2p_msg1_parse_request("GET|a|b|c|12", 12, &m), P2P_OK);
    assert_name(m.name, "a|b|c");
    assert_int_equal(m.index, 12);
    assert_int_equal(p2p_msg1_parse_request("META|a|b", 8, &m), P2P_OK);
    assert_name(m.name, "a|b");
    snprintf(text, sizeof(text), "META|1|2|3|4|5|%s", hash);
    assert_int_equal(p2p_msg1_parse_answer(text, strlen(text), &m), P2P_OK);
    assert_name(m.name, "1|2");
    assert_int_equal(m.size, 3);
    assert_int_equal(m.chunk_size, 4);
    assert_int_equal(m.chunks, 5);
    assert_int_equal(p2p_msg1_parse_answer("CHUNK|3|a|b", 11, &m), P2P_OK);
    assert_int_equal(m.index, 3);
    assert_int_equal(m.len, 3);
    assert_memory_equal(m.bytes, "a|b", 3);
    assert_int_equal(p2p_msg1_parse_answer("CHUNK|3|", 8, &m), P2P_OK);
    assert_int_equal(m.len, 0);
    assert_int_equal(p2p_msg1_parse_answer("ERROR|", 6, &m), P2P_OK);
}

static void
malformed_requests(void **state)
{
    static const char *const malformed[] = {"META|",
                                            "GET|",
                                            "GET|a",
                                            "GET||0",
                                            "GET|a|",
                                            "GET|a|-1",
                                            "GET|a|+1",
                                            "GET|0",
                                            "GET|a|1 ",
                                            "GET|a|01",
                                            "GET|a|0x1",
                                            "GET|a|1e3",
                                            "DONE ",
                                            "DONE|",
                                            "GET|a|18446744073709551616",
                                            "GET|a|99999999999999999999999999999"};
    static const char *const unknown[] = {"",        "x",        "DON",     "META",
                                          "get|a|1", "CHUNK|0|", "ERROR|x", "HELLO|"};
    struct p2p_msg1 m;

    (void)state;
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
        assert_int_equal(p2p_msg1_parse_request(malformed[i], strlen(malformed[i]), &m),
                         P2P_ERR_MALFORMED);
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
        assert_int_equal(p2p_msg1_parse_request(unknown[i], strlen(unknown[i]), &m),
                         P2P_ERR_PROTOCOL);
    assert_int_equal(p2p_msg1_parse_request(NULL, 0, &m), P2P_ERR_PROTOCOL);
}

static void
malformed_answers(void **state)
{
    static const char *const malformed[] = {
        "META|",
        "META|a",
        "META|a|1|1|1|",
        "META|a|1|1|1|00",
        "CHUNK|",
        "CHUNK|1",
        "CHUNK||x",
        "CHUNK|-1|x",
        "CHUNK|1x|x",
        "META|1|1|1|00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
        "META||1|1|1|00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
        "META|a|x|1|1|00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
        "META|a|1|1|1|00112233445566778899aabbccddeeff00112233445566778899aabbccddeefg",
        /* more than any file has; more than any chunk */
        "META|a|1125899906842625|1|1|"
        "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
        "META|a|1|16777217|1|"
        "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
    };
    struct p2p_msg1 m;

    (void)state;
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
        assert_int_equal(p2p_msg1_parse_answer(malformed[i], strlen(malformed[i]), &m),
                         P2P_ERR_MALFORMED);
    assert_int_equal(p2p_msg1_parse_answer("GET|a|1", 7, &m), P2P_ERR_PROTOCOL);
    assert_int_equal(p2p_msg1_parse_answer(NULL, 0, &m), P2P_ERR_PROTOCOL);
}

static bool
message_taken(void *arg, uint8_t *data, size_t len)
{
    struct p2p_msg1 m;
    bool request = p2p_msg1_parse_request(data, len, &m) == P2P_OK;

    (void)arg;
    return p2p_msg1_parse_answer(data, len, &m) == P2P_OK || request;
}

static void
mutated_messages_do_no_harm(void **state)
{
    cJSON *v = vectors_load("protocol1.json");

    (void)state;
    for (cJSON *f = cJSON_GetObjectItem(v, "frames")->child; f != NULL; f = f->next) {
        size_t len;
        uint8_t *plain = vectors_bytes(f, "plaintext", &len);

        mutate_all(plain, len, message_taken, NULL);
        free(plain);
    }
    cJSON_Delete(v);
}

/* Exactly 2^18 frames; the side that asks is told a little earlier. */
static void
nonces_are_bounded(void **state)
{
    const struct p2p_secret key = {{1}};
    struct p2p_session1 *s = NULL;
    struct p2p_nonce nonce = {{0}};
    uint8_t frame[P2P_FRAME_SIZE(1)];

    (void)state;
    assert_false(p2p_session1_is_worn(NULL, 1));
    assert_int_equal(p2p_session1_memory(NULL), 0);
    assert_int_equal(p2p_session1_new(&key, &s), P2P_OK);
    assert_in_range(p2p_session1_memory(s), 1, 4096);
    for (uint32_t i = 0; i < P2P_FRAME1_NONCES_MAX; i++) {
        assert_int_equal(p2p_session1_is_worn(s, 100),
                         i + 100 >= P2P_FRAME1_NONCES_MAX);
        p2p_store_u32(nonce.b, i);
        frame[P2P_FRAME_PREFIX] = 'x';
        assert_int_equal(p2p_session1_seal(s, frame, 1, &nonce), P2P_OK);
    }
    p2p_store_u32(nonce.b, P2P_FRAME1_NONCES_MAX);
    assert_int_equal(p2p_session1_seal(s, frame, 1, &nonce), P2P_ERR_PROTOCOL);
    assert_in_range(p2p_session1_memory(s), 1 << 20, 8 << 20);
    p2p_session1_free(s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_hello_and_session),
        cmocka_unit_test(every_mutated_hello_is_refused),
        cmocka_unit_test(hopeless_hellos_do_not_wait),
        cmocka_unit_test(somebody_elses_id_is_refused),
        cmocka_unit_test(known_frames),
        cmocka_unit_test(a_nonce_counts_once),
        cmocka_unit_test(what_does_not_open_is_not_remembered),
        cmocka_unit_test(known_messages),
        cmocka_unit_test(names_may_contain_bars),
        cmocka_unit_test(malformed_requests),
        cmocka_unit_test(malformed_answers),
        cmocka_unit_test(mutated_messages_do_no_harm),
        cmocka_unit_test(nonces_are_bounded),
    };

    if (p2p_crypto_init() != P2P_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
