/* AES-256-GCM (NIST SP 800-38D). */
#include <limits.h>

#include "core/crypto/ossl.h"

/*
 * Sets the key of the thread's context for one message. That takes well under a
 * microsecond, so no key stays in a context longer than its message needs.
 */
static EVP_CIPHER_CTX *
begin(const struct p2p_secret *key, const struct p2p_nonce *nonce, const void *aad,
      size_t aad_len, int encrypt)
{
    EVP_CIPHER_CTX *ctx = p2p_ossl_gcm_ctx();
    int n;

    if (ctx == NULL || aad_len > INT_MAX ||
        EVP_CipherInit_ex2(ctx, NULL, key->b, nonce->b, encrypt, NULL) != 1)
        return NULL;
    if (aad_len > 0 && EVP_CipherUpdate(ctx, NULL, &n, aad, (int)aad_len) != 1)
        return NULL;
    return ctx;
}

enum p2p_err
p2p_gcm_seal(const struct p2p_secret *key, const struct p2p_nonce *nonce,
             const void *aad, size_t aad_len, const uint8_t *in, size_t len,
             uint8_t *out, uint8_t tag[P2P_TAG_LEN])
{
    EVP_CIPHER_CTX *ctx;
    uint8_t none[1];
    int n = 0;

    if (len > INT_MAX)
        return P2P_ERR_TOO_LARGE;
    ctx = begin(key, nonce, aad, aad_len, 1);
    if (ctx == NULL || (len > 0 && EVP_CipherUpdate(ctx, out, &n, in, (int)len) != 1) ||
        EVP_CipherFinal_ex(ctx, none, &n) != 1 ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, P2P_TAG_LEN, tag) != 1) {
        p2p_wipe(out, len); /* encrypted in place: it may still be plaintext */
        return p2p_ossl_fail(P2P_ERR_CRYPTO);
    }
    return P2P_OK;
}

enum p2p_err
p2p_gcm_open(const struct p2p_secret *key, const struct p2p_nonce *nonce,
             const void *aad, size_t aad_len, const uint8_t *in, size_t len,
             uint8_t *out, const uint8_t tag[P2P_TAG_LEN])
{
    EVP_CIPHER_CTX *ctx;
    uint8_t none[1];
    int n = 0;

    if (len > INT_MAX)
        return P2P_ERR_TOO_LARGE;
    ctx = begin(key, nonce, aad, aad_len, 0);
    if (ctx == NULL || (len > 0 && EVP_CipherUpdate(ctx, out, &n, in, (int)len) != 1) ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, P2P_TAG_LEN, (void *)tag) !=
            1) {
        p2p_wipe(out, len);
        return p2p_ossl_fail(P2P_ERR_CRYPTO);
    }
    if (EVP_CipherFinal_ex(ctx, none, &n) != 1) { /* compares the tag */
        p2p_wipe(out, len);
        return p2p_ossl_fail(P2P_ERR_AUTH);
    }
    return P2P_OK;
}
