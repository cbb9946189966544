/*
 * ossl - declarations shared by the files of crypto/: algorithms that are fetched once,
 * and contexts for each thread. Internal to this folder; the rest of the core uses
 * p2p/crypto.h only.
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

/* Fetched at the first call; NULL if this OpenSSL lacks one of the algorithms. */
const struct p2p_ossl *p2p_ossl(void);

/* The contexts of the calling thread, freed when it ends; NULL when out of memory. */
EVP_CIPHER_CTX *p2p_ossl_gcm_ctx(void);
EVP_MD_CTX *p2p_ossl_sha256_ctx(void);

/* Between guard and unguard, the memory that OpenSSL allocates on this thread comes
 * from the vault. Use them around everything that handles a private key. They can be
 * nested. */
void p2p_ossl_guard(void);
void p2p_ossl_unguard(void);

/* For tests: the cost N of scrypt for new passphrases; 0: P2P_SCRYPT_N. */
#define P2P_SCRYPT_N (1 << 14)
void p2p_rsa_set_scrypt_n(uint64_t n);

/* Empties OpenSSL's error queue and returns `err`, for the end of a failed function. */
enum p2p_err p2p_ossl_fail(enum p2p_err err);

/* A key for verifying and encrypting; *returns owned*, NULL when OpenSSL fails. */
EVP_PKEY *p2p_ossl_public_key(const struct p2p_spki *spki);

/* A private key with its public key in the form that peers see. */
struct p2p_rsa {
    EVP_PKEY *pkey;
    struct p2p_spki spki;
};

#endif
