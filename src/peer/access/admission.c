#include "peer/access/admission.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "p2p/lock.h"
#include "p2p/net.h"

enum {
    BUCKETS = 4096,
    WIDE_FACTOR = 4, /* a /48 network has this many times the limit of one of its /64 */
    EXPIRE_PER_ADD = 2, /* how many sources with nothing to remember a new one may
                         * replace */
};

TAILQ_HEAD(ticket_list, admission_ticket);
TAILQ_HEAD(entry_list, entry);

struct tokens {
    double left;
    uint64_t at_ms;
};

/* The /48 of sources: a customer of a network provider has up to 65,536 /64. */
struct wide {
    struct wide *next;
    uint8_t key[6];
    unsigned entries; /* its sources in the table */
    unsigned unfinished, open;
    struct tokens work;
};

struct entry {
    struct entry *next;
    struct wide *wide;     /* NULL for IPv4 and for the shared entry */
    struct entry **bucket; /* NULL: the shared entry */
    TAILQ_ENTRY(entry) quiet_link;
    bool is_quiet;
    struct admission_source source;
    unsigned unfinished, open;
    struct tokens attempts, work;
    uint64_t penalty_until_ms;
};

P2P_MUTEX_KIND(admission_lock);
struct admission {
    struct admission_lock lock;
    struct admission_options opt;
    uint64_t hash_key;
    /* The tickets of unknown clients are in `tickets`, oldest first. */
    unsigned unfinished P2P_GUARDED_BY(admission_lock);
    unsigned strangers P2P_GUARDED_BY(admission_lock);
    struct ticket_list tickets P2P_GUARDED_BY(admission_lock);
    struct tokens total P2P_GUARDED_BY(admission_lock);
    /* Sorted. */
    struct admission_source *known P2P_GUARDED_BY(admission_lock);
    size_t known_count P2P_GUARDED_BY(admission_lock);
    unsigned entries P2P_GUARDED_BY(admission_lock);
    /* Sources without a handshake or connection, the longest * idle one first. */
    struct entry_list quiet P2P_GUARDED_BY(admission_lock);
    /* Shared by sources that do not fit into the table. */
    struct entry shared P2P_GUARDED_BY(admission_lock);
    struct entry *bucket[BUCKETS] P2P_GUARDED_BY(admission_lock);
    struct wide *wide[BUCKETS];
};

enum p2p_err
admission_new(const struct admission_options *opt, struct admission **out)
{
    struct admission *a = calloc(1, sizeof(*a));

    *out = a;
    if (a == NULL)
        return P2P_ERR_NOMEM;
    p2p_mutex_init(&a->lock);
    TAILQ_INIT(&a->tickets);
    TAILQ_INIT(&a->quiet);
    a->opt = *opt;
    a->total.left = opt->total_burst;
    a->shared.attempts.left = opt->burst;
    a->shared.work.left = opt->work_burst;
    /* Only spreads the entries of the table, so a weak value is fine if the kernel has
     * no random bytes. */
    if (getrandom(&a->hash_key, sizeof(a->hash_key), 0) < 0)
        a->hash_key = (uint64_t)(uintptr_t)a;
    return P2P_OK;
}

void
admission_free(struct admission *a)
{
    if (a == NULL)
        return;
    p2p_mutex_unshared(&a->lock);
    for (unsigned i = 0; i < BUCKETS; i++) {
        for (struct entry *e = a->bucket[i], *next; e != NULL; e = next) {
            next = e->next;
            free(e);
        }
        for (struct wide *w = a->wide[i], *next; w != NULL; w = next) {
            next = w->next;
            free(w);
        }
    }
    p2p_mutex_clear(&a->lock);
    free(a->known);
    free(a);
}

/* ---- Sources ---- */

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

static int
compare(const void *a, const void *b)
{
    const struct admission_source *x = a, *y = b;

    if (x->is_v6 != y->is_v6)
        return x->is_v6 ? 1 : -1;
    return memcmp(x->key, y->key, sizeof(x->key));
}

void
admission_know(struct admission *a, struct admission_source *sources, size_t count)
{
    struct admission_source *former;

    if (count > 0)
        qsort(sources, count, sizeof(*sources), compare);
    p2p_lock(&a->lock);
    former = a->known;
    a->known = sources;
    a->known_count = count;
    p2p_unlock(&a->lock);
    free(former);
}

static bool
is_known(const struct admission *a, const struct admission_source *source)
    P2P_REQUIRES(admission_lock)
{
    return a->known_count > 0 && bsearch(source, a->known, a->known_count,
                                         sizeof(*a->known), compare) != NULL;
}

