#include "peer/admission.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "p2p/net.h"

enum {
    BUCKETS = 4096,
    /* Chance in 256 of an early drop where it begins; it rises to 256 at the limit. */
    EARLY_DROP_MIN = 77,
};

struct entry {
    struct entry *next;
    struct admission_source source;
    unsigned unfinished, open;
    double tokens;
    uint64_t tokens_at_ms;
    uint64_t penalty_until_ms;
};

struct admission {
    pthread_mutex_t lock;
    struct admission_options opt;
    uint64_t hash_key;
    unsigned unfinished;
    unsigned entries;
    struct entry *bucket[BUCKETS];
};

enum p2p_err
admission_new(const struct admission_options *opt, struct admission **out)
{
    struct admission *a = calloc(1, sizeof(*a));

    *out = a;
    if (a == NULL)
        return P2P_ERR_NOMEM;
    pthread_mutex_init(&a->lock, NULL);
    a->opt = *opt;
    /* Only spreads the table: a weak value when the kernel has none would be fine. */
    if (getrandom(&a->hash_key, sizeof(a->hash_key), 0) < 0)
        a->hash_key = (uint64_t)(uintptr_t)a;
    return P2P_OK;
}

void
admission_free(struct admission *a)
{
    if (a == NULL)
        return;
    for (unsigned i = 0; i < BUCKETS; i++) {
        for (struct entry *e = a->bucket[i], *next; e != NULL; e = next) {
            next = e->next;
            free(e);
        }
    }
    pthread_mutex_destroy(&a->lock);
    free(a);
}

void
admission_source_from(const struct sockaddr *sa, struct admission_source *out)
{
    memset(out, 0, sizeof(*out));
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)sa;
        memcpy(out->key, &in->sin_addr, 4);
        out->is_loopback = out->key[0] == 127;
    } else if (sa->sa_family == AF_INET6) {
        const struct in6_addr *in6 =
            &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED(in6)) {
            memcpy(out->key, in6->s6_addr + 12, 4);
            out->is_loopback = out->key[0] == 127;
        } else {
            memcpy(out->key, in6->s6_addr, 8);
            out->is_v6 = true;
            out->is_loopback = IN6_IS_ADDR_LOOPBACK(in6);
        }
    }
}

void
admission_source_of(int fd, const struct sockaddr *from, struct admission_source *out)
{
    struct sockaddr_storage here;
    socklen_t len = sizeof(here);
    struct p2p_addr ours, theirs;

    admission_source_from(from, out);
    if (getsockname(fd, (struct sockaddr *)&here, &len) != 0)
        return;
    p2p_addr_from_sockaddr((const struct sockaddr *)&here, &ours);
    p2p_addr_from_sockaddr(from, &theirs);
    if (strcmp(ours.host, theirs.host) == 0)
        out->is_loopback = true;
}

static bool
is_same(const struct admission_source *a, const struct admission_source *b)
{
    return a->is_v6 == b->is_v6 && memcmp(a->key, b->key, sizeof(a->key)) == 0;
}

static struct entry **
bucket_of(struct admission *a, const struct admission_source *source)
{
    uint64_t h;

    memcpy(&h, source->key, sizeof(h));
    h = (h ^ a->hash_key) * 0x9e3779b97f4a7c15ull;
    return &a->bucket[(h >> 40) % BUCKETS];
}

static void
refill(const struct admission *a, struct entry *e, uint64_t now_ms)
{
    double earned;

    /* Another thread may have asked the clock before us and come after us. */
    if (now_ms <= e->tokens_at_ms)
        return;
    earned = (double)(now_ms - e->tokens_at_ms) * a->opt.rate_per_s / 1000.0;
    e->tokens_at_ms = now_ms;
    e->tokens = e->tokens + earned > a->opt.burst ? a->opt.burst : e->tokens + earned;
}

/* Nothing left to remember: as a source that was never seen. */
static bool
is_stale(const struct admission *a, struct entry *e, uint64_t now_ms)
{
    refill(a, e, now_ms);
    return e->unfinished == 0 && e->open == 0 && e->penalty_until_ms <= now_ms &&
           e->tokens >= a->opt.burst;
}

