#include "discovery/registry/tombstone.h"

#include "p2p/clock.h"

static uint64_t
hash_of(const struct p2p_id *id)
{
    return table_hash(id->b, sizeof(id->b));
}

static uint64_t
hash_id(const void *owner, uint32_t at)
{
    return hash_of(&tombstone_at(owner, at)->id);
}

static uint32_t *
next_id(const void *owner, uint32_t at)
{
    return &tombstone_at(owner, at)->next;
}

static const struct table_items items = {hash_id, next_id, NULL};

enum p2p_err
tombstones_init(struct tombstones *t, struct sources *sources, uint32_t max,
                uint32_t max_per_source)
{
    enum p2p_err err;

    *t = (struct tombstones){
        .sources = sources, .max = max, .max_per_source = max_per_source};
    if ((err = slab_init(&t->slab, sizeof(struct tombstone), max)) != P2P_OK ||
        (err = table_init(&t->by_id, &items, t, max)) != P2P_OK)
        tombstones_clear(t);
    return err;
}

void
tombstones_clear(struct tombstones *t)
{
    slab_clear(&t->slab);
    table_clear(&t->by_id);
}

uint32_t
tombstones_find(const struct tombstones *t, const struct p2p_id *id)
{
    uint32_t at = table_chain(&t->by_id, hash_of(id));

    while (at != SLAB_NONE && !p2p_id_equal(&tombstone_at(t, at)->id, id))
        at = tombstone_at(t, at)->next;
    return at;
}

/* ---- the list of one source, oldest first ---- */

static void
link_last(struct tombstones *t, uint32_t at)
{
    struct tombstone *stone = tombstone_at(t, at);
    struct source *s;

    stone->newer = stone->older = SLAB_NONE;
    if (stone->source == SLAB_NONE)
        return;
    s = source_at(t->sources, stone->source);
    stone->older = s->last_tombstone;
    if (s->last_tombstone != SLAB_NONE)
        tombstone_at(t, s->last_tombstone)->newer = at;
    else
        s->first_tombstone = at;
    s->last_tombstone = at;
    s->tombstones++;
}

static void
unlink_stone(struct tombstones *t, const struct tombstone *stone)
{
    struct source *s;

    if (stone->source == SLAB_NONE)
        return;
    s = source_at(t->sources, stone->source);
    if (stone->older != SLAB_NONE)
        tombstone_at(t, stone->older)->newer = stone->newer;
    else
        s->first_tombstone = stone->newer;
    if (stone->newer != SLAB_NONE)
        tombstone_at(t, stone->newer)->older = stone->older;
    else
        s->last_tombstone = stone->older;
    s->tombstones--;
    sources_drop_if_empty(t->sources, stone->source);
}

void
tombstones_drop(struct tombstones *t, uint32_t at)
{
    table_remove(&t->by_id, at);
    unlink_stone(t, tombstone_at(t, at));
    tombstone_at(t, at)->until_ms = 0;
    slab_give_back(&t->slab, at);
}

/* ---- putting ---- */

/* A source with many tombstones loses its own oldest one; otherwise the next one in
 * turn is dropped. */
static void
make_room(struct tombstones *t, uint32_t source)
{
    const struct source *s = source != SLAB_NONE ? source_at(t->sources, source) : NULL;
    bool is_full = t->slab.live >= t->max;

    if (s != NULL && s->tombstones > 0 &&
        (is_full || s->tombstones >= t->max_per_source)) {
        tombstones_drop(t, s->first_tombstone);
        return;
    }
    while (is_full && t->slab.live >= t->max) {
        uint32_t at = t->hand++ % t->slab.used;

        if (tombstone_at(t, at)->until_ms != 0)
            tombstones_drop(t, at);
    }
}

void
tombstones_put(struct tombstones *t, const uint8_t *from, const struct p2p_id *id,
               uint64_t seq, uint64_t until_ms)
{
    uint32_t at = tombstones_find(t, id), source = SLAB_NONE;
    struct tombstone *stone;

    /* A tombstone that has expired does not count, even if it is still in the table. */
    if (at != SLAB_NONE && tombstone_at(t, at)->until_ms <= p2p_now_ms()) {
        tombstones_drop(t, at);
        at = SLAB_NONE;
    }
    if (at != SLAB_NONE) {
        stone = tombstone_at(t, at);
        if (stone->seq < seq)
            stone->seq = seq;
        if (stone->until_ms < until_ms)
            stone->until_ms = until_ms;
        return;
    }
    if (t->max == 0)
        return;
    /* Making room may drop the source's last entry, so look the source up afterwards.
     */
    make_room(t, from != NULL ? sources_find(t->sources, from) : SLAB_NONE);
    if ((at = slab_take(&t->slab)) == SLAB_NONE)
        return;
    if (from != NULL)
        source = sources_get(t->sources, from);
    stone = tombstone_at(t, at);
    stone->id = *id;
    stone->seq = seq;
    stone->until_ms = until_ms;
    stone->source = source;
    table_insert(&t->by_id, at);
    link_last(t, at);
}
