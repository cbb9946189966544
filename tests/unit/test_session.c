/* Records of protocol 2: order, positions, rekeying, ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "p2p/bytes.h"
#include "p2p/limits.h"
#include "p2p/msg.h"
#include "p2p/session.h"

enum { RECORD = P2P_FRAME_SIZE(9) };

struct ends {
    struct p2p_direction send, receive;
};

static struct ends
new_ends(void)
{
    static const struct p2p_secret secret = {{7, 7, 7}};
    struct ends e;

    assert_int_equal(p2p_direction_init(&e.send, 'C', &secret, 1000), P2P_OK);
    assert_int_equal(p2p_direction_init(&e.receive, 'C', &secret, 1000), P2P_OK);
    e.send.seq = e.receive.seq = 2; /* M5 was before */
    return e;
}

static struct p2p_nonce
next_nonce(void)
{
    static uint64_t counter;
    struct p2p_nonce nonce = {{0}};

    p2p_store_u64(nonce.b, ++counter);
    return nonce;
}

/* A PING with this number, sealed. */
static enum p2p_err
seal_ping(struct p2p_direction *d, uint64_t number, uint8_t frame[RECORD])
{
    struct p2p_nonce nonce = next_nonce();

    frame[P2P_FRAME_PREFIX] = P2P_MSG_PING;
    p2p_store_u64(frame + P2P_FRAME_PREFIX + 1, number);
    return p2p_direction_seal(d, frame, 9, &nonce);
}

/* Opens a copy, so that the same record can be used twice. */
static enum p2p_err
open_copy(struct p2p_direction *d, const uint8_t *frame, size_t size, uint64_t now_s,
          uint64_t *number)
{
    uint8_t *copy = malloc(size), *plain;
    size_t len;
    enum p2p_err err;

    memcpy(copy, frame, size);
    err = p2p_direction_open(d, copy, size, now_s, &plain, &len);
    *number = err == P2P_OK && len == 9 ? p2p_load_u64(plain + 1) : 0;
    assert_true(err == P2P_OK || (plain == NULL && len == 0));
    free(copy);
    return err;
}

static enum p2p_err
open_ping(struct p2p_direction *d, const uint8_t frame[RECORD], uint64_t *number)
{
    return open_copy(d, frame, RECORD, 1000, number);
}

static void
records_open_once_and_in_order(void **state)
{
    struct ends e = new_ends();
    uint8_t frame[RECORD];
    uint64_t got;

    (void)state;
    for (uint64_t i = 1; i <= 100; i++) {
        assert_int_equal(seal_ping(&e.send, i, frame), P2P_OK);
        assert_int_equal(open_ping(&e.receive, frame, &got), P2P_OK);
        assert_int_equal(got, i);
    }
}

/* After an error, no record opens any longer, whether it is right or not. */
static void
assert_dead(struct ends *e)
{
    uint8_t frame[RECORD];
    uint64_t got;
    static const struct p2p_secret zero;

    assert_true(e->receive.ended);
    assert_memory_equal(&e->receive.key, &zero, sizeof(zero));
    assert_memory_equal(&e->receive.secret, &zero, sizeof(zero));
    assert_int_equal(seal_ping(&e->send, 9, frame), P2P_OK);
    assert_int_equal(open_ping(&e->receive, frame, &got), P2P_ERR_PROTOCOL);
}

static void
repeated(void **state)
{
    struct ends e = new_ends();
    uint8_t frame[RECORD];
    uint64_t got;

    (void)state;
    assert_int_equal(seal_ping(&e.send, 1, frame), P2P_OK);
    assert_int_equal(open_ping(&e.receive, frame, &got), P2P_OK);
    assert_int_equal(open_ping(&e.receive, frame, &got), P2P_ERR_AUTH);
    assert_dead(&e);
}

