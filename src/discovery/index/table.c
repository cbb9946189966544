#include "discovery/index/table.h"

#include <pthread.h>
#include <string.h>

#include "p2p/crypto.h"
#include "p2p/siphash.h"

#define FIRST_LEVEL 64u

static uint32_t *
head_at(const struct table *t, uint32_t bucket)
{
    return slab_at(&t->heads, bucket);
}

static bool
add_bucket(struct table *t)
{
    uint32_t bucket = slab_take(&t->heads);

    if (bucket == SLAB_NONE)
        return false;
    *head_at(t, bucket) = SLAB_NONE;
    return true;
}

enum p2p_err
table_init(struct table *t, const struct table_items *items, const void *owner,
           uint32_t max)
{
    enum p2p_err err;

    *t = (struct table){.items = items, .owner = owner, .level = FIRST_LEVEL};
    if ((err = slab_init(&t->heads, sizeof(uint32_t), max + FIRST_LEVEL)) != P2P_OK)
        return err;
    for (uint32_t i = 0; i < FIRST_LEVEL; i++)
        if (!add_bucket(t))
            return P2P_ERR_NOMEM;
    return P2P_OK;
}

void
table_clear(struct table *t)
{
    slab_clear(&t->heads);
    *t = (struct table){0};
}

static uint32_t
bucket_of(const struct table *t, uint64_t hash)
{
    uint32_t bucket = (uint32_t)hash & (t->level - 1);

    return bucket < t->split ? (uint32_t)hash & (t->level * 2 - 1) : bucket;
}

uint32_t
table_chain(const struct table *t, uint64_t hash)
{
    return *head_at(t, bucket_of(t, hash));
}

static void
push(struct table *t, uint32_t bucket, uint32_t id)
{
    uint32_t *head = head_at(t, bucket);

    if (t->items->prev != NULL) {
        *t->items->prev(t->owner, id) = SLAB_NONE;
        if (*head != SLAB_NONE)
            *t->items->prev(t->owner, *head) = id;
    }
    *t->items->next(t->owner, id) = *head;
    *head = id;
}

/* Splits one bucket into two. Without memory for a new one, the chains get longer. */
static void
split_one(struct table *t)
{
    uint32_t from = t->split, to = t->level + t->split, id;

    if (!add_bucket(t))
        return;
    id = *head_at(t, from);
    *head_at(t, from) = SLAB_NONE;
    while (id != SLAB_NONE) {
        uint32_t next = *t->items->next(t->owner, id);
        bool moves = t->items->hash(t->owner, id) & t->level;

        push(t, moves ? to : from, id);
        id = next;
    }
    if (++t->split == t->level) {
        t->level *= 2;
        t->split = 0;
    }
}

void
table_insert(struct table *t, uint32_t id)
{
    push(t, bucket_of(t, t->items->hash(t->owner, id)), id);
    if (++t->count > t->level + t->split)
        split_one(t);
}

/* In a table with links both ways: finds the link that points to the item. */
static uint32_t *
link_to(struct table *t, uint32_t id)
{
    uint32_t before = *t->items->prev(t->owner, id);

    return before != SLAB_NONE ? t->items->next(t->owner, before)
                               : head_at(t, bucket_of(t, t->items->hash(t->owner, id)));
}

/* The same by following the chain. */
static uint32_t *
find_link_to(struct table *t, uint32_t id)
{
    uint32_t *at = head_at(t, bucket_of(t, t->items->hash(t->owner, id)));

    while (*at != id && *at != SLAB_NONE)
        at = t->items->next(t->owner, *at);
    return at;
}

void
table_remove(struct table *t, uint32_t id)
{
    bool is_linked = t->items->prev != NULL;
    uint32_t *at = is_linked ? link_to(t, id) : find_link_to(t, id);
    uint32_t after = *t->items->next(t->owner, id);

    if (*at == SLAB_NONE)
        return;
    *at = after;
    if (is_linked && after != SLAB_NONE)
        *t->items->prev(t->owner, after) = *t->items->prev(t->owner, id);
    t->count--;
}

/* ---- The hash ---- */

static uint64_t seed[2];

static void
make_seed(void)
{
    if (p2p_random(seed, sizeof(seed)) != P2P_OK)
        seed[0] = (uint64_t)(uintptr_t)&seed; /* fall back on address randomization */
}

uint64_t
table_hash(const void *data, size_t len)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make_seed);
    return p2p_siphash13(seed, data, len); /* the hash never leaves this machine */
}
