// uses tests/unit/vectors.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/pem.h>

#include "core/crypto/ossl.h"
#include "core/crypto/sha1.h"
#include "p2p/bytes.h"
#include "p2p/crypto.h"
#include "p2p/vault.h"
#include "test_keys.h"
#include "vectors.h"

#define EACH(item, array) \
    for (const cJSON *item = (array)->child; item != NULL; item = item->next)

static cJSON *
primitives(const char *name, cJSON **whole)
{
    *whole = vectors_load("primitives.json");
    return cJSON_GetObjectItem(*whole, name);
}

static void
sha256_known_answers(void **state)
{
    cJSON *whole, *cases = primitives("sha256", &whole);

    (void)state;
    EACH(c, cases)
    {
        size_t len;
        uint8_t *data = vectors_bytes(c, "data", &len);
        struct p2p_digest digest;
        struct p2p_sha256 *sha;

        assert_int_equal(p2p_sha256(data, len, &digest), P2P_OK);
        vectors_assert_equal(c, "hash", digest.b, sizeof(digest.b));

        assert_int_equal(p2p_sha256_new(&sha), P2P_OK);
        for (size_t i = 0; i < len; i++) {
            assert_int_equal(p2p_sha256_update(sha, data + i, 1), P2P_OK);
            assert_int_equal(p2p_sha256_peek(sha, &digest),
                             P2P_OK); /* disturbs nothing */
        }
        assert_int_equal(p2p_sha256_peek(sha, &digest), P2P_OK);
        vectors_assert_equal(c, "hash", digest.b, sizeof(digest.b));
        p2p_sha256_free(sha);
        free(data);
    }
    cJSON_Delete(whole);
}

/* A hash that is saved and continued after every block equals the hash of the whole. */
static void
sha256_goes_on_from_a_stored_state(void **state)
{
    static uint8_t data[1000];
    struct p2p_sha256_state stored;
    struct p2p_digest whole, digest;

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7);
    assert_int_equal(p2p_sha256(data, sizeof(data), &whole), P2P_OK);
    for (size_t cut = 0; cut <= sizeof(data); cut++) {
        struct p2p_sha256 *sha;
        assert_int_equal(p2p_sha256_new(&sha), P2P_OK);
        assert_int_equal(p2p_sha256_update(sha, data, cut), P2P_OK);
        assert_int_equal(p2p_sha256_save(sha, &stored),
                         cut % 64 == 0 ? P2P_OK : P2P_ERR_RANGE);
        p2p_sha256_free(sha);
        if (cut % 64 != 0)
            continue;
        assert_int_equal(p2p_sha256_new(&sha), P2P_OK);
        assert_int_equal(p2p_sha256_update(sha, "other", 5), P2P_OK);
        assert_int_equal(p2p_sha256_restore(sha, &stored), P2P_OK);
        assert_int_equal(p2p_sha256_update(sha, data + cut, sizeof(data) - cut),
                         P2P_OK);
        assert_int_equal(p2p_sha256_peek(sha, &digest), P2P_OK);
        assert_memory_equal(digest.b, whole.b, sizeof(whole.b));
        stored.length = 5ull << 40; /* the length is counted in bits, in two words */
        assert_int_equal(p2p_sha256_restore(sha, &stored), P2P_OK);
        stored.length = 0;
        assert_int_equal(p2p_sha256_save(sha, &stored), P2P_OK);
        assert_true(stored.length == 5ull << 40);
        stored.length++;
        assert_int_equal(p2p_sha256_restore(sha, &stored), P2P_ERR_RANGE);
        p2p_sha256_free(sha);
    }
}

