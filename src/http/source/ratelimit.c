#include "http/source/ratelimit.h"

#include "http/source/address.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "p2p/lock.h"

#define WAYS 8

struct bucket {
    uint64_t key; /* keyed hash; 0: never used */
    uint64_t at_ms;
    double tokens;
};

P2P_MUTEX_KIND(http_ratelimit_lock);
struct http_ratelimit {
    struct http_ratelimit_lock lock;
    double per_ms, burst;
    uint64_t seed[2];
    size_t n_sets;
    struct bucket buckets[];
};

struct http_ratelimit *
http_ratelimit_new(double per_second, double burst, size_t slots)
{
    struct http_ratelimit *t;
    size_t n_sets = 1;

    while (n_sets * WAYS < slots)
        n_sets *= 2;
    t = calloc(1, sizeof(*t) + n_sets * WAYS * sizeof(t->buckets[0]));
    if (t == NULL)
        return NULL;
    p2p_mutex_init(&t->lock);
    t->per_ms = per_second / 1000;
    t->burst = burst;
    t->n_sets = n_sets;
    if (getrandom(t->seed, sizeof(t->seed), 0) != sizeof(t->seed))
        t->seed[0] = (uint64_t)(uintptr_t)t; /* never seen on Linux; still works */
    return t;
}

void
http_ratelimit_free(struct http_ratelimit *t)
{
    if (t == NULL)
        return;
    p2p_mutex_clear(&t->lock);
    free(t);
}

/* Seeded, so that a client cannot choose addresses that all fall into one set. */
static uint64_t
hash_key(const struct http_ratelimit *t, const uint8_t *key, size_t n)
{
    uint64_t h = t->seed[0] ^ n;

    for (size_t i = 0; i < n; i++) {
        h = (h ^ key[i]) * 0x9e3779b97f4a7c15u;
        h = (h ^ h >> 29 ^ t->seed[1]) * 0xbf58476d1ce4e5b9u;
    }
    h ^= h >> 32;
    return h != 0 ? h : 1;
}

static double
tokens_now(const struct http_ratelimit *t, const struct bucket *b, uint64_t now_ms)
{
    double more = now_ms > b->at_ms ? (double)(now_ms - b->at_ms) * t->per_ms : 0;

    return b->key == 0 || b->tokens + more > t->burst ? t->burst : b->tokens + more;
}

static struct bucket *
find_bucket(struct http_ratelimit *t, uint64_t key, uint64_t now_ms)
{
    struct bucket *set = &t->buckets[(key & (t->n_sets - 1)) * WAYS];
    struct bucket *fullest = set;

    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].key == key)
            return &set[i];
        if (tokens_now(t, &set[i], now_ms) > tokens_now(t, fullest, now_ms))
            fullest = &set[i];
    }
    *fullest = (struct bucket){.key = key, .at_ms = now_ms, .tokens = t->burst};
    return fullest;
}

unsigned
http_ratelimit_take(struct http_ratelimit *t, const void *key, size_t key_len,
                    double cost, uint64_t now_ms)
{
    uint64_t hash = hash_key(t, key, key_len);
    double wait_ms = 0;
    struct bucket *b;

    p2p_lock(&t->lock);
    b = find_bucket(t, hash, now_ms);
    b->tokens = tokens_now(t, b, now_ms);
    b->at_ms = now_ms;
    if (b->tokens >= cost)
        b->tokens -= cost;
    else
        wait_ms = t->per_ms > 0 ? (cost - b->tokens) / t->per_ms : 3600e3;
    p2p_unlock(&t->lock);
    if (wait_ms <= 0)
        return 0;
    return wait_ms < 3600e3 ? (unsigned)(wait_ms / 1000) + 1 : 3600;
}

void
http_ratelimit_charge(struct http_ratelimit *t, const void *key, size_t key_len,
                      double cost, uint64_t now_ms)
{
    uint64_t hash = hash_key(t, key, key_len);
    struct bucket *b;

    p2p_lock(&t->lock);
    b = find_bucket(t, hash, now_ms);
    b->tokens = tokens_now(t, b, now_ms) - cost;
    if (b->tokens < -t->burst)
        b->tokens = -t->burst;
    b->at_ms = now_ms;
    p2p_unlock(&t->lock);
}

/* The key of an address: the part that identifies one customer. Returns its length. */
static size_t
key_of(const char *ip, struct http_address *key)
{
    if (!http_address_parse(ip, strlen(ip), key))
        memset(key, 0xff, sizeof(*key)); /* all invalid addresses share one key */
    *key = http_address_source(key);
    return sizeof(*key);
}

unsigned
http_ratelimit_take_ip(struct http_ratelimit *t, const char *ip, double cost,
                       uint64_t now_ms)
{
    struct http_address key;
    size_t len = key_of(ip, &key);

    return http_ratelimit_take(t, &key, len, cost, now_ms);
}

void
http_ratelimit_charge_ip(struct http_ratelimit *t, const char *ip, double cost,
                         uint64_t now_ms)
{
    struct http_address key;
    size_t len = key_of(ip, &key);

    http_ratelimit_charge(t, &key, len, cost, now_ms);
}
