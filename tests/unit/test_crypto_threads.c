/* Checks with a thread sanitizer what crypto.h says about threads: one RSA key for many
 * threads, and contexts that end with their thread (a leak checker sees the rest). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "p2p/crypto.h"
#include "p2p/sha256_lanes.h"
#include "test_keys.h"

enum { THREADS = 4, ROUNDS = 20 };

static struct p2p_rsa *key;

/* Runs each function once; returns false if a result is wrong. */
static bool
use_all(uint8_t tag)
{
    struct p2p_secret secret, back;
    struct p2p_nonce nonce = {{tag}};
    struct p2p_signature sig;
    struct p2p_digest lanes[20], single;
    uint8_t text[20 * 64], seal[P2P_TAG_LEN], box[P2P_RSA_LEN];

    memset(text, tag, sizeof(text));
    if (p2p_random(secret.b, sizeof(secret.b)) != P2P_OK ||
        p2p_gcm_seal(&secret, &nonce, NULL, 0, text, 64, text, seal) != P2P_OK ||
        p2p_gcm_open(&secret, &nonce, NULL, 0, text, 64, text, seal) != P2P_OK ||
        text[0] != tag)
        return false;
    if (p2p_sha256_lanes(text, 64, 64, 20, lanes) != P2P_OK ||
        p2p_sha256(text, 64, &single) != P2P_OK ||
        memcmp(&lanes[19], &single, sizeof(single)) != 0)
        return false;
    if (p2p_pss_sign(key, text, 64, &sig) != P2P_OK ||
        p2p_pss_verify(p2p_rsa_spki(key), text, 64, &sig) != P2P_OK ||
        p2p_oaep_encrypt(p2p_rsa_spki(key), "x", 1, &secret, box) != P2P_OK ||
        p2p_oaep_decrypt(key, "x", 1, box, &back) != P2P_OK ||
        memcmp(&secret, &back, sizeof(back)) != 0)
        return false;
    return p2p_spki_check(p2p_rsa_spki(key)->b) == P2P_OK;
}

static void *
work(void *tag)
{
    bool *ok = tag;

    for (int i = 0; i < ROUNDS && *ok; i++)
        *ok = use_all((uint8_t)(i + 1));
    p2p_wipe_traces();
    return NULL;
}

static void
one_key_many_threads(void **state)
{
    pthread_t threads[THREADS];
    bool ok[THREADS];

    (void)state;
    key = test_key(0);
    for (int i = 0; i < THREADS; i++) {
        ok[i] = true;
        assert_int_equal(pthread_create(&threads[i], NULL, work, &ok[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_true(ok[i]);
    }
    p2p_rsa_free(key);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_key_many_threads)};

    return cmocka_run_group_tests(tests, NULL, NULL); /* init comes at first use, too */
}
