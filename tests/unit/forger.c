#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "forger.h"
#include "p2p/bytes.h"
#include "vectors.h"

struct p2p_rsa *client_key, *server_key, *stranger_key;

bool
forger_init(void)
{
    if (p2p_crypto_init() != P2P_OK)
        return false;
    client_key = vectors_key("client");
    server_key = vectors_key("server");
    stranger_key = vectors_key("stranger");
    return true;
}

int
forger_exit(void **state)
{
    (void)state;
    p2p_rsa_free(client_key);
    p2p_rsa_free(server_key);
    p2p_rsa_free(stranger_key);
    return 0;
}

struct side
real_server(void)
{
    return side_new(P2P_SERVER, server_key, 100);
}

struct side
real_client(void)
{
    return side_new(P2P_CLIENT, client_key, 1);
}

void
assert_failed(struct side *side, enum p2p_err err, const char *reason)
{
    struct p2p_direction a, b;
    struct p2p_nonce nonce = {{0}};
    struct wire m;

    assert_int_equal(p2p_handshake_next(side->hs), P2P_HS_FAILED);
    assert_string_equal(p2p_handshake_reason(side->hs), reason);
    assert_int_equal(side->err, err);
    assert_int_equal(p2p_handshake_write(side->hs, &nonce, m.bytes, &m.len),
                     P2P_ERR_PROTOCOL);
    assert_int_equal(m.len, 0);
    assert_int_equal(p2p_handshake_take_session(side->hs, 0, &a, &b), P2P_ERR_PROTOCOL);
    assert_string_equal(p2p_handshake_reason(side->hs),
                        reason); /* the first one stays */
    side_end(side);
}

void
forger_hello(struct forger *f, enum p2p_role role, const struct p2p_rsa *own)
{
    static const uint8_t four_c[] = {2, 2, 1, 0}, four_s[] = {2, 1, 1, 0};
    struct p2p_x25519_public share;
    uint8_t *hello = role == P2P_CLIENT ? f->said.m1 : f->said.m2;

    f->own = own;
    memset(f->x25519.b, 0x55, sizeof(f->x25519.b));
    memset(f->k.b, 0x66, sizeof(f->k.b));
    assert_int_equal(p2p_x25519_public(&f->x25519, &share), P2P_OK);
    memcpy(hello, "HELLO2|", 7);
    memcpy(hello + 7, role == P2P_CLIENT ? four_c : four_s, 4);
    memset(hello + 11, 0x77, 32);
    memcpy(hello + 43, share.b, 32);
}

void
forger_agree(struct forger *f, enum p2p_role role)
{
    struct p2p_x25519_public theirs;
    struct p2p_digest th2;

    memcpy(theirs.b, (role == P2P_CLIENT ? f->said.m2 : f->said.m1) + 43, 32);
    assert_int_equal(p2p_x25519(&f->x25519, &theirs, &f->dh), P2P_OK);
    assert_int_equal(p2p_transcript_hash(&f->said, P2P_TO_M2, &th2), P2P_OK);
    assert_int_equal(p2p_schedule_handshake(&th2, &f->dh, &f->keys), P2P_OK);
}

void
forger_meet_server(struct forger *f, const struct p2p_rsa *own, struct side *server)
{
    struct wire m = {.len = P2P_M1_SIZE};

    p2p_transcript_init(&f->said);
    forger_hello(f, P2P_CLIENT, own);
    memcpy(m.bytes, f->said.m1, m.len);
    side_read(server, &m);
    side_write(server, &m);
    assert_int_equal(server->err, P2P_OK);
    memcpy(f->said.m2, m.bytes, sizeof(f->said.m2));
    forger_agree(f, P2P_CLIENT);
}

/* The client's honest M3, opened. */
static void
take_m3(struct forger *f, struct wire *m)
{
    uint8_t aad[13] = {'C'}, *plain;
    size_t len;

    assert_int_equal(
        p2p_frame_open(m->bytes, m->len, &f->keys.c2s, aad, sizeof(aad), &plain, &len),
        P2P_OK);
    assert_int_equal(len, 551);
    memcpy(f->said.spki_c.b, plain + 1, 294);
    memcpy(f->said.sig_c.b, plain + 295, 256);
}

