/* SHA-256 of buffers and streams, HKDF-SHA-256 (RFC 5869). */
/* Streams use OpenSSL's low-level functions, because only their state can be stored and
 * continued later; the EVP functions do not reveal theirs. Both run the same
 * CPU-specific code. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/sha.h>

#include "core/crypto/ossl.h"

enum p2p_err
p2p_sha256(const void *data, size_t len, struct p2p_digest *out)
{
    EVP_MD_CTX *ctx = p2p_ossl_sha256_ctx();

    if (ctx == NULL || EVP_DigestInit_ex2(ctx, NULL, NULL) != 1 ||
        EVP_DigestUpdate(ctx, data, len) != 1 ||
        EVP_DigestFinal_ex(ctx, out->b, NULL) != 1)
        return p2p_ossl_fail(P2P_ERR_CRYPTO);
    return P2P_OK;
}

struct p2p_sha256 {
    SHA256_CTX ctx;
};

enum p2p_err
p2p_sha256_new(struct p2p_sha256 **out)
{
    struct p2p_sha256 *sha = calloc(1, sizeof(*sha));

    *out = NULL;
    if (sha == NULL)
        return P2P_ERR_NOMEM;
    if (SHA256_Init(&sha->ctx) != 1) {
        p2p_sha256_free(sha);
        return p2p_ossl_fail(P2P_ERR_CRYPTO);
    }
    *out = sha;
    return P2P_OK;
}

void
p2p_sha256_free(struct p2p_sha256 *sha)
{
    free(sha);
}

enum p2p_err
p2p_sha256_update(struct p2p_sha256 *sha, const void *data, size_t len)
{
    if (SHA256_Update(&sha->ctx, data, len) != 1)
        return p2p_ossl_fail(P2P_ERR_CRYPTO);
    return P2P_OK;
}

enum p2p_err
p2p_sha256_peek(const struct p2p_sha256 *sha, struct p2p_digest *out)
{
    SHA256_CTX copy = sha->ctx;

    return SHA256_Final(out->b, &copy) == 1 ? P2P_OK : p2p_ossl_fail(P2P_ERR_CRYPTO);
}

enum p2p_err
p2p_sha256_save(const struct p2p_sha256 *sha, struct p2p_sha256_state *out)
{
    uint64_t bits = (uint64_t)sha->ctx.Nh << 32 | sha->ctx.Nl;

    memset(out, 0, sizeof(*out));
    if (sha->ctx.num != 0)
        return P2P_ERR_RANGE;
    out->length = bits / 8;
    for (int i = 0; i < 8; i++)
        out->words[i] = sha->ctx.h[i];
    return P2P_OK;
}

enum p2p_err
p2p_sha256_restore(struct p2p_sha256 *sha, const struct p2p_sha256_state *state)
{
    if (state->length % SHA256_CBLOCK != 0 || state->length > UINT64_MAX / 8)
        return P2P_ERR_RANGE;
    if (SHA256_Init(&sha->ctx) != 1)
        return p2p_ossl_fail(P2P_ERR_CRYPTO);
    sha->ctx.Nl = (SHA_LONG)(state->length * 8);
    sha->ctx.Nh = (SHA_LONG)(state->length * 8 >> 32);
    for (int i = 0; i < 8; i++)
        sha->ctx.h[i] = state->words[i];
    return P2P_OK;
}

/* Computes one half of HKDF; `extra` is the salt of Extract or the info of Expand. */
static enum p2p_err
hkdf(int mode, const void *key, size_t key_len, const char *extra_name,
     const void *extra, size_t extra_len, struct p2p_secret *out)
{
    const struct p2p_ossl *ossl = p2p_ossl();
    EVP_KDF_CTX *ctx = ossl != NULL ? EVP_KDF_CTX_new(ossl->hkdf) : NULL;
    char sha256[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, sha256, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)key, key_len),
        OSSL_PARAM_construct_octet_string(extra_name, (void *)extra, extra_len),
        OSSL_PARAM_construct_end(),
    };
    bool ok = ctx != NULL && EVP_KDF_derive(ctx, out->b, sizeof(out->b), params) == 1;

    EVP_KDF_CTX_free(ctx);
    if (ok)
        return P2P_OK;
    p2p_wipe(out, sizeof(*out));
    return p2p_ossl_fail(P2P_ERR_CRYPTO);
}

enum p2p_err
p2p_hkdf_extract(const struct p2p_digest *salt, const void *ikm, size_t len,
                 struct p2p_secret *prk)
{
    return hkdf(EVP_KDF_HKDF_MODE_EXTRACT_ONLY, ikm, len, OSSL_KDF_PARAM_SALT, salt->b,
                sizeof(salt->b), prk);
}

enum p2p_err
p2p_hkdf_expand(const struct p2p_secret *prk, const void *info, size_t len,
                struct p2p_secret *out)
{
    return hkdf(EVP_KDF_HKDF_MODE_EXPAND_ONLY, prk->b, sizeof(prk->b),
                OSSL_KDF_PARAM_INFO, info, len, out);
}