/* ---- Tokens ---- */

static void
refill(struct tokens *t, unsigned rate_per_s, unsigned burst, uint64_t now_ms)
{
    /* Another thread may have read the clock earlier and come later: time must not go
     * back. */
    if (now_ms <= t->at_ms)
        return;
    t->left += (double)(now_ms - t->at_ms) * rate_per_s / 1000.0;
    t->at_ms = now_ms;
    if (t->left > burst)
        t->left = burst;
}

static void
refill_entry(const struct admission *a, struct entry *e, uint64_t now_ms)
{
    refill(&e->attempts, a->opt.rate_per_s, a->opt.burst, now_ms);
    refill(&e->work, a->opt.work_rate_per_s, a->opt.work_burst, now_ms);
    if (e->wide != NULL)
        refill(&e->wide->work, WIDE_FACTOR * a->opt.work_rate_per_s,
               WIDE_FACTOR * a->opt.work_burst, now_ms);
}

/* ---- The table ---- */

static unsigned
bucket_number(const struct admission *a, const uint8_t *key, size_t len)
{
    uint64_t h = 0;

    memcpy(&h, key, len);
    h = (h ^ a->hash_key) * 0x9e3779b97f4a7c15ull;
    return (unsigned)(h >> 40) % BUCKETS;
}

static struct entry **
bucket_of(struct admission *a, const struct admission_source *source)
{
    return &a->bucket[bucket_number(a, source->key, sizeof(source->key))];
}

/* NULL: IPv4, or out of memory. */
static struct wide *
hold_wide(struct admission *a, const struct admission_source *source, uint64_t now_ms)
{
    struct wide **head = &a->wide[bucket_number(a, source->key, sizeof((*head)->key))];
    struct wide *w = source->is_v6 ? *head : NULL;

    if (!source->is_v6)
        return NULL;
    while (w != NULL && memcmp(w->key, source->key, sizeof(w->key)) != 0)
        w = w->next;
    if (w == NULL && (w = calloc(1, sizeof(*w))) != NULL) {
        memcpy(w->key, source->key, sizeof(w->key));
        w->work =
            (struct tokens){.left = WIDE_FACTOR * a->opt.work_burst, .at_ms = now_ms};
        w->next = *head;
        *head = w;
    }
    if (w != NULL)
        w->entries++;
    return w;
}

static void
release_wide(struct admission *a, struct wide *w)
{
    struct wide **link;

    if (w == NULL || --w->entries > 0)
        return;
    link = &a->wide[bucket_number(a, w->key, sizeof(w->key))];
    while (*link != w)
        link = &(*link)->next;
    *link = w->next;
    free(w);
}

/* The counts of an entry change together with those of its /48. */
static void
count(struct entry *e, int unfinished, int open)
{
    e->unfinished += (unsigned)unfinished;
    e->open += (unsigned)open;
    if (e->wide == NULL)
        return;
    e->wide->unfinished += (unsigned)unfinished;
    e->wide->open += (unsigned)open;
}

/* How many unfinished handshakes count as those of one client. */
static unsigned
crowd_of(const struct entry *e)
{
    return e->wide != NULL ? e->wide->unfinished : e->unfinished;
}

static void
forget(struct admission *a, struct entry *e) P2P_REQUIRES(admission_lock)
{
    struct entry **link = e->bucket;

    while (*link != e)
        link = &(*link)->next;
    *link = e->next;
    TAILQ_REMOVE(&a->quiet, e, quiet_link);
    a->entries--;
    release_wide(a, e->wide);
    free(e);
}

/* True if nothing is left to remember: the source looks like a new one. */
static bool
is_stale(const struct admission *a, struct entry *e, uint64_t now_ms)
{
    refill_entry(a, e, now_ms);
    return e->penalty_until_ms <= now_ms && e->attempts.left >= a->opt.burst &&
           e->work.left >= a->opt.work_burst;
}

/* Makes room for one more source: removes one with nothing left to remember, or else
 * the one that was quiet for longest. */
static bool
make_room(struct admission *a, uint64_t now_ms) P2P_REQUIRES(admission_lock)
{
    struct entry *e;

    for (int i = 0; i < EXPIRE_PER_ADD; i++) {
        if ((e = TAILQ_FIRST(&a->quiet)) == NULL || !is_stale(a, e, now_ms))
            break;
        forget(a, e);
    }
    if (a->entries >= a->opt.sources_max && (e = TAILQ_FIRST(&a->quiet)) != NULL)
        forget(a, e);
    return a->entries < a->opt.sources_max;
}

