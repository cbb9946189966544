/* Initialization, contexts per thread, random bytes, wiping. */
#include "p2p/crypto.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>

#include "core/crypto/ossl.h"
#include "p2p/vault.h"

/* The contexts of one thread. */
struct contexts {
    EVP_CIPHER_CTX *gcm;
    EVP_MD_CTX *sha256;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct p2p_ossl algorithms;
static bool is_ready;
static pthread_key_t contexts_key;
static _Thread_local struct contexts *contexts;
static _Thread_local unsigned guards;

/*
 * OpenSSL does not clear some buffers that held secrets before it frees them (for
 * example the padded block of OAEP). So these functions clear everything that OpenSSL
 * frees. OpenSSL's own secure heap would hold the numbers of a private key, but not the
 * copies of them that it makes for calculations (the Montgomery form of the primes).
 * For that reason the memory is chosen by the operation: see p2p_ossl_guard.
 */
static void
wiping_free(void *at, const char *file, int line)
{
    (void)file, (void)line;
    p2p_vault_free(at);
}

static void *
guarded_malloc(size_t len, const char *file, int line)
{
    (void)file, (void)line;
    if (len == 0)
        return NULL;
    return guards > 0 ? p2p_vault_new(len) : malloc(len);
}

static void *
wiping_realloc(void *at, size_t len, const char *file, int line)
{
    size_t old = at != NULL ? p2p_vault_capacity(at) : 0;
    void *moved = NULL;

    if (len > 0) {
        moved = guards > 0 || p2p_vault_holds(at) ? p2p_vault_new(len) : malloc(len);
        if (moved == NULL)
            return NULL;
        if (old > 0)
            memcpy(moved, at, old < len ? old : len);
    }
    wiping_free(at, file, line);
    return moved;
}

void
p2p_ossl_guard(void)
{
    guards++;
}

void
p2p_ossl_unguard(void)
{
    guards--;
}

static void
free_contexts(void *arg)
{
    struct contexts *c = arg;

    EVP_CIPHER_CTX_free(c->gcm);
    EVP_MD_CTX_free(c->sha256);
    free(c);
}

static void
fetch(void)
{
    /* Fails if another library has used OpenSSL before; then OpenSSL keeps its own
     * functions. */
    (void)CRYPTO_set_mem_functions(guarded_malloc, wiping_realloc, wiping_free);
    algorithms.gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    algorithms.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    algorithms.hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    is_ready = algorithms.gcm != NULL && algorithms.sha256 != NULL &&
               algorithms.hkdf != NULL &&
               pthread_key_create(&contexts_key, free_contexts) == 0;
}

const struct p2p_ossl *
p2p_ossl(void)
{
    pthread_once(&once, fetch);
    return is_ready ? &algorithms : NULL;
}

enum p2p_err
p2p_crypto_init(void)
{
    return p2p_ossl() != NULL ? P2P_OK : p2p_ossl_fail(P2P_ERR_CRYPTO);
}

static struct contexts *
new_contexts(void)
{
    const struct p2p_ossl *ossl = p2p_ossl();
    struct contexts *c = ossl != NULL ? calloc(1, sizeof(*c)) : NULL;

    if (c == NULL)
        return NULL;
    p2p_ossl_guard();
    c->gcm = EVP_CIPHER_CTX_new();
    c->sha256 = EVP_MD_CTX_new();
    bool is_set = c->gcm != NULL && c->sha256 != NULL &&
                  EVP_CipherInit_ex2(c->gcm, ossl->gcm, NULL, NULL, 1, NULL) == 1 &&
                  EVP_DigestInit_ex2(c->sha256, ossl->sha256, NULL) == 1;
    p2p_ossl_unguard();
    if (!is_set || pthread_setspecific(contexts_key, c) != 0) {
        free_contexts(c);
        return NULL;
    }
    return c;
}

static struct contexts *
thread_contexts(void)
{
    if (contexts == NULL)
        contexts = new_contexts();
    return contexts;
}

EVP_CIPHER_CTX *
p2p_ossl_gcm_ctx(void)
{
    struct contexts *c = thread_contexts();

    return c != NULL ? c->gcm : NULL;
}

EVP_MD_CTX *
p2p_ossl_sha256_ctx(void)
{
    struct contexts *c = thread_contexts();

    return c != NULL ? c->sha256 : NULL;
}

enum p2p_err
p2p_ossl_fail(enum p2p_err err)
{
    ERR_clear_error();
    return err;
}

void
p2p_wipe(void *secret, size_t len)
{
    OPENSSL_cleanse(secret, len);
}

/* More stack than the deepest call of OpenSSL that handles a secret. */
enum { STACK_WIPED = 32 * 1024 };

static __attribute__((noinline)) void
wipe_stack(void)
{
    uint8_t below[STACK_WIPED];

    OPENSSL_cleanse(below, sizeof(below));
}

void
p2p_wipe_traces(void)
{
    static const uint8_t zero[P2P_KEY_LEN];

    /* Setting a dummy key is the only way to erase the old key without freeing the
     * context. */
    if (contexts != NULL &&
        EVP_CipherInit_ex2(contexts->gcm, NULL, zero, zero, 1, NULL) != 1)
        (void)EVP_CIPHER_CTX_reset(contexts->gcm);
    wipe_stack();
}

bool
p2p_equal_ct(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

enum p2p_err
p2p_random(void *out, size_t len)
{
    if (p2p_ossl() == NULL || len > INT_MAX || RAND_bytes(out, (int)len) != 1)
        return p2p_ossl_fail(P2P_ERR_CRYPTO);
    return P2P_OK;
}
