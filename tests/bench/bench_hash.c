/*
 * bench_hash [MIB]   GB/s of SHA-256 over 16 KiB blocks: OpenSSL's single stream, the
 * way p2p_sha256_lanes chose (P2P_SHA256_LANES forces another), and whole trees of 1
 * MiB chunks. One core, data in memory, median of five.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "p2p/limits.h"
#include "p2p/sha256_lanes.h"
#include "p2p/sha256_stitched.h"
#include "p2p/tree.h"

enum { RUNS = 5 };

static double
now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static enum p2p_err
single_stream(const uint8_t *data, size_t len, struct p2p_digest *out)
{
    return p2p_sha256(data, len, out);
}

static enum p2p_err
lanes(const uint8_t *data, size_t len, struct p2p_digest *out)
{
    return p2p_sha256_lanes(data, P2P_BLOCK_SIZE, P2P_BLOCK_SIZE, len / P2P_BLOCK_SIZE,
                            out);
}

static enum p2p_err
tree(const uint8_t *data, size_t len, struct p2p_digest *out)
{
    struct p2p_chunks g;
    enum p2p_err err = p2p_chunks_init(&g, len, P2P_CHUNK_SIZE_DEFAULT);

    for (uint64_t i = 0; err == P2P_OK && i < g.count; i++)
        err = p2p_tree_chunk(&g, data + p2p_chunk_offset(&g, i),
                             p2p_chunk_length(&g, i), &out[i]);
    return err == P2P_OK ? p2p_tree_root(&g, out, &out[g.count]) : err;
}

static enum p2p_err
tree_and_stream(const uint8_t *data, size_t len, struct p2p_digest *out)
{
    struct p2p_sha256 *sha;
    enum p2p_err err = p2p_sha256_new(&sha);

    if (err == P2P_OK)
        err = p2p_sha256_stitched(sha, data, len / P2P_STITCHED_SIZE, out);
    p2p_sha256_free(sha);
    return err;
}

static int
by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static double
measure(const char *name, const uint8_t *data, size_t len, struct p2p_digest *out,
        enum p2p_err (*hash)(const uint8_t *, size_t, struct p2p_digest *))
{
    double rate[RUNS];

    for (int i = -1; i < RUNS; i++) { /* the first one warms up */
        double start = now_s();

        if (hash(data, len, out) != P2P_OK)
            exit(1);
        if (i >= 0)
            rate[i] = (double)len / (now_s() - start) / 1e9;
    }
    qsort(rate, RUNS, sizeof(rate[0]), by_value);
    printf("%-26s %6.2f GB/s  (%.2f - %.2f)\n", name, rate[RUNS / 2], rate[0],
           rate[RUNS - 1]);
    return rate[RUNS / 2];
}

int
main(int argc, char **argv)
{
    size_t len = (argc > 1 ? strtoul(argv[1], NULL, 10) : 64) * P2P_MIB;
    uint8_t *data = malloc(len);
    struct p2p_digest *out = malloc((len / P2P_BLOCK_SIZE + 1) * sizeof(*out));
    double single, ours;

    if (len == 0 || data == NULL || out == NULL || p2p_random(data, len) != P2P_OK)
        return 1;
    single = measure("OpenSSL, one stream", data, len, out, single_stream);
    ours = measure(p2p_sha256_lanes_name(), data, len, out, lanes);
    printf("%-26s %6.2f x\n", "ratio", ours / single);
    measure("tree, 1 MiB chunks", data, len, out, tree);
    measure(p2p_sha256_is_stitched() ? "leaves and stream, stitched"
                                     : "leaves and stream, apart",
            data, len, out, tree_and_stream);
    free(data);
    free(out);
    return 0;
}
