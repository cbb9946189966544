/*
 * Decides which clients get a connection, and which connections are closed to make
 * room. libmicrohttpd only counts connections per address, and when it is full it stops
 * accepting, so that even the machine's owner has to wait. Here a part of the
 * connections is reserved for the favored ones: loopback, and callers that have proven
 * their identity. Among all others, the network with the most connections (IPv6: a
 * /48, so that thousands of /64 count as one), and in it the source with the most,
 * loses one first: a connection that waits for its client, beginning with the longest
 * wait.
 */
#include <string.h>
#include <sys/socket.h>

#include "http/internal.h"
#include "p2p/lock.h"

/* A part of all connections is reserved for the favored ones, up to a maximum. */
#define RESERVED_PART 8u
#define RESERVED_MAX  128u

/* A connection that has begun something may not be closed for another one before this
 * time. */
#define SPEAKING_MS  1000u /* a request's headers */
#define SENDING_MS   2000u /* its body */
#define ANSWERING_MS 5000u /* its answer, including long polls */
/* A source with more connections may only replace a connection that was silent for this
 * long. */
#define SILENT_MS 5000u

static unsigned
reserved(const struct http_server *s)
{
    unsigned part = s->opt.max_connections / RESERVED_PART;

    if (part == 0)
        return s->opt.max_connections > 1;
    return part < RESERVED_MAX ? part : RESERVED_MAX;
}

struct newcomer {
    struct http_source *source;
    bool is_favored;
    uint64_t now_ms;
};

struct offer {
    struct http_conn *conn;
    unsigned crowd;     /* connections of its network, including the new one */
    unsigned of_source; /* of these, the connections of its source */
    unsigned rank;      /* 0: between requests, ... */
    uint64_t since_ms;
};

/* False: it is busy. */
static bool
can_go(const struct http_conn *c, uint64_t now_ms, unsigned *rank)
{
    uint64_t since_ms = atomic_load(&c->since_ms);
    uint64_t age_ms = now_ms > since_ms ? now_ms - since_ms : 0;

    switch ((enum http_phase)atomic_load(&c->phase)) {
    case HTTP_IDLE:
        *rank = 0;
        return true;
    case HTTP_HEADERS:
        *rank = 1;
        return age_ms >= SPEAKING_MS;
    case HTTP_BODY:
    case HTTP_UPLOAD:
    case HTTP_LINGER:
        *rank = 2;
        return age_ms >= SENDING_MS;
    case HTTP_ANSWER:
        break;
    }
    *rank = 3;
    return age_ms >= ANSWERING_MS;
}

static bool
is_better(const struct offer *a, const struct offer *b)
{
    if (b->conn == NULL)
        return true;
    if (a->crowd != b->crowd)
        return a->crowd > b->crowd;
    if (a->of_source != b->of_source)
        return a->of_source > b->of_source;
    if (a->rank != b->rank)
        return a->rank < b->rank;
    return a->since_ms <= b->since_ms; /* the list begins with the youngest */
}

/* Favored connections give up a place only to other favored ones, and only between
 * requests. */
static bool
may_be_asked(const struct http_conn *c, const struct newcomer *n, unsigned rank)
{
    return !c->is_favored || (n->is_favored && !c->is_known && rank == 0);
}

/*
 * `only`: only connections of this source. Walks over all connections: this happens
 * only when the server is full, and four thousand of them take microseconds.
 */
static struct offer
find_place(struct http_server *s, const struct newcomer *n,
           const struct http_source *only) P2P_REQUIRES(http_server_lock)
{
    struct offer best = {.conn = NULL};

    for (struct http_conn *c = s->conns; c != NULL; c = c->next) {
        struct offer o = {.conn = c, .since_ms = atomic_load(&c->since_ms)};

        if (c->is_given_up || (only != NULL && c->source != only) ||
            !can_go(c, n->now_ms, &o.rank) || !may_be_asked(c, n, o.rank))
            continue;
        if (!c->is_favored) {
            o.crowd = c->source->network->network_connections +
                      (c->source->network == n->source->network);
            o.of_source = c->source->connections + (c->source == n->source);
        }
        if (is_better(&o, &best))
            best = o;
    }
    return best;
}

/* A network with many connections does not replace networks with fewer that are about
 * to send. */
static bool
is_fair(const struct offer *o, const struct newcomer *n)
{
    unsigned wants = n->source->network->network_connections + 1;

    return n->is_favored || o->conn->source->network == n->source->network ||
           o->crowd >= wants || (o->rank == 0 && n->now_ms - o->since_ms >= SILENT_MS);
}

/* Counts a connection, or no longer. */
static void
count(struct http_conn *c, int by) P2P_REQUIRES(http_server_lock)
{
    c->source->connections += (unsigned)by;
    c->source->network->network_connections += (unsigned)by;
    c->server->n_placed += (unsigned)by;
    if (!c->is_favored)
        c->server->n_others += (unsigned)by;
}

