// uses tests/unit/vectors.c
/* The memory for secrets: locked, left out of dumps, wiped; a private key is nowhere
 * else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "p2p/crypto.h"
#include "p2p/hardening.h"
#include "p2p/vault.h"
#include "residue.h"
#include "vectors.h"

/* Under the address sanitizer blocks come from malloc. */
static bool
is_vault_there(void)
{
    void *block = p2p_vault_new(1);
    bool there = p2p_vault_holds(block);

    p2p_vault_free(block);
    return there;
}

/* Sanitizers make mlock do nothing. */
static bool
is_memory_locked(void)
{
    long page = sysconf(_SC_PAGESIZE);
    void *at = mmap(NULL, (size_t)page, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(at != MAP_FAILED);
    assert_int_equal(munmap(at, (size_t)page), 0);
    return mlock(at, (size_t)page) !=
           0; /* memory that is not mapped cannot be locked */
}

static void
blocks_are_zero_aligned_and_apart(void **state)
{
    static const size_t sizes[] = {0,     1,     16,          47,     48,
                                   49,    500,   1008,        1009,   32000,
                                   65519, 65520, (64u << 10), 1 << 20};
    enum { COUNT = sizeof(sizes) / sizeof(sizes[0]) };
    uint8_t *blocks[COUNT];

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < COUNT; i++) {
            blocks[i] = p2p_vault_new(sizes[i]);
            assert_non_null(blocks[i]);
            assert_int_equal((uintptr_t)blocks[i] % 16, 0);
            assert_true(p2p_vault_capacity(blocks[i]) >= sizes[i]);
            for (size_t k = 0; k < sizes[i]; k++)
                assert_int_equal(blocks[i][k], 0);
            memset(blocks[i], (int)i + 1, sizes[i]);
        }
        for (size_t i = 0; i < COUNT; i++) {
            for (size_t k = 0; k < sizes[i]; k++)
                assert_int_equal(blocks[i][k], i + 1);
            if (is_vault_there())
                assert_int_equal(p2p_vault_holds(blocks[i]), sizes[i] <= 65520);
            p2p_vault_free(blocks[i]);
        }
    }
    p2p_vault_free(NULL);
    p2p_vault_free(strdup("of the heap"));
}

/* Far more blocks than it has: the heap provides the rest, and all of them are
 * returned. */
static void
a_full_vault_goes_on_with_the_heap(void **state)
{
    enum { COUNT = 400, LEN = 60 << 10 };
    static void *blocks[COUNT];
    size_t size = 0;

    (void)state;
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < COUNT; i++) {
            blocks[i] = p2p_vault_new(LEN);
            assert_non_null(blocks[i]);
            memset(blocks[i], 1, LEN);
        }
        for (size_t i = 0; i < COUNT; i++)
            p2p_vault_free(blocks[i]);
        if (round == 0)
            size = p2p_vault_look().size_bytes;
    }
    assert_int_equal(p2p_vault_look().size_bytes, size);
}

static int
status_of(pid_t child)
{
    int status;

    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* The flags of the mapping that holds `at`, from smaps. */
static bool
mapping_has_flags(const void *at, const char *first, const char *second)
{
    FILE *maps = fopen("/proc/self/smaps", "r");
    bool inside = false, has = false;
    char line[512];

    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps) != NULL) {
        unsigned long from, to;

        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            inside = (uintptr_t)at >= from && (uintptr_t)at < to;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            has = strstr(line, first) != NULL && strstr(line, second) != NULL;
    }
    fclose(maps);
    return has;
}

/* False under an emulator of one program, which writes its own smaps. */
static bool
smaps_tells(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool tells;

    assert_true(page != MAP_FAILED);
    tells = mlock(page, size) != 0 || madvise(page, size, MADV_DONTDUMP) != 0 ||
            mapping_has_flags(page, " lo", " dd");
    munmap(page, size);
    return tells;
}

static void
pages_are_locked_and_not_dumped_in_a_child_too(void **state)
{
    void *block = p2p_vault_new(100);
    pid_t child;

    (void)state;
    if (!p2p_vault_holds(block) || p2p_vault_look().locked_bytes == 0 ||
        !is_memory_locked()) {
        p2p_vault_free(block);
        skip(); /* no memory may be locked in this environment */
    }
    if (!smaps_tells()) {
        p2p_vault_free(block);
        skip();
    }
    assert_true(mapping_has_flags(block, " lo", " dd"));
    child = fork();
    if (child == 0)
        _exit(mapping_has_flags(block, " lo", " dd") ? 0 : 1);
    assert_int_equal(status_of(child), 0);
    p2p_vault_free(block);
}

