/*
 * Waits at the source of a mirror for changes there (CHANGES? of docs/PROTOCOL.md), on
 * a connection of its own. Whatever goes wrong, the keeper's regular rounds find the
 * changes, too, only later.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>

#include "core/mirror/mirror_internal.h"
#include "p2p/clock.h"
#include "p2p/conn.h"
#include "p2p/lock.h"
#include "p2p/log.h"

#define WAIT_S   50
#define PAUSE_MS 1000   /* from one question to the next, whatever the source answers */
#define SOON_MS  20000  /* a new connection */
#define LATER_MS 600000 /* if the source knows no CHANGES? */

P2P_MUTEX_KIND(p2p_mirror_watch_lock);
struct p2p_mirror_watch {
    struct p2p_keeper_options opt;
    struct p2p_mirror job; /* a copy */
    void (*on_news)(void *arg);
    void *arg;
    atomic_bool is_live, has_news;
    _Atomic uint64_t retry_ms; /* 0: the thread still runs */
    struct p2p_mirror_watch_lock lock;
    pthread_cond_t stopped;
    bool stop P2P_GUARDED_BY(p2p_mirror_watch_lock);
    struct p2p_conn *conn P2P_GUARDED_BY(p2p_mirror_watch_lock);
    pthread_t thread;
    bool is_running;
};

/* The connection that stop interrupts, or NULL. False: it was stopped. */
static bool
show(struct p2p_mirror_watch *w, struct p2p_conn *conn)
{
    p2p_lock(&w->lock);
    w->conn = conn;
    bool stop = w->stop;
    p2p_unlock(&w->lock);
    return !stop;
}

/* A source that answers each question at once costs one answer a second. */
static void
pause_until(struct p2p_mirror_watch *w, uint64_t until_ms)
{
    p2p_lock(&w->lock);
    while (!w->stop && p2p_now_ms() < until_ms)
        (void)p2p_wait_until(&w->stopped, &w->lock, until_ms);
    p2p_unlock(&w->lock);
}

static enum p2p_err
follow(struct p2p_mirror_watch *w, struct p2p_conn *conn)
{
    struct p2p_conn_place place = {.log = w->job.feed_log, .after = w->job.feed_after};
    uint8_t flags;
    enum p2p_err err = P2P_OK;

    /* From a known place the first answer comes with the first change. */
    if (place.log != 0)
        atomic_store(&w->is_live, true);
    while (err == P2P_OK) {
        uint64_t asked_ms = p2p_now_ms();
        err = p2p_conn_changes(conn, w->job.folder, WAIT_S, &place, NULL, NULL, &flags);
        if (err != P2P_OK)
            break;
        atomic_store(&w->is_live, true);
        if (p2p_conn_is_news(flags) && !atomic_exchange(&w->has_news, true))
            w->on_news(w->arg);
        pause_until(w, asked_ms + PAUSE_MS);
    }
    return err;
}

/* One connection; when it ends, the next round finds out why. */
static void *
work(void *arg)
{
    struct p2p_mirror_watch *w = arg;
    struct p2p_mirror_source s = {.conn = NULL};
    enum p2p_err err = p2p_mirror_connect(&w->opt, &w->job, &s);
    bool was_live;

    /* A relay carries downloads, and no connections that wait. */
    if (err == P2P_OK && p2p_conn_path(s.conn) == P2P_PATH_RELAY)
        err = P2P_ERR_UNSUPPORTED;
    if (err == P2P_OK && show(w, s.conn))
        err = follow(w, s.conn);
    (void)show(w, NULL);
    p2p_mirror_source_clear(&s);
    if (err == P2P_ERR_UNSUPPORTED)
        p2p_log_debug("the source of a mirror does not report changes id=%s",
                      w->job.id);
    was_live = atomic_exchange(&w->is_live, false);
    atomic_store(&w->retry_ms,
                 p2p_now_ms() + (err == P2P_ERR_UNSUPPORTED ? LATER_MS : SOON_MS));
    if (was_live) {
        atomic_store(&w->has_news, true);
        w->on_news(w->arg);
    }
    return NULL;
}

enum p2p_err
p2p_mirror_watch_start(const struct p2p_keeper_options *opt,
                       const struct p2p_mirror *job, void (*on_news)(void *arg),
                       void *arg, struct p2p_mirror_watch **out)
{
    struct p2p_mirror_watch *w = calloc(1, sizeof(*w));

    *out = NULL;
    if (w == NULL)
        return P2P_ERR_NOMEM;
    w->opt = *opt;
    w->job = *job;
    w->on_news = on_news;
    w->arg = arg;
    p2p_mutex_init(&w->lock);
    p2p_cond_init(&w->stopped);
    w->is_running = pthread_create(&w->thread, NULL, work, w) == 0;
    if (!w->is_running) {
        p2p_mirror_watch_stop(w);
        return P2P_ERR_SYS;
    }
    *out = w;
    return P2P_OK;
}

bool
p2p_mirror_watch_is_live(const struct p2p_mirror_watch *w)
{
    return w != NULL && atomic_load(&w->is_live);
}

bool
p2p_mirror_watch_is_over(const struct p2p_mirror_watch *w)
{
    uint64_t retry_ms = w != NULL ? atomic_load(&w->retry_ms) : 1;

    return retry_ms != 0 && p2p_now_ms() >= retry_ms;
}

bool
p2p_mirror_watch_take_news(struct p2p_mirror_watch *w)
{
    return w != NULL && atomic_exchange(&w->has_news, false);
}

void
p2p_mirror_watch_stop(struct p2p_mirror_watch *w)
{
    if (w == NULL)
        return;
    p2p_lock(&w->lock);
    w->stop = true;
    pthread_cond_signal(&w->stopped);
    if (w->conn != NULL)
        p2p_conn_interrupt(w->conn);
    p2p_unlock(&w->lock);
    if (w->is_running)
        pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->stopped);
    p2p_mutex_clear(&w->lock);
    free(w);
}
