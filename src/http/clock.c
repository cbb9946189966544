/* One thread per server, which sleeps until the earliest of all deadlines. */
#include "http/internal.h"

#include "p2p/clock.h"
#include "p2p/lock.h"
#include <signal.h>

#define REAP_EVERY_MS 2000u

static uint64_t
earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t
tick_all(struct http_server *s)
{
    uint64_t now = p2p_now_ms();
    uint64_t next;

    p2p_lock(&s->lock);
    next = http_conn_reap(s, now);
    /* Connections are checked in rounds, so that many of them need only one wake-up. */
    if (next != HTTP_NO_DEADLINE && next < now + REAP_EVERY_MS)
        next = now + REAP_EVERY_MS;
    for (struct http_ticker *t = s->tickers; t != NULL; t = t->next)
        next = earlier(next, t->tick(t, now));
    s->looks_for_closed = false;
    p2p_unlock(&s->lock);
    return next;
}

static void
sleep_until(struct http_server *s, uint64_t when_ms)
{
    p2p_lock(&s->clock_lock);
    /* Another thread may have asked for an earlier time since the check. */
    while (!s->is_stopping && p2p_now_ms() < earlier(when_ms, s->wake_at_ms)) {
        uint64_t until = earlier(when_ms, s->wake_at_ms);

        atomic_store(&s->wake_at_ms, until);
        (void)p2p_wait_until(&s->clock_wake, &s->clock_lock, until);
    }
    atomic_store(&s->wake_at_ms, HTTP_NO_DEADLINE);
    p2p_unlock(&s->clock_lock);
}

static void *
clock_main(void *arg)
{
    struct http_server *s = arg;

    while (!s->is_stopping)
        sleep_until(s, tick_all(s));
    return NULL;
}

void
http_clock_at(struct http_server *s, uint64_t when_ms)
{
    if (when_ms >= atomic_load(&s->wake_at_ms))
        return;
    p2p_lock(&s->clock_lock);
    if (when_ms < s->wake_at_ms) {
        atomic_store(&s->wake_at_ms, when_ms);
        pthread_cond_signal(&s->clock_wake);
    }
    p2p_unlock(&s->clock_lock);
}

void
http_clock_add(struct http_server *s, struct http_ticker *t)
{
    p2p_lock(&s->lock);
    t->next = s->tickers;
    s->tickers = t;
    p2p_unlock(&s->lock);
}

void
http_clock_remove(struct http_server *s, struct http_ticker *t)
{
    p2p_lock(&s->lock);
    for (struct http_ticker **p = &s->tickers; *p != NULL; p = &(*p)->next) {
        if (*p == t) {
            *p = t->next;
            break;
        }
    }
    p2p_unlock(&s->lock);
}

enum p2p_err
http_clock_start(struct http_server *s)
{
    p2p_mutex_init(&s->clock_lock);
    p2p_cond_init(&s->clock_wake);
    atomic_store(&s->wake_at_ms, HTTP_NO_DEADLINE);
    if (pthread_create(&s->clock, NULL, clock_main, s) != 0)
        return P2P_ERR_SYS;
    s->has_clock = true;
    return P2P_OK;
}

void
http_clock_stop(struct http_server *s)
{
    if (!s->has_clock)
        return;
    p2p_lock(&s->clock_lock);
    pthread_cond_signal(&s->clock_wake);
    p2p_unlock(&s->clock_lock);
    pthread_join(s->clock, NULL);
    s->has_clock = false;
}
