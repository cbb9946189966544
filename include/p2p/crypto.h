/*
 * crypto - the only user of OpenSSL in the core: AES-256-GCM, SHA-256, HKDF, X25519,
 * RSA-2048 (PSS, OAEP), random bytes, wiping.
 *
 * Secrets, public values and digests are different struct types, so that one cannot
 * be passed for another. Algorithms are fetched once (p2p_crypto_init); cipher and
 * digest contexts are kept per thread inside the module, so callers hold keys only
 * (an idle connection costs 32 bytes a direction). All functions are thread-safe unless
 * they take an object, which is used by one thread at a time (RSA keys: read-only after
 * they are made, any number of threads).
 * Sources: NIST SP 800-38D, RFC 5869, RFC 7748, RFC 8017.
 */
#ifndef P2P_CRYPTO_H
#define P2P_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/err.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

#define P2P_KEY_LEN    32
#define P2P_NONCE_LEN  12
#define P2P_TAG_LEN    16
#define P2P_DIGEST_LEN 32
#define P2P_RSA_LEN    256 /* bytes of a modulus, a signature, an OAEP ciphertext */
#define P2P_SPKI_LEN   294 /* DER SubjectPublicKeyInfo, RSA-2048, e = 65537 */
#define P2P_PEM_LEN    451 /* the same as PEM: 64 columns, LF, trailing LF */
#define P2P_ID_HEX_LEN 64  /* a peer id in hex, without a NUL */

/* A symmetric secret (AES key, HKDF secret, X25519 shared secret). Wipe after use. */
struct p2p_secret {
    uint8_t b[P2P_KEY_LEN];
};
struct p2p_digest {
    uint8_t b[P2P_DIGEST_LEN];
};
struct p2p_nonce {
    uint8_t b[P2P_NONCE_LEN];
};
/* X25519: the private half is a secret, the public one is not. */
struct p2p_x25519_public {
    uint8_t b[32];
};
/* The SubjectPublicKeyInfo of a peer: a canonical RSA-2048 key. */
struct p2p_spki {
    uint8_t b[P2P_SPKI_LEN];
};
struct p2p_signature {
    uint8_t b[P2P_RSA_LEN];
};
/* Peer id: SHA-256 of the canonical PEM (PROTOCOL.md). Compared with p2p_id_equal. */
struct p2p_id {
    uint8_t b[P2P_DIGEST_LEN];
};

/*
 * Fetches the algorithms. Call it first in main, before another library uses OpenSSL:
 * then everything OpenSSL frees is wiped, and what it needs for a private key is in the
 * vault (p2p/vault.h). Later calls do nothing.
 */
P2P_MUST_CHECK enum p2p_err p2p_crypto_init(void);

/* Overwrites memory; the compiler does not remove this call. */
void p2p_wipe(void *secret, size_t len);
/* Overwrites data that earlier calls of this module have left: on the stack below the
 * caller, and the last key in this thread's cipher context. Takes about a
 * microsecond. */
void p2p_wipe_traces(void);
bool p2p_equal_ct(const void *a, const void *b, size_t len); /* constant time */
/* Random bytes from OpenSSL's generator. CRYPTO. */
P2P_MUST_CHECK enum p2p_err p2p_random(void *out, size_t len);

/*
 * AES-256-GCM. `in` and `out` may be the same memory. seal writes `len` bytes and the
 * tag; open checks the tag first to last and wipes `out` when it does not fit (AUTH).
 */
P2P_MUST_CHECK enum p2p_err p2p_gcm_seal(const struct p2p_secret *key,
                                         const struct p2p_nonce *nonce, const void *aad,
                                         size_t aad_len, const uint8_t *in, size_t len,
                                         uint8_t *out, uint8_t tag[P2P_TAG_LEN]);
/* Decrypts `len` bytes to `out` and checks the tag; see p2p_gcm_seal. */
P2P_MUST_CHECK enum p2p_err p2p_gcm_open(const struct p2p_secret *key,
                                         const struct p2p_nonce *nonce, const void *aad,
                                         size_t aad_len, const uint8_t *in, size_t len,
                                         uint8_t *out, const uint8_t tag[P2P_TAG_LEN]);

/* SHA-256 of one buffer, and of a stream. */
P2P_MUST_CHECK enum p2p_err p2p_sha256(const void *data, size_t len,
                                       struct p2p_digest *out);
struct p2p_sha256; /* a running hash; *returns owned*, free with p2p_sha256_free */
/* Starts a hash without any bytes. */
P2P_MUST_CHECK enum p2p_err p2p_sha256_new(struct p2p_sha256 **out);
/* NULL is fine. */
void p2p_sha256_free(struct p2p_sha256 *sha);
/* Adds `len` bytes (0 is allowed). CRYPTO. */
P2P_MUST_CHECK enum p2p_err p2p_sha256_update(struct p2p_sha256 *sha, const void *data,
                                              size_t len);
/* The digest of the bytes so far. The stream can be continued (so it can serve as a
 * transcript). */
P2P_MUST_CHECK enum p2p_err p2p_sha256_peek(const struct p2p_sha256 *sha,
                                            struct p2p_digest *out);
/* The storable state of a running hash, after `length` bytes (a multiple of 64). */
struct p2p_sha256_state {
    uint64_t length;
    uint32_t words[8];
};
/* RANGE when the bytes so far are not a multiple of 64. */
P2P_MUST_CHECK enum p2p_err p2p_sha256_save(const struct p2p_sha256 *sha,
                                            struct p2p_sha256_state *out);
/* Makes `sha` continue from the stored state, whatever it held before. RANGE as above.
 */
