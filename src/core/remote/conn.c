/* The life of a connection, and its records. source.c and worker.c send the
 * requests. */
#include "core/remote/conn_internal.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/remote/conn_race.h"
#include "p2p/log.h"
#include "p2p/vault.h"

/* Room for several records, so that one read brings several of them and few bytes have
 * to be moved. */
#define IN_CAP2       (4 * P2P_FRAME_SIZE(P2P_RECORD_PLAIN_MAX))
#define IN_CAP1       (P2P_FRAME_SIZE(P2P_FRAME1_CHUNK_MAX))
#define IN_CAP1_FIRST (2 * P2P_MIB)
#define OUT_CAP       (16 * P2P_KIB)
#define REQUEST_PLAIN_MAX                                       \
    2048 /* the longest thing a client says: a name or a cursor \
          */

static enum p2p_err
conn_new(const struct p2p_conn_options *opt, struct p2p_conn **out)
{
    struct p2p_conn *conn = p2p_vault_new(sizeof(*conn)); /* its keys */
    enum p2p_err err;

    *out = conn;
    if (conn == NULL)
        return P2P_ERR_NOMEM;
    conn->fd = -1;
    conn->cut = -1;
    conn->is_guest = opt->reach != NULL && opt->reach->visit != NULL;
    conn->protocol = opt->protocol == 1 && !conn->is_guest ? 1 : 2;
    conn->timeout_ms = opt->timeout_ms > 0 ? opt->timeout_ms : P2P_TIMEOUT_MS;
    conn->in_cap = conn->protocol == 1 ? IN_CAP1_FIRST : IN_CAP2;
    conn->out_cap = OUT_CAP;
    conn->identity = opt->identity;
    conn->addr = opt->addr;
    p2p_addr_format(&opt->addr, conn->asked, sizeof(conn->asked));
    conn->in = malloc(conn->in_cap);
    conn->out = malloc(conn->out_cap);
    if ((err = p2p_stop_new(&conn->stop)) != P2P_OK)
        return err;
    return conn->in != NULL && conn->out != NULL ? P2P_OK : P2P_ERR_NOMEM;
}

static void
conn_free(struct p2p_conn *conn)
{
    p2p_fd_close(&conn->fd);
    p2p_stop_free(conn->stop);
    p2p_direction_clear(&conn->send);
    p2p_direction_clear(&conn->receive);
    p2p_session1_free(conn->session1);
    if (conn->in != NULL)
        p2p_wipe(conn->in, conn->in_cap < IN_CAP2 ? conn->in_cap : IN_CAP2);
    free(conn->in);
    free(conn->out);
    p2p_vault_free(conn);
}

/* A host name stands for an address, and an address can be written in several ways. */
static void
note_reached(struct p2p_conn *conn)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    struct p2p_addr addr;

    if (getpeername(conn->fd, (struct sockaddr *)&sa, &len) != 0)
        return;
    p2p_addr_from_sockaddr((const struct sockaddr *)&sa, &addr);
    p2p_addr_format(&addr, conn->reached, sizeof(conn->reached));
}

static enum p2p_err
open_path(struct p2p_conn *conn, const struct p2p_conn_options *opt,
          const struct p2p_reach_listener *listener, uint64_t timeout_ms)
{
    struct p2p_way way;
    enum p2p_err err;

    if (conn->path != P2P_PATH_DIRECT) {
        err = conn->is_guest
                  ? p2p_reach_visit(opt->reach, conn->stop, &way)
                  : p2p_reach_call(opt->reach, opt->expected,
                                   listener->on_addresses != NULL ? listener : NULL,
                                   conn->stop, &way);
        conn->fd = way.fd;
        conn->path = way.kind;
        conn->shake_rtt_us = way.rtt_us;
        return err;
    }
    err = p2p_net_connect_or_stop(&opt->addr, p2p_now_ms() + timeout_ms,
                                  p2p_stop_fd(conn->stop), &conn->fd);
    if (err == P2P_OK)
        note_reached(conn);
    return err;
}

