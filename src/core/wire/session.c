/* Records of protocol 2, one direction at a time. */
#include "p2p/session.h"

#include "core/wire/schedule.h"
#include "p2p/bytes.h"
#include "p2p/limits.h"
#include "p2p/msg.h"

enum { AAD_LEN = 1 + 4 + 8 };

enum p2p_err
p2p_direction_init(struct p2p_direction *d, uint8_t sender,
                   const struct p2p_secret *secret, uint64_t now_s)
{
    enum p2p_err err;

    *d = (struct p2p_direction){
        .secret = *secret, .sender = sender, .epoch = 1, .seq = 1, .since_s = now_s};
    err = p2p_schedule_key(&d->secret, &d->key);
    if (err != P2P_OK)
        p2p_direction_clear(d);
    return err;
}

void
p2p_direction_clear(struct p2p_direction *d)
{
    p2p_wipe(d, sizeof(*d));
    p2p_wipe_traces();
    d->ended = true; /* a key of zeros must never be used */
}

/* Nothing may be sent after a protocol error, nor after the last counter. */
static enum p2p_err
end(struct p2p_direction *d, enum p2p_err err)
{
    p2p_direction_clear(d);
    return err;
}

/* AAD = sender || epoch || seq, which binds a record to its position. */
static void
put_aad(const struct p2p_direction *d, uint8_t aad[AAD_LEN])
{
    aad[0] = d->sender;
    p2p_store_u32(aad + 1, d->epoch);
    p2p_store_u64(aad + 5, d->seq);
}

static void
count(struct p2p_direction *d, size_t plain_len)
{
    d->seq++;
    d->frames++;
    d->bytes += plain_len;
}

static bool
is_worn(const struct p2p_direction *d, uint64_t now_s, unsigned times)
{
    return d->frames >= times * P2P_REKEY_FRAMES ||
           d->bytes >= times * P2P_REKEY_BYTES ||
           now_s >= d->since_s + (uint64_t)times * P2P_REKEY_SECONDS;
}

static enum p2p_err
next_epoch(struct p2p_direction *d, uint64_t now_s)
{
    struct p2p_secret next;
    enum p2p_err err;

    if (d->epoch == UINT32_MAX)
        return end(d, P2P_ERR_PROTOCOL);
    err = p2p_schedule_next(&d->secret, &next);
    if (err == P2P_OK)
        err = p2p_schedule_key(&next, &d->key);
    d->secret = next;
    p2p_wipe(&next, sizeof(next));
    p2p_wipe_traces(); /* the old epoch's key */
    if (err != P2P_OK)
        return end(d, err);
    d->epoch++;
    d->frames = 0;
    d->bytes = 0;
    d->since_s = now_s;
    return P2P_OK;
}

enum p2p_err
p2p_direction_seal(struct p2p_direction *d, uint8_t *frame, size_t plain_len,
                   const struct p2p_nonce *nonce)
{
    uint8_t aad[AAD_LEN], type = frame[P2P_FRAME_PREFIX];
    enum p2p_err err;

    if (d->ended || d->seq == UINT64_MAX)
        return end(d, P2P_ERR_PROTOCOL);
    if (plain_len < 1 || plain_len > P2P_RECORD_PLAIN_MAX)
        return P2P_ERR_TOO_LARGE;
    put_aad(d, aad);
    err = p2p_frame_seal(frame, plain_len, &d->key, nonce, aad, sizeof(aad));
    if (err != P2P_OK)
        return end(d, err);
    count(d, plain_len);
    if (type == P2P_MSG_CLOSE)
        p2p_direction_clear(d);
    return P2P_OK;
}

enum p2p_err
p2p_direction_peek(const uint8_t *data, size_t len, size_t *size)
{
    return p2p_frame_peek(data, len, 1, P2P_RECORD_PLAIN_MAX, size);
}

/* Handles records about the direction itself. `*is_inside` is true if the record is not
 * for the caller. */
static enum p2p_err
act_on(struct p2p_direction *d, const uint8_t *plain, size_t len, uint64_t now_s,
       bool *is_inside)
{
    *is_inside = false;
    switch (plain[0]) {
    case P2P_MSG_READY: /* accepts only M5; count() has been called */
        return d->sender == 'C' && d->seq == 2 && len == 1 ? P2P_OK : P2P_ERR_PROTOCOL;
    case P2P_MSG_REKEY:
        *is_inside = true;
        return len == 1 ? next_epoch(d, now_s) : P2P_ERR_MALFORMED;
    case P2P_MSG_CLOSE:
        p2p_direction_clear(d);
        return len == 1 ? P2P_OK : P2P_ERR_MALFORMED;
    default:
        return is_worn(d, now_s, 2) ? P2P_ERR_PROTOCOL : P2P_OK;
    }
}

enum p2p_err
p2p_direction_open(struct p2p_direction *d, uint8_t *frame, size_t size, uint64_t now_s,
                   uint8_t **plain, size_t *plain_len)
{
    uint8_t aad[AAD_LEN];
    bool is_inside = false;
    enum p2p_err err;

    *plain = NULL;
    *plain_len = 0;
    if (d->ended || d->seq == UINT64_MAX)
        return end(d, P2P_ERR_PROTOCOL);
    if (size < P2P_FRAME_SIZE(1) || size > P2P_FRAME_SIZE(P2P_RECORD_PLAIN_MAX))
        return end(d, P2P_ERR_MALFORMED);
    put_aad(d, aad);
    err = p2p_frame_open(frame, size, &d->key, aad, sizeof(aad), plain, plain_len);
    if (err == P2P_OK) {
        count(d, *plain_len);
        err = act_on(d, *plain, *plain_len, now_s, &is_inside);
    }
    if (err != P2P_OK || is_inside) {
        *plain = NULL;
        *plain_len = 0;
    }
    return err == P2P_OK ? P2P_OK : end(d, err);
}

bool
p2p_direction_wants_rekey(const struct p2p_direction *d, uint64_t now_s)
{
    /* Asks a few frames early, because the caller may already hold some. */
    return !d->ended && (is_worn(d, now_s, 1) || d->frames + 64 >= P2P_REKEY_FRAMES);
}

enum p2p_err
p2p_direction_rekey(struct p2p_direction *d, uint8_t *frame,
                    const struct p2p_nonce *nonce, uint64_t now_s)
{
    enum p2p_err err;

    frame[P2P_FRAME_PREFIX] = P2P_MSG_REKEY;
    err = p2p_direction_seal(d, frame, 1, nonce);
    return err == P2P_OK ? next_epoch(d, now_s) : err;
}
