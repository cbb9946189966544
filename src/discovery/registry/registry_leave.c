/* How peers are removed: they leave, expire, or make room for others. Only their seq is
 * remembered. */
#include <unistd.h>

#include "discovery/registry/registry_internal.h"
#include "p2p/lock.h"

enum registry_result
registry_leave(struct registry *r, const struct p2p_id *id, uint64_t seq,
               uint64_t *known_seq)
{
    enum registry_result result = REGISTRY_UNKNOWN;
    uint32_t at;

    *known_seq = 0;
    p2p_lock(&r->writer);
    registry_lock(r);
    if ((at = registry_find_signed(r, id)) != SLAB_NONE) {
        *known_seq = registry_seq_that_counts(peer_at(r, at)->seq);
        result = seq > *known_seq ? REGISTRY_OK : REGISTRY_STALE;
    }
    if (result == REGISTRY_OK) {
        peer_at(r, at)->seq = seq;
        registry_bury(r, at);
    }
    registry_unlock(r);
    p2p_unlock(&r->writer);
    if (result == REGISTRY_OK)
        registry_announce(r, id, true);
    return result;
}

void
registry_remove(struct registry *r, const struct p2p_id *id)
{
    bool was_live = false;
    uint32_t at;

    p2p_lock(&r->writer);
    registry_lock(r);
    if ((at = registry_find(r, id)) != SLAB_NONE) {
        registry_bury(r, at);
        was_live = true;
    }
    registry_unlock(r);
    p2p_unlock(&r->writer);
    if (was_live)
        registry_announce(r, id, true);
}

void
registry_remember(struct registry *r, const struct p2p_id *id, uint64_t seq,
                  uint64_t seq_until_s)
{
    uint64_t until_ms = registry_guard_ms(seq_until_s, p2p_time_s());
    uint32_t at;

    if (until_ms == 0)
        return;
    p2p_lock(&r->writer);
    registry_lock(r);
    if ((at = registry_find(r, id)) == SLAB_NONE) {
        tombstones_put(&r->tombstones, NULL, id, seq, until_ms);
    } else {
        struct peer *p = peer_at(r, at);

        if (p->seq < seq)
            p->seq = seq;
        if (p->guard_ms < until_ms)
            p->guard_ms = until_ms;
    }
    registry_unlock(r);
    p2p_unlock(&r->writer);
}

/* ---- by the clock ---- */

/* When the peer has to be removed. Its signature expires by the time of day, and at the
 * latest when it would have expired if that clock was right at registration. */
static bool
is_due(const struct registry *r, const struct peer *p, uint64_t now_ms, uint64_t now_s,
       uint64_t *next_ms)
{
    uint64_t due = p->heard_ms + r->opt.ttl_ms;

    if (!p->is_used)
        return false;
    if (p->key != NULL && p->expires_ms < due)
        due = p->expires_ms;
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
    bool is_gone;

    p2p_lock(&r->writer);
    registry_lock(r);
    if ((is_gone = is_due(r, peer_at(r, at), now_ms, now_s, &next_ms))) {
        id = peer_at(r, at)->id;
        registry_bury(r, at);
    }
    registry_unlock(r);
    p2p_unlock(&r->writer);
    if (is_gone)
        registry_announce(r, &id, true);
}

/*
 * When very many peers expire at once (a network went down), the work is spread: after
 * this time of work the thread sleeps for as long. So it does not use up its time
 * slice, and the scheduler does not suspend it while it holds the lock.
 */
#define WORK_US 500u

static void
rest_after_work(uint64_t *started_us)
{
    uint64_t worked_us = p2p_now_us() - *started_us;

    if (worked_us < WORK_US)
        return;
    if (worked_us > 10 * WORK_US)
        worked_us = 10 * WORK_US; /* other threads had the processor meanwhile */
    usleep((useconds_t)worked_us);
    *started_us = p2p_now_us();
}

/* Tombstones that are examined in one hold of the lock. */
#define STONES_AT_ONCE 256u

static void
drop_old_stones(struct registry *r, uint64_t now_ms)
{
    uint32_t used, at = 0;

    do {
        p2p_lock(&r->writer);
        registry_lock(r);
        used = r->tombstones.slab.used;
        for (uint32_t n = 0; n < STONES_AT_ONCE && at < used; n++, at++) {
            uint64_t until_ms = tombstone_at(&r->tombstones, at)->until_ms;

            if (until_ms != 0 && until_ms <= now_ms)
                tombstones_drop(&r->tombstones, at);
        }
        registry_unlock(r);
        p2p_unlock(&r->writer);
    } while (at < used);
}

#define STONES_EVERY_MS 10000u

uint64_t
registry_expire(struct registry *r, uint64_t now_ms)
{
    uint64_t next_ms = UINT64_MAX, now_s = p2p_time_s(), started_us = p2p_now_us();
    uint32_t used;

    p2p_read_lock(&r->lock);
    used = r->peers.used;
    p2p_rw_unlock(&r->lock);
    for (uint32_t i = 0; i < used; i++) {
        bool due;

        p2p_read_lock(&r->lock);
        due = is_due(r, peer_at(r, i), now_ms, now_s, &next_ms);
        p2p_rw_unlock(&r->lock);
        if (!due)
            continue;
        expire_one(r, i, now_ms, now_s);
        rest_after_work(&started_us);
    }
    if (now_ms >= r->stones_looked_ms + STONES_EVERY_MS) {
        r->stones_looked_ms = now_ms;
        drop_old_stones(r, now_ms);
    }
    return next_ms;
}