static enum p2p_err
connect_and_shake(struct p2p_conn *conn, const struct p2p_conn_options *opt,
                  const struct p2p_conn_watcher *watcher)
{
    uint64_t timeout_ms = conn->timeout_ms < P2P_HANDSHAKE_TIMEOUT_MS
                              ? conn->timeout_ms
                              : P2P_HANDSHAKE_TIMEOUT_MS;
    enum p2p_err err;

    watcher->on_socket(watcher->arg, conn);
    if ((err = open_path(conn, opt, &watcher->calling, timeout_ms)) != P2P_OK)
        return err;
    conn->cut = conn->fd;
    watcher->on_socket(watcher->arg,
                       conn); /* if a stop was requested meanwhile, interrupt it now */
    if (conn->protocol == 1)
        return p2p_conn_shake1(conn, opt, p2p_now_ms() + timeout_ms);
    if (conn->is_guest)
        return p2p_conn_enter(conn, opt, p2p_now_ms() + timeout_ms);
    return p2p_conn_shake(conn, opt, p2p_now_ms() + timeout_ms);
}

enum p2p_err
p2p_conn_open_one(const struct p2p_conn_options *opt, enum p2p_path_kind path,
                  const struct p2p_conn_watcher *watcher, struct p2p_conn **out)
{
    struct p2p_conn *conn = NULL;
    enum p2p_err err = conn_new(opt, &conn);

    *out = NULL;
    if (err == P2P_OK)
        conn->path = path;
    if (err == P2P_OK && path != P2P_PATH_DIRECT) /* it has no address */
        conn->asked[0] = '\0';
    if (err == P2P_OK)
        err = connect_and_shake(conn, opt, watcher);
    if (err == P2P_OK) {
        *out = conn;
        return P2P_OK;
    }
    watcher->on_socket(watcher->arg, NULL);
    if (conn != NULL)
        conn_free(conn);
    return err;
}

/* What is shown meanwhile has no socket; an interruption of it ends the race. */
static enum p2p_err
open_any(const struct p2p_conn_options *opt, p2p_conn_on_socket *on_socket, void *arg,
         struct p2p_conn **out)
{
    struct p2p_conn *front = NULL;
    enum p2p_err err = conn_new(opt, &front);

    *out = NULL;
    if (err == P2P_OK) {
        on_socket(arg, front);
        err = p2p_conn_race(opt, p2p_stop_fd(front->stop), out);
    }
    on_socket(arg, *out);
    if (front != NULL)
        conn_free(front);
    return err;
}

enum p2p_err
p2p_conn_open_shown(const struct p2p_conn_options *opt, p2p_conn_on_socket *on_socket,
                    void *arg, struct p2p_conn **out)
{
    bool is_guest = opt->reach != NULL && opt->reach->visit != NULL;
    bool is_one = (opt->other_count == 0 && opt->reach == NULL) ||
                  opt->expected == NULL || opt->protocol == 1;

    const struct p2p_conn_watcher watcher = {.on_socket = on_socket, .arg = arg};

    if (is_guest)
        return p2p_conn_open_one(opt, P2P_PATH_CHANNEL, &watcher, out);
    return is_one ? p2p_conn_open_one(opt, P2P_PATH_DIRECT, &watcher, out)
                  : open_any(opt, on_socket, arg, out);
}

static void
show_nobody(void *arg, struct p2p_conn *conn)
{
    (void)arg, (void)conn;
}

enum p2p_err
p2p_conn_open(const struct p2p_conn_options *opt, struct p2p_conn **out)
{
    return p2p_conn_open_shown(opt, show_nobody, NULL, out);
}

/* Sends the authenticated end of our direction, if the socket accepts it without
 * waiting. */