static void
set_quiet(struct admission *a, struct entry *e)
{
    bool is_quiet = e->unfinished == 0 && e->open == 0 && e->bucket != NULL;

    if (is_quiet && !e->is_quiet)
        TAILQ_INSERT_TAIL(&a->quiet, e, quiet_link);
    else if (!is_quiet && e->is_quiet)
        TAILQ_REMOVE(&a->quiet, e, quiet_link);
    e->is_quiet = is_quiet;
}

/* Sources share one entry when the table is full of sources that are connected. */
static struct entry *
find_or_add(struct admission *a, const struct admission_source *source, uint64_t now_ms)
    P2P_REQUIRES(admission_lock)
{
    struct entry **head = bucket_of(a, source), *e;

    for (e = *head; e != NULL; e = e->next) {
        if (compare(&e->source, source) == 0)
            return e;
    }
    if (!make_room(a, now_ms) || (e = calloc(1, sizeof(*e))) == NULL)
        return &a->shared;
    e->source = *source;
    e->wide = hold_wide(a, source, now_ms);
    e->attempts = (struct tokens){.left = a->opt.burst, .at_ms = now_ms};
    e->work = (struct tokens){.left = a->opt.work_burst, .at_ms = now_ms};
    e->bucket = head;
    e->next = *head;
    *head = e;
    a->entries++;
    set_quiet(a, e);
    return e;
}

/* ---- Places ---- */

static void
leave_unfinished(struct admission *a, struct admission_ticket *t)
    P2P_REQUIRES(admission_lock)
{
    t->is_unfinished = false;
    a->unfinished--;
    if (t->entry != NULL)
        count(t->entry, -1, 0);
    if (!t->is_stranger)
        return;
    TAILQ_REMOVE(&a->tickets, t, link);
    a->strangers--;
}

static bool
is_of(const struct entry *e, const struct entry *newcomer)
{
    return e == newcomer ||
           (newcomer != NULL && e->wide != NULL && e->wide == newcomer->wide);
}

/* The limits of one source, for its /48. */
static bool
is_wide_full(const struct admission *a, const struct wide *w)
{
    return w != NULL &&
           (w->unfinished >= WIDE_FACTOR * a->opt.per_source ||
            w->unfinished + w->open >= WIDE_FACTOR * a->opt.open_per_source);
}

/* The source (or /48) with the most handshakes loses its oldest one. A new source that
 * would have the most loses its own. */
static struct admission_ticket *
pick_victim(const struct admission *a, const struct entry *newcomer)
{
    struct admission_ticket *t, *victim = NULL;
    unsigned most = newcomer == NULL ? 0 : crowd_of(newcomer);
    unsigned of_source = newcomer == NULL ? 0 : newcomer->unfinished;

    TAILQ_FOREACH(t, &a->tickets, link)
    {
        unsigned crowd = crowd_of(t->entry), unfinished = t->entry->unfinished;
        bool is_more = crowd > most || (crowd == most && unfinished > of_source);
        if (is_more || (victim == NULL && is_of(t->entry, newcomer))) {
            most = crowd;
            of_source = unfinished;
            victim = t;
        }
    }
    return victim;
}

static bool
take_place_of_another(struct admission *a, const struct entry *newcomer)
    P2P_REQUIRES(admission_lock)
{
    struct admission_ticket *victim = pick_victim(a, newcomer);

    if (victim == NULL)
        return false;
    leave_unfinished(a, victim);
    set_quiet(a, victim->entry);
    victim->entry = NULL;
    victim->revoked = true;
    a->opt.on_revoked(victim->owner);
    return true;
}

static enum admission_verdict
begin_remote(struct admission *a, struct admission_ticket *t,
             const struct admission_source *source, uint64_t now_ms)
    P2P_REQUIRES(admission_lock)
{
    struct entry *e = find_or_add(a, source, now_ms);
    bool is_full;

    t->is_stranger = !is_known(a, source);
    refill_entry(a, e, now_ms);
    if (e->penalty_until_ms > now_ms || e->unfinished >= a->opt.per_source ||
        e->unfinished + e->open >= a->opt.open_per_source || e->attempts.left < 1 ||
        (t->is_stranger && is_wide_full(a, e->wide)))
        return ADMISSION_NO;
    is_full = a->unfinished >= a->opt.max ||
              (t->is_stranger && a->strangers >= a->opt.max - a->opt.reserved);
    if (is_full && !take_place_of_another(a, t->is_stranger ? e : NULL))
        return ADMISSION_NO;
    e->attempts.left -= 1;
    count(e, 1, 0);
    set_quiet(a, e);
    t->entry = e;
    if (t->is_stranger) {
        TAILQ_INSERT_TAIL(&a->tickets, t, link);
        a->strangers++;
    }
    return ADMISSION_YES;
}

