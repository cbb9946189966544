/* The conversation with one guest: frames without a seal, since the channel seals them.
 * The guest names files; this side asks for their bytes, in order and never more than
 * AHEAD_MAX of them before they arrive. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "core/intake/intake_internal.h"
#include "p2p/clock.h"
#include "p2p/frame.h"
#include "p2p/log.h"
#include "p2p/net.h"

enum {
    VERSION = 1,
    MODE_TAKE = 2,
    FLAG_PIN = 1,
    FLAG_SIGNED = 2,
    PIECE = 512 * 1024,   /* of one GET */
    AHEAD_MAX = 8,        /* GETs without their bytes */
    HAVE_MAX = 32,        /* files that wait for their turn */
    REFUSALS_MAX = 16,    /* then a guest is not worth an answer */
    IDLE_MS = 15 * 60000, /* while the guest chooses files */
    WRITE_MS = 30000,     /* for a guest that does not read */
    REPLY_MAX = P2P_FRAME_HEAD + 2 * P2P_NAME_MAX,
};

/* All that a guest may say. */
static const uint8_t allowed[] = {
    P2P_MSG_CLOSE, P2P_MSG_PING,  P2P_MSG_TICKET_GET, P2P_MSG_HAVE,
    P2P_MSG_DATA,  P2P_MSG_PROOF, P2P_MSG_CANCEL,
};
/* Of these, before the PIN. */
static const uint8_t allowed_first[] = {P2P_MSG_CLOSE, P2P_MSG_PING,
                                        P2P_MSG_TICKET_GET};

struct get {
    uint32_t req, length, got;
};

struct session {
    struct p2p_intake *in;
    int fd;
    struct p2p_guest_id guest;
    bool needs_pin;
    unsigned refusals;
    /* Files that wait: whole messages. */
    struct {
        uint8_t *message;
        size_t len;
    } waiting[HAVE_MAX];
    unsigned first_waiting, waiting_count;
    /* The file whose bytes come now; NULL: none. */
    struct intake_part *part;
    uint32_t file;
    uint64_t asked;
    struct get gets[AHEAD_MAX]; /* a ring */
    unsigned first_get, get_count;
    uint32_t last_req;
    /* What has arrived of the next frame, and more. */
    size_t filled;
    uint8_t frame[P2P_FRAME_HEAD + P2P_RECORD_PLAIN_MAX];
};

/* ---- answers ---- */

struct reply {
    uint8_t frame[REPLY_MAX];
    struct p2p_wr wr;
};

static struct p2p_wr *
reply_begin(struct reply *reply)
{
    p2p_wr_init(&reply->wr, reply->frame + P2P_FRAME_HEAD, REPLY_MAX - P2P_FRAME_HEAD);
    return &reply->wr;
}

static enum p2p_err
reply_send(struct session *s, struct reply *reply)
{
    size_t len;
    enum p2p_err err = p2p_wr_end(&reply->wr, &len);

    if (err != P2P_OK)
        return err;
    p2p_store_u32(reply->frame, (uint32_t)len);
    return p2p_net_write(s->fd, reply->frame, P2P_FRAME_HEAD + len,
                         p2p_now_ms() + WRITE_MS);
}

static enum p2p_err
refuse(struct session *s, uint32_t req, uint16_t code, const char *text)
{
    struct p2p_msg msg = {.type = P2P_MSG_ERROR,
                          .req = req,
                          .error = {.code = code, .text = {text, strlen(text)}}};
    struct reply reply;

    if (++s->refusals > REFUSALS_MAX)
        return P2P_ERR_PROTOCOL;
    p2p_msg_put(reply_begin(&reply), &msg);
    return reply_send(s, &reply);
}

static enum p2p_err
send_stored(struct session *s, uint32_t file, enum p2p_stored_result result,
            const char *name)
{
    const struct p2p_stored stored = {
        .file = file, .result = (uint8_t)result, .name = {name, strlen(name)}};
    struct reply reply;

    p2p_stored_put(reply_begin(&reply), &stored);
    return reply_send(s, &reply);
}

