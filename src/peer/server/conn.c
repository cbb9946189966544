#include "peer/server/conn.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "p2p/log.h"
#include "p2p/net.h"
#include "p2p/vault.h"
#include "peer/server/loop.h"
#include "peer/server/serve.h"
#include "peer/server/visible.h"

enum {
    /* At most this many bytes of a socket's buffer may be unsent, so that a later
     * answer does not wait behind megabytes. */
    NOTSENT_LOWAT = 128 * 1024,
};

/* BBR keeps its speed when packets are lost, as on wireless links and long paths. CUBIC
 * treats each loss as a full queue. The kernel allows BBR if its module is loaded. */
static const char congestion_control[] = "bbr";

static void
set_socket_options(int fd)
{
    int on = 1, lowat = NOTSENT_LOWAT;

    /* These options only improve speed; failures are ignored. */
    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion_control,
               sizeof(congestion_control) - 1);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof(lowat));
}

/* A connection through a relay counts for the peer that called, not for the relay, and
 * comes from outside. */
static void
set_source(struct conn *c, const struct sockaddr_storage *from,
           const struct p2p_id *caller)
{
    if (caller == NULL) {
        admission_source_of(c->fd, (const struct sockaddr *)from, &c->source);
        c->is_outside = !c->source.is_loopback && !loop_is_near(c->loop, from);
        return;
    }
    c->is_relayed = c->is_outside = true;
    c->caller = *caller;
    c->source.is_v6 = true;
    memcpy(c->source.key, caller->b, sizeof(c->source.key));
}

static bool take_place(struct conn *c);

/* The channel has proven the link's secret, so there is no handshake. */
static void
welcome(struct conn *c, const struct p2p_guest_id *guest)
{
    struct access_standing standing = {.is_guest = true};
    enum p2p_err err = clients_get(c->loop->server->clients, &c->caller, &c->client);

    c->state = CONN_GUEST;
    c->guest = *guest;
    if (err == P2P_OK)
        client_judge(c->client, &standing);
    if (err == P2P_OK)
        err = take_place(c) ? serve_guest_welcome(c) : P2P_ERR_BUSY;
    if (err != P2P_OK) {
        conn_close(c, err);
        return;
    }
    c->readable = true; /* find out */
    loop_set_timer(c->loop, c, TIMER_IDLE);
    loop_run_soon(c->loop, c);
}

struct conn *
conn_new(struct loop *loop, int fd, const struct sockaddr_storage *from,
         const struct p2p_id *caller, const struct p2p_guest_id *guest)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
    struct conn *c = p2p_vault_new(sizeof(*c)); /* its keys */
    enum admission_verdict verdict;

    if (c == NULL)
        return NULL;
    c->loop = loop;
    c->fd = fd;
    c->writable = true;
    requests_init(&c->requests);
    set_source(c, from, caller);
    set_socket_options(fd);
    event.data.ptr = c;
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        p2p_vault_free(c);
        return NULL;
    }
    TAILQ_INSERT_TAIL(&loop->all, c, all_link);
    if (guest != NULL) {
        welcome(c, guest);
        return c;
    }
    verdict = admission_begin(loop->server->admission, &c->ticket, &c->source, loop,
                              p2p_now_ms());
    if (verdict == ADMISSION_NO) {
        conn_close(c, P2P_ERR_RATE_LIMITED);
    } else if (verdict == ADMISSION_WAIT) {
        c->state = CONN_WAITING;
        TAILQ_INSERT_TAIL(&loop->waiting, c, run_link);
    } else {
        conn_begin(c);
    }
    return c;
}

static void
leave_lists(struct conn *c)
{
    struct loop *loop = c->loop;

    TAILQ_REMOVE(&loop->all, c, all_link);
    if (c->has_timer)
        TAILQ_REMOVE(&loop->timers[c->timer], c, timer_link);
    if (c->in_run)
        TAILQ_REMOVE(&loop->run, c, run_link);
    else if (c->is_throttled)
        loop_unthrottle(loop, c);
    else if (c->state == CONN_WAITING)
        TAILQ_REMOVE(&loop->waiting, c, run_link);
    if (c->is_parked)
        TAILQ_REMOVE(&loop->parked, c, park_link);
    c->has_timer = c->in_run = c->is_throttled = c->is_parked = false;
}

