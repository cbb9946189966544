#include "core/reach/ways.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/reach/relay_client.h"
#include "p2p/clock.h"
#include "p2p/io.h"
#include "p2p/lock.h"
#include "p2p/log.h"

enum { CHANNEL_MS = 10000, OTHER_MS = 1000, CHANNEL = 0, RELAY = 1, WAYS = 2 };

P2P_MUTEX_KIND(p2p_ways_lock);
/* One way that is tried, on a thread of its own. */
struct attempt {
    struct p2p_ways *ways;
    pthread_t thread;
    bool is_wanted, is_started; /* of the thread that called start */
    bool has_ended P2P_GUARDED_BY(p2p_ways_lock);
    bool is_taken P2P_GUARDED_BY(p2p_ways_lock);
    enum p2p_err err P2P_GUARDED_BY(p2p_ways_lock);
    struct p2p_way way P2P_GUARDED_BY(p2p_ways_lock);
};

struct p2p_ways {
    struct p2p_channel_port *port;
    struct p2p_call_channel peer;
    bool calls;
    struct p2p_addr relay;
    char token[P2P_RELAY_TOKEN_TEXT];
    const struct p2p_stop *outer;
    struct p2p_stop *halt; /* the attempts have to end */
    int news_fd;           /* readable when one has ended */
    uint64_t relay_ms;
    struct p2p_ways_lock lock;
    struct attempt at[WAYS];
};

static enum p2p_err
try_channel(struct p2p_ways *w, struct p2p_way *out)
{
    struct p2p_channel_port *port = w->port;
    struct p2p_channel_way way;
    enum p2p_err err;

    w->port = NULL;
    err = p2p_channel_port_open(port, &w->peer, w->calls, p2p_now_ms() + CHANNEL_MS,
                                w->halt, &way);
    *out = (struct p2p_way){way.fd, P2P_PATH_CHANNEL, way.rtt_us};
    return err;
}

static enum p2p_err
try_relay(struct p2p_ways *w, struct p2p_way *out)
{
    *out = (struct p2p_way){.fd = -1, .kind = P2P_PATH_RELAY};
    return p2p_relay_connect(&w->relay, w->token, w->halt, &out->fd);
}

static void *
run(void *arg)
{
    struct attempt *a = arg;
    struct p2p_ways *w = a->ways;
    bool is_channel = a == &w->at[CHANNEL];
    struct p2p_way way;
    enum p2p_err err = is_channel ? try_channel(w, &way) : try_relay(w, &way);

    if (err != P2P_OK)
        p2p_log_debug(
            "a path did not open kind=%s error=%s",
            p2p_path_kind_name(is_channel ? P2P_PATH_CHANNEL : P2P_PATH_RELAY),
            p2p_err_name(err));
    p2p_lock(&w->lock);
    a->way = way;
    a->err = err;
    a->has_ended = true;
    p2p_unlock(&w->lock);
    (void)!eventfd_write(w->news_fd, 1);
    return NULL;
}

static enum p2p_err
start(struct p2p_ways *w, size_t i)
{
    int rc = pthread_create(&w->at[i].thread, NULL, run, &w->at[i]);

    w->at[i].is_started = rc == 0;
    return p2p_err_from_errno(rc);
}

static void
clear(struct p2p_ways *w)
{
    p2p_channel_port_close(w->port);
    p2p_stop_free(w->halt);
    p2p_fd_close(&w->news_fd);
    p2p_mutex_clear(&w->lock);
    p2p_wipe(w, sizeof(*w));
    free(w);
}

static struct p2p_ways *
make(const struct p2p_ways_options *opt)
{
    struct p2p_ways *w = calloc(1, sizeof(*w));

    if (w == NULL)
        return NULL;
    p2p_mutex_init(&w->lock);
    w->at[CHANNEL].is_wanted = opt->port != NULL;
    w->at[RELAY].is_wanted = opt->relay != NULL;
    for (size_t i = 0; i < WAYS; i++)
        w->at[i].ways = w;
    if (opt->port != NULL)
        w->peer = *opt->peer;
    w->news_fd = -1;
    w->calls = opt->calls;
    w->outer = opt->stop;
    w->relay_ms = p2p_now_ms() + (opt->port != NULL ? P2P_WAYS_RELAY_AFTER_MS : 0);
    if (opt->relay != NULL) {
        w->relay = *opt->relay;
        snprintf(w->token, sizeof(w->token), "%s", opt->token);
    }
    return w;
}

