/* The records of a connection: sending and receiving messages. */
#include <stdlib.h>
#include <string.h>

#include "core/remote/conn_internal.h"
#include "p2p/log.h"

#define REQUEST_PLAIN_MAX                                       \
    2048 /* the longest thing a client says: a name or a cursor \
          */

uint64_t
p2p_conn_clock_s(void)
{
    return p2p_now_ms() / 1000;
}

uint32_t
p2p_conn_next_req(struct p2p_conn *conn)
{
    if (++conn->last_req == 0)
        conn->last_req = 1;
    return conn->last_req;
}

/* ---- Frames of guests ---- */

enum p2p_err
p2p_conn_guest_peek(const uint8_t *data, size_t len, size_t *size)
{
    size_t plain;

    *size = P2P_FRAME_HEAD;
    if (len < P2P_FRAME_HEAD)
        return P2P_ERR_MORE;
    plain =
        (size_t)data[0] << 24 | (size_t)data[1] << 16 | (size_t)data[2] << 8 | data[3];
    if (plain == 0 || plain > P2P_RECORD_PLAIN_MAX)
        return P2P_ERR_MALFORMED;
    *size = P2P_FRAME_HEAD + plain;
    return len < *size ? P2P_ERR_MORE : P2P_OK;
}

void
p2p_conn_guest_seal(uint8_t *frame, size_t plain_len)
{
    for (unsigned i = 0; i < P2P_FRAME_HEAD; i++)
        frame[i] = (uint8_t)(plain_len >> (8 * (P2P_FRAME_HEAD - 1 - i)));
}

/* ---- Sending ---- */

enum p2p_err
p2p_conn_flush(struct p2p_conn *conn)
{
    enum p2p_err err;

    if (conn->out_used == 0)
        return P2P_OK;
    err = p2p_net_write(conn->fd, conn->out, conn->out_used,
                        p2p_now_ms() + conn->timeout_ms);
    conn->out_used = 0;
    conn->broken |= err != P2P_OK;
    return err;
}

static enum p2p_err
make_room(struct p2p_conn *conn, size_t len)
{
    if (conn->out_cap - conn->out_used >= len)
        return P2P_OK;
    return len <= conn->out_cap ? p2p_conn_flush(conn) : P2P_ERR_TOO_LARGE;
}

enum p2p_err
p2p_conn_append(struct p2p_conn *conn, const void *data, size_t len)
{
    enum p2p_err err = make_room(conn, len);

    if (err != P2P_OK)
        return err;
    memcpy(conn->out + conn->out_used, data, len);
    conn->out_used += len;
    return P2P_OK;
}

static enum p2p_err
rekey_when_due(struct p2p_conn *conn)
{
    struct p2p_nonce nonce;
    enum p2p_err err;

    if (!p2p_direction_wants_rekey(&conn->send, p2p_conn_clock_s()))
        return P2P_OK;
    err = make_room(conn, P2P_FRAME_SIZE(1));
    if (err == P2P_OK)
        err = p2p_random(nonce.b, sizeof(nonce.b));
    if (err == P2P_OK)
        err = p2p_direction_rekey(&conn->send, conn->out + conn->out_used, &nonce,
                                  p2p_conn_clock_s());
    if (err == P2P_OK)
        conn->out_used += P2P_FRAME_SIZE(1);
    return err;
}

static enum p2p_err
put_plain(struct p2p_conn *conn, const struct p2p_msg *msg)
{
    struct p2p_wr wr;
    size_t len = 0;
    enum p2p_err err = make_room(conn, P2P_FRAME_HEAD + REQUEST_PLAIN_MAX);

    if (err != P2P_OK)
        return err;
    p2p_wr_init(&wr, conn->out + conn->out_used + P2P_FRAME_HEAD, REQUEST_PLAIN_MAX);
    p2p_msg_put(&wr, msg);
    if ((err = p2p_wr_end(&wr, &len)) != P2P_OK)
        return err;
    p2p_conn_guest_seal(conn->out + conn->out_used, len);
    conn->out_used += P2P_FRAME_HEAD + len;
    return P2P_OK;
}

