/* How peers go: they leave, run out, or are remembered for their seq alone. */
#include <stdlib.h>
#include <unistd.h>

#include "discovery/registry/registry_internal.h"
#include "p2p/net.h"

static void
forget(struct registry *r, uint32_t at)
{
    table_remove(&r->by_id, at);
    peer_at(r, at)->is_used = false;
    slab_give_back(&r->peers, at);
}

/* Takes a live peer away, in slices; keeps its seq while that matters. */
static void
bury(struct registry *r, uint32_t at)
{
    struct peer *p = peer_at(r, at);
    bool is_remembered;

    registry_swap_files(r, at, NULL, 0);
    r->live--;
    r->live_signed -= p->key != NULL;
    registry_set_from(r, at, NULL);
    free(p->key);
    p->key = NULL;
    p->is_live = false;
    is_remembered = p->seq > 0 && p->seq_until_s > p2p_time_s();
    if (!is_remembered)
        forget(r, at);
}

enum registry_result
registry_leave(struct registry *r, const struct p2p_id *id, uint64_t seq,
               uint64_t *known_seq)
{
    enum registry_result result = REGISTRY_UNKNOWN;
    uint32_t at;

    *known_seq = 0;
    pthread_mutex_lock(&r->writer);
    registry_lock(r);
    if ((at = registry_find_signed(r, id)) != SLAB_NONE) {
        *known_seq = peer_at(r, at)->seq;
        result = seq > *known_seq ? REGISTRY_OK : REGISTRY_STALE;
    }
    if (result == REGISTRY_OK) {
        peer_at(r, at)->seq = seq;
        bury(r, at);
    }
    registry_unlock(r);
    pthread_mutex_unlock(&r->writer);
    if (result == REGISTRY_OK)
        registry_announce(r, id, true);
    return result;
}

void
registry_remove(struct registry *r, const struct p2p_id *id)
{
    bool was_live = false;
    uint32_t at;

    pthread_mutex_lock(&r->writer);
    registry_lock(r);
    if ((at = registry_find(r, id)) != SLAB_NONE && peer_at(r, at)->is_live) {
        bury(r, at);
        was_live = true;
    }
    registry_unlock(r);
    pthread_mutex_unlock(&r->writer);
    if (was_live)
        registry_announce(r, id, true);
}

void
registry_remember(struct registry *r, const struct p2p_id *id, uint64_t seq,
                  uint64_t seq_until_s)
{
    uint32_t at;

    if (seq_until_s <= p2p_time_s())
        return;
    pthread_mutex_lock(&r->writer);
    registry_lock(r);
    if ((at = registry_find(r, id)) != SLAB_NONE ||
        (at = registry_new_peer(r, id)) != SLAB_NONE) {
        struct peer *p = peer_at(r, at);

        if (p->seq < seq)
            p->seq = seq;
        if (p->seq_until_s < seq_until_s)
            p->seq_until_s = seq_until_s;
    }
    registry_unlock(r);
    pthread_mutex_unlock(&r->writer);
}

/* When the peer has to go, or its seq may be forgotten. */
static bool
is_due(const struct registry *r, const struct peer *p, uint64_t now_ms, uint64_t now_s,
       uint64_t *next_ms)
{
    uint64_t due = p->heard_ms + r->opt.ttl_ms;

    if (!p->is_used)
        return false;
    if (!p->is_live)
        return p->seq_until_s <= now_s;
    if (due <= now_ms || (p->key != NULL && p->expires_at_s <= now_s))
        return true;
    if (due < *next_ms)
        *next_ms = due;
    return false;
}

static void
expire_one(struct registry *r, uint32_t at, uint64_t now_ms, uint64_t now_s)
{
    uint64_t next_ms;
    struct p2p_id id;
    bool was_live = false;

    pthread_mutex_lock(&r->writer);
    registry_lock(r);
    if (is_due(r, peer_at(r, at), now_ms, now_s, &next_ms)) {
        id = peer_at(r, at)->id;
        was_live = peer_at(r, at)->is_live;
        if (was_live)
            bury(r, at);
        else
            forget(r, at);
    }
    registry_unlock(r);
    pthread_mutex_unlock(&r->writer);
    if (was_live)
        registry_announce(r, &id, true);
}

/*
 * When a great many are due at once (a network that went away), their going is spread:
 * after so much work this thread sleeps as long. So it is never one that has used up
 * its time, which the scheduler would stop just while it keeps the others out.
 */
#define WORK_US 500u

static void
rest_after_work(uint64_t *started_us)
{
    uint64_t worked_us = p2p_now_us() - *started_us;

    if (worked_us < WORK_US)
        return;
    if (worked_us > 10 * WORK_US)
        worked_us = 10 * WORK_US; /* others had the processor meanwhile */
    usleep((useconds_t)worked_us);
    *started_us = p2p_now_us();
}

uint64_t
registry_expire(struct registry *r, uint64_t now_ms)
{
    uint64_t next_ms = UINT64_MAX, now_s = p2p_time_s(), started_us = p2p_now_us();
    uint32_t used;

    pthread_rwlock_rdlock(&r->lock);
    used = r->peers.used;
    pthread_rwlock_unlock(&r->lock);
    for (uint32_t i = 0; i < used; i++) {
        bool due;

        pthread_rwlock_rdlock(&r->lock);
        due = is_due(r, peer_at(r, i), now_ms, now_s, &next_ms);
        pthread_rwlock_unlock(&r->lock);
        if (!due)
            continue;
        expire_one(r, i, now_ms, now_s);
        rest_after_work(&started_us);
    }
    return next_ms;
}
