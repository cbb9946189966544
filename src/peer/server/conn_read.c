/* Reads requests, and limits the memory for them: unfinished frames, queued requests
 * and the nonces of protocol 1 are counted for all clients together. */
#include <stdlib.h>
#include <string.h>

#include "p2p/net.h"
#include "peer/server/conn.h"
#include "peer/server/loop.h"
#include "peer/server/serve.h"

enum {
    /* The number of queued requests and error answers at which reading stops. */
    QUEUE_MAX = 2 * P2P_REQUESTS_IN_FLIGHT,
    QUEUE_ALWAYS = 4, /* requests that may be queued even if memory is short, so that
                       * every client makes progress */
    READS_PER_TURN = 8,
    RX_FIRST = 256,
    RX_SMALL = 4096, /* holds many requests, and every valid one fits */
    NONCES_SMALL = 16 * 1024,
    GUEST_REQUEST_MAX = RX_SMALL, /* every message of a guest fits */
};

enum p2p_err
conn_unread(struct conn *c, const uint8_t *data, size_t len)
{
    if (len == 0)
        return P2P_OK;
    if ((c->rx = malloc(len)) == NULL)
        return P2P_ERR_NOMEM;
    memcpy(c->rx, data, len);
    c->rx_len = c->rx_cap = len;
    return P2P_OK;
}

/* ---- What clients make this peer keep ---- */

void
conn_account(struct conn *c)
{
    size_t kept = c->rx_cap + c->requests.bytes + p2p_session1_memory(c->session1);

    if (kept == c->kept)
        return;
    c->loop->server->kept_bytes += kept - c->kept; /* may wrap: it is a difference */
    c->kept = kept;
}

static bool
is_short_of_memory(const struct conn *c)
{
    const struct server *s = c->loop->server;

    return s->kept_bytes >= s->opt.client_memory;
}

/* Frames that are larger than any valid request may use only the first half of the
 * memory. So clients that begin many large frames and finish none do not stop the
 * others. */
static bool
may_be_large(const struct conn *c)
{
    const struct server *s = c->loop->server;

    return s->kept_bytes < s->opt.client_memory / 2;
}

static bool
may_ask(const struct conn *c)
{
    return c->requests.count < QUEUE_MAX &&
           (c->requests.count < QUEUE_ALWAYS || !is_short_of_memory(c));
}

/* True for a client of protocol 1 that has used too many nonces, by number or because
 * memory is short: it must connect again. */
static bool
is_worn(const struct conn *c)
{
    return p2p_session1_is_worn(c->session1, QUEUE_MAX) ||
           (p2p_session1_memory(c->session1) > NONCES_SMALL && is_short_of_memory(c));
}

/* ---- Frames ---- */

/* A frame without a seal. */
static enum p2p_err
peek_plain(const uint8_t *data, size_t len, size_t *size)
{
    struct p2p_rd rd;
    uint32_t body;

    *size = P2P_FRAME_HEAD;
    if (len < P2P_FRAME_HEAD)
        return P2P_ERR_MORE;
    p2p_rd_init(&rd, data, P2P_FRAME_HEAD);
    body = p2p_rd_get_u32(&rd);
    if (body < 1 || body > GUEST_REQUEST_MAX)
        return P2P_ERR_MALFORMED;
    *size = P2P_FRAME_HEAD + body;
    return len < *size ? P2P_ERR_MORE : P2P_OK;
}

static enum p2p_err
peek_frame(const struct conn *c, const uint8_t *data, size_t len, size_t *size)
{
    if (c->state == CONN_GUEST)
        return peek_plain(data, len, size);
    if (c->state == CONN_OPEN1)
        return p2p_frame_peek(data, len, 1, P2P_FRAME1_REQUEST_MAX, size);
    return p2p_direction_peek(data, len, size);
}

static enum p2p_err
take_frame(struct conn *c, uint8_t *frame, size_t size)
{
    uint8_t *plain;
    size_t len;
    enum p2p_err err;

    if (c->state == CONN_OPEN1) {
        err = p2p_session1_open(c->session1, frame, size, &plain, &len);
        if (err != P2P_OK || (err = conn_proven(c)) != P2P_OK)
            return err;
        return is_worn(c) ? serve1_end(c) : serve1_handle(c, plain, len);
    }
    if (c->state == CONN_GUEST)
        return serve_guest_handle(c, frame + P2P_FRAME_HEAD, size - P2P_FRAME_HEAD);
    err = p2p_direction_open(&c->in, frame, size, p2p_now_ms() / 1000, &plain, &len);
    if (err != P2P_OK || len == 0)
        return err;
    return serve2_handle(c, plain, len);
}

