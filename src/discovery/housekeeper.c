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
    bool is_stopping P2P_GUARDED_BY(housekeeper_lock);
    bool is_poked P2P_GUARDED_BY(housekeeper_lock);
    /* Of any thread. */
    uint64_t trim_at P2P_GUARDED_BY(housekeeper_lock);
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
        p2p_log_error("cannot write the snapshot file=%s reason=\"%s\"", path,
                      p2p_err_text(err));
    h->snapshot_at = UINT64_MAX; /* until something changes */
    h->snapshot_pause_ms = (p2p_now_ms() - start) * 20;
}

enum chore { NOTHING, TRIM, WAKE, EXPIRE, SNAPSHOT };

static enum chore
take_chore(struct housekeeper *h, uint64_t now) P2P_REQUIRES(housekeeper_lock)
{
    if (now >= h->trim_at) {
        h->trim_at = UINT64_MAX;
        return TRIM;
    }
    if (h->is_poked && now >= h->wake_at) {
        h->is_poked = false;
        return WAKE;
    }
    if (now >= h->expire_at)
        return EXPIRE;
    return now >= h->snapshot_at ? SNAPSHOT : NOTHING;
}

static void
do_chore(struct housekeeper *h, enum chore chore, uint64_t now)
{
    switch (chore) {
    case NOTHING:
        break;
    case TRIM:
#ifdef __GLIBC__
        malloc_trim(0);
#endif
        break;
    case WAKE:
        wake_watchers(h, now);
        break;
    case EXPIRE:
        expire(h, now);
        break;
    case SNAPSHOT:
        write_snapshot(h);
        break;
    }
}

static uint64_t
next_wake(const struct housekeeper *h) P2P_REQUIRES(housekeeper_lock)
{
    uint64_t wake_at = h->is_poked ? h->wake_at : UINT64_MAX;

    return earlier(earlier(h->trim_at, wake_at), earlier(h->expire_at, h->snapshot_at));
}

/* Waits while nothing is due. False: the thread is to end. */
static bool
wait_for_chore(struct housekeeper *h, enum chore *chore, uint64_t *now)
{
    p2p_lock(&h->lock);
    while (!h->is_stopping) {
        *now = p2p_now_ms();
        *chore = take_chore(h, *now);
        if (*chore != NOTHING)
            break;
        (void)p2p_wait_until(&h->wake, &h->lock, next_wake(h));
    }
    bool goes_on = !h->is_stopping;
    p2p_unlock(&h->lock);
    return goes_on;
}

static void *
housekeeper_main(void *arg)
{
    struct housekeeper *h = arg;
    enum chore chore = NOTHING;
    uint64_t now = 0;

    while (wait_for_chore(h, &chore, &now))
        do_chore(h, chore, now);
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
    p2p_mutex_init(&h->lock);
    h->snapshot_at = h->trim_at = UINT64_MAX;
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