static enum p2p_err
send_welcome(struct session *s)
{
    const struct p2p_intake *in = s->in;
    struct p2p_intake_status status;
    struct reply reply;
    struct p2p_wr *wr = reply_begin(&reply);

    p2p_intake_status(s->in, &status);
    p2p_wr_put_u8(wr, P2P_MSG_WELCOME);
    p2p_wr_put_u8(wr, VERSION);
    p2p_wr_put_u8(wr, MODE_TAKE);
    p2p_wr_put_u8(wr, (uint8_t)((in->opt.has_pin ? FLAG_PIN : 0) |
                                (in->opt.is_signed ? FLAG_SIGNED : 0)));
    p2p_wr_put_u64(wr, in->opt.expires_s);
    p2p_wr_put_u64(wr, status.bytes_left);
    p2p_wr_put_u16(wr, (uint16_t)strlen(in->title));
    p2p_wr_put_text(wr, in->title);
    p2p_wr_put_u16(wr, (uint16_t)strlen(in->name));
    p2p_wr_put_text(wr, in->name);
    return reply_send(s, &reply);
}

/* ---- asking for bytes ---- */

static enum p2p_err
send_get(struct session *s, uint32_t length)
{
    struct p2p_msg msg = {.type = P2P_MSG_GET,
                          .req = ++s->last_req,
                          .get = {.offset = s->asked, .length = length}};
    struct reply reply;

    p2p_guest_root(s->file, &msg.get.root);
    if (length > 0) {
        unsigned at = (s->first_get + s->get_count++) % AHEAD_MAX;
        s->gets[at] = (struct get){msg.req, length, 0};
    }
    s->asked += length;
    p2p_msg_put(reply_begin(&reply), &msg);
    return reply_send(s, &reply);
}

static enum p2p_err
ask_more(struct session *s)
{
    enum p2p_err err = P2P_OK;

    while (err == P2P_OK && s->asked < s->part->size && s->get_count < AHEAD_MAX) {
        uint64_t left = s->part->size - s->asked;
        err = send_get(s, left < PIECE ? (uint32_t)left : PIECE);
    }
    return err;
}

/* The GET that ends at the size is the last one, also when no byte is missing. */
static enum p2p_err
begin_file(struct session *s, struct intake_part *part, uint32_t file)
{
    s->part = part;
    s->file = file;
    s->asked = part->got;
    s->first_get = s->get_count = 0;
    p2p_intake_show(s->in, s->fd, part);
    return part->got == part->size ? send_get(s, 0) : ask_more(s);
}

/* ---- which file comes next ---- */

static enum p2p_err
begin_waiting(struct session *s, const uint8_t *message, size_t len)
{
    struct p2p_have have;
    struct intake_part *part;
    enum p2p_stored_result result;
    enum p2p_err err = p2p_have_parse(message, len, &have);

    if (err != P2P_OK)
        return err;
    err = p2p_intake_take(s->in, &s->guest, &have, &part, &result);
    if (err == P2P_ERR_NOT_ALLOWED)
        return refuse(s, have.file, 4, "the link is used up");
    if (err != P2P_OK)
        return err;
    if (result != P2P_STORED_OK)
        return send_stored(s, have.file, result, "");
    if (part->stored != NULL)
        return send_stored(s, have.file, P2P_STORED_OK, part->stored);
    return begin_file(s, part, have.file);
}

static enum p2p_err
advance(struct session *s)
{
    enum p2p_err err = P2P_OK;

    while (err == P2P_OK && s->part == NULL && s->waiting_count > 0) {
        unsigned at = s->first_waiting;
        uint8_t *message = s->waiting[at].message;
        s->first_waiting = (at + 1) % HAVE_MAX;
        s->waiting_count--;
        err = begin_waiting(s, message, s->waiting[at].len);
        free(message);
    }
    return err;
}

static enum p2p_err
take_have(struct session *s, const uint8_t *plain, size_t len)
{
    struct p2p_have have;
    unsigned at = (s->first_waiting + s->waiting_count) % HAVE_MAX;
    uint8_t *message;
    enum p2p_err err = p2p_have_parse(plain, len, &have);

    if (err != P2P_OK)
        return err;
    if (have.name.len > P2P_NAME_MAX)
        return send_stored(s, have.file, P2P_STORED_NAME, "");
    if (s->waiting_count == HAVE_MAX)
        return P2P_ERR_PROTOCOL;
    if ((message = malloc(len)) == NULL)
        return P2P_ERR_NOMEM;
    memcpy(message, plain, len);
    s->waiting[at].message = message;
    s->waiting[at].len = len;
    s->waiting_count++;
    return advance(s);
}

