/* Valid keys of other kinds and sizes are refused as identities: as key files, and as
 * the keys that a peer sends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "long_tests.h"
#include "p2p/crypto.h"
#include "p2p/session.h"
#include "p2p/vault.h"
#include "test_keys.h"

static EVP_PKEY *
refused_key(const char *name)
{
    char path[64];
    EVP_PKEY *pkey;

    snprintf(path, sizeof(path), "tests/vectors/keys/refused-%s.pem", name);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        fail_msg("cannot open %s: run from the project's folder", path);
    pkey = PEM_read_PrivateKey(f, NULL, NULL, NULL);
    fclose(f);
    return pkey;
}

/* HELLO with this PEM; the id does not matter, because it is never compared. */
static enum p2p_err
hello_with(const char *pem, size_t len)
{
    uint8_t hello[4096] =
        "HELLO|"
        "0000000000000000000000000000000000000000000000000000000000000000|";
    size_t head = 6 + P2P_ID_HEX_LEN + 1, used;
    struct p2p_spki spki;
    struct p2p_id id;

    assert_true(head + len <= sizeof(hello));
    memcpy(hello + head, pem, len);
    return p2p_hello1_parse(hello, head + len, &spki, &id, &used);
}

/* Takes pkey. */
static void
assert_refused(EVP_PKEY *pkey)
{
    BIO *bio = BIO_new(BIO_s_mem());
    struct p2p_rsa *rsa;
    struct p2p_spki spki;
    char *pem;
    long len;

    assert_non_null(pkey);
    assert_int_equal(
        PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL), 1);
    len = BIO_get_mem_data(bio, &pem);
    assert_int_equal(p2p_rsa_parse_pem(pem, (size_t)len, NULL, &rsa), P2P_ERR_KEY_FILE);
    assert_null(rsa);

    assert_int_equal(BIO_reset(bio), 1);
    assert_int_equal(PEM_write_bio_PUBKEY(bio, pkey), 1);
    len = BIO_get_mem_data(bio, &pem);
    assert_int_equal(p2p_spki_from_pem(pem, (size_t)len, &spki), P2P_ERR_AUTH);
    assert_int_not_equal(hello_with(pem, (size_t)len), P2P_OK);
    assert_int_not_equal(hello_with(pem, (size_t)len), P2P_ERR_MORE); /* and at once */
    BIO_free(bio);
    EVP_PKEY_free(pkey);
}

static void
rsa_of_other_sizes(void **state)
{
    (void)state;
    assert_refused(refused_key("1024-bits"));
    assert_refused(refused_key("2040-bits"));
    assert_refused(refused_key("3072-bits"));
    assert_refused(refused_key("4096-bits"));
}

static void
rsa_with_other_exponents(void **state)
{
    (void)state;
    assert_refused(refused_key("exponent-3"));
    assert_refused(refused_key("exponent-65539"));
}

static void
not_rsa(void **state)
{
    (void)state;
    assert_refused(EVP_EC_gen("P-256"));
    assert_refused(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
    assert_refused(EVP_PKEY_Q_keygen(NULL, NULL, "X25519"));
}

/* A key file with random bytes, and each prefix of a good one. */
static void
not_a_key_file(void **state)
{
    static const char *const texts[] = {"", "\n", "-----BEGIN PRIVATE KEY-----\n",
                                        "-----BEGIN PRIVATE KEY-----\n"
                                        "-----END PRIVATE KEY-----\n",
                                        "-----BEGIN CERTIFICATE-----\nAAAA\n"
                                        "-----END CERTIFICATE-----\n"};
    struct p2p_rsa *key, *part;
    char *pem;
    size_t len;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(p2p_rsa_parse_pem(texts[i], strlen(texts[i]), NULL, &part),
                         P2P_ERR_KEY_FILE);
    key = test_key(0);
    assert_int_equal(p2p_rsa_format_pem(key, NULL, &pem, &len), P2P_OK);
    /* Without the final "-\n" it is still a key. */
    for (size_t n = 0; n + 2 < len; n += long_tests_step(67)) {
        char *exact = malloc(n > 0 ? n : 1);

        memcpy(exact, pem, n);
        assert_int_equal(p2p_rsa_parse_pem(exact, n, NULL, &part), P2P_ERR_KEY_FILE);
        free(exact);
    }
    p2p_wipe(pem, len);
    p2p_vault_free(pem);
    p2p_rsa_free(key);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rsa_of_other_sizes),
        cmocka_unit_test(rsa_with_other_exponents),
        cmocka_unit_test(not_rsa),
        cmocka_unit_test(not_a_key_file),
    };

    if (p2p_crypto_init() != P2P_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
