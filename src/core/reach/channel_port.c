#include "core/reach/channel_port.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/reach/candidate.h"
#include "core/reach/channel_io.h"
#include "core/reach/channel_pool.h"
#include "p2p/bytes.h"
#include "p2p/clock.h"
#include "p2p/io.h"
#include "p2p/log.h"
#include "p2p/net.h"

enum {
    STUN_WAIT_MS = 500,
    STUN_REPEAT_MS = 100,
    STUN_MAX = 4,
    OWN_MAX = 12, /* addresses of this machine that are told */
    PIECE = 64 * 1024,
    IDLE_US = 1000000,
};

/* One address that is told. */
struct own {
    struct p2p_endpoint at;
    enum p2p_ice_kind kind;
};

struct p2p_channel_port {
    struct p2p_channel_io *io;
    struct p2p_dtls_identity *identity;
    struct p2p_ice_login login;
    struct own own[P2P_CALL_CANDIDATES_MAX];
    size_t own_count;
    /* with an other side: */
    struct p2p_channel *channel;
    int app;            /* the own end of the pair of sockets; -1: none, or closed */
    bool app_has_ended; /* it has closed its end: nothing comes from or goes there */
    bool app_is_told;   /* that nothing more goes there */
};

/* ---- addresses ---- */

static void
add_own(struct p2p_channel_port *port, const struct p2p_endpoint *at,
        enum p2p_ice_kind kind)
{
    for (size_t i = 0; i < port->own_count; i++)
        if (p2p_endpoint_equal(&port->own[i].at, at))
            return;
    if (port->own_count < P2P_CALL_CANDIDATES_MAX)
        port->own[port->own_count++] = (struct own){*at, kind};
}

static void
add_machine(struct p2p_channel_port *port)
{
    struct p2p_addr at[OWN_MAX];
    uint16_t number = p2p_channel_io_port(port->io);
    size_t count = p2p_net_own_addresses(number, at, OWN_MAX);
    struct p2p_endpoint e;

    for (size_t i = 0; i < count; i++)
        if (p2p_endpoint_parse(at[i].host, number, &e) == P2P_OK)
            add_own(port, &e, P2P_ICE_HOST);
    /* A machine without a network reaches itself. */
    if (port->own_count == 0 && p2p_endpoint_parse("127.0.0.1", number, &e) == P2P_OK)
        add_own(port, &e, P2P_ICE_HOST);
}

/* ---- the outside address ---- */

struct asking {
    struct p2p_channel_port *port;
    struct p2p_stun_id id;
    bool is_answered;
};

static void
on_stun(void *arg, const struct p2p_endpoint *from, const uint8_t *data, size_t len)
{
    struct asking *a = arg;
    struct p2p_stun m;

    (void)from;
    if (p2p_stun_parse(data, len, &m) != P2P_OK || m.class != P2P_STUN_SUCCESS ||
        memcmp(&m.id, &a->id, sizeof(m.id)) != 0 || !p2p_endpoint_is_unicast(&m.mapped))
        return;
    a->is_answered = true;
    add_own(a->port, &m.mapped, P2P_ICE_OUTSIDE);
}

static void
ask_all(struct p2p_channel_port *port, const struct p2p_endpoint *stun, size_t count,
        const struct p2p_stun_id *id)
{
    uint8_t out[P2P_STUN_QUESTION_LEN];

    p2p_stun_question(id, false, out);
    for (size_t i = 0; i < count && i < STUN_MAX; i++)
        p2p_channel_io_send(port->io, &stun[i], out, sizeof(out));
    p2p_channel_io_flush(port->io);
}

/* Without an answer there is no outside address to tell: two peers of one network need
 * none. */
static enum p2p_err
ask_outside(struct p2p_channel_port *port, const struct p2p_endpoint *stun,
            size_t count, const struct p2p_stop *stop)
{
    struct asking a = {.port = port};
    struct pollfd fds[] = {{.fd = p2p_channel_io_fd(port->io), .events = POLLIN},
                           {.fd = p2p_stop_fd(stop), .events = POLLIN}};
    uint64_t end_ms = p2p_now_ms() + STUN_WAIT_MS;
    enum p2p_err err = p2p_random(&a.id, sizeof(a.id));

    while (err == P2P_OK && count > 0 && !a.is_answered && p2p_now_ms() < end_ms) {
        ask_all(port, stun, count, &a.id);
        (void)!poll(fds, 2, STUN_REPEAT_MS);
        if (p2p_stop_is_set(stop))
            return P2P_ERR_CANCELLED;
        p2p_channel_io_read(port->io, on_stun, &a);
    }
    return err;
}

/* ---- life ---- */