/* A limit of one page, without the right to exceed it. */
static void
without_locked_memory_it_works(void **state)
{
    pid_t child;

    (void)state;
    if (!is_memory_locked())
        skip(); /* as much as is asked for */
    child = fork();
    if (child == 0) {
        const struct rlimit small = {4096, 4096};
        void *blocks[64];
        size_t before = p2p_vault_look().locked_bytes;

        if (setrlimit(RLIMIT_MEMLOCK, &small) != 0 ||
            (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0))
            _exit(1);
        for (size_t i = 0; i < 64; i++) {
            blocks[i] = p2p_vault_new(60000);
            if (blocks[i] == NULL)
                _exit(2);
            memset(blocks[i], 1, 60000);
        }
        for (size_t i = 0; i < 64; i++)
            p2p_vault_free(blocks[i]);
        _exit(p2p_vault_look().locked_bytes == before ? 0 : 3);
    }
    assert_int_equal(status_of(child), 0);
}

static void
hardening_ends_core_dumps(void **state)
{
    pid_t child = fork();

    (void)state;
    if (child == 0) {
        struct p2p_hardening now;

        p2p_hardening_begin();
        now = p2p_hardening_look();
        _exit(!now.has_core_limit_zero              ? 1
              : is_vault_there() && now.is_dumpable ? 2
                                                    : 0);
    }
    assert_int_equal(status_of(child), 0);
}

/* ---- A private key ---- */

enum { PARTS = 5, HEX_MAX = 520 };

static bool
is_big_endian(void)
{
    const uint16_t one = 1;

    return *(const uint8_t *)&one == 0;
}

/* In a child, so that these copies are not in this process: the secret numbers of the
 * key in hex, as they are in memory (words of eight bytes, the least significant one
 * first). */
static void
read_secret_numbers(const char *path, char hex[PARTS][HEX_MAX])
{
    static const char *const names[PARTS] = {
        OSSL_PKEY_PARAM_RSA_D, OSSL_PKEY_PARAM_RSA_FACTOR1, OSSL_PKEY_PARAM_RSA_FACTOR2,
        OSSL_PKEY_PARAM_RSA_EXPONENT1, OSSL_PKEY_PARAM_RSA_EXPONENT2};
    int ends[2];
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        FILE *out = fdopen(ends[1], "w");
        BIO *bio = BIO_new_file(path, "r");
        EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

        for (size_t i = 0; out != NULL && i < PARTS; i++) {
            BIGNUM *n = NULL;
            uint8_t bytes[256];
            int len;

            if (EVP_PKEY_get_bn_param(pkey, names[i], &n) != 1)
                _exit(1);
            len = BN_bn2lebinpad(n, bytes, (BN_num_bytes(n) + 7) / 8 * 8);
            for (int k = 0; k < len; k++)
                fprintf(out, "%02x", bytes[is_big_endian() ? k ^ 7 : k]);
            fputc('\n', out);
        }
        fclose(out);
        _exit(0);
    }
    close(ends[1]);
    FILE *in = fdopen(ends[0], "r");
    for (size_t i = 0; i < PARTS; i++)
        assert_non_null(fgets(hex[i], HEX_MAX, in));
    fclose(in);
    assert_int_equal(status_of(child), 0);
}

static bool
number_is_somewhere(const char *hex)
{
    struct piece p = piece_of(hex, 32, false); /* not where it begins */

    return memory_holds(&p);
}

static void
a_private_key_is_in_the_vault_only(void **state)
{
    static char hex[PARTS][HEX_MAX];
    struct p2p_secret secret = {{7}}, opened;
    struct p2p_signature signature;
    uint8_t sealed[P2P_RSA_LEN];
    struct p2p_rsa *key;

    (void)state;
    if (!is_vault_there())
        skip();
    read_secret_numbers("tests/vectors/keys/server.pem", hex);
    key = vectors_key("server");
    assert_int_equal(p2p_pss_sign(key, "x", 1, &signature), P2P_OK);
    assert_int_equal(p2p_oaep_encrypt(p2p_rsa_spki(key), "", 0, &secret, sealed),
                     P2P_OK);
    assert_int_equal(p2p_oaep_decrypt(key, "", 0, sealed, &opened), P2P_OK);
    assert_memory_equal(&secret, &opened, sizeof(secret));
    for (size_t i = 0; i < PARTS; i++) {
        is_expected = NULL;
        if (i > 0) /* d itself need not be stored */
            assert_true(number_is_somewhere(hex[i]));
        is_expected = p2p_vault_holds;
        if (number_is_somewhere(hex[i]))
            fail_msg("secret number %zu is outside the vault", i);
    }
    p2p_rsa_free(key);
    is_expected = NULL;
    for (size_t i = 0; i < PARTS; i++)
        if (number_is_somewhere(hex[i]))
            fail_msg("secret number %zu is left", i);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_private_key_is_in_the_vault_only),
        cmocka_unit_test(blocks_are_zero_aligned_and_apart),
        cmocka_unit_test(pages_are_locked_and_not_dumped_in_a_child_too),
        cmocka_unit_test(without_locked_memory_it_works),
        cmocka_unit_test(hardening_ends_core_dumps),
        cmocka_unit_test(a_full_vault_goes_on_with_the_heap),
    };

    if (p2p_crypto_init() != P2P_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