enum admission_verdict
admission_begin(struct admission *a, struct admission_ticket *ticket,
                const struct admission_source *source, void *owner, uint64_t now_ms)
{
    enum admission_verdict verdict = ADMISSION_YES;

    p2p_lock(&a->lock);
    ticket->owner = owner;
    if (!source->is_loopback)
        verdict = begin_remote(a, ticket, source, now_ms);
    else if (a->unfinished >= a->opt.max && !take_place_of_another(a, NULL))
        verdict = ADMISSION_WAIT;
    if (verdict == ADMISSION_YES) {
        a->unfinished++;
        ticket->is_unfinished = true;
    }
    p2p_unlock(&a->lock);
    return verdict;
}

/* A source that has used none of its own tokens lately may borrow a token when the
 * common bucket is empty. */
static bool
take_total(struct admission *a, const struct entry *e, uint64_t now_ms)
    P2P_REQUIRES(admission_lock)
{
    bool is_fresh =
        e->work.left > a->opt.work_burst - 1 &&
        (e->wide == NULL || e->wide->work.left > WIDE_FACTOR * a->opt.work_burst - 1);
    double floor = is_fresh ? -(double)a->opt.total_burst : 0;

    refill(&a->total, a->opt.total_rate_per_s, a->opt.total_burst, now_ms);
    if (a->total.left - 1 < floor)
        return false;
    a->total.left -= 1;
    return true;
}

static bool
take_work(struct admission *a, const struct admission_ticket *ticket, uint64_t now_ms)
    P2P_REQUIRES(admission_lock)
{
    struct entry *e = ticket->entry;

    refill_entry(a, e, now_ms);
    if (e->work.left < 1 ||
        (ticket->is_stranger && e->wide != NULL && e->wide->work.left < 1))
        return false;
    if (ticket->is_stranger && !take_total(a, e, now_ms))
        return false;
    e->work.left -= 1;
    if (e->wide != NULL && e->wide->work.left >= 1)
        e->wide->work.left -= 1;
    return true;
}

bool
admission_work(struct admission *a, struct admission_ticket *ticket, uint64_t now_ms)
{
    bool may;

    p2p_lock(&a->lock);
    may = ticket->is_unfinished;
    if (may && ticket->entry != NULL)
        may = take_work(a, ticket, now_ms);
    p2p_unlock(&a->lock);
    return may;
}

bool
admission_finish(struct admission *a, struct admission_ticket *ticket, uint64_t now_ms)
{
    bool is_here;

    p2p_lock(&a->lock);
    if ((is_here = ticket->is_unfinished)) {
        leave_unfinished(a, ticket);
        ticket->is_open = true;
        if (ticket->entry != NULL) {
            refill_entry(a, ticket->entry, now_ms);
            ticket->entry->attempts.left += 1;
            count(ticket->entry, 0, 1);
        }
    }
    p2p_unlock(&a->lock);
    return is_here;
}

static void
punish(struct entry *e, enum admission_end how, uint64_t now_ms)
{
    static const uint64_t penalty_ms[] = {
        [ADMISSION_NO_AUTH] = 1000,
        [ADMISSION_WRONG] = 5000,
        [ADMISSION_LATE] = 10000,
        [ADMISSION_REFUSED] = 0,
    };

    if (e->penalty_until_ms < now_ms + penalty_ms[how])
        e->penalty_until_ms = now_ms + penalty_ms[how];
}

void
admission_end(struct admission *a, struct admission_ticket *ticket,
              enum admission_end how, uint64_t now_ms)
{
    struct entry *e;

    p2p_lock(&a->lock);
    e = ticket->entry;
    if (ticket->is_unfinished) {
        leave_unfinished(a, ticket);
        if (e != NULL)
            punish(e, how, now_ms);
    } else if (ticket->is_open && e != NULL) {
        count(e, 0, -1);
    }
    ticket->is_open = false;
    if (e != NULL)
        set_quiet(a, e);
    ticket->entry = NULL;
    p2p_unlock(&a->lock);
}

bool
admission_is_revoked(const struct admission_ticket *ticket)
{
    return ticket->revoked;
}

unsigned
admission_count(struct admission *a)
{
    p2p_lock(&a->lock);
    unsigned count = a->unfinished;
    p2p_unlock(&a->lock);
    return count;
}
