#include "discovery/housekeeper.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "discovery/registry/snapshot.h"
#include "p2p/lock.h"
#include "p2p/log.h"
#include "p2p/net.h"

/* Watchers are woken at most this often, so that many changes at once give one answer.
 */
#define WAKE_EVERY_MS 100u
/* The peers are not searched for expired ones more often than this. */
#define EXPIRE_EVERY_MS 250u

/* Pause between two snapshots. It grows with the time that a snapshot takes, so that
 * snapshots take at most a twentieth of the time. */
#define SNAPSHOT_EVERY_MS 60000u

P2P_MUTEX_KIND(housekeeper_lock);
struct housekeeper {
    struct app *app;
    pthread_t thread;
    struct housekeeper_lock lock;
    pthread_cond_t wake;
    bool is_stopping, is_poked;
    uint64_t trim_at; /* of any thread */
    /* For its own thread only: when each job is due. */
    uint64_t wake_at, expire_at, snapshot_at, snapshot_pause_ms;
};

static uint64_t
earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- the three jobs ---- */

static void
wake_watchers(struct housekeeper *h, uint64_t now)
{
    changes_wake(h->app->changes);
    h->wake_at = now + WAKE_EVERY_MS;
    /* A new peer may expire before the one that this thread waits for. */
    h->expire_at = earlier(h->expire_at, now + EXPIRE_EVERY_MS);
    if (h->app->snapshot != NULL && h->snapshot_at == UINT64_MAX)
        h->snapshot_at = now + SNAPSHOT_EVERY_MS + h->snapshot_pause_ms;
}

static void
expire(struct housekeeper *h, uint64_t now)
{
    h->expire_at = registry_expire(h->app->registry, now);
    registry_tidy(h->app->registry);
    if (h->expire_at < now + EXPIRE_EVERY_MS)
        h->expire_at = now + EXPIRE_EVERY_MS;
}

static void
write_snapshot(struct housekeeper *h)
{
    const char *path = h->app->snapshot;
    uint64_t start = p2p_now_ms();
    enum p2p_err err = snapshot_write(h->app->registry, path);

    if (err != P2P_OK)
        p2p_log_error("snapshot file=%s: %s", path, p2p_err_text(err));
    h->snapshot_at = UINT64_MAX; /* until something changes */
    h->snapshot_pause_ms = (p2p_now_ms() - start) * 20;
}

/* Does one thing that is due; releases the lock for it. False: nothing is due. */
static bool
do_one(struct housekeeper *h, uint64_t now)
{
    bool is_poked = h->is_poked && now >= h->wake_at, trims = now >= h->trim_at;

    if (!is_poked && !trims && now < h->expire_at && now < h->snapshot_at)
        return false;
    if (trims)
        h->trim_at = UINT64_MAX;
    else if (is_poked)
        h->is_poked = false;
    p2p_unlock(&h->lock);
    if (trims)
        malloc_trim(0);
    else if (is_poked)
        wake_watchers(h, now);
    else if (now >= h->expire_at)
        expire(h, now);
    else
        write_snapshot(h);
    p2p_lock(&h->lock);
    return true;
}

static uint64_t
next_wake(const struct housekeeper *h)
{
    return h->is_poked ? h->wake_at : UINT64_MAX;
}

static void *
housekeeper_main(void *arg)
{
    struct housekeeper *h = arg;

    p2p_lock(&h->lock);
    while (!h->is_stopping)
        if (!do_one(h, p2p_now_ms()))
            (void)p2p_wait_until(&h->wake, &h->lock,
                                 earlier(earlier(h->trim_at, next_wake(h)),
                                         earlier(h->expire_at, h->snapshot_at)));
    p2p_unlock(&h->lock);
    return NULL;
}

enum p2p_err
housekeeper_start(struct app *app, struct housekeeper **result)
{
    struct housekeeper *h = calloc(1, sizeof(*h));

    *result = NULL;
    if (h == NULL)
        return P2P_ERR_NOMEM;
    h->app = app;
    h->snapshot_at = h->trim_at = UINT64_MAX;
    p2p_mutex_init(&h->lock);
    p2p_cond_init(&h->wake);
    if (pthread_create(&h->thread, NULL, housekeeper_main, h) != 0) {
        free(h);
        return P2P_ERR_SYS;
    }
    *result = h;
    return P2P_OK;
}

void
housekeeper_stop(struct housekeeper *h)
{
    if (h == NULL)
        return;
    p2p_lock(&h->lock);
    h->is_stopping = true;
    pthread_cond_signal(&h->wake);
    p2p_unlock(&h->lock);
    pthread_join(h->thread, NULL);
    if (h->app->snapshot != NULL)
        write_snapshot(h);
    p2p_mutex_clear(&h->lock);
    pthread_cond_destroy(&h->wake);
    free(h);
}

/* Not immediately: one time is enough for requests that end together. */
#define TRIM_AFTER_MS 100u

void
housekeeper_trim_soon(struct housekeeper *h)
{
    p2p_lock(&h->lock);
    if (h->trim_at == UINT64_MAX) {
        h->trim_at = p2p_now_ms() + TRIM_AFTER_MS;
        pthread_cond_signal(&h->wake);
    }
    p2p_unlock(&h->lock);
}

void
housekeeper_poke(struct housekeeper *h)
{
    p2p_lock(&h->lock);
    if (!h->is_poked)
        pthread_cond_signal(&h->wake);
    h->is_poked = true;
    p2p_unlock(&h->lock);
}