static void
say_goodbye(struct p2p_conn *conn)
{
    const struct p2p_msg close_msg = {.type = P2P_MSG_CLOSE};
    const struct p2p_msg1 done = {.type = P2P_MSG1_DONE};
    size_t sent;
    enum p2p_err err;

    if (conn->broken || (conn->is_guest && !conn->has_all))
        return;
    err = conn->protocol == 1 ? p2p_conn_put1(conn, &done)
                              : p2p_conn_put(conn, &close_msg);
    if (err == P2P_OK)
        err = p2p_net_try_write(conn->fd, conn->out, conn->out_used, &sent);
    if (err != P2P_OK)
        p2p_log_debug("cannot send a CLOSE message error=%s", p2p_err_name(err));
}

void
p2p_conn_close(struct p2p_conn *conn)
{
    if (conn == NULL)
        return;
    say_goodbye(conn);
    conn_free(conn);
}

enum p2p_path_kind
p2p_conn_path(const struct p2p_conn *conn)
{
    return conn->path;
}

const struct p2p_about *
p2p_conn_about(const struct p2p_conn *conn)
{
    return conn->has_about ? &conn->about : NULL;
}

const struct p2p_addr *
p2p_conn_address(const struct p2p_conn *conn)
{
    return &conn->addr;
}

const struct p2p_id *
p2p_conn_peer(const struct p2p_conn *conn)
{
    return conn->protocol == 1 ? NULL : &conn->peer;
}

/* Remembers one address of the peer; a failure is only logged. */
static void
remember_at(struct p2p_conn *conn, const char *address)
{
    enum p2p_err err = P2P_OK;

    if (conn->path != P2P_PATH_DIRECT)
        err = p2p_known_met(conn->identity, NULL, &conn->peer, 2);
    else if (address[0] != '\0' && strlen(address) < P2P_ADDRESS_MAX)
        err = p2p_known_met(conn->identity, address, &conn->peer, 2);
    if (err != P2P_OK)
        p2p_log_warn("cannot add a peer to the known peers error=%s address=%s",
                     p2p_err_name(err), address);
}

/* With a peer that is remembered: of others nothing is written. */
static void
keep_claim(struct p2p_conn *conn)
{
    enum p2p_err err = p2p_known_claim(conn->identity, &conn->peer, &conn->about);

    if (err != P2P_OK && err != P2P_ERR_NOT_FOUND)
        p2p_log_warn("cannot store a peer's name error=%s", p2p_err_name(err));
}

void
p2p_conn_remember(struct p2p_conn *conn)
{
    if (conn->protocol == 1 || conn->is_guest)
        return;
    if (strcmp(conn->reached, conn->asked) != 0)
        remember_at(conn, conn->reached);
    /* The last one comes first in the list. Other ways have none. */
    remember_at(conn, conn->asked);
    if (conn->has_about)
        keep_claim(conn);
}

void
p2p_conn_interrupt(struct p2p_conn *conn)
{
    int fd = conn->cut;

    p2p_stop_set(conn->stop);
    if (fd >= 0)
        (void)shutdown(fd, SHUT_RDWR);
}

uint64_t
p2p_conn_timeout_ms(const struct p2p_conn *conn)
{
    return conn->timeout_ms;
}

bool
p2p_conn_is_worn(const struct p2p_conn *conn, size_t margin)
{
    return p2p_session1_is_worn(conn->session1, margin);
}

uint64_t
p2p_conn_rtt_us(const struct p2p_conn *conn)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);

    /* The kernel knows the way to the relay only, and of a channel nothing. */
    if (conn->path != P2P_PATH_DIRECT)
        return conn->shake_rtt_us;
    memset(&info, 0, sizeof(info));
    if (getsockopt(conn->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
        return 0;
    return info.tcpi_min_rtt != 0 && info.tcpi_min_rtt != UINT32_MAX ? info.tcpi_min_rtt
                                                                     : info.tcpi_rtt;
}

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
    if (size > IN_CAP1)
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
    keep_claim(conn);
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
