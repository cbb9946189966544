// uses tests/unit/vectors.c tests/unit/pair.c tests/unit/forger.c
/*
 * A forged server that can seal any M4. The client must never accept it, and each
 * check must report its own reason.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "core/crypto/ossl.h"
#include "forger.h"

/* M4 of a server that knows the key of M4 */

enum m4_wrong {
    M4_TYPE,
    M4_SHORT,
    M4_LONG,
    M4_EXPONENT,
    M4_CLIENTS_OWN_KEY,
    M4_SOMEBODYS_KEY,
    M4_SIGNATURE_BIT,
    M4_CLIENT_LABEL,
    M4_OAEP_BIT,
    M4_OAEP_UNSIGNED,
    M4_OAEP_LABEL,
    M4_OAEP_FOR_ANOTHER,
    M4_OAEP_SHORT_KEY,
};

/* A k of 31 bytes, which p2p_oaep_encrypt cannot make, with the right label. */
static void
seal_short_key(struct forger *f)
{
    EVP_PKEY *pkey = p2p_ossl_public_key(&f->said.spki_c);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
    uint8_t *label = OPENSSL_malloc(18 + 32);
    struct p2p_digest tho;
    size_t len = P2P_RSA_LEN;

    assert_int_equal(p2p_transcript_hash(&f->said, P2P_TO_SPKI_S, &tho), P2P_OK);
    memcpy(label, "p2p/2 session key", 18);
    memcpy(label + 18, tho.b, 32);
    assert_int_equal(EVP_PKEY_encrypt_init(ctx), 1);
    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING);
    EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256());
    EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256());
    EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, label, 18 + 32);
    assert_int_equal(EVP_PKEY_encrypt(ctx, f->said.oaep, &len, f->k.b, 31), 1);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(pkey);
}

static void
sign_again(struct forger *f)
{
    assert_int_equal(p2p_transcript_sign_s(&f->said, f->own), P2P_OK);
}

static void
spoil_m4(struct forger *f, enum m4_wrong wrong)
{
    struct p2p_transcript other = f->said;

    switch (wrong) {
    case M4_TYPE:
        f->plain[0] = 3;
        return;
    case M4_SHORT:
        f->plain_len--;
        return;
    case M4_LONG:
        f->plain_len++;
        return;
    case M4_EXPONENT:
        f->said.spki_s.b[P2P_SPKI_LEN - 1] = 3;
        break;
    case M4_CLIENTS_OWN_KEY:
        f->said.spki_s = *p2p_rsa_spki(client_key);
        break;
    case M4_SOMEBODYS_KEY:
        f->said.spki_s = *p2p_rsa_spki(stranger_key);
        sign_again(f);
        break;
    case M4_SIGNATURE_BIT:
        f->said.sig_s.b[255] ^= 1;
        break;
    case M4_CLIENT_LABEL:
        assert_int_equal(p2p_transcript_sign_c(&other, f->own), P2P_OK);
        f->said.sig_s = other.sig_c;
        break;
    case M4_OAEP_BIT:
        f->said.oaep[200] ^= 1;
        sign_again(f);
        break;
    case M4_OAEP_UNSIGNED: /* valid, but not the one that was signed */
        assert_int_equal(p2p_transcript_seal_k(&f->said, &f->k), P2P_OK);
        break;
    case M4_OAEP_LABEL: /* sealed for another transcript */
        other.m1[20] ^= 1;
        assert_int_equal(p2p_transcript_seal_k(&other, &f->k), P2P_OK);
        memcpy(f->said.oaep, other.oaep, sizeof(other.oaep));
        sign_again(f);
        break;
    case M4_OAEP_FOR_ANOTHER:
        other.spki_c = *p2p_rsa_spki(stranger_key);
        assert_int_equal(p2p_transcript_seal_k(&other, &f->k), P2P_OK);
        memcpy(f->said.oaep, other.oaep, sizeof(other.oaep));
        sign_again(f);
        break;
    case M4_OAEP_SHORT_KEY:
        seal_short_key(f);
        sign_again(f);
        break;
    }
    forger_lay_out(f, 4);
}