enum p2p_err
p2p_conn_put(struct p2p_conn *conn, const struct p2p_msg *msg)
{
    struct p2p_nonce nonce;
    struct p2p_wr wr;
    size_t len = 0;
    enum p2p_err err;

    if (conn->is_guest)
        return put_plain(conn, msg);
    err = rekey_when_due(conn);

    if (err == P2P_OK)
        err = make_room(conn, P2P_FRAME_SIZE(REQUEST_PLAIN_MAX));
    if (err == P2P_OK)
        err = p2p_random(nonce.b, sizeof(nonce.b));
    if (err != P2P_OK)
        return err;
    p2p_wr_init(&wr, conn->out + conn->out_used + P2P_FRAME_PREFIX, REQUEST_PLAIN_MAX);
    p2p_msg_put(&wr, msg);
    err = p2p_wr_end(&wr, &len);
    if (err == P2P_OK)
        err = p2p_direction_seal(&conn->send, conn->out + conn->out_used, len, &nonce);
    if (err == P2P_OK)
        conn->out_used += P2P_FRAME_SIZE(len);
    return err;
}

enum p2p_err
p2p_conn_put1(struct p2p_conn *conn, const struct p2p_msg1 *msg)
{
    struct p2p_nonce nonce;
    struct p2p_wr wr;
    size_t len = 0;
    enum p2p_err err = make_room(conn, P2P_FRAME_SIZE(REQUEST_PLAIN_MAX));

    if (err == P2P_OK)
        err = p2p_random(nonce.b, sizeof(nonce.b));
    if (err != P2P_OK)
        return err;
    p2p_wr_init(&wr, conn->out + conn->out_used + P2P_FRAME_PREFIX, REQUEST_PLAIN_MAX);
    p2p_msg1_put(&wr, msg);
    err = p2p_wr_end(&wr, &len);
    if (err == P2P_OK)
        err =
            p2p_session1_seal(conn->session1, conn->out + conn->out_used, len, &nonce);
    if (err == P2P_OK)
        conn->out_used += P2P_FRAME_SIZE(len);
    return err;
}

/* ---- Receiving ---- */

static enum p2p_err
peek(const struct p2p_conn *conn, size_t *size)
{
    const uint8_t *at = conn->in + conn->in_start;
    size_t len = conn->in_end - conn->in_start;

    if (conn->protocol == 1)
        return p2p_frame_peek(at, len, 1, P2P_FRAME1_CHUNK_MAX, size);
    return conn->is_guest ? p2p_conn_guest_peek(at, len, size)
                          : p2p_direction_peek(at, len, size);
}

bool
p2p_conn_is_ready(const struct p2p_conn *conn)
{
    size_t size;

    return peek(conn, &size) == P2P_OK;
}

/* Makes room for a frame of `size` bytes after in_start; moves the received bytes only
 * if necessary. */
static enum p2p_err
hold(struct p2p_conn *conn, size_t size)
{
    size_t len = conn->in_end - conn->in_start;

    if (conn->in_cap - conn->in_start >= size && conn->in_end < conn->in_cap)
        return P2P_OK;
    memmove(conn->in, conn->in + conn->in_start, len);
    conn->in_start = 0;
    conn->in_end = len;
    if (size <= conn->in_cap)
        return P2P_OK;
    if (size > P2P_CONN_IN1)
        return P2P_ERR_MALFORMED;
    uint8_t *larger = realloc(conn->in, size); /* protocol 1 with chunks beyond 1 MiB */
    if (larger == NULL)
        return P2P_ERR_NOMEM;
    conn->in = larger;
    conn->in_cap = size;
    return P2P_OK;
}

/* Reads until the buffer has a whole frame. */
static enum p2p_err
fill(struct p2p_conn *conn, uint64_t deadline_ms, size_t *size)
{
    enum p2p_err err;

    if (conn->in_start == conn->in_end)
        conn->in_start = conn->in_end = 0;
    while ((err = peek(conn, size)) == P2P_ERR_MORE) {
        size_t got = 0;
        err = hold(conn, *size);
        if (err == P2P_OK)
            err = p2p_net_read_some(conn->fd, conn->in + conn->in_end,
                                    conn->in_cap - conn->in_end, deadline_ms, &got);
        if (err != P2P_OK)
            break;
        conn->in_end += got;
    }
    if (err != P2P_OK && err != P2P_ERR_TIMEOUT)
        conn->broken = true;
    return err;
}

enum p2p_err
p2p_conn_refusal(struct p2p_conn *conn, const struct p2p_msg *msg)
{
    p2p_log_escape(msg->error.text.at, msg->error.text.len, conn->said,
                   sizeof(conn->said));
    return p2p_err_from_wire_code(msg->error.code);
}

enum p2p_err
p2p_conn_say_info(struct p2p_conn *conn)
{
    struct p2p_about own;
    struct p2p_msg question = {
        .type = P2P_MSG_INFO_GET,
        .req = p2p_conn_next_req(conn),
        .info = {.version = {P2P_VERSION, strlen(P2P_VERSION)}},
    };

    p2p_identity_get_about(conn->identity, &own);
    question.info.kind = (uint8_t)own.kind;
    question.info.name = (struct p2p_text){own.name, strlen(own.name)};
    conn->info_req = question.req;
    return p2p_conn_put(conn, &question);
}