/* Handles complete frames from the beginning; `*used` bytes were used, and the next
 * frame needs `*need` bytes. */
static enum p2p_err
take_frames(struct conn *c, uint8_t *data, size_t len, size_t *used, size_t *need)
{
    enum p2p_err err = P2P_OK;

    *used = 0;
    while (!c->finishing && may_ask(c)) {
        err = peek_frame(c, data + *used, len - *used, need);
        if (err != P2P_OK)
            break;
        if ((err = take_frame(c, data + *used, *need)) != P2P_OK)
            return err;
        *used += *need;
    }
    return err == P2P_ERR_MORE ? P2P_OK : err;
}

/* Makes room for the rest of a frame. Memory grows with the received bytes, not with
 * the announced size. */
static enum p2p_err
grow_rx(struct conn *c, size_t need)
{
    size_t cap = c->rx_len * 2 > RX_FIRST ? c->rx_len * 2 : RX_FIRST;
    uint8_t *rx;

    if (cap > need)
        cap = need;
    if (cap <= c->rx_cap)
        return P2P_OK;
    if (cap > RX_SMALL && !may_be_large(c))
        return P2P_ERR_TOO_LARGE;
    if ((rx = realloc(c->rx, cap)) == NULL)
        return P2P_ERR_NOMEM;
    c->rx = rx;
    c->rx_cap = cap;
    return P2P_OK;
}

static void
drop_rx(struct conn *c, size_t used)
{
    c->rx_len -= used;
    if (c->rx_len > 0) {
        memmove(c->rx, c->rx + used, c->rx_len);
        return;
    }
    free(c->rx);
    c->rx = NULL;
    c->rx_cap = 0;
}

/* ---- Reading ---- */

/* Continues a frame whose beginning was received before. */
static enum p2p_err
read_rest(struct conn *c)
{
    size_t used = 0, need = 0, got = 0;
    enum p2p_err err = take_frames(c, c->rx, c->rx_len, &used, &need);

    if (err != P2P_OK)
        return err;
    drop_rx(c, used);
    if (used > 0 || c->rx_len == 0)
        return P2P_OK;
    if ((err = grow_rx(c, need)) != P2P_OK)
        return err;
    err = p2p_net_try_read(c->fd, c->rx + c->rx_len, c->rx_cap - c->rx_len, &got);
    c->rx_len += got;
    return err;
}

static enum p2p_err
read_fresh(struct conn *c)
{
    uint8_t *scratch = c->loop->scratch;
    size_t used = 0, need = 0, got = 0;
    enum p2p_err err = p2p_net_try_read(c->fd, scratch, RX_SMALL, &got);

    if (err != P2P_OK)
        return err;
    if ((err = take_frames(c, scratch, got, &used, &need)) != P2P_OK)
        return err;
    return conn_unread(c, scratch + used, got - used);
}

enum p2p_err
conn_read(struct conn *c)
{
    for (int i = 0; i < READS_PER_TURN && !c->finishing; i++) {
        enum p2p_err err;

        if (!may_ask(c) || (c->rx_len == 0 && !c->readable))
            return P2P_OK;
        err = c->rx_len > 0 ? read_rest(c) : read_fresh(c);
        if (err == P2P_ERR_BUSY) {
            c->readable = false;
            return P2P_OK;
        }
        /* No more requests will arrive; the complete ones are still answered. */
        if (err == P2P_ERR_CLOSED && c->rx_len == 0) {
            c->finishing = true;
            return P2P_OK;
        }
        if (err != P2P_OK)
            return err;
        c->progress = true;
    }
    return P2P_OK;
}

bool
conn_can_read(const struct conn *c)
{
    size_t size;

    if (c->finishing || !may_ask(c))
        return false;
    return c->readable ||
           (c->rx_len > 0 && peek_frame(c, c->rx, c->rx_len, &size) != P2P_ERR_MORE);
}