static void
every_part_of_m4(void **state)
{
    static const struct {
        enum m4_wrong wrong;
        enum p2p_err err;
        const char *reason;
    } cases[] = {
        {M4_TYPE, P2P_ERR_MALFORMED, "wrong frame type"},
        {M4_SHORT, P2P_ERR_MALFORMED, "wrong frame length"},
        {M4_LONG, P2P_ERR_MALFORMED, "wrong frame length"},
        {M4_EXPONENT, P2P_ERR_AUTH, "invalid RSA-2048 key"},
        {M4_CLIENTS_OWN_KEY, P2P_ERR_AUTH, "the other side uses our own key"},
        {M4_SOMEBODYS_KEY, P2P_ERR_AUTH, "invalid server signature"},
        {M4_SIGNATURE_BIT, P2P_ERR_AUTH, "invalid server signature"},
        {M4_CLIENT_LABEL, P2P_ERR_AUTH, "invalid server signature"},
        {M4_OAEP_UNSIGNED, P2P_ERR_AUTH, "invalid server signature"},
        {M4_OAEP_BIT, P2P_ERR_AUTH, "the session key cannot be decrypted"},
        {M4_OAEP_LABEL, P2P_ERR_AUTH, "the session key cannot be decrypted"},
        {M4_OAEP_FOR_ANOTHER, P2P_ERR_AUTH, "the session key cannot be decrypted"},
        {M4_OAEP_SHORT_KEY, P2P_ERR_AUTH, "the session key cannot be decrypted"},
    };
    struct side client = real_client();
    struct forger f;

    (void)state;
    forger_meet_client(&f, server_key,
                       &client); /* the forger can also make a correct M4 */
    forger_m4(&f);
    forger_send(&f, &client);
    assert_int_equal(client.err, P2P_OK);
    side_end(&client);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        client = real_client();
        forger_meet_client(&f, server_key, &client);
        forger_m4(&f);
        spoil_m4(&f, cases[i].wrong);
        forger_send(&f, &client);
        assert_failed(&client, cases[i].err, cases[i].reason);
    }
}

static void
m4_made_for_another_client(void **state)
{
    struct side one = real_client(), two = side_new(P2P_CLIENT, stranger_key, 30);
    struct side server = real_server(), second = side_new(P2P_SERVER, server_key, 60);
    struct wire m, m4;

    (void)state;
    for (int i = 0; i < 2; i++) { /* hellos and M3 of both */
        struct side *c = i == 0 ? &one : &two, *s = i == 0 ? &server : &second;

        side_write(c, &m);
        side_read(s, &m);
        side_write(s, &m);
        side_read(c, &m);
        side_write(c, &m);
        side_read(s, &m);
        assert_int_equal(s->err, P2P_OK);
    }
    side_write(&server, &m4);
    side_read(&two, &m4);
    assert_failed(&two, P2P_ERR_AUTH, "the frame cannot be decrypted");
    side_end(&one);
    side_end(&server);
    side_end(&second);
}

/* An attacker in the middle with his own key proves his own id, not the requested one.
 */
static void
the_wrong_peer_is_refused_before_its_signature_is_looked_at(void **state)
{
    struct side client = real_client();
    struct p2p_id asked_for;
    struct wire m;
    struct forger f;

    (void)state;
    forger_meet_client(&f, stranger_key, &client);
    forger_m4(&f);
    m.len = P2P_M4_SIZE;
    {
        static const struct p2p_nonce nonce = {{3}};
        uint8_t aad[13] = {'S'};

        memcpy(m.bytes + P2P_FRAME_PREFIX, f.plain, f.plain_len);
        assert_int_equal(
            p2p_frame_seal(m.bytes, f.plain_len, &f.keys.s2c, &nonce, aad, sizeof(aad)),
            P2P_OK);
    }
    side_read(&client, &m);
    assert_int_equal(p2p_handshake_next(client.hs), P2P_HS_TRUST);
    assert_int_equal(p2p_spki_id(p2p_rsa_spki(server_key), &asked_for), P2P_OK);
    assert_false(p2p_id_equal(p2p_handshake_peer(client.hs), &asked_for));
    side_work(&client, P2P_ERR_WRONG_PEER);
    assert_failed(&client, P2P_ERR_WRONG_PEER, "the peer is not trusted");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_part_of_m4),
        cmocka_unit_test(m4_made_for_another_client),
        cmocka_unit_test(the_wrong_peer_is_refused_before_its_signature_is_looked_at),
    };

    return forger_init() ? cmocka_run_group_tests(tests, NULL, forger_exit) : 1;
}
