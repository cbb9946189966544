/* RSA-2048 key pairs: generate, read and write them as PKCS#8 PEM. */
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "core/crypto/ossl.h"
#include "core/crypto/spki.h"
#include "p2p/vault.h"

/* The scrypt parameters that OWASP recommends for 16 MiB. OpenSSL's own reader accepts
 * at most 32 MiB, and `openssl pkey` should be able to read the key file. */
enum { SCRYPT_R = 8, SCRYPT_P = 5 };
static _Atomic uint64_t scrypt_n = P2P_SCRYPT_N;

void
p2p_rsa_set_scrypt_n(uint64_t n)
{
    scrypt_n = n > 0 ? n : P2P_SCRYPT_N;
}

/* Extracts the public key; false unless the key is RSA with 2048 bits and e = 65537. */
static bool
public_half(EVP_PKEY *pkey, struct p2p_spki *spki)
{
    BIGNUM *n = NULL, *e = NULL;
    uint8_t modulus[P2P_RSA_LEN];
    bool ok = EVP_PKEY_is_a(pkey, "RSA") && EVP_PKEY_get_bits(pkey) == 2048 &&
              EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
              EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) == 1 &&
              BN_is_word(e, RSA_F4) &&
              BN_bn2binpad(n, modulus, P2P_RSA_LEN) == P2P_RSA_LEN;

    BN_free(n);
    BN_free(e);
    if (ok)
        p2p_spki_from_modulus(modulus, spki);
    return ok && p2p_spki_check(spki->b) == P2P_OK;
}

/* Takes ownership of pkey, also on failure. */
static enum p2p_err
wrap(EVP_PKEY *pkey, struct p2p_rsa **out)
{
    struct p2p_rsa *rsa = calloc(1, sizeof(*rsa));

    *out = NULL;
    if (rsa == NULL) {
        EVP_PKEY_free(pkey);
        return P2P_ERR_NOMEM;
    }
    rsa->pkey = pkey;
    if (!public_half(pkey, &rsa->spki)) {
        p2p_rsa_free(rsa);
        return p2p_ossl_fail(P2P_ERR_KEY_FILE);
    }
    *out = rsa;
    return P2P_OK;
}

enum p2p_err
p2p_rsa_generate(struct p2p_rsa **out)
{
    EVP_PKEY *pkey = NULL;

    *out = NULL;
    if (p2p_ossl() != NULL) {
        p2p_ossl_guard();
        pkey = EVP_RSA_gen(2048);
        p2p_ossl_unguard();
    }
    if (pkey == NULL)
        return p2p_ossl_fail(P2P_ERR_CRYPTO);
    return wrap(pkey, out);
}

void
p2p_rsa_free(struct p2p_rsa *rsa)
{
    if (rsa == NULL)
        return;
    EVP_PKEY_free(rsa->pkey);
    free(rsa);
}

const struct p2p_spki *
p2p_rsa_spki(const struct p2p_rsa *rsa)
{
    return &rsa->spki;
}

bool
p2p_rsa_pem_is_encrypted(const char *pem, size_t len)
{
    static const char label[] = "-----BEGIN ENCRYPTED PRIVATE KEY-----";

    return memmem(pem, len, label, sizeof(label) - 1) != NULL;
}

/* Passes the passphrase to OpenSSL, which would otherwise ask on the terminal. */
static int
give_passphrase(char *buf, int cap, int writing, void *passphrase)
{
    size_t len = passphrase != NULL ? strlen(passphrase) : 0;

    (void)writing;
    if (passphrase == NULL || cap < 0 || len > (size_t)cap)
        return -1;
    memcpy(buf, passphrase, len);
    return (int)len;
}

/* If the private and the public key in a file do not match, no signature would
 * verify. */
static bool
is_consistent(EVP_PKEY *pkey)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    bool ok = ctx != NULL && EVP_PKEY_pairwise_check(ctx) == 1;

    EVP_PKEY_CTX_free(ctx);
    return ok;
}

