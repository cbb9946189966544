/* X25519 (RFC 7748). */
#include <string.h>

#include "core/crypto/ossl.h"

static EVP_PKEY *
private_key_of(const struct p2p_secret *key)
{
    EVP_PKEY *pkey;

    if (p2p_ossl() == NULL)
        return NULL;
    p2p_ossl_guard();
    pkey =
        EVP_PKEY_new_raw_private_key_ex(NULL, "X25519", NULL, key->b, sizeof(key->b));
    p2p_ossl_unguard();
    return pkey;
}

enum p2p_err
p2p_x25519_public(const struct p2p_secret *private_key, struct p2p_x25519_public *out)
{
    EVP_PKEY *own = private_key_of(private_key);
    size_t len = sizeof(out->b);
    bool ok = own != NULL && EVP_PKEY_get_raw_public_key(own, out->b, &len) == 1;

    EVP_PKEY_free(own);
    return ok ? P2P_OK : p2p_ossl_fail(P2P_ERR_CRYPTO);
}

static bool
derive(EVP_PKEY *own, EVP_PKEY *theirs, struct p2p_secret *shared)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
    size_t len = sizeof(shared->b);
    bool ok = ctx != NULL && EVP_PKEY_derive_init(ctx) == 1 &&
              EVP_PKEY_derive_set_peer_ex(ctx, theirs, 0) == 1 &&
              EVP_PKEY_derive(ctx, shared->b, &len) == 1 && len == sizeof(shared->b);

    EVP_PKEY_CTX_free(ctx);
    return ok;
}

enum p2p_err
p2p_x25519(const struct p2p_secret *private_key, const struct p2p_x25519_public *theirs,
           struct p2p_secret *shared)
{
    static const uint8_t zero[sizeof(shared->b)];
    enum p2p_err err = P2P_ERR_AUTH;
    EVP_PKEY *own = private_key_of(private_key);
    EVP_PKEY *peer = EVP_PKEY_new_raw_public_key_ex(NULL, "X25519", NULL, theirs->b,
                                                    sizeof(theirs->b));

    if (own == NULL || peer == NULL)
        err = P2P_ERR_CRYPTO;
    else if (derive(own, peer, shared) && !p2p_equal_ct(shared->b, zero, sizeof(zero)))
        err = P2P_OK;
    EVP_PKEY_free(own);
    EVP_PKEY_free(peer);
    if (err == P2P_OK)
        return P2P_OK;
    p2p_wipe(shared, sizeof(*shared));
    return p2p_ossl_fail(err);
}
