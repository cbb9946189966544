/* Every kernel of p2p_sha256_lanes that this CPU supports, each in a separate process,
 * compared with OpenSSL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/crypto/sha256_kernel.h"
#include "p2p/sha256_lanes.h"

enum { COUNT_MAX = 40 };

/* `count` messages of `len` bytes at `misaligned` in a heap block that ends with the
 * last. */
static void
compare(size_t len, size_t gap, size_t count, size_t misaligned)
{
    size_t stride = len + gap;
    size_t size = misaligned + (count > 0 ? (count - 1) * stride + len : 0);
    uint8_t *block = malloc(size > 0 ? size : 1);
    struct p2p_digest got[COUNT_MAX], want;

    assert_non_null(block);
    for (size_t i = 0; i < size; i++)
        block[i] = (uint8_t)((i + len) * 2654435761u >> 16);
    assert_int_equal(p2p_sha256_lanes(block + misaligned, stride, len, count, got),
                     P2P_OK);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(p2p_sha256(block + misaligned + i * stride, len, &want),
                         P2P_OK);
        assert_memory_equal(&got[i], &want, sizeof(want));
    }
    free(block);
}

static void
all_short_lengths(void **state)
{
    (void)state;
    for (size_t len = 0; len <= 260; len++)
        compare(len, len % 3, 37, len % 17);
}

static void
all_counts(void **state)
{
    (void)state;
    for (size_t count = 0; count <= COUNT_MAX; count++) {
        compare(64, 0, count, 0);
        compare(100, 28, count, 3);
    }
}

static void
all_alignments(void **state)
{
    (void)state;
    for (size_t misaligned = 0; misaligned < 64; misaligned++)
        compare(16384, 1, 17, misaligned);
}

static void
lengths_around_blocks(void **state)
{
    static const size_t around[] = {1024, 4096, 16384, 65536};

    (void)state;
    for (size_t i = 0; i < 4; i++)
        for (size_t len = around[i] - 2; len <= around[i] + 2; len++)
            compare(len, 0, 18, 1);
}

static void
a_level_folds_in_place(void **state)
{
    struct p2p_digest h[2 * COUNT_MAX], want[COUNT_MAX];

    (void)state;
    memset(h, 0, sizeof(h));
    for (size_t i = 0; i < 2 * COUNT_MAX; i++)
        h[i].b[0] = (uint8_t)i;
    for (size_t i = 0; i < COUNT_MAX; i++)
        assert_int_equal(p2p_sha256(&h[2 * i], 64, &want[i]), P2P_OK);
    assert_int_equal(p2p_sha256_lanes(h->b, 64, 64, COUNT_MAX, h), P2P_OK);
    assert_memory_equal(h, want, sizeof(want));
}

/* A kernel that the CPU supports, but that was not chosen, gives wrong hashes. */
static bool
is_for_this_cpu(const char *way)
{
#if defined(__x86_64__)
    static const struct p2p_sha256_kernel *const kernels[] = {
        &p2p_sha256_avx512, &p2p_sha256_avx2, &p2p_sha256_sha_ni};

    for (size_t i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++)
        if (strcmp(kernels[i]->name, way) == 0)
            return kernels[i]->is_supported();
#endif
    return strcmp(way, "openssl") == 0;
}

static int
run(const char *way)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_short_lengths),
        cmocka_unit_test(all_counts),
        cmocka_unit_test(all_alignments),
        cmocka_unit_test(lengths_around_blocks),
        cmocka_unit_test(a_level_folds_in_place),
    };

    if (setenv("P2P_SHA256_LANES", way, 1) != 0 || p2p_crypto_init() != P2P_OK)
        return 1;
    if (way[0] != '\0' && strcmp(p2p_sha256_lanes_name(), way) != 0) {
        printf("%s: %s\n", way, is_for_this_cpu(way) ? "broken" : "not on this CPU");
        return is_for_this_cpu(way);
    }
    printf("%s\n", p2p_sha256_lanes_name());
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int
main(void)
{
    static const char *const ways[] = {"openssl", "avx2", "avx512", "sha-ni", ""};
    int failed = 0;

    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        int status = 1;
        pid_t child;

        fflush(stdout);
        child = fork();
        if (child == 0)
            exit(run(ways[i]));
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
            failed = 1;
    }
    return failed;
}
