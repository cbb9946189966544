/*
 * Records of both protocols. The input is a script: each step takes some of its bytes
 * and sends them sealed, sealed and then damaged, or raw; the receiver must open
 * exactly what the sender sealed, in order, and nothing after the first damage.
 */
#include <string.h>

#include "fuzz.h"
#include "p2p/bytes.h"
#include "p2p/limits.h"
#include "p2p/msg.h"
#include "p2p/session.h"

enum { PIECE_MAX = 255 };

struct ends {
    struct p2p_direction send, receive;
    struct p2p_session1 *one, *other;
    uint64_t nonces;
};

static struct p2p_nonce
next_nonce(struct ends *e)
{
    struct p2p_nonce nonce = {{0}};

    p2p_store_u64(nonce.b, e->nonces++);
    return nonce;
}

static void
protocol2(struct ends *e, const uint8_t *bytes, size_t len, uint8_t damage, bool raw)
{
    uint8_t frame[P2P_FRAME_SIZE(PIECE_MAX)], *plain;
    struct p2p_nonce nonce = next_nonce(e);
    size_t size = P2P_FRAME_SIZE(len), got;
    bool was_ended = e->receive.ended;
    enum p2p_err err;

    memset(frame, 0, sizeof(frame));
    memcpy(frame + (raw ? 0 : P2P_FRAME_PREFIX), bytes, len);
    if (!raw && len == 1 && bytes[0] == P2P_MSG_REKEY)
        err = p2p_direction_rekey(&e->send, frame, &nonce, 0);
    else if (!raw)
        err = p2p_direction_seal(&e->send, frame, len, &nonce);
    else
        err = P2P_OK;
    if (err != P2P_OK) /* nothing to say, or said CLOSE before */
        return;
    frame[damage % size] ^= damage;
    err = p2p_direction_open(&e->receive, frame, raw ? len : size, 0, &plain, &got);
    MUST(!was_ended || err == P2P_ERR_PROTOCOL);
    MUST(err == P2P_OK || e->receive.ended);
    if (raw || damage != 0)
        MUST(err != P2P_OK);
    if (err == P2P_OK && got > 0)
        MUST(got == len && memcmp(plain, bytes, len) == 0);
    if (err == P2P_OK && !e->receive.ended)
        MUST(e->send.seq == e->receive.seq && e->send.epoch == e->receive.epoch);
}

static void
protocol1(struct ends *e, const uint8_t *bytes, size_t len, uint8_t damage, bool raw)
{
    uint8_t frame[P2P_FRAME_SIZE(PIECE_MAX)], again[sizeof(frame)], *plain;
    struct p2p_nonce nonce = next_nonce(e);
    size_t size = P2P_FRAME_SIZE(len), got;
    enum p2p_err err;

    memset(frame, 0, sizeof(frame));
    memcpy(frame + (raw ? 0 : P2P_FRAME_PREFIX), bytes, len);
    if (raw) {
        MUST(p2p_session1_open(e->other, frame, len, &plain, &got) != P2P_OK);
        return;
    }
    MUST(p2p_session1_seal(e->one, frame, len, &nonce) == P2P_OK);
    frame[damage % size] ^= damage;
    memcpy(again, frame, size);
    err = p2p_session1_open(e->other, frame, size, &plain, &got);
    MUST((err == P2P_OK) == (damage == 0));
    if (err == P2P_OK)
        MUST(got == len && memcmp(plain, bytes, len) == 0);
    MUST(p2p_session1_open(e->one, again, size, &plain, &got) != P2P_OK);
    MUST(p2p_session1_open(e->other, again, size, &plain, &got) != P2P_OK);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct p2p_secret secret = {{1}};
    struct ends e = {.nonces = 1};
    struct p2p_rd rd;

    MUST(p2p_crypto_init() == P2P_OK);
    MUST(p2p_direction_init(&e.send, 'C', &secret, 0) == P2P_OK);
    MUST(p2p_direction_init(&e.receive, 'C', &secret, 0) == P2P_OK);
    MUST(p2p_session1_new(&secret, &e.one) == P2P_OK);
    MUST(p2p_session1_new(&secret, &e.other) == P2P_OK);
    p2p_rd_init(&rd, data, size);
    for (int steps = 0; steps < 64 && rd.left > 3; steps++) {
        uint8_t how = p2p_rd_get_u8(&rd), damage = p2p_rd_get_u8(&rd);
        size_t len = p2p_rd_get_u8(&rd);
        const uint8_t *bytes = p2p_rd_get_ref(&rd, len < rd.left ? len : rd.left);

        len = (size_t)(rd.at - bytes);
        if (how & 1)
            protocol1(&e, bytes, len, damage, how & 2);
        else
            protocol2(&e, bytes, len, damage, how & 2);
    }
    p2p_direction_clear(&e.send);
    p2p_direction_clear(&e.receive);
    p2p_session1_free(e.one);
    p2p_session1_free(e.other);
    return 0;
}