P2P_MUST_CHECK enum p2p_err p2p_sha256_restore(struct p2p_sha256 *sha,
                                               const struct p2p_sha256_state *state);

/* HKDF-Extract with SHA-256 (RFC 5869). */
P2P_MUST_CHECK enum p2p_err p2p_hkdf_extract(const struct p2p_digest *salt,
                                             const void *ikm, size_t len,
                                             struct p2p_secret *prk);
/* HKDF-Expand (RFC 5869): writes 32 bytes; info is label || context. */
P2P_MUST_CHECK enum p2p_err p2p_hkdf_expand(const struct p2p_secret *prk,
                                            const void *info, size_t len,
                                            struct p2p_secret *out);

/* X25519 (RFC 7748). The private key is any 32 random bytes. An all-zero result, that
 * is a low-order point from the other side, is AUTH. */
P2P_MUST_CHECK enum p2p_err p2p_x25519_public(const struct p2p_secret *private_key,
                                              struct p2p_x25519_public *out);
/* Computes the shared secret of our private and the other side's public key. Wipe
 * `shared` after use. */
P2P_MUST_CHECK enum p2p_err p2p_x25519(const struct p2p_secret *private_key,
                                       const struct p2p_x25519_public *theirs,
                                       struct p2p_secret *shared);

/*
 * RSA-2048 key pair. Signing and decrypting take about 0.75 ms without helping
 * hardware: not on an event loop.
 */
struct p2p_rsa;
/* Generates a new key pair; *returns owned*, free with p2p_rsa_free. Takes a fraction
 * of a second. */
P2P_MUST_CHECK enum p2p_err p2p_rsa_generate(struct p2p_rsa **out);
/* Wipes the private key. NULL is fine. */
void p2p_rsa_free(struct p2p_rsa *rsa);
/* The public half, canonical. */
const struct p2p_spki *p2p_rsa_spki(const struct p2p_rsa *rsa);

/*
 * Reads and writes a private key as PKCS#8 PEM text. With a passphrase: PBES2, scrypt
 * (N 2^14, r 8, p 5: the most that `openssl pkey` accepts), AES-256-CBC. parse accepts
 * both forms: PASSPHRASE if one is needed or wrong, KEY_FILE if it is not a valid
 * RSA-2048 key with e = 65537. format *returns owned* NUL-terminated text of `*len`
 * bytes: p2p_vault_free.
 */
P2P_MUST_CHECK enum p2p_err p2p_rsa_parse_pem(const char *pem, size_t len,
                                              const char *passphrase,
                                              struct p2p_rsa **out);
/* Writes the key as PEM, see p2p_rsa_parse_pem. NULL passphrase: not encrypted. */
P2P_MUST_CHECK enum p2p_err p2p_rsa_format_pem(const struct p2p_rsa *rsa,
                                               const char *passphrase, char **pem,
                                               size_t *len);
/* True if p2p_rsa_parse_pem needs a passphrase for this text. Reads only its label. */
bool p2p_rsa_pem_is_encrypted(const char *pem, size_t len);

/*
 * Public keys from outside. spki_check compares with the template of PROTOCOL.md (no
 * ASN.1 parser sees the bytes), top bit of n set, n odd, no prime factor below 2^16:
 * AUTH otherwise. spki_from_pem takes canonical PEM only, of any length given, and
 * checks as well.
 */
P2P_MUST_CHECK enum p2p_err p2p_spki_check(const uint8_t der[P2P_SPKI_LEN]);
/* Parses a canonical PEM and checks the key like p2p_spki_check. `pem` is borrowed
 * during the call and needs no NUL. */
P2P_MUST_CHECK enum p2p_err p2p_spki_from_pem(const char *pem, size_t len,
                                              struct p2p_spki *out);
/* Writes the canonical PEM text of the key, with a NUL. */
void p2p_spki_to_pem(const struct p2p_spki *spki, char pem[P2P_PEM_LEN + 1]);
/* The peer id that belongs to the key. */
P2P_MUST_CHECK enum p2p_err p2p_spki_id(const struct p2p_spki *spki,
                                        struct p2p_id *out);
/* Ids are public, so this need not take constant time. */
bool p2p_id_equal(const struct p2p_id *a, const struct p2p_id *b);

/* Signs with RSA-PSS: SHA-256, MGF1-SHA-256, a salt of exactly 32 bytes. Checks its own
 * result before returning it, because a faulty signature would reveal the key. */
P2P_MUST_CHECK enum p2p_err p2p_pss_sign(const struct p2p_rsa *rsa, const void *data,
                                         size_t len, struct p2p_signature *out);
/* Verifies a signature of p2p_pss_sign. AUTH if it is wrong. */
P2P_MUST_CHECK enum p2p_err p2p_pss_verify(const struct p2p_spki *spki,
                                           const void *data, size_t len,
                                           const struct p2p_signature *sig);

/* RSA-OAEP, SHA-256 for both hashes; label may be empty. Only 32-byte secrets are
 * carried: decrypt gives AUTH for anything else, without telling what was wrong. */
P2P_MUST_CHECK enum p2p_err p2p_oaep_encrypt(const struct p2p_spki *spki,
                                             const void *label, size_t label_len,
                                             const struct p2p_secret *secret,
                                             uint8_t out[P2P_RSA_LEN]);
/* Decrypts with the same `label` as p2p_oaep_encrypt. `secret` is zero after an
 * error. */
P2P_MUST_CHECK enum p2p_err p2p_oaep_decrypt(const struct p2p_rsa *rsa,
                                             const void *label, size_t label_len,
                                             const uint8_t in[P2P_RSA_LEN],
                                             struct p2p_secret *secret);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