static void
dropped(void **state)
{
    struct ends e = new_ends();
    uint8_t frame[RECORD];
    uint64_t got;

    (void)state;
    assert_int_equal(seal_ping(&e.send, 1, frame), P2P_OK);
    assert_int_equal(seal_ping(&e.send, 2, frame), P2P_OK);
    assert_int_equal(open_ping(&e.receive, frame, &got), P2P_ERR_AUTH);
    assert_dead(&e);
}

static void
reordered(void **state)
{
    struct ends e = new_ends();
    uint8_t one[RECORD], two[RECORD];
    uint64_t got;

    (void)state;
    assert_int_equal(seal_ping(&e.send, 1, one), P2P_OK);
    assert_int_equal(seal_ping(&e.send, 2, two), P2P_OK);
    assert_int_equal(open_ping(&e.receive, two, &got), P2P_ERR_AUTH);
    assert_int_equal(open_ping(&e.receive, one, &got), P2P_ERR_PROTOCOL);
}

static void
reflected(void **state)
{
    struct ends e = new_ends();
    struct p2p_direction other = e.receive;
    uint8_t frame[RECORD];
    uint64_t got;

    (void)state;
    other.sender = 'S'; /* even if both directions had the same key */
    assert_int_equal(seal_ping(&e.send, 1, frame), P2P_OK);
    assert_int_equal(open_ping(&other, frame, &got), P2P_ERR_AUTH);
}

static void
cut_and_joined(void **state)
{
    struct ends e = new_ends();
    uint8_t frames[2 * RECORD];
    uint64_t got;
    size_t size;

    (void)state;
    assert_int_equal(seal_ping(&e.send, 1, frames), P2P_OK);
    assert_int_equal(seal_ping(&e.send, 2, frames + RECORD), P2P_OK);
    for (size_t len = 0; len < RECORD; len++)
        assert_int_equal(p2p_direction_peek(frames, len, &size), P2P_ERR_MORE);
    assert_int_equal(p2p_direction_peek(frames, sizeof(frames), &size), P2P_OK);
    assert_int_equal(size, RECORD);
    assert_int_equal(open_copy(&e.receive, frames, RECORD - 1, 1000, &got),
                     P2P_ERR_MALFORMED);
    assert_dead(&e);
}

