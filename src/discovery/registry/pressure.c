#include "discovery/registry/pressure.h"

#include "discovery/registry/registry_internal.h"

/* The search for peers to remove runs no more often than this. */
#define LOOK_EVERY_MS 250u
/* A peer counts as at least this old, so that scores are useful in the first second,
 * too. */
#define YOUNGEST_S 60u

uint64_t
pressure_score(uint64_t source_bytes, bool is_signed, uint64_t age_ms)
{
    uint64_t weight = source_bytes * 1024 * (is_signed ? 1 : 4);

    return weight / (age_ms / 1000 + YOUNGEST_S);
}

static uint64_t
score_of(const struct registry *r, const struct peer *p, uint64_t now_ms)
{
    uint64_t bytes = p->charge;

    /* A network that spreads over many sources is as heavy as one of them would be. */
    for (uint32_t at = p->source; at != SLAB_NONE;
         at = source_at(&r->sources, at)->wider) {
        const struct source *s = source_at(&r->sources, at);
        uint64_t of_source = s->bytes / source_factor(s->from);
        bytes = of_source > bytes ? of_source : bytes;
    }
    return pressure_score(bytes, p->key != NULL, now_ms - p->since_ms);
}

/* Keeps the list in rising order, with the highest scores. */
static void
note_victim(struct pressure *w, const struct p2p_id *id, uint64_t score)
{
    uint32_t at;

    if (w->count == PRESSURE_VICTIMS) {
        if (score <= w->victims[0].score)
            return;
        for (at = 0; at + 1 < w->count && w->victims[at + 1].score < score; at++)
            w->victims[at] = w->victims[at + 1];
    } else {
        for (at = w->count++; at > 0 && w->victims[at - 1].score > score; at--)
            w->victims[at] = w->victims[at - 1];
    }
    w->victims[at] = (struct pressure_victim){*id, score};
}

static void
look(struct registry *r, uint32_t except) P2P_REQUIRES(registry_data_lock)
{
    struct pressure *w = &r->pressure;
    uint64_t now_ms = p2p_now_ms();

    w->count = 0;
    w->looked_ms = now_ms;
    for (uint32_t i = 0; i < r->peers.used; i++) {
        const struct peer *p = peer_at(r, i);

        if (p->is_used && i != except)
            note_victim(w, &p->id, score_of(r, p, now_ms));
        registry_breathe_unlocks(r, i);
    }
}

bool
pressure_evict(struct registry *r, uint64_t score, uint32_t except,
               struct evicted *evicted) P2P_REQUIRES(registry_data_lock)
{
    struct pressure *w = &r->pressure;
    uint64_t now_ms = p2p_now_ms();

    if (evicted->count == PRESSURE_VICTIMS)
        return false;
    if (w->count == 0 && now_ms - w->looked_ms >= LOOK_EVERY_MS)
        look(r, except);
    while (w->count > 0) {
        const struct pressure_victim *v = &w->victims[w->count - 1];
        uint32_t at = registry_find(r, &v->id);

        /* Changes since the search count with their current value. */
        if (at == SLAB_NONE || at == except) {
            w->count--;
            continue;
        }
        if (score_of(r, peer_at(r, at), now_ms) / 2 <= score)
            return false;
        w->count--;
        evicted->ids[evicted->count++] = peer_at(r, at)->id;
        registry_bury(r, at);
        r->evicted++;
        return true;
    }
    return false;
}
