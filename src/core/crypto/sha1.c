#include "core/crypto/sha1.h"

#include <stdlib.h>

#include "core/crypto/ossl.h"

struct p2p_sha1 {
    EVP_MD_CTX *ctx;
};

enum p2p_err
p2p_sha1_new(struct p2p_sha1 **out)
{
    struct p2p_sha1 *sha = calloc(1, sizeof(*sha));

    *out = NULL;
    if (sha == NULL)
        return P2P_ERR_NOMEM;
    if (p2p_ossl() == NULL || (sha->ctx = EVP_MD_CTX_new()) == NULL ||
        EVP_DigestInit_ex(sha->ctx, EVP_sha1(), NULL) != 1) {
        p2p_sha1_free(sha);
        return p2p_ossl_fail(P2P_ERR_CRYPTO);
    }
    *out = sha;
    return P2P_OK;
}

void
p2p_sha1_free(struct p2p_sha1 *sha)
{
    if (sha == NULL)
        return;
    EVP_MD_CTX_free(sha->ctx);
    free(sha);
}

enum p2p_err
p2p_sha1_update(struct p2p_sha1 *sha, const void *data, size_t len)
{
    return EVP_DigestUpdate(sha->ctx, data, len) == 1 ? P2P_OK
                                                      : p2p_ossl_fail(P2P_ERR_CRYPTO);
}

enum p2p_err
p2p_sha1_finish(struct p2p_sha1 *sha, uint8_t out[P2P_SHA1_LEN])
{
    unsigned len = 0;

    return EVP_DigestFinal_ex(sha->ctx, out, &len) == 1 && len == P2P_SHA1_LEN
               ? P2P_OK
               : p2p_ossl_fail(P2P_ERR_CRYPTO);
}