enum p2p_err
p2p_ways_start(const struct p2p_ways_options *opt, struct p2p_ways **out)
{
    struct p2p_ways *w;
    enum p2p_err err = P2P_ERR_UNREACHABLE;

    *out = NULL;
    if (opt->port == NULL && opt->relay == NULL)
        return err;
    if ((w = make(opt)) == NULL) {
        p2p_channel_port_close(opt->port);
        return P2P_ERR_NOMEM;
    }
    w->port = opt->port;
    if ((err = p2p_stop_new(&w->halt)) == P2P_OK &&
        (w->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        err = p2p_err_from_errno(errno);
    if (err == P2P_OK)
        err = start(w, opt->port != NULL ? CHANNEL : RELAY);
    if (err != P2P_OK) {
        clear(w);
        return err;
    }
    *out = w;
    return P2P_OK;
}

/* What there is now: OK, one that is open and was not taken before; BUSY, one is under
 * way; otherwise why none opens. */
static enum p2p_err
look(struct p2p_ways *w, struct p2p_way *out)
{
    enum p2p_err err = P2P_ERR_UNREACHABLE;

    p2p_lock(&w->lock);
    for (size_t i = 0; i < WAYS && err != P2P_OK; i++) {
        struct attempt *a = &w->at[i];

        if (!a->is_started || a->is_taken)
            continue;
        if (!a->has_ended) {
            err = P2P_ERR_BUSY;
        } else if (a->err == P2P_OK) {
            *out = a->way;
            a->is_taken = true;
            err = P2P_OK;
        } else if (err != P2P_ERR_BUSY) {
            err = a->err;
        }
    }
    p2p_unlock(&w->lock);
    return err;
}

/* Until one has ended or the time has come. False: stop. */
static bool
wait_for_news(struct p2p_ways *w, uint64_t until_ms)
{
    uint64_t now_ms = p2p_now_ms();
    struct pollfd fds[] = {{.fd = w->news_fd, .events = POLLIN},
                           {.fd = p2p_stop_fd(w->outer), .events = POLLIN}};
    int timeout_ms = -1;
    eventfd_t ignored;

    if (until_ms != UINT64_MAX)
        timeout_ms = until_ms > now_ms ? (int)(until_ms - now_ms) : 0;
    (void)!poll(fds, 2, timeout_ms);
    (void)!eventfd_read(w->news_fd, &ignored);
    return !p2p_stop_is_set(w->outer);
}

enum p2p_err
p2p_ways_first(struct p2p_ways *w, struct p2p_way *out)
{
    struct attempt *relay = &w->at[RELAY];
    enum p2p_err err;

    *out = (struct p2p_way){.fd = -1, .kind = P2P_PATH_RELAY};
    for (;;) {
        bool is_waiting = relay->is_wanted && !relay->is_started;

        err = look(w, out);
        if (err == P2P_OK || (err != P2P_ERR_BUSY && !is_waiting))
            return err;
        if (is_waiting && (err != P2P_ERR_BUSY || p2p_now_ms() >= w->relay_ms)) {
            relay->is_wanted = start(w, RELAY) == P2P_OK;
            continue;
        }
        if (!wait_for_news(w, is_waiting ? w->relay_ms : UINT64_MAX))
            return P2P_ERR_CANCELLED;
    }
}

enum p2p_err
p2p_ways_other(struct p2p_ways *w, struct p2p_way *out)
{
    uint64_t end_ms = p2p_now_ms() + OTHER_MS;
    enum p2p_err err;

    *out = (struct p2p_way){.fd = -1, .kind = P2P_PATH_RELAY};
    while ((err = look(w, out)) == P2P_ERR_BUSY && p2p_now_ms() < end_ms)
        if (!wait_for_news(w, end_ms))
            return P2P_ERR_CANCELLED;
    return err;
}

/* Nobody else uses them any longer. */
static void
join_all(struct p2p_ways *w) P2P_NO_LOCK_CHECK
{
    for (size_t i = 0; i < WAYS; i++) {
        struct attempt *a = &w->at[i];

        if (!a->is_started)
            continue;
        pthread_join(a->thread, NULL);
        if (a->err == P2P_OK && !a->is_taken)
            p2p_fd_close(&a->way.fd);
    }
}

void
p2p_ways_free(struct p2p_ways *w)
{
    if (w == NULL)
        return;
    p2p_stop_set(w->halt);
    join_all(w);
    clear(w);
}