/* ---- Places ---- */

static void
leave_place(struct conn *c)
{
    struct server *s = c->loop->server;

    s->open -= c->has_place;
    s->strangers -= c->has_place && c->is_stranger;
    c->has_place = false;
}

/* Unknown clients never get the reserved places. If no other place is free, a new
 * client replaces the unknown one that has been idle for longest. */
static bool
take_place(struct conn *c)
{
    struct server *s = c->loop->server;
    unsigned strangers_max = s->opt.max_connections - s->opt.reserved_connections;

    c->is_stranger = !c->is_known && !c->source.is_loopback;
    while (s->open >= s->opt.max_connections ||
           (c->is_stranger && s->strangers >= strangers_max)) {
        if (!loop_close_idle_stranger(c->loop, c))
            return false;
    }
    c->has_place = true;
    s->open++;
    s->strangers += c->is_stranger;
    return true;
}

void
conn_close(struct conn *c, enum p2p_err why)
{
    struct server *s = c->loop->server;

    if (c->state == CONN_CLOSED)
        return;
    p2p_log_debug("connection closed fd=%d state=%d reason=%s", c->fd, (int)c->state,
                  p2p_err_name(why));
    admission_end(s->admission, &c->ticket, c->ended, p2p_now_ms());
    leave_place(c);
    leave_lists(c);
    p2p_fd_close(&c->fd);
    c->state = CONN_CLOSED;
    s->held_bytes -= c->tx_len - c->tx_at;
    c->tx_len = c->tx_at = 0;
    s->kept_bytes -= c->kept;
    c->kept = 0;
    s->connections--;
    c->loop->load--;
    TAILQ_INSERT_TAIL(&c->loop->graveyard, c, all_link);
}

void
conn_free(struct conn *c)
{
    greeting_free(c->greeting);
    p2p_direction_clear(&c->in);
    p2p_direction_clear(&c->out);
    p2p_session1_free(c->session1);
    clients_put(c->loop->server->clients, c->client);
    requests_clear(&c->requests);
    cold_read_free(c->cold);
    seek_free(c->seek);
    leaves_job_free(c->leaves);
    free(c->promise);
    free(c->rx);
    free(c->tx);
    p2p_vault_free(c);
}

void
conn_begin(struct conn *c)
{
    c->ended = ADMISSION_NO_AUTH;
    c->state = CONN_HANDSHAKE;
    if ((c->greeting = calloc(1, sizeof(*c->greeting))) == NULL) {
        conn_close(c, P2P_ERR_NOMEM);
        return;
    }
    c->greeting->job.conn = c;
    c->greeting->deadline_ms = p2p_now_ms() + c->loop->server->opt.handshake_timeout_ms;
    loop_set_timer(c->loop, c, TIMER_FIRST);
    c->readable = true; /* find out */
    loop_run_soon(c->loop, c);
}

void
conn_opened(struct conn *c, enum conn_state state, const struct p2p_id *id)
{
    struct server *s = c->loop->server;
    uint64_t deadline_ms = c->greeting->deadline_ms;
    enum p2p_err err;

    if (clients_get(s->clients, id, &c->client) != P2P_OK) {
        conn_close(c, P2P_ERR_NOMEM);
        return;
    }
    client_judge(c->client, &c->standing);
    greeting_free(c->greeting);
    c->greeting = NULL;
    c->state = state;
    c->is_unproven = true;
    /* From here on, a recheck finds this connection. It missed a recheck that began
     * before. */
    if (c->access_generation != s->access_generation)
        recheck_poke(s->recheck);
    if (state == CONN_OPEN1)
        loop_set_timer_at(c->loop, c, TIMER_HANDSHAKE, deadline_ms);
    else if ((err = conn_proven(c)) != P2P_OK) {
        conn_close(c, err);
        return;
    }
    loop_run_soon(c->loop, c);
}