enum p2p_err
p2p_channel_port_new(const struct p2p_endpoint *stun, size_t stun_count,
                     const struct p2p_stop *stop, struct p2p_channel_port **out)
{
    struct p2p_channel_port *port;
    enum p2p_err err;

    *out = NULL;
    if (!p2p_channel_pool_enter())
        return P2P_ERR_BUSY;
    if ((port = calloc(1, sizeof(*port))) == NULL) {
        p2p_channel_pool_leave();
        return P2P_ERR_NOMEM;
    }
    port->app = -1;
    err = p2p_channel_io_new(&port->io);
    if (err == P2P_OK)
        err = p2p_ice_login_make(&port->login);
    if (err == P2P_OK)
        err = p2p_dtls_identity_new(&port->identity);
    if (err == P2P_OK) {
        add_machine(port);
        err = ask_outside(port, stun, stun_count, stop);
    }
    if (err == P2P_OK)
        *out = port;
    else
        p2p_channel_port_close(port);
    return err;
}

void
p2p_channel_port_close(struct p2p_channel_port *port)
{
    if (port == NULL)
        return;
    p2p_channel_free(port->channel);
    p2p_dtls_identity_free(port->identity);
    p2p_channel_io_free(port->io);
    p2p_fd_close(&port->app);
    p2p_wipe(port, sizeof(*port));
    free(port);
    p2p_channel_pool_leave();
}

/* ---- what is told ---- */

void
p2p_channel_port_tell(const struct p2p_channel_port *port, struct p2p_call_channel *out)
{
    memset(out, 0, sizeof(*out));
    memcpy(out->ufrag, port->login.ufrag, sizeof(port->login.ufrag));
    memcpy(out->pwd, port->login.pwd, sizeof(port->login.pwd));
    out->fingerprint = *p2p_dtls_fingerprint(port->identity);
    for (size_t i = 0; i < port->own_count; i++) {
        const struct own *own = &port->own[i];

        p2p_candidate_add(out, &own->at, own->kind == P2P_ICE_HOST ? "host" : "srflx",
                          p2p_ice_priority(own->kind, own->at.family, (unsigned)i));
    }
}

static enum p2p_err
make_channel(struct p2p_channel_port *port, const struct p2p_call_channel *peer,
             bool calls)
{
    struct p2p_channel_options opt = {.own = port->login,
                                      .identity = port->identity,
                                      .fingerprint = peer->fingerprint,
                                      .budget = p2p_channel_pool_budget(),
                                      .calls = calls};
    enum p2p_err err;

    memcpy(opt.peer.ufrag, peer->ufrag, sizeof(opt.peer.ufrag));
    memcpy(opt.peer.pwd, peer->pwd, sizeof(opt.peer.pwd));
    if (!p2p_ice_login_is_valid(&opt.peer))
        return P2P_ERR_MALFORMED;
    if ((err = p2p_channel_new(&opt, p2p_now_us(), &port->channel)) != P2P_OK)
        return err;
    for (size_t i = 0; i < peer->candidate_count; i++) {
        struct p2p_candidate c;

        if (p2p_candidate_parse(peer->candidates[i], &c) && !c.is_tcp)
            p2p_channel_add(port->channel, &c.at, c.priority);
    }
    return P2P_OK;
}

/* ---- moving bytes ---- */

static void
on_datagram(void *arg, const struct p2p_endpoint *from, const uint8_t *data, size_t len)
{
    struct p2p_channel_port *port = arg;

    p2p_channel_input(port->channel, from, data, len, p2p_now_us());
}

static void
send_all(struct p2p_channel_port *port)
{
    uint8_t out[P2P_DTLS_DATAGRAM_MAX];
    struct p2p_endpoint to;
    size_t len;

    while ((len = p2p_channel_output(port->channel, p2p_now_us(), &to, out)) > 0)
        p2p_channel_io_send(port->io, &to, out, len);
    p2p_channel_io_flush(port->io);
}

/* The end of this side's bytes: they are delivered, then the stream ends. */
static void
end_app(struct p2p_channel_port *port)
{
    port->app_has_ended = true;
    p2p_sctp_close(p2p_channel_stream(port->channel));
}

static void
from_app(struct p2p_channel_port *port)
{
    struct p2p_sctp *stream = p2p_channel_stream(port->channel);
    uint8_t piece[PIECE];

    while (!port->app_has_ended) {
        size_t room = p2p_sctp_room(stream);
        ssize_t n;

        if (room == 0)
            return;
        n = read(port->app, piece, room < sizeof(piece) ? room : sizeof(piece));
        if (n > 0)
            (void)p2p_sctp_write(stream, piece, (size_t)n);
        else if (n == 0 || (errno != EAGAIN && errno != EINTR))
            end_app(port);
        else if (errno == EAGAIN)
            return;
    }
}

