/*
 * cache - small pictures in memory, by what they show and their size. Bounded in number
 * and bytes; the one that was used longest ago goes first. That a file has no picture
 * is kept, too. Thread-safe.
 */
#ifndef P2P_UI_PICTURE_CACHE_H
#define P2P_UI_PICTURE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/crypto.h"

#define UI_CACHE_ENTRIES 2048u
#define UI_CACHE_BYTES   (24u << 20)

struct ui_picture_key {
    struct p2p_digest of; /* the root of a content, or another unique mark */
    unsigned side;
};

struct ui_picture_cache;
/* NULL: out of memory. */
struct ui_picture_cache *ui_picture_cache_new(void);
void ui_picture_cache_free(struct ui_picture_cache *cache);

/* False: not there. *Returns owned* `*out`, free(); NULL: it is known that there is no
 * picture. */
bool ui_picture_cache_get(struct ui_picture_cache *cache,
                          const struct ui_picture_key *key, uint8_t **out, size_t *len);
/* Copies; `data` NULL: there is no picture. */
void ui_picture_cache_put(struct ui_picture_cache *cache,
                          const struct ui_picture_key *key, const uint8_t *data,
                          size_t len);

#endif
