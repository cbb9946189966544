#include "core/crypto/hmac_sha1.h"

#include <limits.h>

#include <openssl/hmac.h>

#include "core/crypto/ossl.h"

enum p2p_err
p2p_hmac_sha1(const void *key, size_t key_len, const void *data, size_t len,
              uint8_t out[P2P_HMAC_SHA1_LEN])
{
    unsigned got = 0;

    if (p2p_ossl() == NULL || key_len > INT_MAX ||
        HMAC(EVP_sha1(), key, (int)key_len, data, len, out, &got) == NULL ||
        got != P2P_HMAC_SHA1_LEN)
        return p2p_ossl_fail(P2P_ERR_CRYPTO);
    return P2P_OK;
}