static void
take_info(struct p2p_conn *conn, const struct p2p_msg_info *info)
{
    conn->about.kind = p2p_about_kind_of(info->kind);
    (void)p2p_about_set_name(&conn->about, info->name.at, info->name.len);
    conn->has_about = true;
    conn->features = info->features;
    p2p_conn_keep_claim(conn);
}

/* The answer to our INFO?, or that of a peer that does not know it. */
static bool
is_about_info(struct p2p_conn *conn, const struct p2p_msg *msg)
{
    if (conn->info_req == 0 || msg->req != conn->info_req ||
        (msg->type != P2P_MSG_INFO && msg->type != P2P_MSG_ERROR))
        return false;
    if (msg->type == P2P_MSG_INFO)
        take_info(conn, &msg->info);
    conn->info_req = 0;
    return true;
}

/* Handles messages about the connection itself. P2P_ERR_MORE: handled, look at the next
 * message. */
static enum p2p_err
handle_own(struct p2p_conn *conn, const struct p2p_msg *msg)
{
    enum p2p_err err;

    if (is_about_info(conn, msg))
        return P2P_ERR_MORE;
    switch (msg->type) {
    case P2P_MSG_CLOSE:
        return P2P_ERR_CLOSED;
    case P2P_MSG_PING: {
        const struct p2p_msg pong = {.type = P2P_MSG_PONG, .ping = msg->ping};
        err = p2p_conn_put(conn, &pong);
        if (err == P2P_OK)
            err = p2p_conn_flush(conn);
        return err == P2P_OK ? P2P_ERR_MORE : err;
    }
    case P2P_MSG_ERROR:
        return msg->req == 0 ? p2p_conn_refusal(conn, msg) : P2P_OK;
    default:
        return P2P_OK;
    }
}

static enum p2p_err
open_frame(struct p2p_conn *conn, size_t size, uint8_t **plain, size_t *len)
{
    uint8_t *frame = conn->in + conn->in_start;

    if (!conn->is_guest)
        return p2p_direction_open(&conn->receive, frame, size, p2p_conn_clock_s(),
                                  plain, len);
    *plain = frame + P2P_FRAME_HEAD;
    *len = size - P2P_FRAME_HEAD;
    return P2P_OK;
}

enum p2p_err
p2p_conn_read_frame(struct p2p_conn *conn, uint64_t deadline_ms, uint8_t **plain,
                    size_t *len)
{
    size_t size = 0;
    enum p2p_err err = fill(conn, deadline_ms, &size);

    if (err == P2P_OK)
        err = open_frame(conn, size, plain, len);
    if (err == P2P_OK)
        conn->in_start += size;
    return err;
}

enum p2p_err
p2p_conn_receive(struct p2p_conn *conn, uint64_t deadline_ms, struct p2p_msg *msg)
{
    enum p2p_err err = P2P_ERR_MORE;

    while (err == P2P_ERR_MORE) {
        uint8_t *plain = NULL;
        size_t len = 0;
        err = p2p_conn_read_frame(conn, deadline_ms, &plain, &len);
        if (err == P2P_ERR_TIMEOUT)
            return err;
        if (err != P2P_OK)
            break;
        err = len == 0 ? P2P_ERR_MORE /* a REKEY */ : p2p_msg_parse(plain, len, msg);
        if (err == P2P_OK)
            err = handle_own(conn, msg);
        /* A peer that sends only PINGs must not keep the caller beyond the deadline. */
        if (err == P2P_ERR_MORE && p2p_now_ms() >= deadline_ms)
            return P2P_ERR_TIMEOUT;
    }
    conn->broken |= err != P2P_OK;
    return err;
}

enum p2p_err
p2p_conn_receive1(struct p2p_conn *conn, uint64_t deadline_ms, struct p2p_msg1 *msg)
{
    uint8_t *plain = NULL;
    size_t size = 0, len = 0;
    enum p2p_err err = fill(conn, deadline_ms, &size);

    if (err == P2P_ERR_TIMEOUT)
        return err;
    if (err == P2P_OK)
        err = p2p_session1_open(conn->session1, conn->in + conn->in_start, size, &plain,
                                &len);
    if (err == P2P_OK)
        err = p2p_msg1_parse_answer(plain, len, msg);
    conn->in_start += size;
    conn->broken |= err != P2P_OK;
    return err;
}