static void
hkdf_known_answers(void **state)
{
    cJSON *whole, *cases = primitives("hkdf", &whole);

    (void)state;
    EACH(c, cases)
    {
        struct p2p_digest salt;
        struct p2p_secret prk, okm;
        size_t ikm_len, info_len;
        uint8_t *ikm = vectors_bytes(c, "ikm", &ikm_len);
        uint8_t *info = vectors_bytes(c, "info", &info_len);

        vectors_fill(c, "salt", salt.b, sizeof(salt.b));
        assert_int_equal(p2p_hkdf_extract(&salt, ikm, ikm_len, &prk), P2P_OK);
        vectors_assert_equal(c, "prk", prk.b, sizeof(prk.b));
        assert_int_equal(p2p_hkdf_expand(&prk, info, info_len, &okm), P2P_OK);
        vectors_assert_equal(c, "okm", okm.b, sizeof(okm.b));
        free(ikm);
        free(info);
    }
    cJSON_Delete(whole);
}

static void
x25519_known_answers(void **state)
{
    cJSON *whole, *cases = primitives("x25519", &whole);

    (void)state;
    EACH(c, cases)
    {
        struct p2p_secret a, b, shared;
        struct p2p_x25519_public pub_a, pub_b;

        vectors_fill(c, "private_a", a.b, sizeof(a.b));
        vectors_fill(c, "private_b", b.b, sizeof(b.b));
        assert_int_equal(p2p_x25519_public(&a, &pub_a), P2P_OK);
        vectors_assert_equal(c, "public_a", pub_a.b, sizeof(pub_a.b));
        assert_int_equal(p2p_x25519_public(&b, &pub_b), P2P_OK);
        vectors_assert_equal(c, "public_b", pub_b.b, sizeof(pub_b.b));
        assert_int_equal(p2p_x25519(&a, &pub_b, &shared), P2P_OK);
        vectors_assert_equal(c, "shared", shared.b, sizeof(shared.b));
        assert_int_equal(p2p_x25519(&b, &pub_a, &shared), P2P_OK);
        vectors_assert_equal(c, "shared", shared.b, sizeof(shared.b));
    }
    cJSON_Delete(whole);
}

static void
x25519_refuses_low_order_points(void **state)
{
    cJSON *whole, *points = primitives("low_order_points", &whole);
    static const struct p2p_secret zero;

    (void)state;
    EACH(p, points)
    {
        struct p2p_secret own = {{9}}, shared;
        struct p2p_x25519_public point;

        memset(&shared, 0xaa, sizeof(shared));
        assert_int_equal(strlen(p->valuestring), 64);
        for (int i = 0; i < 32; i++)
            sscanf(p->valuestring + 2 * i, "%2hhx", &point.b[i]);
        assert_int_equal(p2p_x25519(&own, &point, &shared), P2P_ERR_AUTH);
        assert_memory_equal(&shared, &zero, sizeof(zero));
    }
    cJSON_Delete(whole);
}