static enum p2p_err
parse_pem(const char *pem, size_t len, const char *passphrase, struct p2p_rsa **out)
{
    BIO *bio;
    EVP_PKEY *pkey;

    if (len > INT_MAX)
        return P2P_ERR_KEY_FILE;
    bio = p2p_ossl() != NULL ? BIO_new_mem_buf(pem, (int)len) : NULL;
    if (bio == NULL)
        return p2p_ossl_fail(P2P_ERR_CRYPTO);
    pkey = PEM_read_bio_PrivateKey_ex(bio, NULL, give_passphrase, (void *)passphrase,
                                      NULL, NULL);
    BIO_free(bio);
    if (pkey == NULL)
        return p2p_ossl_fail(p2p_rsa_pem_is_encrypted(pem, len) ? P2P_ERR_PASSPHRASE
                                                                : P2P_ERR_KEY_FILE);
    if (!is_consistent(pkey)) {
        EVP_PKEY_free(pkey);
        return p2p_ossl_fail(P2P_ERR_KEY_FILE);
    }
    return wrap(pkey, out);
}

enum p2p_err
p2p_rsa_parse_pem(const char *pem, size_t len, const char *passphrase,
                  struct p2p_rsa **out)
{
    enum p2p_err err;

    *out = NULL;
    p2p_ossl_guard();
    err = parse_pem(pem, len, passphrase, out);
    p2p_ossl_unguard();
    return err;
}

static bool
write_encrypted(BIO *bio, PKCS8_PRIV_KEY_INFO *info, const char *passphrase)
{
    X509_ALGOR *scheme = PKCS5_pbe2_set_scrypt(EVP_aes_256_cbc(), NULL, 0, NULL,
                                               scrypt_n, SCRYPT_R, SCRYPT_P);
    X509_SIG *sealed = NULL;
    bool ok;

    if (scheme == NULL)
        return false;
    sealed = PKCS8_set0_pbe(passphrase, (int)strlen(passphrase), info, scheme);
    if (sealed == NULL) { /* on success it has taken ownership of scheme */
        X509_ALGOR_free(scheme);
        return false;
    }
    ok = PEM_write_bio_PKCS8(bio, sealed) == 1;
    X509_SIG_free(sealed);
    return ok;
}

/* The content of the memory BIO, as an owned text. */
static enum p2p_err
take_text(BIO *bio, char **text, size_t *len)
{
    char *at;
    long n = BIO_get_mem_data(bio, &at);

    if (n <= 0)
        return P2P_ERR_CRYPTO;
    *text = p2p_vault_new((size_t)n + 1);
    if (*text == NULL)
        return P2P_ERR_NOMEM;
    memcpy(*text, at, (size_t)n);
    *len = (size_t)n;
    return P2P_OK;
}

static enum p2p_err
format_pem(const struct p2p_rsa *rsa, const char *passphrase, char **pem, size_t *len)
{
    enum p2p_err err = P2P_ERR_CRYPTO;
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(rsa->pkey);
    BIO *bio = BIO_new(BIO_s_mem()); /* its buffer is cleared when it is freed */
    bool ok;

    if (info == NULL || bio == NULL)
        goto out;
    ok = passphrase != NULL ? write_encrypted(bio, info, passphrase)
                            : PEM_write_bio_PKCS8_PRIV_KEY_INFO(bio, info) == 1;
    if (ok)
        err = take_text(bio, pem, len);
out:
    PKCS8_PRIV_KEY_INFO_free(info);
    BIO_free(bio);
    return err == P2P_OK ? P2P_OK : p2p_ossl_fail(err);
}

enum p2p_err
p2p_rsa_format_pem(const struct p2p_rsa *rsa, const char *passphrase, char **pem,
                   size_t *len)
{
    enum p2p_err err;

    *pem = NULL;
    *len = 0;
    p2p_ossl_guard();
    err = format_pem(rsa, passphrase, pem, len);
    p2p_ossl_unguard();
    return err;
}
