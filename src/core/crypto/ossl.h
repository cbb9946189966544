/*
 * ossl - what the files of crypto/ share: algorithms fetched once, contexts kept per
 * thread. Internal to this folder; the rest of the core sees p2p/crypto.h only.
 */
#ifndef P2P_CORE_CRYPTO_OSSL_H
#define P2P_CORE_CRYPTO_OSSL_H

#include <openssl/evp.h>
#include <openssl/kdf.h>

#include "p2p/crypto.h"

struct p2p_ossl {
    EVP_CIPHER *gcm;
    EVP_MD *sha256;
    EVP_KDF *hkdf;
};

/* Fetched at the first call; NULL when this OpenSSL lacks one of them. */
const struct p2p_ossl *p2p_ossl(void);

/* Of the calling thread, freed when it ends; NULL when out of memory. */
EVP_CIPHER_CTX *p2p_ossl_gcm_ctx(void);
EVP_MD_CTX *p2p_ossl_sha256_ctx(void);

/* From guard to unguard the memory that OpenSSL takes on this thread is the vault's.
 * For everything that handles a private key; they nest. */
void p2p_ossl_guard(void);
void p2p_ossl_unguard(void);

/* Empties OpenSSL's error queue and gives `err`, for the end of a failed function. */
enum p2p_err p2p_ossl_fail(enum p2p_err err);

/* A key for verifying and encrypting; *returns owned*, NULL when OpenSSL fails. */
EVP_PKEY *p2p_ossl_public_key(const struct p2p_spki *spki);

/* A private key with its public half in the form peers see. */
struct p2p_rsa {
    EVP_PKEY *pkey;
    struct p2p_spki spki;
};

#endif
