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

/* The last byte of the key of a wider source is its length; of a /64 it is 0. */
enum { LENGTH_AT = 15 };

unsigned
source_factor(const uint8_t from[16])
{
    static const uint8_t v4[12] = {[10] = 0xff, [11] = 0xff};

    if (memcmp(from, v4, sizeof(v4)) == 0 || from[LENGTH_AT] == 0)
        return 1;
    return from[LENGTH_AT] == 56 ? 2 : 4;
}

bool
source_widen(const uint8_t from[16], uint8_t out[16])
{
    static const uint8_t v4[12] = {[10] = 0xff, [11] = 0xff};

    memcpy(out, from, 16);
    if (memcmp(from, v4, sizeof(v4)) == 0 || from[LENGTH_AT] == 48)
        return false;
    out[LENGTH_AT] = from[LENGTH_AT] == 56 ? 48 : 56;
    memset(out + out[LENGTH_AT] / 8, 0, LENGTH_AT - out[LENGTH_AT] / 8u);
    return true;
}

void
sources_add_peer(struct sources *s, uint32_t at, uint64_t bytes)
{
    for (; at != SLAB_NONE; at = source_at(s, at)->wider) {
        source_at(s, at)->peers++;
        source_at(s, at)->bytes += bytes;
    }
}

void
sources_remove_peer(struct sources *s, uint32_t at, uint64_t bytes)
{
    for (; at != SLAB_NONE; at = source_at(s, at)->wider) {
        source_at(s, at)->peers--;
        source_at(s, at)->bytes -= bytes;
    }
}

bool
sources_is_within(const struct sources *s, uint32_t at, uint32_t outer)
{
    while (at != SLAB_NONE && at != outer)
        at = source_at(s, at)->wider;
    return at != SLAB_NONE;
}

enum p2p_err
sources_init(struct sources *s, uint32_t max)
{
    enum p2p_err err;

    *s = (struct sources){0};
    max = max < SLAB_NONE / SOURCE_WIDTHS ? max * SOURCE_WIDTHS : SLAB_NONE - 1;
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
    uint32_t at = sources_find(s, from), wider = SLAB_NONE;
    uint8_t key[16];

    if (at != SLAB_NONE)
        return at;
    if (source_widen(from, key) && (wider = sources_get(s, key)) == SLAB_NONE)
        return SLAB_NONE;
    if ((at = slab_take(&s->slab)) == SLAB_NONE) {
        sources_drop_if_empty(s, wider);
        return SLAB_NONE;
    }
    memcpy(source_at(s, at)->from, from, 16);
    source_at(s, at)->first_tombstone = source_at(s, at)->last_tombstone = SLAB_NONE;
    source_at(s, at)->wider = wider;
    if (wider != SLAB_NONE)
        source_at(s, wider)->narrower++;
    table_insert(&s->by_from, at);
    return at;
}

void
sources_drop_if_empty(struct sources *s, uint32_t at)
{
    while (at != SLAB_NONE && source_at(s, at)->peers == 0 &&
           source_at(s, at)->tombstones == 0 && source_at(s, at)->narrower == 0) {
        uint32_t wider = source_at(s, at)->wider;

        table_remove(&s->by_from, at);
        slab_give_back(&s->slab, at);
        if (wider != SLAB_NONE)
            source_at(s, wider)->narrower--;
        at = wider;
    }
}
