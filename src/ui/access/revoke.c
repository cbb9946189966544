#include "ui/access/revoke.h"

#include <pthread.h>
#include <stdlib.h>

#include "p2p/clock.h"
#include "p2p/lock.h"
#include "p2p/log.h"
#include "ui/access/access.h"

P2P_MUTEX_KIND(ui_revoker_lock);
struct ui_revoker {
    struct ui_access *access;
    pthread_t thread;
    struct ui_revoker_lock lock;
    pthread_cond_t woken;
    bool is_stopping P2P_GUARDED_BY(ui_revoker_lock);
    bool has_requests P2P_GUARDED_BY(ui_revoker_lock); /* of devices; maybe */
};

/* Ids are 16 hexadecimal digits: the number is the id itself. */
static uint64_t
group_of(const struct p2p_device *device)
{
    return strtoull(device->id, NULL, 16);
}

void
ui_revoke_tie(struct ui_access *access, struct http_request *req,
              const struct p2p_device *device)
{
    struct ui_revoker *r = access->revoker;

    http_set_group(req, group_of(device));
    if (r == NULL)
        return;
    p2p_lock(&r->lock);
    if (!r->has_requests)
        pthread_cond_signal(&r->woken);
    r->has_requests = true;
    p2p_unlock(&r->lock);
}

struct devices {
    struct p2p_device *at;
    size_t count;
};

static bool
may_stay(uint64_t group, void *arg)
{
    const struct devices *list = arg;

    for (size_t i = 0; i < list->count; i++)
        if (group_of(&list->at[i]) == group)
            return true;
    return false;
}

void
ui_revoke_look(struct ui_access *access)
{
    struct devices list = {0};
    size_t closed;

    /* If the list cannot be read, no connection is closed: each request is checked
     * again anyway. */
    if (p2p_devices_list(access->devices, &list.at, &list.count) != P2P_OK)
        return;
    closed = http_close_groups(access->http, may_stay, &list);
    if (closed > 0)
        p2p_log_info("closed requests of removed devices count=%zu", closed);
    free(list.at);
}

/* Waits for the next look. False: the thread is to end. */
static bool
wait_for_look(struct ui_revoker *r)
{
    uint64_t due_ms;

    p2p_lock(&r->lock);
    while (!r->has_requests && !r->is_stopping)
        p2p_wait(&r->woken, &r->lock);
    due_ms = p2p_now_ms() + UI_REVOKE_LOOK_MS;
    while (!r->is_stopping && p2p_now_ms() < due_ms)
        (void)p2p_wait_until(&r->woken, &r->lock, due_ms);
    r->has_requests = false; /* one that comes meanwhile sets it again */
    bool goes_on = !r->is_stopping;
    p2p_unlock(&r->lock);
    return goes_on;
}

static void *
revoker_main(void *arg)
{
    struct ui_revoker *r = arg;

    while (wait_for_look(r)) {
        if (http_close_groups(r->access->http, NULL, NULL) == 0)
            continue;
        ui_revoke_look(r->access);
        p2p_lock(&r->lock);
        r->has_requests = true;
        p2p_unlock(&r->lock);
    }
    return NULL;
}

struct ui_revoker *
ui_revoker_new(struct ui_access *access)
{
    struct ui_revoker *r = calloc(1, sizeof(*r));

    if (r == NULL)
        return NULL;
    r->access = access;
    p2p_mutex_init(&r->lock);
    p2p_cond_init(&r->woken);
    if (pthread_create(&r->thread, NULL, revoker_main, r) == 0)
        return r;
    pthread_cond_destroy(&r->woken);
    p2p_mutex_clear(&r->lock);
    free(r);
    return NULL;
}

void
ui_revoker_free(struct ui_revoker *r)
{
    if (r == NULL)
        return;
    p2p_lock(&r->lock);
    r->is_stopping = true;
    pthread_cond_signal(&r->woken);
    p2p_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    pthread_cond_destroy(&r->woken);
    p2p_mutex_clear(&r->lock);
    free(r);
}