enum p2p_err
conn_proven(struct conn *c)
{
    struct server *s = c->loop->server;

    if (!c->is_unproven)
        return P2P_OK;
    if (!admission_finish(s->admission, &c->ticket, p2p_now_ms()) || !take_place(c))
        return P2P_ERR_BUSY;
    c->is_unproven = false;
    loop_set_timer(c->loop, c, TIMER_IDLE);
    return P2P_OK;
}

static void say_goodbye(struct conn *c);

/* The link is gone. Browsers notice a message sooner than the end of a channel. */
static void
end_guest(struct conn *c)
{
    if (c->tx_len == c->tx_at)
        say_goodbye(c);
    else
        conn_close(c, P2P_ERR_NOT_ALLOWED);
}

void
conn_recheck(struct conn *c)
{
    struct p2p_access_caller caller;
    struct links_entry entry;

    if (c->client == NULL)
        return;
    if (c->state == CONN_GUEST) {
        if (!links_find(c->loop->server->opt.links, client_id(c->client), &entry))
            end_guest(c);
        else
            requests_close_files(&c->requests);
        return;
    }
    caller = visible_caller(c);
    if (client_is_refused(c->client, c->is_outside) ||
        !p2p_access_may_enter(c->loop->rules, &caller)) {
        conn_close(c, P2P_ERR_NOT_ALLOWED);
        return;
    }
    /* Answers open their files again if the rules allow that. */
    requests_close_files(&c->requests);
}

bool
conn_is_idle(const struct conn *c)
{
    return TAILQ_EMPTY(&c->requests.list) && c->tx_len == c->tx_at;
}

/* ---- Sending ---- */

/* All bytes count for the rate limits, including those of handshakes and errors. */
static void
charge(struct conn *c, size_t len)
{
    struct p2p_rate *rate =
        c->client != NULL ? client_rate(c->client) : &c->loop->server->rate;

    p2p_rate_charge(rate, (int64_t)len - (int64_t)c->prepaid);
    c->prepaid = 0;
}

enum p2p_err
conn_send(struct conn *c, const uint8_t *data, size_t len)
{
    size_t sent = 0;
    enum p2p_err err = p2p_net_try_write(c->fd, data, len, &sent);

    charge(c, len);
    if (err != P2P_OK && err != P2P_ERR_BUSY)
        return err;
    c->progress |= sent > 0;
    if (sent < len) {
        size_t rest = len - sent;
        if ((c->tx = malloc(rest)) == NULL)
            return P2P_ERR_NOMEM;
        memcpy(c->tx, data + sent, rest);
        c->tx_len = rest;
        c->tx_at = 0;
        c->loop->server->held_bytes += rest;
        c->writable = false;
    }
    goodput_add(&c->goodput, sent, sent < len, p2p_now_ms());
    return P2P_OK;
}

/* Sends the bytes that the socket did not accept before. BUSY if it still does not. */
static enum p2p_err
flush(struct conn *c)
{
    size_t left = c->tx_len - c->tx_at, sent = 0;
    enum p2p_err err;

    if (left == 0)
        return P2P_OK;
    if (!c->writable)
        return P2P_ERR_BUSY;
    err = p2p_net_try_write(c->fd, c->tx + c->tx_at, left, &sent);
    if (err != P2P_OK && err != P2P_ERR_BUSY)
        return err;
    c->progress |= sent > 0;
    c->loop->server->held_bytes -= sent;
    c->tx_at += sent;
    if (c->tx_at < c->tx_len) {
        c->writable = false;
        return P2P_ERR_BUSY;
    }
    free(c->tx);
    c->tx = NULL;
    c->tx_len = c->tx_at = 0;
    return P2P_OK;
}

