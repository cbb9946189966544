#include "p2p/leaves.h"

#include "p2p/limits.h"
#include "p2p/sha256_lanes.h"

/* Bytes that are added together, so that the compiler can use vectors. */
#define STEP 32
/* Blocks that are hashed together: one for each lane. */
#define TOGETHER 16

uint32_t
p2p_leaf_sum(const uint8_t *data, size_t len)
{
    uint32_t a = 0, b = 0;

    for (; len >= STEP; len -= STEP, data += STEP) {
        uint32_t plain = 0, weighted = 0;
        for (uint32_t i = 0; i < STEP; i++) {
            plain += data[i];
            weighted += (STEP - i) * data[i];
        }
        b += STEP * a + weighted;
        a += plain;
    }
    for (; len > 0; len--, data++) {
        a += *data;
        b += a;
    }
    return (a & 0xffff) | b << 16;
}

enum p2p_err
p2p_leaves_make(const uint8_t *data, size_t len, struct p2p_leaf *out)
{
    struct p2p_digest hashes[TOGETHER];
    size_t whole = len / P2P_BLOCK_SIZE, rest = len % P2P_BLOCK_SIZE;
    enum p2p_err err = P2P_OK;

    for (size_t i = 0, n; i < whole && err == P2P_OK; i += n) {
        const uint8_t *at = data + i * P2P_BLOCK_SIZE;
        n = whole - i < TOGETHER ? whole - i : TOGETHER;
        err = p2p_sha256_lanes(at, P2P_BLOCK_SIZE, P2P_BLOCK_SIZE, n, hashes);
        for (size_t k = 0; k < n; k++)
            out[i + k] = (struct p2p_leaf){
                .hash = hashes[k],
                .sum = p2p_leaf_sum(at + k * P2P_BLOCK_SIZE, P2P_BLOCK_SIZE)};
    }
    if (err == P2P_OK && rest > 0) {
        const uint8_t *at = data + whole * P2P_BLOCK_SIZE;
        err = p2p_sha256(at, rest, &out[whole].hash);
        out[whole].sum = p2p_leaf_sum(at, rest);
    }
    return err;
}
