#include "p2p/tender.h"

#include <pthread.h>
#include <stdlib.h>

#include "p2p/clock.h"
#include "p2p/lock.h"
#include "p2p/log.h"
#include "p2p/share.h"

#define TEND_EVERY_MS 60000
#define LOOK_EVERY_MS 2000

P2P_MUTEX_KIND(p2p_tender_lock);
struct p2p_tender {
    const struct p2p_root *roots[P2P_TENDER_FOLDERS_MAX];
    struct p2p_share *shares[P2P_TENDER_FOLDERS_MAX];
    size_t count;
    /* The thread's own: of the share when it was followed last, and when the next time
     * may be. */
    uint64_t followed[P2P_TENDER_FOLDERS_MAX], follow_ms[P2P_TENDER_FOLDERS_MAX];
    struct p2p_versions_status told[P2P_TENDER_FOLDERS_MAX]; /* the thread's own */
    p2p_tender_round *on_round;
    p2p_tender_changed *on_change;
    void *arg;
    struct p2p_tender_lock lock;
    /* NULL: the folder is away, or it cannot be written to. */
    struct p2p_versions *
        versions[P2P_TENDER_FOLDERS_MAX] P2P_GUARDED_BY(p2p_tender_lock);
    bool was_warned[P2P_TENDER_FOLDERS_MAX] P2P_GUARDED_BY(p2p_tender_lock);
    pthread_cond_t news;
    bool stop P2P_GUARDED_BY(p2p_tender_lock);
    bool is_running;
    pthread_t thread;
};

/* The versions of a folder that is at its path now. */
static struct p2p_versions *
open_folder(struct p2p_tender *t, size_t i)
{
    struct p2p_versions *v;
    enum p2p_err err = P2P_OK;

    if (!p2p_root_is_in_place(t->roots[i]))
        return NULL;
    p2p_lock(&t->lock);
    if (t->versions[i] == NULL && !t->stop)
        err = p2p_versions_open(t->roots[i], &t->versions[i]);
    if (err != P2P_OK && !t->was_warned[i])
        p2p_log_warn("no versions are kept in %s: %s", p2p_root_path(t->roots[i]),
                     p2p_err_text(err));
    t->was_warned[i] = err != P2P_OK;
    v = t->stop ? NULL : t->versions[i];
    p2p_unlock(&t->lock);
    return v;
}

static void
tell(struct p2p_tender *t, size_t i, struct p2p_versions *v)
{
    const struct p2p_versions_status was = t->told[i];
    struct p2p_versions_status now;

    if (t->on_change == NULL || p2p_versions_status(v, &now) != P2P_OK)
        return;
    t->told[i] = now;
    if (now.rows != was.rows || now.objects != was.objects || now.used != was.used ||
        now.oldest_s != was.oldest_s || now.is_stopped != was.is_stopped)
        t->on_change(t->arg, t->roots[i]);
}

static void
tend_all(struct p2p_tender *t)
{
    for (size_t i = 0; i < t->count; i++) {
        struct p2p_versions *v = open_folder(t, i);
        enum p2p_err err = v != NULL ? p2p_versions_tend(v) : P2P_OK;
        if (v != NULL && err == P2P_OK)
            tell(t, i, v);
        if (err != P2P_OK)
            p2p_log_debug("cannot clean up old versions error=%s", p2p_err_name(err));
    }
    if (t->on_round != NULL)
        t->on_round(t->arg);
}

/* A pass reads the whole catalogue, so it takes a small part of the time. */
static void
follow(struct p2p_tender *t, size_t i)
{
    struct p2p_versions *v = open_folder(t, i);
    struct p2p_share_totals totals;
    uint64_t began_ms = p2p_now_ms();

    if (v == NULL || t->shares[i] == NULL || began_ms < t->follow_ms[i])
        return;
    p2p_share_totals(t->shares[i], &totals);
    if (totals.generation == t->followed[i] || totals.is_away)
        return;
    enum p2p_err err = p2p_versions_follow(v, t->shares[i]);
    uint64_t now_ms = p2p_now_ms();
    t->follow_ms[i] = now_ms + 20 * (now_ms - began_ms);
    if (err == P2P_OK)
        t->followed[i] = totals.generation;
    if (err == P2P_OK)
        tell(t, i, v);
    else if (err != P2P_ERR_BUSY)
        p2p_log_debug("cannot keep what other programs change error=%s",
                      p2p_err_name(err));
}

static void *
run(void *arg)
{
    struct p2p_tender *t = arg;
    uint64_t tend_ms = 0;
    bool stop = false;

    while (!stop) {
        uint64_t next_ms = p2p_now_ms() + LOOK_EVERY_MS;
        for (size_t i = 0; i < t->count; i++)
            follow(t, i);
        if (p2p_now_ms() >= tend_ms) {
            tend_ms = p2p_now_ms() + TEND_EVERY_MS;
            tend_all(t);
        }
        p2p_lock(&t->lock);
        while (!t->stop && p2p_now_ms() < next_ms)
            (void)p2p_wait_until(&t->news, &t->lock, next_ms);
        stop = t->stop;
        p2p_unlock(&t->lock);
    }
    return NULL;
}

enum p2p_err
p2p_tender_start(const struct p2p_tender_options *opt, struct p2p_tender **out)
{
    struct p2p_tender *t = calloc(1, sizeof(*t));

    *out = NULL;
    if (t == NULL)
        return P2P_ERR_NOMEM;
    p2p_mutex_init(&t->lock);
    p2p_cond_init(&t->news);
    t->on_round = opt->on_round;
    t->on_change = opt->on_change;
    t->arg = opt->arg;
    while (t->count < opt->count && t->count < P2P_TENDER_FOLDERS_MAX) {
        t->roots[t->count] = opt->roots[t->count];
        t->shares[t->count] = opt->shares[t->count];
        (void)open_folder(t, t->count++);
    }
    t->is_running = pthread_create(&t->thread, NULL, run, t) == 0;
    if (!t->is_running) {
        p2p_tender_stop(t);
        return P2P_ERR_SYS;
    }
    *out = t;
    return P2P_OK;
}

void
p2p_tender_stop(struct p2p_tender *t)
{
    if (t == NULL)
        return;
    p2p_lock(&t->lock);
    t->stop = true;
    for (size_t i = 0; i < t->count; i++)
        if (t->versions[i] != NULL)
            p2p_versions_cancel(t->versions[i]);
    pthread_cond_broadcast(&t->news);
    p2p_unlock(&t->lock);
    if (t->is_running)
        pthread_join(t->thread, NULL);
    p2p_mutex_unshared(&t->lock);
    for (size_t i = 0; i < t->count; i++)
        p2p_versions_close(t->versions[i]);
    pthread_cond_destroy(&t->news);
    p2p_mutex_clear(&t->lock);
    free(t);
}

struct p2p_versions *
p2p_tender_of(struct p2p_tender *t, const struct p2p_root *root)
{
    struct p2p_versions *v = NULL;

    if (t == NULL)
        return NULL;
    p2p_lock(&t->lock);
    for (size_t i = 0; i < t->count && v == NULL; i++)
        if (t->roots[i] == root)
            v = t->versions[i];
    p2p_unlock(&t->lock);
    return v;
}