/* ---- the bytes of a file ---- */

static enum p2p_err
end_file(struct session *s, enum p2p_stored_result result, const char *name)
{
    enum p2p_err err;

    s->part = NULL;
    p2p_intake_show(s->in, s->fd, NULL);
    err = send_stored(s, s->file, result, name);
    return err == P2P_OK ? advance(s) : err;
}

static enum p2p_err
take_data(struct session *s, const uint8_t *plain, size_t len)
{
    struct get *get = &s->gets[s->first_get];
    struct p2p_msg msg;
    enum p2p_err err = p2p_msg_parse(plain, len, &msg);

    if (err != P2P_OK)
        return err;
    if (s->part == NULL || s->get_count == 0 || msg.req != get->req ||
        msg.data.offset != get->got || msg.data.len == 0 ||
        msg.data.len > get->length - get->got || (msg.data.flags & P2P_DATA_ZSTD) != 0)
        return P2P_ERR_PROTOCOL;
    err = p2p_intake_write(s->in, s->part, msg.data.bytes, msg.data.len);
    if (err != P2P_OK) {
        p2p_log_warn("cannot write a file of a guest reason=\"%s\"", p2p_err_text(err));
        p2p_intake_drop(s->in, s->part);
        s->part = NULL;
        (void)!send_stored(s, s->file, P2P_STORED_DISK, "");
        return err; /* bytes that were requested must not arrive any longer */
    }
    get->got += (uint32_t)msg.data.len;
    if (get->got < get->length)
        return P2P_OK;
    s->first_get = (s->first_get + 1) % AHEAD_MAX;
    s->get_count--;
    return ask_more(s);
}

static enum p2p_err
take_proof(struct session *s, const uint8_t *plain, size_t len)
{
    struct p2p_proof proof;
    struct intake_part *part = s->part;
    enum p2p_stored_result result;
    enum p2p_err err = p2p_proof_parse(plain, len, &proof);

    if (err != P2P_OK)
        return err;
    if (part == NULL || proof.file != s->file || part->got != part->size)
        return P2P_ERR_PROTOCOL;
    result = p2p_intake_finish(s->in, part, &proof.sha256);
    return end_file(s, result, result == P2P_STORED_OK ? part->stored : "");
}

/* From a guest that gives the file up; it sends nothing more of it. */
static enum p2p_err
take_cancel(struct session *s, const uint8_t *plain, size_t len)
{
    struct p2p_msg msg;
    enum p2p_err err = p2p_msg_parse(plain, len, &msg);

    if (err != P2P_OK || s->part == NULL || msg.req != s->file)
        return err;
    p2p_intake_drop(s->in, s->part);
    return end_file(s, P2P_STORED_CANCELLED, "");
}

/* ---- the rest ---- */

static enum p2p_err
take_ping(struct session *s, const uint8_t *plain, size_t len)
{
    struct p2p_msg msg;
    struct reply reply;
    enum p2p_err err = p2p_msg_parse(plain, len, &msg);

    if (err != P2P_OK)
        return err;
    msg.type = P2P_MSG_PONG;
    p2p_msg_put(reply_begin(&reply), &msg);
    return reply_send(s, &reply);
}

static enum p2p_err
take_ticket(struct session *s, const uint8_t *plain, size_t len)
{
    struct p2p_link_pin pin;
    struct reply reply;
    struct p2p_rd rd;
    uint32_t req;
    enum p2p_err err;

    p2p_rd_init(&rd, plain + 1, len - 1);
    req = p2p_rd_get_u32(&rd);
    p2p_rd_get_bytes(&rd, pin.b, sizeof(pin.b));
    if (p2p_rd_end(&rd) != P2P_OK)
        return P2P_ERR_MALFORMED;
    err = s->in->opt.has_pin ? p2p_intake_check_pin(s->in, &pin) : P2P_OK;
    if (err == P2P_ERR_RATE_LIMITED)
        return refuse(s, req, 5, "too many wrong PINs; try again in 900 s");
    if (err != P2P_OK)
        return refuse(s, req, 1, "the PIN is wrong");
    s->needs_pin = false;
    p2p_wr_put_u8(reply_begin(&reply), P2P_MSG_TICKET);
    p2p_wr_put_u32(&reply.wr, req);
    return reply_send(s, &reply);
}

