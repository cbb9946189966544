// uses tests/unit/vectors.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "p2p/limits.h"
#include "p2p/tree.h"
#include "vectors.h"

enum { LONGEST = 5 * P2P_MIB };

static uint8_t content[LONGEST];

/* The rule of tests/vectors/tree.json. */
static void
make_content(void)
{
    for (uint32_t i = 0; i < LONGEST; i++)
        content[i] = (uint8_t)(i * 2654435761u >> 24);
}

/* Hashes the first `size` bytes chunk by chunk. *Returns owned.* */
static struct p2p_digest *
layer_of(const struct p2p_chunks *g)
{
    struct p2p_digest *layer = calloc(g->count + 1, sizeof(*layer));

    assert_non_null(layer);
    for (uint64_t i = 0; i < g->count; i++) {
        /* In an exact block, so that a sanitizer sees a read past the end. */
        uint32_t len = p2p_chunk_length(g, i);
        uint8_t *chunk = malloc(len);

        memcpy(chunk, content + p2p_chunk_offset(g, i), len);
        assert_int_equal(p2p_tree_chunk(g, chunk, len, &layer[i]), P2P_OK);
        free(chunk);
    }
    return layer;
}

static void
check_layer_vector(const cJSON *file, const cJSON *expected)
{
    struct p2p_chunks g;
    struct p2p_digest *layer, root, digest;
    const cJSON *hash = cJSON_GetObjectItem(expected, "layer");

    assert_int_equal(p2p_chunks_init(&g, vectors_number(file, "size"),
                                     vectors_number(expected, "chunk_size")),
                     P2P_OK);
    assert_int_equal(g.count, vectors_number(expected, "count"));
    layer = layer_of(&g);
    assert_int_equal(p2p_sha256(layer, g.count * sizeof(*layer), &digest), P2P_OK);
    vectors_assert_equal(expected, "sha256_of_layer", digest.b, sizeof(digest.b));
    (void)hash;
    assert_int_equal(p2p_tree_root(&g, layer, &root), P2P_OK);
    vectors_assert_equal(file, "root", root.b, sizeof(root.b));
    assert_int_equal(p2p_tree_check_layer(&g, layer, &root), P2P_OK);

    for (uint64_t i = 0; i < g.count; i += 1 + g.count / 5) { /* any change is seen */
        layer[i].b[i % 32] ^= 1;
        assert_int_equal(p2p_tree_check_layer(&g, layer, &root), P2P_ERR_HASH_MISMATCH);
        layer[i].b[i % 32] ^= 1;
    }
    free(layer);
}

static void
known_answers(void **state)
{
    cJSON *whole = vectors_load("tree.json");
    int layers = 0;

    (void)state;
    for (cJSON *f = cJSON_GetObjectItem(whole, "files")->child; f != NULL;
         f = f->next) {
        for (cJSON *l = cJSON_GetObjectItem(f, "layers")->child; l != NULL;
             l = l->next) {
            check_layer_vector(f, l);
            layers++;
        }
    }
    assert_true(layers > 100);
    cJSON_Delete(whole);
}

static void
a_layer_of_another_size_does_not_fit(void **state)
{
    struct p2p_chunks g, other;
    struct p2p_digest *layer, root;

    (void)state;
    assert_int_equal(p2p_chunks_init(&g, 5 * 65536, 65536), P2P_OK);
    layer = layer_of(&g);
    assert_int_equal(p2p_tree_root(&g, layer, &root), P2P_OK);
    assert_int_equal(p2p_chunks_init(&other, 4 * 65536, 65536), P2P_OK);
    assert_int_equal(p2p_tree_check_layer(&other, layer, &root), P2P_ERR_HASH_MISMATCH);
    assert_int_equal(p2p_chunks_init(&other, 10 * 32768, 32768), P2P_OK);
    layer = realloc(layer, 11 * sizeof(*layer));
    memset(layer + 5, 0, 6 * sizeof(*layer));
    assert_int_equal(p2p_tree_check_layer(&other, layer, &root), P2P_ERR_HASH_MISMATCH);
    free(layer);
}

/* The layer of one chunk size folds to the layers of all larger sizes, also in parts.
 */
static void
a_layer_is_raised_to_larger_chunks(void **state)
{
    static const uint64_t sizes[] = {16385, 100000, 5 * 16384, 16 * 16384, 500000};

    (void)state;
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        struct p2p_chunks fine, coarse;
        assert_int_equal(p2p_chunks_init(&fine, sizes[s], 16384), P2P_OK);
        for (unsigned levels = 0; levels < 6; levels++) {
            assert_int_equal(p2p_chunks_init(&coarse, sizes[s], 16384u << levels),
                             P2P_OK);
            if (coarse.count < 2)
                break;
            struct p2p_digest *layer = layer_of(&fine), *want = layer_of(&coarse);
            struct p2p_digest part[65];
            size_t kept = 0, step = (size_t)2 << levels;
            for (size_t at = 0; at < fine.count; at += step) {
                size_t n = fine.count - at < step ? (size_t)fine.count - at : step;
                memcpy(part, &layer[at], n * sizeof(*part));
                assert_int_equal(p2p_tree_raise(&fine, part, &n, levels), P2P_OK);
                assert_memory_equal(part, &want[kept], n * sizeof(*part));
                kept += n;
            }
            assert_int_equal(kept, coarse.count);
            free(layer);
            free(want);
        }
    }
}

static void
chunks_outside_their_bounds_are_refused(void **state)
{
    struct p2p_chunks g;
    struct p2p_digest out;

    (void)state;
    assert_int_equal(p2p_chunks_init(&g, 100000, 16384), P2P_OK);
    assert_int_equal(p2p_tree_chunk(&g, content, 0, &out), P2P_ERR_RANGE);
    assert_int_equal(p2p_tree_chunk(&g, content, 16385, &out), P2P_ERR_RANGE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(a_layer_of_another_size_does_not_fit),
        cmocka_unit_test(a_layer_is_raised_to_larger_chunks),
        cmocka_unit_test(chunks_outside_their_bounds_are_refused),
    };

    make_content();
    if (p2p_crypto_init() != P2P_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