/* The library's thread closes it; its place is free at once. */
void
http_place_give_up(struct http_conn *c)
{
    struct http_server *s = c->server;

    c->is_given_up = true;
    count(c, -1);
    atomic_fetch_add(&s->n_given_up, 1);
    shutdown(c->fd, SHUT_RDWR);
    s->looks_for_closed = true; /* see wait.c: the library does not check suspended
                                 * connections */
    http_clock_at(s, 0);
}

static bool
make_place(struct http_server *s, const struct newcomer *n,
           const struct http_source *only) P2P_REQUIRES(http_server_lock)
{
    struct offer o = find_place(s, n, only);

    if (o.conn == NULL || !is_fair(&o, n))
        return false;
    http_place_give_up(o.conn);
    return true;
}

static bool
finds_place(struct http_server *s, const struct newcomer *n, bool is_limited)
    P2P_REQUIRES(http_server_lock)
{
    unsigned max = s->opt.max_connections, others_max = max - reserved(s);

    if (is_limited && n->source->connections >= s->opt.max_connections_per_ip)
        return make_place(s, n, n->source);
    /* Connections that were given up are closed within moments, and there are never
     * more than half as many. */
    if (atomic_load(&s->n_connections) >= max + max / 2 && !n->is_favored)
        return false;
    if (s->n_placed >= max || (!n->is_favored && s->n_others >= others_max))
        return make_place(s, n, NULL);
    return true;
}

enum MHD_Result
http_place_asked(void *server, const struct sockaddr *sa, socklen_t len)
{
    struct http_server *s = server;
    struct http_address address;
    bool is_proxy, has_place;
    struct newcomer n = {.now_ms = p2p_now_ms()};

    (void)len;
    http_address_from(sa, &address);
    is_proxy = http_networks_contain(&s->proxies, &address);
    n.is_favored = !is_proxy && http_address_is_loopback(&address);
    n.source = http_source_hold(&s->sources, &address);
    p2p_lock(&s->lock);
    /* The connections of a proxy carry many clients. */
    has_place = n.source != NULL &&
                finds_place(s, &n, s->opt.max_connections_per_ip > 0 && !is_proxy);
    p2p_unlock(&s->lock);
    http_source_release(&s->sources, n.source);
    if (!has_place)
        atomic_fetch_add(&s->n_turned_away, 1);
    return has_place ? MHD_YES : MHD_NO;
}

/* When memory for unread answers is used up, the client that has not read for longest
 * loses its connection. */
void
http_place_end_reader(struct http_server *s)
{
    struct http_conn *worst = NULL;
    uint64_t now_ms = p2p_now_ms();

    p2p_lock(&s->lock);
    for (struct http_conn *c = s->conns; c != NULL; c = c->next)
        if (!c->is_given_up && c->is_sending && now_ms - c->since_ms >= ANSWERING_MS &&
            (worst == NULL || c->since_ms < worst->since_ms))
            worst = c;
    if (worst != NULL)
        http_place_give_up(worst);
    p2p_unlock(&s->lock);
}

/* ---- with the server's lock held ---- */

/* Several threads may have been told that the last place is free. */
static void
settle(struct http_conn *c) P2P_REQUIRES(http_server_lock)
{
    struct http_server *s = c->server;
    unsigned limit = s->opt.max_connections_per_ip, max = s->opt.max_connections;
    struct newcomer n = {c->source, c->is_favored, p2p_now_ms()};
    bool is_proxy = http_networks_contain(&s->proxies, &c->address);
    bool is_over = limit > 0 && !is_proxy && c->source->connections > limit;

    if (is_over) {
        if (!make_place(s, &n, c->source))
            http_place_give_up(c);
    } else if (s->n_placed > max ||
               (!c->is_favored && s->n_others > max - reserved(s))) {
        if (!make_place(s, &n, NULL))
            http_place_give_up(c);
    }
}

void
http_place_take(struct http_conn *c)
{
    count(c, 1);
    settle(c);
}

void
http_place_leave(struct http_conn *c)
{
    if (!c->is_given_up)
        count(c, -1);
}

/* ---- without it ---- */

static void
set_favored(struct http_conn *c, bool is_favored) P2P_REQUIRES(http_server_lock)
{
    struct http_server *s = c->server;

    if (c->is_favored && !is_favored && !c->is_given_up)
        s->n_others++;
    if (!c->is_favored && is_favored && !c->is_given_up)
        s->n_others--;
    c->is_favored = is_favored;
}

void
http_place_set_known(struct http_conn *c, bool is_known)
{
    p2p_lock(&c->server->lock);
    c->is_known = is_known;
    set_favored(c, is_known || (c->is_favored && c->is_loopback));
    p2p_unlock(&c->server->lock);
}

void
http_place_is_proxys(struct http_conn *c)
{
    p2p_lock(&c->server->lock);
    c->is_known = false;
    set_favored(c, false);
    p2p_unlock(&c->server->lock);
}