static void
gcm_known_answers_and_refusals(void **state)
{
    cJSON *whole, *cases = primitives("aes_256_gcm", &whole);

    (void)state;
    EACH(c, cases)
    {
        struct p2p_secret key;
        struct p2p_nonce nonce;
        uint8_t tag[P2P_TAG_LEN];
        size_t aad_len, len;
        uint8_t *aad = vectors_bytes(c, "aad", &aad_len);
        uint8_t *plain = vectors_bytes(c, "plaintext", &len);
        uint8_t *out = malloc(len + 1), *zero = calloc(1, len + 1);

        vectors_fill(c, "key", key.b, sizeof(key.b));
        vectors_fill(c, "nonce", nonce.b, sizeof(nonce.b));
        assert_int_equal(p2p_gcm_seal(&key, &nonce, aad, aad_len, plain, len, out, tag),
                         P2P_OK);
        vectors_assert_equal(c, "ciphertext", out, len);
        vectors_assert_equal(c, "tag", tag, sizeof(tag));

        for (int bit = 0; bit < 8 * P2P_TAG_LEN; bit++) {
            uint8_t *copy = malloc(len + 1);

            memcpy(copy, out, len);
            tag[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(
                p2p_gcm_open(&key, &nonce, aad, aad_len, copy, len, copy, tag),
                P2P_ERR_AUTH);
            assert_memory_equal(copy, zero,
                                len); /* no unauthenticated bytes are given out */
            tag[bit / 8] ^= (uint8_t)(1 << bit % 8);
            free(copy);
        }
        assert_int_equal(p2p_gcm_open(&key, &nonce, aad, aad_len, out, len, out, tag),
                         P2P_OK);
        assert_memory_equal(out, plain, len);
        free(aad);
        free(plain);
        free(out);
        free(zero);
    }
    cJSON_Delete(whole);
}

static void
pss_known_answers(void **state)
{
    cJSON *whole, *cases = primitives("rsa_pss", &whole);

    (void)state;
    EACH(c, cases)
    {
        struct p2p_rsa *key = vectors_key(vectors_text(c, "key"));
        struct p2p_signature sig, ours;
        uint8_t salt[32];
        size_t len;
        uint8_t *text = vectors_bytes(c, "message", &len);

        vectors_fill(c, "signature", sig.b, sizeof(sig.b));
        assert_int_equal(p2p_pss_verify(p2p_rsa_spki(key), text, len, &sig), P2P_OK);
        vectors_fill(c, "salt", salt, 32);
        vectors_random_on(salt, 1);
        assert_int_equal(p2p_pss_sign(key, text, len, &ours), P2P_OK);
        vectors_random_off();
        assert_memory_equal(ours.b, sig.b, sizeof(sig.b));

        sig.b[200] ^= 1;
        assert_int_equal(p2p_pss_verify(p2p_rsa_spki(key), text, len, &sig),
                         P2P_ERR_AUTH);
        free(text);
        p2p_rsa_free(key);
    }
    cJSON_Delete(whole);
}

static void
oaep_known_answers(void **state)
{
    cJSON *whole, *cases = primitives("rsa_oaep", &whole);

    (void)state;
    EACH(c, cases)
    {
        struct p2p_rsa *key = vectors_key(vectors_text(c, "key"));
        struct p2p_secret secret, back;
        uint8_t seed[32], sealed[P2P_RSA_LEN];
        size_t label_len;
        uint8_t *label = vectors_bytes(c, "label", &label_len);

        vectors_fill(c, "message", secret.b, sizeof(secret.b));
        vectors_fill(c, "seed", seed, 32);
        vectors_random_on(seed, 1);
        assert_int_equal(
            p2p_oaep_encrypt(p2p_rsa_spki(key), label, label_len, &secret, sealed),
            P2P_OK);
        vectors_random_off();
        vectors_assert_equal(c, "ciphertext", sealed, sizeof(sealed));
        assert_int_equal(p2p_oaep_decrypt(key, label, label_len, sealed, &back),
                         P2P_OK);
        assert_memory_equal(back.b, secret.b, sizeof(back.b));

        assert_int_equal(p2p_oaep_decrypt(key, "other", 5, sealed, &back),
                         P2P_ERR_AUTH);
        sealed[0] ^= 1;
        assert_int_equal(p2p_oaep_decrypt(key, label, label_len, sealed, &back),
                         P2P_ERR_AUTH);
        free(label);
        p2p_rsa_free(key);
    }
    cJSON_Delete(whole);
}

static void
identities(void **state)
{
    cJSON *whole = vectors_load("identity.json");

    (void)state;
    EACH(c, cJSON_GetObjectItem(whole, "keys"))
    {
        struct p2p_rsa *key = vectors_key(vectors_text(c, "name"));
        struct p2p_spki spki;
        struct p2p_id id;
        char pem[P2P_PEM_LEN + 1];

        vectors_assert_equal(c, "spki", p2p_rsa_spki(key)->b, P2P_SPKI_LEN);
        p2p_spki_to_pem(p2p_rsa_spki(key), pem);
        assert_string_equal(pem, vectors_text(c, "pem"));
        assert_int_equal(p2p_spki_from_pem(pem, strlen(pem), &spki), P2P_OK);
        assert_memory_equal(&spki, p2p_rsa_spki(key), sizeof(spki));
        assert_int_equal(p2p_spki_id(&spki, &id), P2P_OK);
        vectors_assert_equal(c, "peer_id", id.b, sizeof(id.b));
        p2p_rsa_free(key);
    }
    cJSON_Delete(whole);
}

static void
hostile_public_keys_are_refused(void **state)
{
    cJSON *whole = vectors_load("identity.json");
    int of_right_length = 0;

    (void)state;
    EACH(c, cJSON_GetObjectItem(whole, "refused_spki"))
    {
        size_t len;
        uint8_t *der = vectors_bytes(c, "spki", &len);

        if (len == P2P_SPKI_LEN) {
            assert_int_equal(p2p_spki_check(der), P2P_ERR_AUTH);
            of_right_length++;
        }
        free(der);
    }
    assert_true(of_right_length >= 8);
    EACH(c, cJSON_GetObjectItem(whole, "refused_pem"))
    {
        size_t len;
        uint8_t *pem = vectors_bytes(c, "pem", &len);
        struct p2p_spki spki;

        assert_int_equal(p2p_spki_from_pem((char *)pem, len, &spki), P2P_ERR_AUTH);
        p2p_vault_free(pem);
    }
    cJSON_Delete(whole);
}

/* n - n mod p, with an odd quotient, so odd and a multiple of the odd p. */
static void
make_multiple(uint8_t n[P2P_RSA_LEN], unsigned p)
{
    for (int pass = 0; pass < 2; pass++) {
        unsigned long rest = 0, carry = pass == 0 ? 0 : p; /* pass 1: n += p if even */

        if (pass == 1 && n[P2P_RSA_LEN - 1] % 2 == 1)
            return;
        for (int i = 0; i < P2P_RSA_LEN && pass == 0; i++)
            rest = (rest * 256 + n[i]) % p;
        for (int i = P2P_RSA_LEN - 1; i >= 0; i--) {
            long digit = (long)n[i] - (long)(rest & 255) + (long)(carry & 255);

            rest >>= 8;
            carry >>= 8;
            if (digit < 0) {
                digit += 256;
                rest++;
            } else if (digit > 255) {
                digit -= 256;
                carry++;
            }
            n[i] = (uint8_t)digit;
        }
    }
}

static void
every_small_prime_factor_is_found(void **state)
{
    struct p2p_rsa *key = vectors_key("client");
    int primes = 0;

    (void)state;
    for (unsigned p = 3; p < 65536; p += 2) {
        struct p2p_spki spki = *p2p_rsa_spki(key);
        bool prime = true;

        for (unsigned d = 3; d * d <= p && prime; d += 2)
            prime = p % d != 0;
        if (!prime)
            continue;
        make_multiple(spki.b + 33, p);
        assert_int_equal(p2p_spki_check(spki.b), P2P_ERR_AUTH);
        primes++;
    }
    assert_int_equal(primes, 6541);
    assert_int_equal(p2p_spki_check(p2p_rsa_spki(key)->b), P2P_OK);
    p2p_rsa_free(key);
}

/* N of the scrypt that protects an encrypted key: in its ASN.1, a SEQUENCE of salt, N,
 * r = 8 and p = 5. */
static uint64_t
scrypt_cost(const char *pem, size_t len)
{
    static const uint8_t behind[] = {2, 1, 8, 2, 1, 5};
    BIO *bio = BIO_new_mem_buf(pem, (int)len);
    char *name, *header;
    uint8_t *der;
    long der_len;
    uint64_t n = 0;

    assert_int_equal(PEM_read_bio(bio, &name, &header, &der, &der_len), 1);
    const uint8_t *at = memmem(der, (size_t)der_len, behind, sizeof(behind));
    assert_non_null(at);
    const uint8_t *start = at - 1; /* the integer ends here; find its tag */
    while (!(start[0] == 2 && start[1] == at - start - 2))
        assert_true(--start > der);
    for (start += 2; start < at; start++)
        n = n << 8 | *start;
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(der);
    BIO_free(bio);
    return n;
}

static void
key_files_with_and_without_a_passphrase(void **state)
{
    struct p2p_rsa *key, *again;
    char *pem;
    size_t len;

    (void)state;
    key = test_key(0);
    assert_int_equal(p2p_rsa_format_pem(key, NULL, &pem, &len), P2P_OK);
    assert_int_equal(strlen(pem), len);
    assert_false(p2p_rsa_pem_is_encrypted(pem, len));
    assert_int_equal(p2p_rsa_parse_pem(pem, len, NULL, &again), P2P_OK);
    assert_memory_equal(p2p_rsa_spki(key), p2p_rsa_spki(again), P2P_SPKI_LEN);
    p2p_rsa_free(again);
    assert_int_equal(p2p_rsa_parse_pem(pem, len / 2, NULL, &again), P2P_ERR_KEY_FILE);
    p2p_vault_free(pem);

    /* One that costs what users' keys cost; the others are cheap. */
    assert_int_equal(p2p_rsa_format_pem(key, "correct horse", &pem, &len), P2P_OK);
    assert_int_equal(scrypt_cost(pem, len), 1 << 14);
    p2p_vault_free(pem);
    p2p_rsa_set_scrypt_n(16);
    assert_int_equal(p2p_rsa_format_pem(key, "correct horse", &pem, &len), P2P_OK);
    assert_int_equal(scrypt_cost(pem, len), 16);
    p2p_rsa_set_scrypt_n(0);
    assert_true(p2p_rsa_pem_is_encrypted(pem, len));
    assert_int_equal(p2p_rsa_parse_pem(pem, len, NULL, &again), P2P_ERR_PASSPHRASE);
    assert_null(again);
    assert_int_equal(p2p_rsa_parse_pem(pem, len, "wrong", &again), P2P_ERR_PASSPHRASE);
    assert_int_equal(p2p_rsa_parse_pem(pem, len, "correct horse", &again), P2P_OK);
    assert_memory_equal(p2p_rsa_spki(key), p2p_rsa_spki(again), P2P_SPKI_LEN);
    p2p_rsa_free(again);
    p2p_vault_free(pem);
    p2p_rsa_free(key);
}

/* FIPS 180-1, appendices A and B. */
static void
sha1_of_a_stream(void **state)
{
    static const char *const parts[][2] = {
        {"a", "bc"}, {"abcdbcdecdefdefgefghfghighij", "hijkijkljklmklmnlmnomnopnopq"}};
    static const char *const digests[] = {"a9993e364706816aba3e25717850c26c9cd0d89d",
                                          "84983e441c3bd26ebaae4aa1f95129e5e54670f1"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct p2p_sha1 *sha = NULL;
        uint8_t digest[P2P_SHA1_LEN];
        char hex[2 * P2P_SHA1_LEN + 1];
        assert_int_equal(p2p_sha1_new(&sha), P2P_OK);
        for (size_t j = 0; j < 2; j++)
            assert_int_equal(p2p_sha1_update(sha, parts[i][j], strlen(parts[i][j])),
                             P2P_OK);
        assert_int_equal(p2p_sha1_finish(sha, digest), P2P_OK);
        p2p_hex_format(digest, sizeof(digest), hex);
        assert_string_equal(hex, digests[i]);
        p2p_sha1_free(sha);
    }
    p2p_sha1_free(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_known_answers),
        cmocka_unit_test(sha256_goes_on_from_a_stored_state),
        cmocka_unit_test(hkdf_known_answers),
        cmocka_unit_test(x25519_known_answers),
        cmocka_unit_test(x25519_refuses_low_order_points),
        cmocka_unit_test(gcm_known_answers_and_refusals),
        cmocka_unit_test(pss_known_answers),
        cmocka_unit_test(oaep_known_answers),
        cmocka_unit_test(identities),
        cmocka_unit_test(hostile_public_keys_are_refused),
        cmocka_unit_test(every_small_prime_factor_is_found),
        cmocka_unit_test(sha1_of_a_stream),
        cmocka_unit_test(key_files_with_and_without_a_passphrase),
    };

    if (p2p_crypto_init() != P2P_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