static void
to_app(struct p2p_channel_port *port)
{
    struct p2p_sctp *stream = p2p_channel_stream(port->channel);
    const uint8_t *bytes;
    size_t len;

    while ((bytes = p2p_sctp_peek(stream, &len)) != NULL) {
        ssize_t n = send(port->app, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n > 0)
            p2p_sctp_drop(stream, (size_t)n);
        else if (errno == EAGAIN)
            return;
        else if (errno != EINTR)
            p2p_sctp_drop(stream, len); /* nobody reads; its last bytes still go out */
    }
    if (p2p_sctp_is_ended(stream) && !port->app_is_told) {
        port->app_is_told = true;
        (void)shutdown(port->app, SHUT_WR);
    }
}

/* ---- waiting ---- */

static short
app_events(struct p2p_channel_port *port)
{
    struct p2p_sctp *stream = p2p_channel_stream(port->channel);
    short events = 0;
    size_t len;

    if (port->app < 0)
        return 0;
    if (!port->app_has_ended && p2p_sctp_room(stream) > 0)
        events |= POLLIN;
    if (p2p_sctp_peek(stream, &len) != NULL)
        events |= POLLOUT;
    return events;
}

static void
wait_for_news(struct p2p_channel_port *port, const struct p2p_stop *stop)
{
    uint64_t now_us = p2p_now_us();
    uint64_t due_us = p2p_channel_due_us(port->channel, now_us);
    uint64_t us = due_us > now_us ? due_us - now_us : 0;
    short events = app_events(port);
    struct pollfd fds[] = {
        {.fd = p2p_channel_io_fd(port->io), .events = POLLIN},
        {.fd = events != 0 ? port->app : -1, .events = events},
        {.fd = stop != NULL ? p2p_stop_fd(stop) : -1, .events = POLLIN}};
    struct timespec wait;

    us = us < IDLE_US ? us : IDLE_US;
    wait = (struct timespec){.tv_sec = (time_t)(us / 1000000),
                             .tv_nsec = (long)(us % 1000000) * 1000};
    (void)!ppoll(fds, 3, &wait, NULL);
}

static void
turn(struct p2p_channel_port *port, const struct p2p_stop *stop)
{
    wait_for_news(port, stop);
    p2p_channel_io_read(port->io, on_datagram, port);
    if (port->app >= 0) {
        to_app(port);
        from_app(port);
    }
    send_all(port);
}

/* ---- the thread ---- */

static bool
has_unread(struct p2p_channel_port *port)
{
    size_t len;

    return !port->app_has_ended &&
           p2p_sctp_peek(p2p_channel_stream(port->channel), &len) != NULL;
}

static void *
serve(void *arg)
{
    struct p2p_channel_port *port = arg;

    while (!p2p_channel_is_over(port->channel) || has_unread(port))
        turn(port, NULL);
    send_all(port); /* the last words */
    p2p_log_debug("a channel has ended reason=%s",
                  p2p_err_name(p2p_channel_error(port->channel)));
    p2p_channel_port_close(port);
    return NULL;
}

static enum p2p_err
start_serving(struct p2p_channel_port *port, int *fd)
{
    int pair[2];
    pthread_attr_t detached;
    pthread_t thread;
    int rc;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        return p2p_err_from_errno(errno);
    port->app = pair[0];
    if ((rc = pthread_attr_init(&detached)) == 0) {
        pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
        rc = pthread_create(&thread, &detached, serve, port);
        pthread_attr_destroy(&detached);
    }
    if (rc != 0) {
        p2p_fd_close(&pair[1]);
        return p2p_err_from_errno(rc);
    }
    *fd = pair[1];
    return P2P_OK;
}

enum p2p_err
p2p_channel_port_open(struct p2p_channel_port *port,
                      const struct p2p_call_channel *peer, bool calls,
                      uint64_t deadline_ms, const struct p2p_stop *stop,
                      struct p2p_channel_way *out)
{
    enum p2p_err err = make_channel(port, peer, calls);

    *out = (struct p2p_channel_way){.fd = -1};
    while (err == P2P_OK && !p2p_channel_is_open(port->channel)) {
        turn(port, stop);
        if (p2p_stop_is_set(stop))
            err = P2P_ERR_CANCELLED;
        else if (p2p_channel_error(port->channel) != P2P_OK)
            err = p2p_channel_error(port->channel);
        else if (p2p_now_ms() >= deadline_ms)
            err = P2P_ERR_TIMEOUT;
    }
    if (err == P2P_OK)
        out->rtt_us = p2p_channel_rtt_us(port->channel);
    if (err == P2P_OK)
        err = start_serving(port, &out->fd);
    if (err != P2P_OK)
        p2p_channel_port_close(port);
    return err;
}
