#include "p2p/sha256_lanes.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/crypto/sha256_kernel.h"
#include "p2p/bytes.h"

const uint32_t p2p_sha256_initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static const struct p2p_sha256_kernel *const kernels[] = {
#if defined(__x86_64__)
    &p2p_sha256_avx512,
    &p2p_sha256_sha_ni,
    &p2p_sha256_avx2,
#endif
    NULL,
};

/* The remaining input of a group of messages. */
struct input {
    const uint8_t *data;
    size_t stride, len;
};

static void
set_initial(uint32_t *state, unsigned lanes)
{
    for (unsigned i = 0; i < 8 * lanes; i++)
        state[i] = p2p_sha256_initial[i / lanes];
}

/* The end of a message: the rest after the last whole block, 0x80, zeros, the length in
 * bits. */
static size_t
put_tail(const uint8_t *rest, size_t len, uint8_t tail[2 * P2P_SHA256_BLOCK])
{
    size_t n = len % P2P_SHA256_BLOCK, blocks = n < P2P_SHA256_BLOCK - 8 ? 1 : 2;

    memset(tail, 0, 2 * P2P_SHA256_BLOCK);
    if (n > 0)
        memcpy(tail, rest, n);
    tail[n] = 0x80;
    p2p_store_u64(tail + blocks * P2P_SHA256_BLOCK - 8, (uint64_t)len * 8);
    return blocks;
}

/* Hashes `used` <= k->lanes messages. Unused lanes repeat the first message. */
static void
hash_group(const struct p2p_sha256_kernel *k, const struct input *in, unsigned used,
           struct p2p_digest *out)
{
    uint32_t state[8 * P2P_SHA256_LANES_MAX];
    uint8_t tail[P2P_SHA256_LANES_MAX][2 * P2P_SHA256_BLOCK];
    const uint8_t *lane[P2P_SHA256_LANES_MAX];
    size_t whole = in->len / P2P_SHA256_BLOCK, blocks = 0;

    set_initial(state, k->lanes);
    for (unsigned i = 0; i < k->lanes; i++)
        lane[i] = i < used ? in->data + i * in->stride : in->data;
    k->compress(state, lane, whole);
    for (unsigned i = 0; i < k->lanes; i++) {
        blocks = put_tail(lane[i] + whole * P2P_SHA256_BLOCK, in->len, tail[i]);
        lane[i] = tail[i];
    }
    k->compress(state, lane, blocks);
    for (unsigned i = 0; i < used; i++)
        for (unsigned w = 0; w < 8; w++)
            p2p_store_u32(out[i].b + 4 * w, state[w * k->lanes + i]);
}

static enum p2p_err
hash_singly(const struct input *in, size_t count, struct p2p_digest *out)
{
    enum p2p_err err = P2P_OK;

    for (size_t i = 0; i < count && err == P2P_OK; i++)
        err = p2p_sha256(in->data + i * in->stride, in->len, &out[i]);
    return err;
}

/* ---- The choice ---- */

enum { TRIAL_LEN = 4096, TRIALS = 5 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const struct p2p_sha256_kernel *chosen; /* NULL: OpenSSL, one by one */
static unsigned
    worthwhile; /* a group is faster if it has at least this many messages */

static uint64_t
now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool
is_right(const struct p2p_sha256_kernel *k, const uint8_t *data)
{
    static const size_t lengths[] = {0, 55, 56, 64, 200, TRIAL_LEN};
    struct p2p_digest got[P2P_SHA256_LANES_MAX], want[P2P_SHA256_LANES_MAX];

    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct input in = {data, TRIAL_LEN, lengths[i]};

        hash_group(k, &in, k->lanes, got);
        if (hash_singly(&in, k->lanes, want) != P2P_OK ||
            memcmp(got, want, k->lanes * sizeof(got[0])) != 0)
            return false;
    }
    return true;
}

/* The best of several measurements: the time for a group, or for one message with
 * OpenSSL if k == NULL. */
static uint64_t
time_of(const struct p2p_sha256_kernel *k, const uint8_t *data)
{
    struct input in = {data, TRIAL_LEN, TRIAL_LEN};
    struct p2p_digest out[P2P_SHA256_LANES_MAX];
    uint64_t best = UINT64_MAX;

    for (int i = 0; i < TRIALS; i++) {
        uint64_t start = now_ns(), taken;

        if (k != NULL)
            hash_group(k, &in, k->lanes, out);
        else if (hash_singly(&in, 1, out) != P2P_OK)
            return UINT64_MAX;
        taken = now_ns() - start;
        best = taken < best ? taken : best;
    }
    return best > 0 ? best : 1;
}

/* The fastest kernel that gives the same results as OpenSSL and is faster, or the
 * kernel that was asked for. */
static void
choose_among(const uint8_t *data, const char *wanted)
{
    uint64_t single = time_of(NULL, data), best = single; /* ns for one message */

    for (size_t i = 0; kernels[i] != NULL; i++) {
        const struct p2p_sha256_kernel *k = kernels[i];
        uint64_t group;

        if (wanted != NULL && strcmp(wanted, k->name) != 0)
            continue;
        if (!k->is_supported() || !is_right(k, data))
            continue;
        group = time_of(k, data);
        if (wanted == NULL && group / k->lanes >= best)
            continue;
        best = group / k->lanes;
        chosen = k;
        worthwhile = (unsigned)(group / single + 1);
    }
}

static void
choose(void)
{
    const char *wanted = getenv("P2P_SHA256_LANES");
    uint8_t *data = malloc(P2P_SHA256_LANES_MAX * TRIAL_LEN);

    if (data == NULL)
        return;
    if (wanted != NULL && wanted[0] == '\0')
        wanted = NULL;
    for (uint32_t i = 0; i < P2P_SHA256_LANES_MAX * TRIAL_LEN; i++)
        data[i] = (uint8_t)(i * 2654435761u >> 24);
    if (wanted == NULL || strcmp(wanted, "openssl") != 0)
        choose_among(data, wanted);
    free(data);
}

enum p2p_err
p2p_sha256_lanes(const uint8_t *data, size_t stride, size_t len, size_t count,
                 struct p2p_digest *out)
{
    struct input in = {data, stride, len};

    pthread_once(&once, choose);
    while (chosen != NULL && count >= worthwhile && count > 0) {
        unsigned used = count < chosen->lanes ? (unsigned)count : chosen->lanes;

        hash_group(chosen, &in, used, out);
        in.data += used * stride;
        out += used;
        count -= used;
    }
    return hash_singly(&in, count, out);
}

const char *
p2p_sha256_lanes_name(void)
{
    pthread_once(&once, choose);
    return chosen != NULL ? chosen->name : "openssl";
}
