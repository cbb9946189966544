// uses tests/unit/vectors.c tests/unit/pair.c tests/unit/forger.c
/*
 * A forged client that can seal any M3 and M5. The server must never accept it, and
 * each check must report its own reason.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "forger.h"
#include "p2p/msg.h"

/* M3 of a client that knows the key of M3 */

enum m3_wrong {
    M3_HONEST,
    M3_TYPE,
    M3_SHORT,
    M3_LONG,
    M3_EXPONENT,
    M3_EVEN,
    M3_SMALL_FACTOR,
    M3_TOP_BIT,
    M3_DER,
    M3_SERVERS_OWN_KEY,
    M3_SOMEBODYS_KEY,
    M3_SIGNATURE_BIT,
    M3_SERVER_LABEL,
    M3_WITHOUT_HELLOS,
};

/* Makes the honest M3 in `f` wrong in one point. */
static void
spoil_m3(struct forger *f, enum m3_wrong wrong)
{
    struct p2p_transcript other = f->said;

    switch (wrong) {
    case M3_HONEST:
        return;
    case M3_TYPE:
        f->plain[0] = 4;
        return;
    case M3_SHORT:
        f->plain_len--;
        return;
    case M3_LONG:
        f->plain_len++;
        return;
    case M3_EXPONENT:
        f->said.spki_c.b[P2P_SPKI_LEN - 1] = 3;
        break;
    case M3_EVEN:
        f->said.spki_c.b[33 + 255] &= 0xfe;
        break;
    case M3_SMALL_FACTOR: /* 2^2047 + 1 is a multiple of 3 */
        memset(f->said.spki_c.b + 33, 0, 256);
        f->said.spki_c.b[33] = 0x80;
        f->said.spki_c.b[33 + 255] = 1;
        break;
    case M3_TOP_BIT:
        f->said.spki_c.b[33] &= 0x7f;
        break;
    case M3_DER:
        f->said.spki_c.b[1] ^= 1;
        break;
    case M3_SERVERS_OWN_KEY:
        f->said.spki_c = *p2p_rsa_spki(server_key);
        break;
    case M3_SOMEBODYS_KEY: /* claims the id of another client, but signs with its own
                              key */
        f->said.spki_c = *p2p_rsa_spki(stranger_key);
        assert_int_equal(p2p_transcript_sign_c(&f->said, f->own), P2P_OK);
        break;
    case M3_SIGNATURE_BIT:
        f->said.sig_c.b[17] ^= 4;
        break;
    case M3_SERVER_LABEL: /* a signature that the same key made as a server */
        assert_int_equal(p2p_transcript_sign_s(&other, f->own), P2P_OK);
        f->said.sig_c = other.sig_s;
        break;
    case M3_WITHOUT_HELLOS: /* a signature from another handshake */
        other.m2[20] ^= 1;
        assert_int_equal(p2p_transcript_sign_c(&other, f->own), P2P_OK);
        f->said.sig_c = other.sig_c;
        break;
    }
    forger_lay_out(f, 3);
}

static void
every_part_of_m3(void **state)
{
    static const struct {
        enum m3_wrong wrong;
        enum p2p_err err;
        const char *reason;
    } cases[] = {
        {M3_TYPE, P2P_ERR_MALFORMED, "wrong frame type"},
        {M3_SHORT, P2P_ERR_MALFORMED, "wrong frame length"},
        {M3_LONG, P2P_ERR_MALFORMED, "wrong frame length"},
        {M3_EXPONENT, P2P_ERR_AUTH, "invalid RSA-2048 key"},
        {M3_EVEN, P2P_ERR_AUTH, "invalid RSA-2048 key"},
        {M3_SMALL_FACTOR, P2P_ERR_AUTH, "invalid RSA-2048 key"},
        {M3_TOP_BIT, P2P_ERR_AUTH, "invalid RSA-2048 key"},
        {M3_DER, P2P_ERR_AUTH, "invalid RSA-2048 key"},
        {M3_SERVERS_OWN_KEY, P2P_ERR_AUTH, "the other side uses our own key"},
        {M3_SOMEBODYS_KEY, P2P_ERR_AUTH, "invalid client signature"},
        {M3_SIGNATURE_BIT, P2P_ERR_AUTH, "invalid client signature"},
        {M3_SERVER_LABEL, P2P_ERR_AUTH, "invalid client signature"},
        {M3_WITHOUT_HELLOS, P2P_ERR_AUTH, "invalid client signature"},
    };
    struct side server = real_server();
    struct forger f;

    (void)state;
    forger_meet_server(&f, client_key,
                       &server); /* the forger can also make a correct M3 */
    forger_m3(&f);
    forger_send(&f, &server);
    assert_int_equal(server.err, P2P_OK);
    side_end(&server);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        server = real_server();
        forger_meet_server(&f, client_key, &server);
        forger_m3(&f);
        spoil_m3(&f, cases[i].wrong);
        forger_send(&f, &server);
        assert_failed(&server, cases[i].err, cases[i].reason);
    }
}

