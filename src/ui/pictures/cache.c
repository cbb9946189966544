#include "ui/pictures/cache.h"

#include <stdlib.h>
#include <string.h>

#include "p2p/lock.h"

struct entry {
    struct ui_picture_key key;
    uint8_t *data;
    size_t len;
    uint64_t used; /* 0: free */
};

P2P_MUTEX_KIND(ui_picture_lock);
struct ui_picture_cache {
    struct ui_picture_lock lock;
    uint64_t now P2P_GUARDED_BY(ui_picture_lock);
    size_t bytes P2P_GUARDED_BY(ui_picture_lock);
    struct entry at[UI_CACHE_ENTRIES] P2P_GUARDED_BY(ui_picture_lock);
};

struct ui_picture_cache *
ui_picture_cache_new(void)
{
    struct ui_picture_cache *cache = calloc(1, sizeof(*cache));

    if (cache != NULL)
        p2p_mutex_init(&cache->lock);
    return cache;
}

void
ui_picture_cache_free(struct ui_picture_cache *cache) P2P_NO_LOCK_CHECK /* the last */
{
    if (cache == NULL)
        return;
    for (size_t i = 0; i < UI_CACHE_ENTRIES; i++)
        free(cache->at[i].data);
    p2p_mutex_clear(&cache->lock);
    free(cache);
}

static struct entry *
find(struct ui_picture_cache *cache, const struct ui_picture_key *key)
    P2P_REQUIRES(ui_picture_lock)
{
    for (size_t i = 0; i < UI_CACHE_ENTRIES; i++) {
        struct entry *e = &cache->at[i];
        if (e->used > 0 && e->key.side == key->side &&
            memcmp(e->key.of.b, key->of.b, sizeof(key->of.b)) == 0)
            return e;
    }
    return NULL;
}

static void
drop(struct ui_picture_cache *cache, struct entry *e) P2P_REQUIRES(ui_picture_lock)
{
    cache->bytes -= e->len;
    free(e->data);
    *e = (struct entry){0};
}

/* The one that is free or was used longest ago. */
static struct entry *
oldest(struct ui_picture_cache *cache) P2P_REQUIRES(ui_picture_lock)
{
    struct entry *found = &cache->at[0];

    for (size_t i = 1; i < UI_CACHE_ENTRIES; i++)
        if (cache->at[i].used < found->used)
            found = &cache->at[i];
    return found;
}

/* The one with bytes that was used longest ago; NULL: none. */
static struct entry *
oldest_with_bytes(struct ui_picture_cache *cache) P2P_REQUIRES(ui_picture_lock)
{
    struct entry *found = NULL;

    for (size_t i = 0; i < UI_CACHE_ENTRIES; i++)
        if (cache->at[i].len > 0 && (found == NULL || cache->at[i].used < found->used))
            found = &cache->at[i];
    return found;
}

static uint8_t *
copy_of(const uint8_t *data, size_t len)
{
    uint8_t *copy = data != NULL ? malloc(len) : NULL;

    if (copy != NULL)
        memcpy(copy, data, len);
    return copy;
}

bool
ui_picture_cache_get(struct ui_picture_cache *cache, const struct ui_picture_key *key,
                     uint8_t **out, size_t *len)
{
    struct entry *e;
    bool found;

    *out = NULL;
    *len = 0;
    p2p_lock(&cache->lock);
    if ((e = find(cache, key)) != NULL) {
        e->used = ++cache->now;
        *out = copy_of(e->data, e->len);
        *len = *out != NULL ? e->len : 0;
    }
    found = e != NULL && (e->data == NULL || *out != NULL);
    p2p_unlock(&cache->lock);
    return found;
}

void
ui_picture_cache_put(struct ui_picture_cache *cache, const struct ui_picture_key *key,
                     const uint8_t *data, size_t len)
{
    uint8_t *copy = copy_of(data, len);
    struct entry *e;

    if ((data != NULL && copy == NULL) || len > UI_CACHE_BYTES / 4) {
        free(copy);
        return;
    }
    p2p_lock(&cache->lock);
    if ((e = find(cache, key)) != NULL)
        drop(cache, e);
    while (cache->bytes + len > UI_CACHE_BYTES &&
           (e = oldest_with_bytes(cache)) != NULL)
        drop(cache, e);
    e = oldest(cache);
    drop(cache, e);
    *e = (struct entry){*key, copy, copy != NULL ? len : 0, ++cache->now};
    cache->bytes += e->len;
    p2p_unlock(&cache->lock);
}