static void
any_bit_flipped(void **state)
{
    struct ends e = new_ends();
    uint8_t frame[RECORD];
    uint64_t got;

    (void)state;
    assert_int_equal(seal_ping(&e.send, 1, frame), P2P_OK);
    for (size_t bit = 0; bit < 8 * RECORD; bit++) {
        struct p2p_direction receive = e.receive;

        frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(open_ping(&receive, frame, &got), P2P_OK);
        assert_true(receive.ended);
        frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(open_ping(&e.receive, frame, &got), P2P_OK);
}

static void
rekeying_goes_on_with_new_keys(void **state)
{
    struct ends e = new_ends();
    struct p2p_direction old = e.receive;
    uint8_t frame[RECORD], rekey[P2P_FRAME_SIZE(1)];
    struct p2p_nonce nonce = next_nonce();
    uint64_t got;

    (void)state;
    assert_int_equal(p2p_direction_rekey(&e.send, rekey, &nonce, 2000), P2P_OK);
    assert_int_equal(e.send.epoch, 2);
    assert_int_equal(e.send.seq, 3); /* never reset */
    assert_memory_not_equal(&e.send.key, &old.key, sizeof(old.key));
    assert_memory_not_equal(&e.send.secret, &old.secret, sizeof(old.secret));

    assert_int_equal(open_copy(&e.receive, rekey, sizeof(rekey), 2000, &got), P2P_OK);
    assert_int_equal(e.receive.since_s, 2000);
    assert_int_equal(seal_ping(&e.send, 5, frame), P2P_OK);
    assert_int_equal(open_ping(&e.receive, frame, &got), P2P_OK);
    assert_int_equal(got, 5);
    assert_int_equal(open_ping(&old, frame, &got), P2P_ERR_AUTH);
}

static void
a_sender_is_told_when_to_rekey(void **state)
{
    struct ends e = new_ends();

    (void)state;
    assert_false(p2p_direction_wants_rekey(&e.send, 1000));
    assert_false(p2p_direction_wants_rekey(&e.send, 1000 + P2P_REKEY_SECONDS - 1));
    assert_true(p2p_direction_wants_rekey(&e.send, 1000 + P2P_REKEY_SECONDS));
    e.send.bytes = P2P_REKEY_BYTES;
    assert_true(p2p_direction_wants_rekey(&e.send, 1000));
    e.send.bytes = 0;
    e.send.frames = P2P_REKEY_FRAMES;
    assert_true(p2p_direction_wants_rekey(&e.send, 1000));
    p2p_direction_clear(&e.send);
    assert_false(p2p_direction_wants_rekey(&e.send, 100000));
}

/* Sends one ping to a receiver whose epoch has reached one of its limits. */
static enum p2p_err
ping_worn(uint64_t frames, uint64_t bytes, uint64_t now_s)
{
    struct ends e = new_ends();
    uint8_t frame[RECORD];
    uint64_t got;

    e.receive.frames = frames;
    e.receive.bytes = bytes;
    assert_int_equal(seal_ping(&e.send, 1, frame), P2P_OK);
    return open_copy(&e.receive, frame, RECORD, now_s, &got);
}

static void
a_sender_that_never_rekeys_is_left(void **state)
{
    (void)state;
    assert_int_equal(ping_worn(2 * P2P_REKEY_FRAMES - 2, 0, 1000), P2P_OK);
    assert_int_equal(ping_worn(2 * P2P_REKEY_FRAMES - 1, 0, 1000), P2P_ERR_PROTOCOL);
    assert_int_equal(ping_worn(0, 2 * P2P_REKEY_BYTES - 10, 1000), P2P_OK);
    assert_int_equal(ping_worn(0, 2 * P2P_REKEY_BYTES - 9, 1000), P2P_ERR_PROTOCOL);
    assert_int_equal(ping_worn(0, 0, 999 + 2 * P2P_REKEY_SECONDS), P2P_OK);
    assert_int_equal(ping_worn(0, 0, 1000 + 2 * P2P_REKEY_SECONDS), P2P_ERR_PROTOCOL);
    assert_int_equal(ping_worn(0, 0, 1), P2P_OK); /* a clock that was set back */
}

static void
a_late_rekey_is_still_one(void **state)
{
    struct ends e = new_ends();
    uint8_t rekey[P2P_FRAME_SIZE(1)];
    struct p2p_nonce nonce = next_nonce();
    uint64_t got;

    (void)
        state; /* an idle sender seals nothing for hours and then begins with a rekey */
    assert_int_equal(p2p_direction_rekey(&e.send, rekey, &nonce, 50000), P2P_OK);
    assert_int_equal(open_copy(&e.receive, rekey, sizeof(rekey), 50000, &got), P2P_OK);
    assert_false(e.receive.ended);
}

static void
counters_do_not_wrap(void **state)
{
    struct ends e = new_ends();
    uint8_t frame[RECORD];
    struct p2p_nonce nonce = next_nonce();
    uint64_t got;

    (void)state;
    e.send.seq = e.receive.seq = UINT64_MAX - 1;
    assert_int_equal(seal_ping(&e.send, 1, frame), P2P_OK);
    assert_int_equal(open_ping(&e.receive, frame, &got), P2P_OK);
    assert_int_equal(seal_ping(&e.send, 2, frame), P2P_ERR_PROTOCOL);
    assert_int_equal(open_ping(&e.receive, frame, &got), P2P_ERR_PROTOCOL);

    e = new_ends();
    e.send.epoch = e.receive.epoch = UINT32_MAX - 1;
    assert_int_equal(p2p_direction_rekey(&e.send, frame, &nonce, 0), P2P_OK);
    assert_int_equal(open_copy(&e.receive, frame, P2P_FRAME_SIZE(1), 0, &got), P2P_OK);
    assert_int_equal(e.receive.epoch, UINT32_MAX);
    nonce = next_nonce();
    assert_int_equal(p2p_direction_rekey(&e.send, frame, &nonce, 0), P2P_ERR_PROTOCOL);
    assert_true(e.send.ended);
}

/* Seals these bytes as a record and opens it. */
static enum p2p_err
pass(struct ends *e, const void *plain, size_t len)
{
    uint8_t *frame = malloc(P2P_FRAME_SIZE(len));
    struct p2p_nonce nonce = next_nonce();
    uint64_t got;
    enum p2p_err err;

    memcpy(frame + P2P_FRAME_PREFIX, plain, len);
    assert_int_equal(p2p_direction_seal(&e->send, frame, len, &nonce), P2P_OK);
    err = open_copy(&e->receive, frame, P2P_FRAME_SIZE(len), 1000, &got);
    free(frame);
    return err;
}

static void
close_is_the_end_of_a_direction(void **state)
{
    struct ends e = new_ends();
    uint8_t frame[RECORD];

    (void)state;
    assert_int_equal(pass(&e, "\x07", 1), P2P_OK);
    assert_true(e.receive.ended);
    assert_int_equal(seal_ping(&e.send, 1, frame), P2P_ERR_PROTOCOL);
}

static void
records_of_the_session_carry_nothing(void **state)
{
    struct ends e = new_ends();

    (void)state;
    assert_int_equal(pass(&e, "\x06x", 2), P2P_ERR_MALFORMED);
    e = new_ends();
    assert_int_equal(pass(&e, "\x07x", 2), P2P_ERR_MALFORMED);
    e = new_ends();
    assert_int_equal(pass(&e, "\x05", 1), P2P_ERR_PROTOCOL); /* READY is M5 alone */
}

static void
sizes_at_their_limits(void **state)
{
    struct ends e = new_ends();
    uint8_t *frame = calloc(1, P2P_FRAME_SIZE(P2P_RECORD_PLAIN_MAX + 1)), *plain;
    struct p2p_nonce nonce = next_nonce();
    size_t size, len;

    (void)state;
    assert_int_equal(p2p_direction_seal(&e.send, frame, 0, &nonce), P2P_ERR_TOO_LARGE);
    assert_int_equal(
        p2p_direction_seal(&e.send, frame, P2P_RECORD_PLAIN_MAX + 1, &nonce),
        P2P_ERR_TOO_LARGE);
    frame[P2P_FRAME_PREFIX] = P2P_MSG_DATA;
    assert_int_equal(p2p_direction_seal(&e.send, frame, P2P_RECORD_PLAIN_MAX, &nonce),
                     P2P_OK);
    assert_int_equal(
        p2p_direction_peek(frame, P2P_FRAME_SIZE(P2P_RECORD_PLAIN_MAX), &size), P2P_OK);
    assert_int_equal(p2p_direction_open(&e.receive, frame, size, 1000, &plain, &len),
                     P2P_OK);
    assert_int_equal(len, P2P_RECORD_PLAIN_MAX);
    free(frame);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_open_once_and_in_order),
        cmocka_unit_test(repeated),
        cmocka_unit_test(dropped),
        cmocka_unit_test(reordered),
        cmocka_unit_test(reflected),
        cmocka_unit_test(cut_and_joined),
        cmocka_unit_test(any_bit_flipped),
        cmocka_unit_test(rekeying_goes_on_with_new_keys),
        cmocka_unit_test(a_sender_is_told_when_to_rekey),
        cmocka_unit_test(a_sender_that_never_rekeys_is_left),
        cmocka_unit_test(a_late_rekey_is_still_one),
        cmocka_unit_test(counters_do_not_wrap),
        cmocka_unit_test(close_is_the_end_of_a_direction),
        cmocka_unit_test(records_of_the_session_carry_nothing),
        cmocka_unit_test(sizes_at_their_limits),
    };

    if (p2p_crypto_init() != P2P_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
