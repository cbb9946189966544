/* Connections from accept until their session begins. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "p2p/clock.h"
#include "p2p/io.h"
#include "p2p/log.h"
#include "relay/relay_internal.h"

enum { ACCEPTS_PER_TURN = 64, ACCEPT_PAUSE_MS = 200 };

void
clients_count_refusal(struct relay *r, enum relay_refusal why)
{
    r->stats.refused[why]++;
}

int
client_release(struct relay *r, struct client *c)
{
    int fd = c->fd;

    epoll_ctl(r->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    TAILQ_REMOVE(&r->clients, c, link);
    r->client_count--;
    r->stats.waiting -= c->is_waiting;
    free(c);
    return fd;
}

static void
drop(struct relay *r, struct client *c)
{
    int fd;

    if (c->is_waiting)
        tickets_leave(r->tickets, &c->token.session, c);
    fd = client_release(r, c);
    p2p_fd_close(&fd);
}

void
client_refuse(struct relay *r, struct client *c, enum relay_refusal why)
{
    static const char *const lines[RELAY_REFUSALS] = {
        [RELAY_EXPIRED] = "-expired\n", [RELAY_USED] = "-used\n",
        [RELAY_ALONE] = "-alone\n",     [RELAY_BUSY] = "-busy\n",
        [RELAY_QUOTA] = "-quota\n",
    };
    ssize_t n = 0;

    /* A stranger learns nothing. The answer fits into the socket's empty buffer. */
    if (lines[why] != NULL)
        n = send(c->fd, lines[why], strlen(lines[why]), MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)n;
    clients_count_refusal(r, why);
    drop(r, c);
}

/* ---- accept ---- */

/* The oldest that has not shown a token; NULL: all have. */
static struct client *
oldest_stranger(struct relay *r)
{
    struct client *c;

    TAILQ_FOREACH(c, &r->clients, link)
    if (!c->is_waiting)
        return c;
    return NULL;
}

/* True if there is a place for one more client of this source. */
static bool
has_place(struct relay *r, const struct account_key *source)
{
    unsigned same = 0;
    struct client *c;

    TAILQ_FOREACH(c, &r->clients, link)
    same += memcmp(&c->source, source, sizeof(*source)) == 0;
    if (same >= RELAY_CLIENTS_PER_SOURCE)
        return false;
    if (r->client_count < RELAY_CLIENTS_MAX)
        return true;
    if ((c = oldest_stranger(r)) == NULL)
        return false;
    client_refuse(r, c, RELAY_BAD_TOKEN);
    return true;
}

static void
add(struct relay *r, int fd, const struct sockaddr *from)
{
    struct client *c = calloc(1, sizeof(*c));
    struct epoll_event on = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = c};

    if (c == NULL) {
        p2p_fd_close(&fd);
        return;
    }
    c->watched.kind = WATCHED_CLIENT;
    c->fd = fd;
    c->source = account_key_of_source(from);
    c->deadline_ms = p2p_now_ms() + RELAY_HELLO_MS;
    if (!has_place(r, &c->source) || epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, fd, &on)) {
        clients_count_refusal(r, RELAY_BUSY);
        p2p_fd_close(&fd);
        free(c);
        return;
    }
    TAILQ_INSERT_TAIL(&r->clients, c, link);
    r->client_count++;
}

/* Without descriptors the listener would wake the loop again and again. */
static void
pause_accept(struct relay *r)
{
    epoll_ctl(r->epoll_fd, EPOLL_CTL_DEL, r->opt.listener, NULL);
    r->accept_again_ms = p2p_now_ms() + ACCEPT_PAUSE_MS;
    p2p_log_warn("out of file descriptors: new connections wait for a moment; raise "
                 "the limit (ulimit -n, LimitNOFILE=)");
}

void
clients_accept(struct relay *r)
{
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage from = {0};
        socklen_t len = sizeof(from);
        int fd = accept4(r->opt.listener, (struct sockaddr *)&from, &len,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            add(r, fd, (const struct sockaddr *)&from);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS) {
            pause_accept(r);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

/* ---- the line ---- */

/* Reads up to the newline and not a byte further: what follows is for the other side.
 * MORE: it is not there yet. */
static enum p2p_err
read_line(struct client *c)
{
    char peeked[sizeof(c->line)];
    size_t room = sizeof(c->line) - c->len, take;
    ssize_t n = recv(c->fd, peeked, room, MSG_PEEK | MSG_DONTWAIT);
    const char *newline;

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? P2P_ERR_MORE : P2P_ERR_CLOSED;
    if (n == 0)
        return P2P_ERR_CLOSED;
    newline = memchr(peeked, '\n', (size_t)n);
    take = newline != NULL ? (size_t)(newline - peeked) + 1 : (size_t)n;
    n = recv(c->fd, c->line + c->len, take, MSG_DONTWAIT);
    if (n <= 0)
        return P2P_ERR_CLOSED;
    c->len += (size_t)n;
    if (newline != NULL)
        return P2P_OK;
    return c->len < sizeof(c->line) ? P2P_ERR_MORE : P2P_ERR_MALFORMED;
}

static enum p2p_err
parse_line(const struct relay *r, struct client *c)
{
    size_t hello = sizeof(P2P_RELAY_HELLO) - 1;

    if (c->len <= hello || memcmp(c->line, P2P_RELAY_HELLO, hello) != 0)
        return P2P_ERR_MALFORMED;
    return p2p_relay_token_parse(&r->opt.key, c->line + hello, c->len - 1 - hello,
                                 &c->token);
}

static void
wait_for_partner(struct relay *r, struct client *c)
{
    c->is_waiting = true;
    c->deadline_ms = p2p_now_ms() + RELAY_PARTNER_MS;
    r->stats.waiting++;
}

/* The partner, if that is here, too; otherwise NULL. */
static struct client *
show_token(struct relay *r, struct client *c)
{
    void *other;

    switch (tickets_show(r->tickets, &c->token, c, p2p_time_s(), &other)) {
    case TICKET_FIRST:
        wait_for_partner(r, c);
        break;
    case TICKET_SECOND:
        return other;
    case TICKET_USED:
        client_refuse(r, c, RELAY_USED);
        break;
    case TICKET_EXPIRED:
        client_refuse(r, c, RELAY_EXPIRED);
        break;
    case TICKET_FULL:
        client_refuse(r, c, RELAY_BUSY);
        break;
    }
    return NULL;
}

struct client *
client_on_event(struct relay *r, struct client *c)
{
    enum p2p_err err;
    char byte;

    if (c->is_waiting) {
        /* It has nothing to say before the answer: it has gone, or speaks too early. */
        if (recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN)
            client_refuse(r, c, RELAY_ALONE);
        return NULL;
    }
    err = read_line(c);
    if (err == P2P_OK)
        err = parse_line(r, c);
    if (err == P2P_OK)
        return show_token(r, c);
    if (err != P2P_ERR_MORE)
        client_refuse(r, c, RELAY_BAD_TOKEN);
    return NULL;
}

void
clients_expire(struct relay *r, uint64_t now_ms)
{
    struct client *c, *next;

    for (c = TAILQ_FIRST(&r->clients); c != NULL; c = next) {
        next = TAILQ_NEXT(c, link);
        if (c->deadline_ms <= now_ms)
            client_refuse(r, c, c->is_waiting ? RELAY_ALONE : RELAY_BAD_TOKEN);
    }
}

void
clients_close(struct relay *r)
{
    struct client *c;

    while ((c = TAILQ_FIRST(&r->clients)) != NULL)
        drop(r, c);
}