static enum p2p_err
handle(struct session *s, const uint8_t *plain, size_t len)
{
    uint8_t type = plain[0];

    if (memchr(allowed, type, sizeof(allowed)) == NULL)
        return refuse(s, 0, 2, "unknown message type");
    if (s->needs_pin && memchr(allowed_first, type, sizeof(allowed_first)) == NULL)
        return refuse(s, 0, 4, "the link has a PIN");
    switch (type) {
    case P2P_MSG_HAVE:
        return take_have(s, plain, len);
    case P2P_MSG_DATA:
        return take_data(s, plain, len);
    case P2P_MSG_PROOF:
        return take_proof(s, plain, len);
    case P2P_MSG_CANCEL:
        return take_cancel(s, plain, len);
    case P2P_MSG_TICKET_GET:
        return take_ticket(s, plain, len);
    case P2P_MSG_PING:
        return take_ping(s, plain, len);
    default: /* CLOSE */
        p2p_intake_done(s->in, &s->guest);
        s->part = NULL;
        return P2P_ERR_CLOSED;
    }
}

/* ---- frames ---- */

/* Handles the complete frames, and keeps the rest. */
static enum p2p_err
take_frames(struct session *s)
{
    size_t at = 0;
    enum p2p_err err = P2P_OK;

    while (err == P2P_OK && s->filled - at >= P2P_FRAME_HEAD) {
        size_t len = p2p_load_u32(s->frame + at);
        if (len < 1 || len > P2P_RECORD_PLAIN_MAX)
            return P2P_ERR_MALFORMED;
        if (s->filled - at - P2P_FRAME_HEAD < len)
            break;
        err = handle(s, s->frame + at + P2P_FRAME_HEAD, len);
        at += P2P_FRAME_HEAD + len;
    }
    memmove(s->frame, s->frame + at, s->filled - at);
    s->filled -= at;
    return err;
}

static enum p2p_err
read_more(struct session *s)
{
    struct pollfd on[] = {{.fd = s->fd, .events = POLLIN},
                          {.fd = p2p_stop_fd(s->in->stop), .events = POLLIN}};
    uint64_t now_s = p2p_time_s();
    uint64_t left_s = s->in->opt.expires_s > now_s ? s->in->opt.expires_s - now_s : 0;
    size_t got = 0;
    enum p2p_err err;
    int n;

    if (left_s == 0)
        return P2P_ERR_TIMEOUT;
    n = poll(on, 2, left_s < IDLE_MS / 1000 ? (int)left_s * 1000 : IDLE_MS);
    if (n == 0)
        return P2P_ERR_TIMEOUT;
    if (n < 0)
        return P2P_OK; /* a signal */
    if (on[1].revents != 0)
        return P2P_ERR_CANCELLED;
    err = p2p_net_try_read(s->fd, s->frame + s->filled, sizeof(s->frame) - s->filled,
                           &got);
    s->filled += got;
    return err == P2P_ERR_BUSY ? P2P_OK : err;
}

/* Tells the guest that this side ends it. */
static void
say_close(struct session *s)
{
    struct reply reply;

    p2p_wr_put_u8(reply_begin(&reply), P2P_MSG_CLOSE);
    (void)!reply_send(s, &reply);
}

void
p2p_intake_talk(struct p2p_intake *in, int fd, const struct p2p_guest_id *guest)
{
    struct session *s = calloc(1, sizeof(*s));
    enum p2p_err err;

    if (s == NULL)
        return;
    s->in = in;
    s->fd = fd;
    s->guest = *guest;
    s->needs_pin = in->opt.has_pin;
    err = send_welcome(s);
    while (err == P2P_OK) {
        err = read_more(s);
        if (err == P2P_OK)
            err = take_frames(s);
    }
    if (err == P2P_ERR_CLOSED || err == P2P_ERR_TIMEOUT || err == P2P_ERR_CANCELLED)
        say_close(s);
    p2p_log_debug("a guest of a link has gone reason=%s", p2p_err_name(err));
    for (; s->waiting_count > 0; s->waiting_count--) {
        free(s->waiting[s->first_waiting].message);
        s->first_waiting = (s->first_waiting + 1) % HAVE_MAX;
    }
    free(s);
}