static enum p2p_err
produce(struct conn *c, size_t *len)
{
    return c->state == CONN_OPEN1 ? serve1_produce(c, len) : serve2_produce(c, len);
}

/* Sends answers until the quantum is used up, nothing is left, or the connection has to
 * wait. */
static enum p2p_err
send_answers(struct conn *c)
{
    size_t sent = 0, len = 0;
    enum p2p_err err = flush(c);

    while (err == P2P_OK && sent < LOOP_QUANTUM && c->writable && !c->working &&
           !c->is_throttled && !TAILQ_EMPTY(&c->requests.list)) {
        err = produce(c, &len);
        if (err == P2P_OK && len > 0)
            err = conn_send(c, c->loop->scratch, len);
        sent += len;
    }
    return err == P2P_ERR_BUSY ? P2P_OK : err;
}

/* ---- A turn ---- */

static void
say_goodbye(struct conn *c)
{
    size_t len = 0;

    if (c->state != CONN_OPEN1 && serve2_close(c, &len) == P2P_OK &&
        conn_send(c, c->loop->scratch, len) != P2P_OK)
        p2p_log_debug("the client left before the CLOSE message was sent");
    conn_close(c, P2P_OK);
}

static void
set_turn_timer(struct conn *c)
{
    enum conn_timer timer = conn_is_idle(c) ? TIMER_IDLE : TIMER_STALL;

    if (c->is_unproven)
        return; /* the deadline of the handshake stays */
    /* The client is not to blame for waiting for our disk or limits. */
    if (c->progress || timer != c->timer || c->working || c->is_throttled)
        loop_set_timer(c->loop, c, timer);
    c->progress = false;
}

/* True if another turn could make progress without a new event. */
static bool
can_go_on(const struct conn *c)
{
    return (c->writable && !conn_is_idle(c)) || conn_can_read(c);
}

void
conn_run(struct conn *c)
{
    enum p2p_err err;

    if (c->working)
        return; /* its job will continue it */
    if (c->state == CONN_HANDSHAKE) {
        conn_greet(c);
        return;
    }
    if ((err = conn_read(c)) != P2P_OK || (err = send_answers(c)) != P2P_OK) {
        if (c->is_unproven && p2p_err_class(err) == P2P_CLASS_AUTH)
            c->ended = ADMISSION_WRONG;
        conn_close(c, err);
        return;
    }
    if (c->finishing && conn_is_idle(c)) {
        say_goodbye(c);
        return;
    }
    conn_account(c);
    set_turn_timer(c);
    if (!c->working && !c->is_throttled && can_go_on(c))
        loop_run_soon(c->loop, c);
}

void
conn_on_events(struct conn *c, uint32_t epoll_events)
{
    if (c->state == CONN_CLOSED)
        return;
    if (epoll_events & (EPOLLERR | EPOLLHUP)) {
        conn_close(c, P2P_ERR_CLOSED);
        return;
    }
    if (epoll_events & (EPOLLIN | EPOLLRDHUP))
        c->readable = true;
    if (epoll_events & EPOLLOUT)
        c->writable = true;
    if (c->state != CONN_WAITING)
        loop_run_soon(c->loop, c);
}

void
conn_on_timer(struct conn *c)
{
    bool is_open =
        c->state == CONN_OPEN1 || c->state == CONN_OPEN2 || c->state == CONN_GUEST;

    /* The client waits for our disk or our limits. */
    if (is_open && (c->working || c->is_throttled)) {
        loop_set_timer(c->loop, c, c->timer);
        return;
    }
    if ((c->state == CONN_HANDSHAKE && !c->is_throttled) || c->is_unproven)
        c->ended = ADMISSION_LATE;
    conn_close(c, P2P_ERR_TIMEOUT);
}

void
conn_shut_down(struct conn *c)
{
    if (c->state == CONN_HANDSHAKE || c->state == CONN_WAITING) {
        conn_close(c, P2P_ERR_CANCELLED);
        return;
    }
    c->finishing = true;
    loop_run_soon(c->loop, c);
}
