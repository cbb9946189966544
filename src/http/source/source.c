#include "http/source/source.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "p2p/lock.h"

/* One source alone may use a ninth of the budget for unread answers. */
#define ANSWER_SHARE 8u

void
http_sources_init(struct http_sources *t)
{
    memset(t, 0, sizeof(*t));
    p2p_mutex_init(&t->lock);
    if (getrandom(&t->seed, sizeof(t->seed), 0) != sizeof(t->seed))
        t->seed = (uintptr_t)t; /* never seen on Linux; still works */
}

void
http_sources_clear(struct http_sources *t)
{
    p2p_mutex_clear(&t->lock);
}

/* Seeded, so that a client cannot choose addresses that all fall into one bucket. */
static struct http_source **
bucket_of(struct http_sources *t, const struct http_address *key)
{
    uint64_t h = t->seed;

    for (size_t i = 0; i < sizeof(key->b); i++) {
        h = (h ^ key->b[i]) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    return &t->buckets[(h >> 20) % HTTP_SOURCE_BUCKETS];
}

static struct http_source *
hold(struct http_sources *t, struct http_address key)
{
    struct http_source **bucket = bucket_of(t, &key), *s;

    p2p_lock(&t->lock);
    for (s = *bucket; s != NULL; s = s->next)
        if (memcmp(&s->key, &key, sizeof(key)) == 0)
            break;
    if (s == NULL && (s = calloc(1, sizeof(*s))) != NULL) {
        s->key = key;
        s->next = *bucket;
        *bucket = s;
    }
    if (s != NULL)
        s->holders++;
    p2p_unlock(&t->lock);
    return s;
}

struct http_source *
http_source_hold(struct http_sources *t, const struct http_address *address)
{
    return hold(t, http_address_source(address));
}

struct http_source *
http_source_hold_network(struct http_sources *t, const struct http_address *address)
{
    struct http_address key = http_address_source(address);

    if (!http_address_is_v4(address)) {
        memset(key.b + 6, 0, sizeof(key.b) - 6);
        key.b[sizeof(key.b) - 1] = 48; /* of a /64 this byte is 0 */
    }
    return hold(t, key);
}

void
http_source_release(struct http_sources *t, struct http_source *source)
{
    struct http_source **at;

    if (source == NULL)
        return;
    p2p_lock(&t->lock);
    if (--source->holders == 0) {
        for (at = bucket_of(t, &source->key); *at != source; at = &(*at)->next)
            ;
        *at = source->next;
    } else
        source = NULL;
    p2p_unlock(&t->lock);
    free(source);
}

bool
http_source_take_body(struct http_sources *t, struct http_source *source, uint64_t more,
                      uint64_t budget, uint64_t always)
{
    uint64_t after, left;
    bool fits;

    p2p_lock(&t->lock);
    after = source->body_bytes + more;
    left = budget > t->body_bytes ? budget - t->body_bytes : 0;
    fits = after <= left || after <= always;
    if (fits) {
        source->body_bytes = after;
        t->body_bytes += more;
    }
    p2p_unlock(&t->lock);
    return fits;
}

void
http_source_give_body(struct http_sources *t, struct http_source *source,
                      uint64_t bytes)
{
    p2p_lock(&t->lock);
    source->body_bytes -= bytes;
    t->body_bytes -= bytes;
    p2p_unlock(&t->lock);
}

void
http_source_add_answer(struct http_sources *t, struct http_source *source,
                       uint64_t bytes)
{
    p2p_lock(&t->lock);
    source->answer_bytes += bytes;
    t->answer_bytes += bytes;
    p2p_unlock(&t->lock);
}

void
http_source_sub_answer(struct http_sources *t, struct http_source *source,
                       uint64_t bytes)
{
    p2p_lock(&t->lock);
    source->answer_bytes -= bytes;
    t->answer_bytes -= bytes;
    p2p_unlock(&t->lock);
}

enum http_may_answer
http_source_may_answer(struct http_sources *t, const struct http_source *source,
                       uint64_t budget)
{
    enum http_may_answer may = HTTP_MAY_ANSWER;

    p2p_lock(&t->lock);
    if (t->answer_bytes >= budget)
        may = HTTP_ALL_IS_FULL;
    else if (source->answer_bytes > (budget - t->answer_bytes) / ANSWER_SHARE)
        may = HTTP_HAS_ENOUGH;
    p2p_unlock(&t->lock);
    return may;
}
