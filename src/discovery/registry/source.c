#include "discovery/registry/source.h"

#include <string.h>

static uint64_t
hash_from(const void *owner, uint32_t at)
{
    return table_hash(source_at(owner, at)->from, 16);
}

static uint32_t *
next_from(const void *owner, uint32_t at)
{
    return &source_at(owner, at)->next;
}

static const struct table_items items = {hash_from, next_from, NULL};

enum p2p_err
sources_init(struct sources *s, uint32_t max)
{
    enum p2p_err err;

    *s = (struct sources){0};
    if ((err = slab_init(&s->slab, sizeof(struct source), max)) != P2P_OK ||
        (err = table_init(&s->by_from, &items, s, max)) != P2P_OK)
        sources_clear(s);
    return err;
}

void
sources_clear(struct sources *s)
{
    slab_clear(&s->slab);
    table_clear(&s->by_from);
}

uint32_t
sources_find(const struct sources *s, const uint8_t from[16])
{
    uint32_t at = table_chain(&s->by_from, table_hash(from, 16));

    while (at != SLAB_NONE && memcmp(source_at(s, at)->from, from, 16) != 0)
        at = source_at(s, at)->next;
    return at;
}

uint32_t
sources_get(struct sources *s, const uint8_t from[16])
{
    uint32_t at = sources_find(s, from);

    if (at != SLAB_NONE || (at = slab_take(&s->slab)) == SLAB_NONE)
        return at;
    memcpy(source_at(s, at)->from, from, 16);
    source_at(s, at)->first_tombstone = source_at(s, at)->last_tombstone = SLAB_NONE;
    table_insert(&s->by_from, at);
    return at;
}

void
sources_drop_if_empty(struct sources *s, uint32_t at)
{
    if (at == SLAB_NONE || source_at(s, at)->peers > 0 ||
        source_at(s, at)->tombstones > 0)
        return;
    table_remove(&s->by_from, at);
    slab_give_back(&s->slab, at);
}
