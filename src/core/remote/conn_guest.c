/* A connection as the guest of a link: the messages of protocol 2 in frames that only
 * the channel seals, after a WELCOME (PROTOCOL.md, "Links"). */
#include <string.h>

#include "core/remote/conn_internal.h"

enum {
    VERSION = 1,
    FLAG_PIN = 1,
    ERROR_LOCKED = 5, /* no PIN is taken for a while */
};

/* A text that cannot be shown, or is too long, is none. */
static void
take_text(struct p2p_rd *rd, char *out, size_t cap)
{
    size_t len = p2p_rd_get_u16(rd);
    const uint8_t *text = p2p_rd_get_ref(rd, len);

    out[0] = '\0';
    if (text == NULL || len >= cap || !p2p_text_is_displayable(text, len))
        return;
    memcpy(out, text, len);
    out[len] = '\0';
}

enum p2p_err
p2p_conn_take_welcome(const uint8_t *plain, size_t len, struct p2p_welcome *out)
{
    struct p2p_rd rd;
    uint8_t version;

    memset(out, 0, sizeof(*out));
    if (len == 0 || plain[0] != P2P_MSG_WELCOME)
        return P2P_ERR_PROTOCOL;
    p2p_rd_init(&rd, plain + 1, len - 1);
    version = p2p_rd_get_u8(&rd);
    out->mode = p2p_rd_get_u8(&rd);
    out->has_pin = (p2p_rd_get_u8(&rd) & FLAG_PIN) != 0;
    out->expires_s = p2p_rd_get_u64(&rd);
    out->bytes_left = p2p_rd_get_u64(&rd);
    take_text(&rd, out->title, sizeof(out->title));
    take_text(&rd, out->name, sizeof(out->name));
    if (p2p_rd_end(&rd) != P2P_OK)
        return P2P_ERR_MALFORMED;
    return version == VERSION ? P2P_OK : P2P_ERR_UNSUPPORTED;
}

/* TICKET, or why there is none. */
static enum p2p_err
take_ticket(const uint8_t *plain, size_t len, uint32_t req)
{
    struct p2p_rd rd;
    struct p2p_msg msg;

    if (plain[0] == P2P_MSG_TICKET) {
        p2p_rd_init(&rd, plain + 1, len - 1);
        return p2p_rd_get_u32(&rd) == req && p2p_rd_end(&rd) == P2P_OK
                   ? P2P_OK
                   : P2P_ERR_PROTOCOL;
    }
    if (p2p_msg_parse(plain, len, &msg) != P2P_OK || msg.type != P2P_MSG_ERROR)
        return P2P_ERR_PROTOCOL;
    return msg.error.code == ERROR_LOCKED ? P2P_ERR_RATE_LIMITED : P2P_ERR_PASSPHRASE;
}

static enum p2p_err
show_pin(struct p2p_conn *conn, const struct p2p_link_pin *pin, uint64_t deadline_ms)
{
    uint8_t frame[P2P_FRAME_HEAD + 1 + 4 + sizeof(pin->b)], *plain;
    uint32_t req = p2p_conn_next_req(conn);
    struct p2p_wr wr;
    size_t len;
    enum p2p_err err;

    p2p_wr_init(&wr, frame + P2P_FRAME_HEAD, sizeof(frame) - P2P_FRAME_HEAD);
    p2p_wr_put_u8(&wr, P2P_MSG_TICKET_GET);
    p2p_wr_put_u32(&wr, req);
    p2p_wr_put_bytes(&wr, pin->b, sizeof(pin->b));
    p2p_conn_guest_seal(frame, sizeof(frame) - P2P_FRAME_HEAD);
    if ((err = p2p_wr_end(&wr, &len)) == P2P_OK)
        err = p2p_conn_append(conn, frame, sizeof(frame));
    if (err == P2P_OK)
        err = p2p_conn_flush(conn);
    if (err == P2P_OK)
        err = p2p_conn_read_frame(conn, deadline_ms, &plain, &len);
    p2p_wipe(frame, sizeof(frame));
    return err == P2P_OK ? take_ticket(plain, len, req) : err;
}

enum p2p_err
p2p_conn_enter(struct p2p_conn *conn, const struct p2p_conn_options *opt,
               uint64_t deadline_ms)
{
    const struct p2p_visit *visit = opt->reach->visit;
    uint8_t *plain;
    size_t len;
    enum p2p_err err = p2p_conn_read_frame(conn, deadline_ms, &plain, &len);

    conn->peer = visit->keys.guest;
    if (err == P2P_OK)
        err = p2p_conn_take_welcome(plain, len, &conn->welcome);
    if (err != P2P_OK || !conn->welcome.has_pin)
        return err;
    return visit->has_pin ? show_pin(conn, &visit->pin, deadline_ms)
                          : P2P_ERR_PASSPHRASE;
}

const struct p2p_welcome *
p2p_conn_welcome(const struct p2p_conn *conn)
{
    return conn->is_guest ? &conn->welcome : NULL;
}

bool
p2p_conn_end_visit(struct p2p_conn *conn, unsigned timeout_ms)
{
    const struct p2p_msg close_msg = {.type = P2P_MSG_CLOSE};
    uint64_t end_ms = p2p_now_ms() + timeout_ms;
    enum p2p_err err = p2p_conn_put(conn, &close_msg);
    uint8_t rest[4096];
    size_t len;

    if (err == P2P_OK)
        err = p2p_conn_flush(conn);
    conn->broken = true; /* nothing more is said */
    if (err != P2P_OK)
        return false;
    while (err == P2P_OK)
        err = p2p_net_read_some(conn->fd, rest, sizeof(rest), end_ms, &len);
    return err == P2P_ERR_CLOSED;
}