static void
m3_of_another_handshake(void **state)
{
    struct side client = real_client(), server = real_server(), again;
    struct wire m[5], m2;

    (void)state;
    pair_run(&client, &server, m);
    again = side_new(P2P_SERVER, server_key, 50); /* other randomness, as always */
    side_read(&again, &m[0]);
    side_write(&again, &m2);
    side_read(&again, &m[2]);
    assert_failed(&again, P2P_ERR_AUTH, "the frame cannot be decrypted");
    side_end(&client);
    side_end(&server);
}

static void
a_blocked_client_gets_nothing(void **state)
{
    struct side server = real_server(), client = real_client();
    struct wire m;

    (void)state;
    for (int i = 0; i < 3; i++) {
        side_write(i % 2 == 0 ? &client : &server, &m);
        side_read(i % 2 == 0 ? &server : &client, &m);
    }
    assert_int_equal(p2p_handshake_next(server.hs), P2P_HS_TRUST);
    side_work(&server, P2P_ERR_NOT_ALLOWED);
    assert_failed(&server, P2P_ERR_NOT_ALLOWED, "the peer is not trusted");
    side_end(&client);
}

/* ---- M5 ---- */

/* The forged client does everything else correctly, and sends this instead of M5. */
static void
send_as_m5(struct side *server, uint8_t type, uint64_t seq, uint8_t sender,
           bool other_way)
{
    static const struct p2p_nonce nonce = {{8}};
    struct wire m = {.len = P2P_M5_SIZE};
    struct p2p_direction d;
    struct forger f;

    *server = real_server();
    forger_meet_server(&f, client_key, server);
    forger_m3(&f);
    forger_send(&f, server);
    forger_finish(&f, server);
    assert_int_equal(
        p2p_direction_init(&d, sender, other_way ? &f.first.s2c : &f.first.c2s, 0),
        P2P_OK);
    d.seq = seq;
    m.bytes[P2P_FRAME_PREFIX] = type;
    assert_int_equal(p2p_direction_seal(&d, m.bytes, 1, &nonce), P2P_OK);
    side_read(server, &m);
}

static void
only_ready_is_m5(void **state)
{
    struct side server;

    (void)state;
    send_as_m5(&server, P2P_MSG_READY, 1, 'C', false);
    assert_int_equal(server.err, P2P_OK);
    assert_int_equal(p2p_handshake_next(server.hs), P2P_HS_DONE);
    side_end(&server);
    send_as_m5(&server, P2P_MSG_READY, 0, 'C', false);
    assert_failed(&server, P2P_ERR_AUTH, "M5 cannot be decrypted");
    send_as_m5(&server, P2P_MSG_READY, 2, 'C', false);
    assert_failed(&server, P2P_ERR_AUTH, "M5 cannot be decrypted");
    send_as_m5(&server, P2P_MSG_READY, 1, 'S', false);
    assert_failed(&server, P2P_ERR_AUTH, "M5 cannot be decrypted");
    send_as_m5(&server, P2P_MSG_READY, 1, 'C', true);
    assert_failed(&server, P2P_ERR_AUTH, "M5 cannot be decrypted");
    send_as_m5(&server, P2P_MSG_REKEY, 1, 'C', false);
    assert_failed(&server, P2P_ERR_MALFORMED, "M5 is not READY");
    send_as_m5(&server, P2P_MSG_CLOSE, 1, 'C', false);
    assert_failed(&server, P2P_ERR_MALFORMED, "M5 is not READY");
    send_as_m5(&server, P2P_MSG_CANCEL, 1, 'C', false);
    assert_failed(&server, P2P_ERR_MALFORMED, "M5 is not READY");
}

static void
m5_missing_or_doubled(void **state)
{
    struct side client = real_client(), server = real_server();
    struct p2p_direction send, receive;
    struct session_pair s;
    struct wire m[5];
    uint8_t *plain;
    size_t len;

    (void)state;
    pair_run(&client, &server, m);
    pair_take(&client, &server, 0, &s);
    assert_int_equal(
        p2p_direction_open(&s.server_receive, m[4].bytes, m[4].len, 0, &plain, &len),
        P2P_ERR_AUTH);
    side_end(&client);
    side_end(&server);

    client = real_client();
    server = real_server();
    for (int i = 0; i < 4; i++) {
        side_write(i % 2 == 0 ? &client : &server, &m[i]);
        side_read(i % 2 == 0 ? &server : &client, &m[i]);
    }
    assert_int_equal(p2p_handshake_take_session(server.hs, 0, &send, &receive),
                     P2P_ERR_PROTOCOL);
    server.err = P2P_ERR_PROTOCOL;
    assert_failed(&server, P2P_ERR_PROTOCOL, "handshake step in the wrong order");
    side_end(&client);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_part_of_m3),
        cmocka_unit_test(m3_of_another_handshake),
        cmocka_unit_test(a_blocked_client_gets_nothing),
        cmocka_unit_test(only_ready_is_m5),
        cmocka_unit_test(m5_missing_or_doubled),
    };

    return forger_init() ? cmocka_run_group_tests(tests, NULL, forger_exit) : 1;
}