/* Finds a source, dropping stale ones of its bucket on the way; makes it when there is
 * room. */
static struct entry *
find_or_add(struct admission *a, const struct admission_source *source, uint64_t now_ms)
{
    struct entry **link = bucket_of(a, source), **head = link, *e;

    /* cppcheck-suppress uninitvar ; a slot of a table from calloc */
    while ((e = *link) != NULL) {
        if (is_same(&e->source, source))
            return e;
        if (is_stale(a, e, now_ms)) {
            *link = e->next;
            free(e);
            a->entries--;
        } else {
            link = &e->next;
        }
    }
    if (a->entries >= a->opt.sources_max || (e = calloc(1, sizeof(*e))) == NULL)
        return NULL;
    e->source = *source;
    e->tokens = a->opt.burst;
    e->tokens_at_ms = now_ms;
    e->next = *head;
    *head = e;
    a->entries++;
    return e;
}

static bool
is_dropped_early(const struct admission *a, uint32_t random)
{
    unsigned from = a->opt.drop_from, span;
    uint32_t chance;

    if (a->unfinished >= a->opt.max)
        return true;
    if (a->unfinished < from || from >= a->opt.max)
        return false;
    span = a->opt.max - from;
    chance = EARLY_DROP_MIN + (256 - EARLY_DROP_MIN) * (a->unfinished - from) / span;
    return random % 256 < chance;
}

static enum admission_verdict
begin_stranger(struct admission *a, const struct admission_source *source,
               uint64_t now_ms, uint32_t random)
{
    struct entry *e;

    if (is_dropped_early(a, random))
        return ADMISSION_NO;
    /* No room to remember this source: fail closed. */
    if ((e = find_or_add(a, source, now_ms)) == NULL)
        return ADMISSION_NO;
    refill(a, e, now_ms);
    if (e->penalty_until_ms > now_ms || e->unfinished >= a->opt.per_source ||
        e->unfinished + e->open >= a->opt.open_per_source || e->tokens < 1)
        return ADMISSION_NO;
    e->tokens -= 1;
    e->unfinished++;
    return ADMISSION_YES;
}

enum admission_verdict
admission_begin(struct admission *a, const struct admission_source *source,
                uint64_t now_ms, uint32_t random)
{
    enum admission_verdict verdict = ADMISSION_YES;

    pthread_mutex_lock(&a->lock);
    if (!source->is_loopback)
        verdict = begin_stranger(a, source, now_ms, random);
    else if (a->unfinished >= a->opt.max)
        verdict = ADMISSION_WAIT;
    if (verdict == ADMISSION_YES)
        a->unfinished++;
    pthread_mutex_unlock(&a->lock);
    return verdict;
}

/* What a source has to answer for when its handshake has ended. */
static void
settle(struct entry *e, enum admission_end how, uint64_t now_ms)
{
    static const uint64_t penalty_ms[] = {
        [ADMISSION_NO_AUTH] = 1000,
        [ADMISSION_WRONG] = 5000,
        [ADMISSION_LATE] = 10000,
    };
    unsigned *count = how == ADMISSION_GONE ? &e->open : &e->unfinished;

    if (*count > 0)
        (*count)--;
    if (how == ADMISSION_GONE)
        return;
    if (how == ADMISSION_FINISHED) {
        e->open++;
        e->tokens += 1;
    } else if (e->penalty_until_ms < now_ms + penalty_ms[how]) {
        e->penalty_until_ms = now_ms + penalty_ms[how];
    }
}

void
admission_end(struct admission *a, const struct admission_source *source,
              enum admission_end how, uint64_t now_ms)
{
    struct entry *e;

    pthread_mutex_lock(&a->lock);
    if (how != ADMISSION_GONE)
        a->unfinished--;
    if (!source->is_loopback && (e = find_or_add(a, source, now_ms)) != NULL)
        settle(e, how, now_ms);
    pthread_mutex_unlock(&a->lock);
}

unsigned
admission_count(struct admission *a)
{
    pthread_mutex_lock(&a->lock);
    unsigned count = a->unfinished;
    pthread_mutex_unlock(&a->lock);
    return count;
}
