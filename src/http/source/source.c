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
hold(struct http_sources *t, const struct http_address *key)
    P2P_REQUIRES(http_sources_lock)
{
    struct http_source **bucket = bucket_of(t, key), *s;

    for (s = *bucket; s != NULL; s = s->next)
        if (memcmp(&s->key, key, sizeof(*key)) == 0)
            break;
    if (s == NULL && (s = calloc(1, sizeof(*s))) != NULL) {
        s->key = *key;
        s->next = *bucket;
        *bucket = s;
    }
    if (s != NULL)
        s->holders++;
    return s;
}

static void
release(struct http_sources *t, struct http_source *source)
    P2P_REQUIRES(http_sources_lock)
{
    struct http_source **at;

    if (--source->holders > 0)
        return;
    for (at = bucket_of(t, &source->key); *at != source; at = &(*at)->next)
        ;
    *at = source->next;
    if (source->network != NULL && source->network != source)
        release(t, source->network);
    free(source);
}

/* Of a source that was just made. False: out of memory. */
static bool
find_network(struct http_sources *t, struct http_source *s)
    P2P_REQUIRES(http_sources_lock)
{
    struct http_address key = s->key;

    if (s->network != NULL)
        return true;
    if (http_address_is_v4(&key)) {
        s->network = s;
        return true;
    }
    memset(key.b + 6, 0, sizeof(key.b) - 6);
    key.b[sizeof(key.b) - 1] = 48; /* of a /64 this byte is 0 */
    s->network = hold(t, &key);
    return s->network != NULL;
}

struct http_source *
http_source_hold(struct http_sources *t, const struct http_address *address)
{
    struct http_address key = http_address_source(address);
    struct http_source *s;

    p2p_lock(&t->lock);
    if ((s = hold(t, &key)) != NULL && !find_network(t, s)) {
        release(t, s);
        s = NULL;
    }
    p2p_unlock(&t->lock);
    return s;
}

void
http_source_release(struct http_sources *t, struct http_source *source)
{
    if (source == NULL)
        return;
    p2p_lock(&t->lock);
    release(t, source);
    p2p_unlock(&t->lock);
}

/* The source itself may be its network. */
static void
add(uint64_t *of_source, uint64_t *of_network, uint64_t *of_all, uint64_t bytes)
{
    *of_source += bytes;
    if (of_network != of_source)
        *of_network += bytes;
    *of_all += bytes;
}

bool
http_source_take_body(struct http_sources *t, struct http_source *source, uint64_t more,
                      uint64_t budget, uint64_t always)
{
    uint64_t left;
    bool fits;

    p2p_lock(&t->lock);
    left = budget > t->body_bytes ? budget - t->body_bytes : 0;
    fits = source->network->body_bytes + more <= left ||
           source->body_bytes + more <= always;
    if (fits)
        add(&source->body_bytes, &source->network->body_bytes, &t->body_bytes, more);
    p2p_unlock(&t->lock);
    return fits;
}

void
http_source_give_body(struct http_sources *t, struct http_source *source,
                      uint64_t bytes)
{
    p2p_lock(&t->lock);
    add(&source->body_bytes, &source->network->body_bytes, &t->body_bytes, 0 - bytes);
    p2p_unlock(&t->lock);
}

void
http_source_add_answer(struct http_sources *t, struct http_source *source,
                       uint64_t bytes)
{
    p2p_lock(&t->lock);
    add(&source->answer_bytes, &source->network->answer_bytes, &t->answer_bytes, bytes);
    p2p_unlock(&t->lock);
}

void
http_source_sub_answer(struct http_sources *t, struct http_source *source,
                       uint64_t bytes)
{
    p2p_lock(&t->lock);
    add(&source->answer_bytes, &source->network->answer_bytes, &t->answer_bytes,
        0 - bytes);
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
    else if (source->network->answer_bytes > (budget - t->answer_bytes) / ANSWER_SHARE)
        may = HTTP_HAS_ENOUGH;
    p2p_unlock(&t->lock);
    return may;
}
