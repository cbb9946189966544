/* New connections of a loop: accepts them and gives each one to the loop that has the
 * fewest. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "p2p/lock.h"
#include "p2p/log.h"
#include "p2p/net.h"
#include "peer/server/loop.h"

enum {
    ACCEPTS_PER_TURN = 64,
    ACCEPT_PAUSE_MS = 200, /* after EMFILE */
    LINKS_MS = 2000,       /* how long the list of local networks is used */
    BETWEEN_MAX = 256,     /* loopback connections that wait, and descriptors that a
                            * loop has yet to take over */
};

/* For most sources, the address is enough to see that they are on the local networks.
 */
bool
loop_is_near(struct loop *loop, const struct sockaddr_storage *from)
{
    const struct sockaddr *sa = (const void *)from;
    uint64_t now = p2p_now_ms();

    if (p2p_net_is_near(sa, NULL, 0))
        return true;
    if (now >= loop->links_until_ms) {
        loop->link_count = p2p_net_links(loop->links, LOOP_LINKS_MAX);
        loop->links_until_ms = now + LINKS_MS;
    }
    return p2p_net_is_near(sa, loop->links, loop->link_count);
}

void
loop_adopt(struct loop *loop, int fd, const struct sockaddr_storage *from,
           const struct p2p_id *caller, const struct p2p_guest_id *guest)
{
    struct conn *c = conn_new(loop, fd, from, caller, guest);

    if (c == NULL) {
        loop->load--;
        loop->server->connections--;
        close(fd);
    }
}

static void
post_socket(struct loop *loop, int fd, const struct sockaddr_storage *from,
            const struct p2p_id *caller, const struct p2p_guest_id *guest)
{
    struct loop_parcel *parcel = calloc(1, sizeof(*parcel));

    if (parcel == NULL) {
        loop->server->connections--;
        close(fd);
        return;
    }
    parcel->fd = fd;
    parcel->from = *from;
    if (caller != NULL) {
        parcel->has_caller = true;
        parcel->caller = *caller;
    }
    if (guest != NULL) {
        parcel->has_guest = true;
        parcel->guest = *guest;
    }
    loop->load++;
    p2p_lock(&loop->inbox_lock);
    STAILQ_INSERT_TAIL(&loop->arrived, parcel, link);
    p2p_unlock(&loop->inbox_lock);
    loop_wake(loop);
}

/* Only proven clients get a place as a connection. Before that, admission decides. The
 * connections between the two states are limited here. The limit does not apply where
 * closing an unknown client could not make room anyway. */
static bool
is_full(const struct server *s)
{
    return (s->open >= s->opt.max_connections && s->strangers == 0) ||
           s->connections >=
               s->opt.max_connections + s->opt.admission.max + BETWEEN_MAX;
}

static void
accept_one(struct loop *loop, int fd, const struct sockaddr_storage *from)
{
    struct server *s = loop->server;
    struct loop *target = server_pick_loop(s, loop);

    if (is_full(s)) {
        close(fd);
        return;
    }
    s->connections++;
    if (target != loop) {
        post_socket(target, fd, from, NULL, NULL);
        return;
    }
    loop->load++;
    loop_adopt(loop, fd, from, NULL, NULL);
}

void
server_adopt(struct server *s, int fd, const struct p2p_id *caller)
{
    server_adopt_guest(s, fd, caller, NULL);
}

void
server_adopt_guest(struct server *s, int fd, const struct p2p_id *caller,
                   const struct p2p_guest_id *guest)
{
    struct sockaddr_storage from = {0};

    if (is_full(s)) {
        close(fd);
        return;
    }
    s->connections++;
    post_socket(server_pick_loop(s, s->loops[0]), fd, &from, caller, guest);
}

/* Without free descriptors, trying to accept again and again would only waste CPU
 * time. */
static void
pause_accept(struct loop *loop)
{
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, loop->listen_fd, NULL);
    loop->accept_paused = true;
    loop->accept_again_ms = p2p_now_ms() + ACCEPT_PAUSE_MS;
    p2p_log_warn("out of file descriptors: new connections wait for a moment; raise "
                 "the limit (ulimit -n, LimitNOFILE=)");
}

void
loop_resume_accept(struct loop *loop)
{
    struct epoll_event on_listen = {.events = EPOLLIN, .data.ptr = &loop_is_listener};

    if (!loop->accept_paused || p2p_now_ms() < loop->accept_again_ms ||
        loop->listen_fd < 0)
        return;
    loop->accept_paused = false;
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->listen_fd, &on_listen);
}

void
loop_accept(struct loop *loop)
{
    for (int i = 0; i < ACCEPTS_PER_TURN && loop->listen_fd >= 0; i++) {
        struct sockaddr_storage from;
        socklen_t len = sizeof(from);
        int fd = accept4(loop->listen_fd, (struct sockaddr *)&from, &len,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            accept_one(loop, fd, &from);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS) {
            pause_accept(loop);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

/* Starts waiting connections when a place for a handshake becomes free. */
void
loop_admit_waiting(struct loop *loop)
{
    struct conn *c, *next;
    struct server *s = loop->server;

    for (c = TAILQ_FIRST(&loop->waiting); c != NULL; c = next) {
        next = TAILQ_NEXT(c, run_link);
        if (admission_begin(s->admission, &c->ticket, &c->source, loop, p2p_now_ms()) !=
            ADMISSION_YES)
            return;
        TAILQ_REMOVE(&loop->waiting, c, run_link);
        conn_begin(c);
    }
}
