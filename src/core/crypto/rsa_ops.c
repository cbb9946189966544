/* RSA-PSS and RSA-OAEP (RFC 8017) with SHA-256 and MGF1-SHA-256 throughout. */
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include "core/crypto/ossl.h"
#include "core/crypto/spki.h"
#include "p2p/log.h"

EVP_PKEY *
p2p_ossl_public_key(const struct p2p_spki *spki)
{
    EVP_PKEY *pkey = NULL;
    BIGNUM *n = BN_bin2bn(p2p_spki_modulus(spki), P2P_RSA_LEN, NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);

    if (n == NULL || builder == NULL || ctx == NULL ||
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) != 1 ||
        OSSL_PARAM_BLD_push_uint32(builder, OSSL_PKEY_PARAM_RSA_E, RSA_F4) != 1)
        goto out;
    params = OSSL_PARAM_BLD_to_param(builder);
    if (params == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
        pkey = NULL;
out:
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    EVP_PKEY_CTX_free(ctx);
    BN_free(n);
    return pkey;
}

static bool
use_pss(EVP_PKEY_CTX *ctx, const EVP_MD *sha256)
{
    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_signature_md(ctx, sha256) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, sha256) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, P2P_DIGEST_LEN) == 1;
}

static enum p2p_err
verify(EVP_PKEY *pkey, const struct p2p_digest *digest, const struct p2p_signature *sig)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    enum p2p_err err = P2P_ERR_CRYPTO;

    if (ctx != NULL && EVP_PKEY_verify_init(ctx) == 1 &&
        use_pss(ctx, p2p_ossl()->sha256))
        err = EVP_PKEY_verify(ctx, sig->b, sizeof(sig->b), digest->b,
                              sizeof(digest->b)) == 1
                  ? P2P_OK
                  : P2P_ERR_AUTH;
    EVP_PKEY_CTX_free(ctx);
    return err;
}

static enum p2p_err
sign(const struct p2p_rsa *rsa, const struct p2p_digest *digest,
     struct p2p_signature *out)
{
    size_t sig_len = sizeof(out->b);
    enum p2p_err err = P2P_ERR_CRYPTO;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, rsa->pkey, NULL);
    if (ctx != NULL && EVP_PKEY_sign_init(ctx) == 1 &&
        use_pss(ctx, p2p_ossl()->sha256) &&
        EVP_PKEY_sign(ctx, out->b, &sig_len, digest->b, sizeof(digest->b)) == 1 &&
        sig_len == sizeof(out->b) && verify(rsa->pkey, digest, out) == P2P_OK)
        err = P2P_OK;
    EVP_PKEY_CTX_free(ctx);
    return err;
}

enum p2p_err
p2p_pss_sign(const struct p2p_rsa *rsa, const void *data, size_t len,
             struct p2p_signature *out)
{
    struct p2p_digest digest;
    enum p2p_err err = p2p_sha256(data, len, &digest);

    if (err != P2P_OK)
        return err;
    p2p_ossl_guard();
    err = sign(rsa, &digest, out);
    p2p_ossl_unguard();
    if (err == P2P_OK)
        return P2P_OK;
    p2p_wipe(out, sizeof(*out)); /* a faulty signature would reveal the key */
    return p2p_ossl_fail(err);
}

enum p2p_err
p2p_pss_verify(const struct p2p_spki *spki, const void *data, size_t len,
               const struct p2p_signature *sig)
{
    struct p2p_digest digest;
    EVP_PKEY *pkey = NULL;
    enum p2p_err err = p2p_sha256(data, len, &digest);

    if (err != P2P_OK)
        return err;
    pkey = p2p_ossl_public_key(spki);
    err = pkey != NULL ? verify(pkey, &digest, sig) : P2P_ERR_CRYPTO;
    EVP_PKEY_free(pkey);
    return err == P2P_OK ? P2P_OK : p2p_ossl_fail(err);
}

static bool
use_oaep(EVP_PKEY_CTX *ctx, const void *label, size_t label_len)
{
    const EVP_MD *sha256 = p2p_ossl()->sha256;
    void *copy;

    /* Sets both hashes, because the default of each is SHA-1. */
    if (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) != 1 ||
        EVP_PKEY_CTX_set_rsa_oaep_md(ctx, sha256) != 1 ||
        EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, sha256) != 1)
        return false;
    if (label_len == 0)
        return true;
    copy = OPENSSL_memdup(label, label_len);
    if (copy == NULL)
        return false;
    if (EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, copy, (int)label_len) == 1)
        return true; /* has taken copy */
    OPENSSL_free(copy);
    return false;
}

enum p2p_err
p2p_oaep_encrypt(const struct p2p_spki *spki, const void *label, size_t label_len,
                 const struct p2p_secret *secret, uint8_t out[P2P_RSA_LEN])
{
    EVP_PKEY *pkey = p2p_ossl() != NULL ? p2p_ossl_public_key(spki) : NULL;
    EVP_PKEY_CTX *ctx =
        pkey != NULL ? EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL) : NULL;
    size_t len = P2P_RSA_LEN;
    bool ok = ctx != NULL && EVP_PKEY_encrypt_init(ctx) == 1 &&
              use_oaep(ctx, label, label_len) &&
              EVP_PKEY_encrypt(ctx, out, &len, secret->b, sizeof(secret->b)) == 1 &&
              len == P2P_RSA_LEN;

    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    return ok ? P2P_OK : p2p_ossl_fail(P2P_ERR_CRYPTO);
}

enum { AES_128_LEN = 16 };

static bool
decrypt(const struct p2p_rsa *rsa, const void *label, size_t label_len,
        const uint8_t in[P2P_RSA_LEN], struct p2p_secret *secret)
{
    uint8_t plain[P2P_RSA_LEN];
    size_t len = sizeof(plain);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, rsa->pkey, NULL);
    bool ok = ctx != NULL && EVP_PKEY_decrypt_init(ctx) == 1 &&
              use_oaep(ctx, label, label_len) &&
              EVP_PKEY_decrypt(ctx, plain, &len, in, P2P_RSA_LEN) == 1;

    /* Programs of others make such keys in protocol 1. */
    if (ok && len == AES_128_LEN)
        p2p_log_error("the other side made a session key for AES-128; only AES-256 is "
                      "used here");
    ok = ok && len == sizeof(secret->b);
    if (ok)
        memcpy(secret->b, plain, sizeof(secret->b));
    else
        p2p_wipe(secret, sizeof(*secret));
    p2p_wipe(plain, sizeof(plain));
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

enum p2p_err
p2p_oaep_decrypt(const struct p2p_rsa *rsa, const void *label, size_t label_len,
                 const uint8_t in[P2P_RSA_LEN], struct p2p_secret *secret)
{
    bool ok;

    p2p_ossl_guard();
    ok = decrypt(rsa, label, label_len, in, secret);
    p2p_ossl_unguard();
    return ok ? P2P_OK : p2p_ossl_fail(P2P_ERR_AUTH);
}
