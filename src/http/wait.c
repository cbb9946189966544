/*
 * A request is suspended and resumed only under the list's lock, and only according to
 * its is_parked flag: doing either twice is undefined in libmicrohttpd.
 */
#include "http/wait.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "http/internal.h"
#include "p2p/lock.h"

/* The library does not check suspended connections, so this file does. The more there
 * are, the less often each one is checked: at most a thousand checks per second. */
#define LOOK_EVERY_MS 1000u

P2P_MUTEX_KIND(http_waitlist_lock);
struct http_waitlist {
    struct http_ticker ticker; /* must be the first member: a pointer to it is a pointer
                                * to the list */
    struct http_server *server;
    struct http_waitlist_lock lock;
    struct http_request *first P2P_GUARDED_BY(http_waitlist_lock);
    size_t count P2P_GUARDED_BY(http_waitlist_lock);
    uint64_t look_at_ms; /* the clock's own */
    _Atomic uint64_t generation;
};

static void
resume(struct http_waitlist *list, struct http_request *req)
    P2P_REQUIRES(http_waitlist_lock)
{
    if (req->wait_prev != NULL)
        req->wait_prev->wait_next = req->wait_next;
    else
        list->first = req->wait_next;
    if (req->wait_next != NULL)
        req->wait_next->wait_prev = req->wait_prev;
    list->count--;
    MHD_resume_connection(req->mhd);
}

/* A client that has closed its sending side is not kept: its place is needed for
 * others. */
static bool
has_hung_up(const struct http_request *req)
{
    char byte;
    ssize_t n = recv(req->conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

static uint64_t
on_tick(struct http_ticker *self, uint64_t now_ms)
{
    struct http_waitlist *list = (struct http_waitlist *)self;
    uint64_t next = HTTP_NO_DEADLINE;
    bool looks = now_ms >= list->look_at_ms || list->server->looks_for_closed;

    p2p_lock(&list->lock);
    for (struct http_request *req = list->first, *after; req != NULL; req = after) {
        after = req->wait_next;
        if (looks && has_hung_up(req))
            req->wait_deadline_ms = now_ms;
        if (req->wait_deadline_ms <= now_ms)
            resume(list, req);
        else if (req->wait_deadline_ms < next)
            next = req->wait_deadline_ms;
    }
    if (looks)
        list->look_at_ms = now_ms + LOOK_EVERY_MS + list->count;
    if (list->first != NULL && list->look_at_ms < next)
        next = list->look_at_ms;
    p2p_unlock(&list->lock);
    return next;
}

static void
on_stop(struct http_ticker *self)
{
    http_waitlist_wake((struct http_waitlist *)self);
}

struct http_waitlist *
http_waitlist_new(struct http_server *s)
{
    struct http_waitlist *list = calloc(1, sizeof(*list));

    if (list == NULL)
        return NULL;
    list->server = s;
    list->ticker.tick = on_tick;
    list->ticker.stop = on_stop;
    p2p_mutex_init(&list->lock);
    http_clock_add(s, &list->ticker);
    return list;
}

void
http_waitlist_free(struct http_waitlist *list)
{
    if (list == NULL)
        return;
    p2p_mutex_clear(&list->lock);
    free(list);
}

uint64_t
http_waitlist_generation(const struct http_waitlist *list)
{
    return atomic_load(&list->generation);
}

void
http_waitlist_wake(struct http_waitlist *list)
{
    p2p_lock(&list->lock);
    atomic_fetch_add(&list->generation, 1);
    while (list->first != NULL)
        resume(list, list->first);
    p2p_unlock(&list->lock);
}

static void
park(struct http_waitlist *list, struct http_request *req)
    P2P_REQUIRES(http_waitlist_lock)
{
    req->has_parked = true; /* before another thread may resume it */
    req->wait_prev = NULL;
    req->wait_next = list->first;
    if (list->first != NULL)
        list->first->wait_prev = req;
    list->first = req;
    list->count++;
    MHD_suspend_connection(req->mhd);
}

bool
http_wait(struct http_request *req, struct http_waitlist *list, uint64_t seen,
          unsigned wait_ms)
{
    uint64_t now = p2p_now_ms(), deadline;
    bool can_wait;

    if (!req->has_waited)
        req->wait_deadline_ms = now + wait_ms;
    req->has_waited = true;
    deadline = req->wait_deadline_ms;
    p2p_lock(&list->lock);
    can_wait = now < deadline && list->generation == seen && !list->server->is_stopping;
    if (can_wait)
        park(list, req);
    p2p_unlock(&list->lock);
    /* From here on the request may already run in another thread. */
    if (can_wait)
        http_clock_at(list->server,
                      deadline < now + LOOK_EVERY_MS ? deadline : now + LOOK_EVERY_MS);
    return can_wait;
}

bool
http_has_waited(const struct http_request *req)
{
    return req->has_waited;
}

bool
http_wait_is_over(const struct http_request *req)
{
    return p2p_now_ms() >= req->wait_deadline_ms || req->server->is_stopping;
}

size_t
http_waitlist_count(struct http_waitlist *list)
{
    size_t n;

    p2p_lock(&list->lock);
    n = list->count;
    p2p_unlock(&list->lock);
    return n;
}