void
forger_meet_client(struct forger *f, const struct p2p_rsa *own, struct side *client)
{
    struct wire m;

    p2p_transcript_init(&f->said);
    side_write(client, &m);
    memcpy(f->said.m1, m.bytes, sizeof(f->said.m1));
    forger_hello(f, P2P_SERVER, own);
    forger_agree(f, P2P_SERVER);
    m.len = P2P_M2_SIZE;
    memcpy(m.bytes, f->said.m2, m.len);
    side_read(client, &m);
    side_write(client, &m);
    assert_int_equal(client->err, P2P_OK);
    take_m3(f, &m);
}

void
forger_lay_out(struct forger *f, uint8_t type)
{
    struct p2p_wr wr;

    p2p_wr_init(&wr, f->plain, sizeof(f->plain));
    p2p_wr_put_u8(&wr, type);
    if (type == 4) {
        p2p_wr_put_bytes(&wr, f->said.spki_s.b, sizeof(f->said.spki_s.b));
        p2p_wr_put_bytes(&wr, f->said.oaep, sizeof(f->said.oaep));
        p2p_wr_put_bytes(&wr, f->said.sig_s.b, sizeof(f->said.sig_s.b));
    } else {
        p2p_wr_put_bytes(&wr, f->said.spki_c.b, sizeof(f->said.spki_c.b));
        p2p_wr_put_bytes(&wr, f->said.sig_c.b, sizeof(f->said.sig_c.b));
    }
    assert_int_equal(p2p_wr_end(&wr, &f->plain_len), P2P_OK);
}

void
forger_m3(struct forger *f)
{
    f->said.spki_c = *p2p_rsa_spki(f->own);
    assert_int_equal(p2p_transcript_sign_c(&f->said, f->own), P2P_OK);
    forger_lay_out(f, 3);
}

void
forger_m4(struct forger *f)
{
    f->said.spki_s = *p2p_rsa_spki(f->own);
    assert_int_equal(p2p_transcript_seal_k(&f->said, &f->k), P2P_OK);
    assert_int_equal(p2p_transcript_sign_s(&f->said, f->own), P2P_OK);
    forger_lay_out(f, 4);
}

void
forger_send(struct forger *f, struct side *to)
{
    static const struct p2p_nonce nonce = {{9}};
    bool to_server = p2p_handshake_want(to->hs) == P2P_M3_SIZE;
    uint8_t frame[P2P_FRAME_SIZE(FORGED_MAX)], aad[13] = {to_server ? 'C' : 'S'};
    struct wire m = {.len = p2p_handshake_want(to->hs)};

    memcpy(frame + P2P_FRAME_PREFIX, f->plain, f->plain_len);
    assert_int_equal(p2p_frame_seal(frame, f->plain_len,
                                    to_server ? &f->keys.c2s : &f->keys.s2c, &nonce,
                                    aad, sizeof(aad)),
                     P2P_OK);
    memcpy(m.bytes, frame,
           m.len); /* as many bytes as a reader takes, whatever was sent */
    side_read(to, &m);
    side_work(to, P2P_OK);
}

void
forger_finish(struct forger *f, struct side *server)
{
    uint8_t aad[13] = {'S'}, *plain;
    struct p2p_digest thf;
    struct wire m;
    size_t len;

    side_write(server, &m);
    assert_int_equal(server->err, P2P_OK);
    assert_int_equal(
        p2p_frame_open(m.bytes, m.len, &f->keys.s2c, aad, sizeof(aad), &plain, &len),
        P2P_OK);
    memcpy(f->said.spki_s.b, plain + 1, 294);
    memcpy(f->said.oaep, plain + 295, 256);
    memcpy(f->said.sig_s.b, plain + 551, 256);
    assert_int_equal(p2p_transcript_open_k(&f->said, f->own, &f->k), P2P_OK);
    assert_int_equal(p2p_transcript_hash(&f->said, P2P_TO_SIG_S, &thf), P2P_OK);
    assert_int_equal(p2p_schedule_application(&thf, &f->dh, &f->k, &f->first), P2P_OK);
}
