/*
 * Hashes a piece of a file in one pass for two purposes: its leaves, and its part of
 * the hash of the whole file. A stream with SHA instructions is one long chain that
 * leaves most of the CPU idle, so 16 lanes of AVX-512 can run beside it.
 */
#include "p2p/sha256_stitched.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/crypto/sha256_kernel.h"
#include "p2p/bytes.h"
#include "p2p/sha256_lanes.h"

#if defined(__x86_64__)

#define TARGET __attribute__((target("avx512f,avx512bw,sha,sse4.1")))

#include "core/crypto/sha256_avx512.h"
#include "core/crypto/sha256_sha_ni.h"

/* The stream in progress. Each round of the lanes also does a quarter of a block of the
 * stream, so one block of 16 lanes goes with 16 blocks of the stream: the same number
 * of bytes. */
struct stream {
    struct words now, before;
    __m128i w[4];
    const uint8_t *at;
};

static TARGET inline __attribute__((always_inline)) void
quarter_block(struct stream *s, int quarter)
{
    if (quarter == 0) {
        s->before = s->now;
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            s->w[i] = load_four(s->at + 16 * i);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        FOUR_ROUNDS(s->now, s->w, 4 * quarter + i);
    if (quarter == 3) {
        s->now.abef = _mm_add_epi32(s->now.abef, s->before.abef);
        s->now.cdgh = _mm_add_epi32(s->now.cdgh, s->before.cdgh);
        s->at += P2P_SHA256_BLOCK;
    }
}

#define AFTER_ROUND(i) quarter_block(&stream, (i) % 4)
#include "core/crypto/sha256_rounds.h"

/* The leaves without their padding, and the stream's state after the same bytes. */
static TARGET void
compress(uint32_t *state, const uint8_t *const *lane, uint32_t words[8])
{
    struct stream stream = {.now = load_state(words, 1), .at = lane[0]};
    VEC w[16];

    for (size_t at = 0; at < P2P_BLOCK_SIZE; at += P2P_SHA256_BLOCK)
        COMPRESS_BLOCK(state, lane, at);
    store_state(words, 1, stream.now);
}

static bool
is_supported(void)
{
    return p2p_sha256_avx512.is_supported() && p2p_sha256_sha_ni.is_supported();
}

/* The padding of a message of one leaf. */
static void
pad_leaves(uint32_t *state)
{
    uint8_t tail[P2P_SHA256_BLOCK] = {0x80};
    const uint8_t *lane[LANES];

    p2p_store_u64(tail + sizeof(tail) - 8, (uint64_t)P2P_BLOCK_SIZE * 8);
    for (unsigned i = 0; i < LANES; i++)
        lane[i] = tail;
    p2p_sha256_avx512.compress(state, lane, 1);
}

static void
hash_group(uint32_t words[8], const uint8_t *data, struct p2p_digest *leaves)
{
    uint32_t state[8 * LANES];
    const uint8_t *lane[LANES];

    for (unsigned i = 0; i < LANES; i++)
        lane[i] = data + (size_t)i * P2P_BLOCK_SIZE;
    for (unsigned i = 0; i < 8 * LANES; i++)
        state[i] = p2p_sha256_initial[i / LANES];
    compress(state, lane, words);
    pad_leaves(state);
    for (unsigned i = 0; i < 8 * LANES; i++)
        p2p_store_u32(leaves[i % LANES].b + 4 * (i / LANES), state[i]);
}

#else

static bool
is_supported(void)
{
    return false;
}

static void
hash_group(uint32_t words[8], const uint8_t *data, struct p2p_digest *leaves)
{
    (void)words, (void)data, (void)leaves;
}

#endif

static enum p2p_err
in_one_pass(struct p2p_sha256 *sha, const uint8_t *data, size_t groups,
            struct p2p_digest *leaves)
{
    struct p2p_sha256_state state;
    enum p2p_err err = p2p_sha256_save(sha, &state);

    if (err != P2P_OK)
        return err;
    for (size_t i = 0; i < groups; i++)
        hash_group(state.words, data + i * P2P_STITCHED_SIZE,
                   leaves + i * P2P_STITCHED_LEAVES);
    state.length += groups * P2P_STITCHED_SIZE;
    return p2p_sha256_restore(sha, &state);
}

static enum p2p_err
in_two_passes(struct p2p_sha256 *sha, const uint8_t *data, size_t groups,
              struct p2p_digest *leaves)
{
    enum p2p_err err = p2p_sha256_lanes(data, P2P_BLOCK_SIZE, P2P_BLOCK_SIZE,
                                        groups * P2P_STITCHED_LEAVES, leaves);

    return err == P2P_OK ? p2p_sha256_update(sha, data, groups * P2P_STITCHED_SIZE)
                         : err;
}

/* ---- The choice ---- */

enum { TRIALS = 3 };

typedef enum p2p_err pass(struct p2p_sha256 *, const uint8_t *, size_t,
                          struct p2p_digest *);

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool stitched;

/* The best of several times in ns, and the result; UINT64_MAX on failure. */
static uint64_t
try_pass(pass *run, const uint8_t *data, struct p2p_digest out[P2P_STITCHED_LEAVES + 1])
{
    struct p2p_sha256 *sha = NULL;
    enum p2p_err err = p2p_sha256_new(&sha);
    uint64_t best = UINT64_MAX;

    for (int i = 0; i < TRIALS && err == P2P_OK; i++) {
        struct timespec from, to;
        clock_gettime(CLOCK_MONOTONIC, &from);
        err = run(sha, data, 1, out);
        clock_gettime(CLOCK_MONOTONIC, &to);
        uint64_t ns = (uint64_t)(to.tv_sec - from.tv_sec) * 1000000000u +
                      (uint64_t)(to.tv_nsec - from.tv_nsec);
        best = ns < best ? ns : best;
    }
    if (err == P2P_OK)
        err = p2p_sha256_peek(sha, &out[P2P_STITCHED_LEAVES]);
    p2p_sha256_free(sha);
    return err == P2P_OK ? best : UINT64_MAX;
}

static void
choose(void)
{
    const char *wanted = getenv("P2P_SHA256_STITCHED");
    bool forced = wanted != NULL && strcmp(wanted, "yes") == 0;
    struct p2p_digest one[P2P_STITCHED_LEAVES + 1], two[P2P_STITCHED_LEAVES + 1];
    uint8_t *data;

    if (!is_supported() || (wanted != NULL && strcmp(wanted, "no") == 0))
        return;
    data = malloc(P2P_STITCHED_SIZE);
    if (data == NULL)
        return;
    for (uint32_t i = 0; i < P2P_STITCHED_SIZE; i++)
        data[i] = (uint8_t)(i * 2654435761u >> 24);
    uint64_t one_ns = try_pass(in_one_pass, data, one);
    uint64_t two_ns = try_pass(in_two_passes, data, two);
    stitched = one_ns != UINT64_MAX && memcmp(one, two, sizeof(one)) == 0 &&
               (forced || one_ns < two_ns);
    free(data);
}

bool
p2p_sha256_is_stitched(void)
{
    pthread_once(&once, choose);
    return stitched;
}

enum p2p_err
p2p_sha256_stitched(struct p2p_sha256 *sha, const uint8_t *data, size_t groups,
                    struct p2p_digest *leaves)
{
    return p2p_sha256_is_stitched() ? in_one_pass(sha, data, groups, leaves)
                                    : in_two_passes(sha, data, groups, leaves);
}
