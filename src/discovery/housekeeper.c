#include "discovery/housekeeper.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "p2p/net.h"

/* Watchers are woken at most this often: many changes at once are one answer. */
#define WAKE_EVERY_MS 100u
/* Looking at all peers for those that are due is not done more often than this. */
#define EXPIRE_EVERY_MS 250u

struct housekeeper {
    struct app *app;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool is_stopping, is_poked;
};

static void
wait_until(struct housekeeper *h, uint64_t when_ms)
{
    struct timespec t = {.tv_sec = (time_t)(when_ms / 1000),
                         .tv_nsec = (long)(when_ms % 1000) * 1000000};

    if (when_ms == UINT64_MAX)
        pthread_cond_wait(&h->wake, &h->lock);
    else
        pthread_cond_timedwait(&h->wake, &h->lock, &t);
}

static void *
housekeeper_main(void *arg)
{
    struct housekeeper *h = arg;
    uint64_t expire_at = 0, wake_at = 0;

    pthread_mutex_lock(&h->lock);
    while (!h->is_stopping) {
        uint64_t now = p2p_now_ms();

        if (h->is_poked && now >= wake_at) {
            h->is_poked = false;
            pthread_mutex_unlock(&h->lock);
            changes_wake(h->app->changes);
            wake_at = now + WAKE_EVERY_MS;
            /* A new peer may be due before the one this thread sleeps for. */
            if (expire_at > now + EXPIRE_EVERY_MS)
                expire_at = now + EXPIRE_EVERY_MS;
            pthread_mutex_lock(&h->lock);
        } else if (now >= expire_at) {
            pthread_mutex_unlock(&h->lock);
            expire_at = registry_expire(h->app->registry, now);
            if (expire_at < now + EXPIRE_EVERY_MS)
                expire_at = now + EXPIRE_EVERY_MS;
            pthread_mutex_lock(&h->lock);
        } else
            wait_until(h, h->is_poked && wake_at < expire_at ? wake_at : expire_at);
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

enum p2p_err
housekeeper_start(struct app *app, struct housekeeper **result)
{
    struct housekeeper *h = calloc(1, sizeof(*h));
    pthread_condattr_t attr;

    *result = NULL;
    if (h == NULL)
        return P2P_ERR_NOMEM;
    h->app = app;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->wake, &attr);
    pthread_condattr_destroy(&attr);
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
    pthread_mutex_lock(&h->lock);
    h->is_stopping = true;
    pthread_cond_signal(&h->wake);
    pthread_mutex_unlock(&h->lock);
    pthread_join(h->thread, NULL);
    pthread_mutex_destroy(&h->lock);
    pthread_cond_destroy(&h->wake);
    free(h);
}

void
housekeeper_poke(struct housekeeper *h)
{
    pthread_mutex_lock(&h->lock);
    if (!h->is_poked)
        pthread_cond_signal(&h->wake);
    h->is_poked = true;
    pthread_mutex_unlock(&h->lock);
}
