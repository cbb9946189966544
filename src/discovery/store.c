#include "discovery/store_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/bytes.h"
#include "p2p/log.h"
#include "p2p/net.h"

enum p2p_err
store_check_url(const char *url)
{
    struct redis_url parsed;

    return redis_url_parse(url, &parsed);
}

#ifdef P2P_WITH_HIREDIS

#define BATCH         64u
#define ANSWER_MS     2000u
#define LOG_LENGTH    "20000" /* entries the log keeps, about */
#define SWEEP_MS      60000u
#define BACK_OFF_MIN  100u
#define BACK_OFF_MAX  3000u
#define BEATS_AT_ONCE 1000u

uint64_t
store_wall_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void
wait_on(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t until_ms)
{
    struct timespec t = {.tv_sec = (time_t)(until_ms / 1000),
                         .tv_nsec = (long)(until_ms % 1000) * 1000000};

    pthread_cond_timedwait(cond, lock, &t);
}

bool
store_pause(struct store *s, uint64_t ms)
{
    uint64_t until = p2p_now_ms() + ms;
    bool goes_on;

    pthread_mutex_lock(&s->lock);
    while (!s->is_stopping && p2p_now_ms() < until)
        wait_on(&s->told, &s->lock, until);
    goes_on = !s->is_stopping;
    pthread_mutex_unlock(&s->lock);
    return goes_on;
}

/* ------------------------------------------------------------------ the queue */

static struct store_item *
item_new(enum store_type type, const struct p2p_id *id, const void *bytes, size_t len)
{
    struct store_item *item = malloc(sizeof(*item) + len);

    if (item == NULL)
        return NULL;
    *item = (struct store_item){.type = type, .len = len};
    if (id != NULL)
        item->id = *id;
    memcpy(item->bytes, bytes, len);
    return item;
}

/* Takes the item; false, and frees it, when too much waits already. */
static bool
enqueue(struct store *s, struct store_item *item, uint64_t *number)
{
    bool has_room;

    if (item == NULL)
        return false;
    pthread_mutex_lock(&s->lock);
    has_room = s->waiting_bytes + item->len <= STORE_QUEUE_BYTES;
    if (has_room) {
        item->number = *number = ++s->next_number;
        if (s->first == NULL)
            s->first = item;
        else
            s->last->next = item;
        s->last = item;
        s->waiting_bytes += item->len;
        pthread_cond_signal(&s->work);
    }
    pthread_mutex_unlock(&s->lock);
    if (!has_room)
        free(item);
    return has_room;
}

struct put {
    struct store *store;
    struct store_item *item;
};

static bool
make_put(void *arg, const struct registry_exported *p)
{
    struct put *put = arg;
    uint64_t now_ms = p2p_now_ms();
    uint64_t silent_ms = now_ms > p->heard_ms ? now_ms - p->heard_ms : 0;

    if (p->bytes == NULL)
        return true;
    put->item = item_new(STORE_PUT, &p->id, p->bytes, p->len);
    if (put->item != NULL)
        put->item->until = store_wall_ms() + put->store->ttl_ms - silent_ms;
    return true;
}

bool
store_queue_put(struct store *s, const struct p2p_id *id, uint64_t *number)
{
    struct put put = {s, NULL};

    return registry_export_one(s->registry, id, make_put, &put) &&
           enqueue(s, put.item, number);
}

/* Until Redis has it; while Redis is known to be away nobody is kept waiting. */
static void
wait_for_ack(struct store *s, uint64_t number)
{
    uint64_t until = p2p_now_ms() + STORE_ACK_MS;

    pthread_mutex_lock(&s->lock);
    while (s->acked < number && !s->is_stopping && !s->write_failed &&
           p2p_now_ms() < until)
        wait_on(&s->told, &s->lock, until);
    pthread_mutex_unlock(&s->lock);
}

enum p2p_err
store_put(struct store *s, const struct p2p_id *id)
{
    uint64_t number;

    if (!store_queue_put(s, id, &number))
        return P2P_ERR_BUSY;
    wait_for_ack(s, number);
    return P2P_OK;
}

enum p2p_err
store_left(struct store *s, const struct p2p_id *id, uint64_t seq)
{
    uint64_t until_s = p2p_time_s() + 7 * 24 * 3600, number;
    uint8_t bytes[STORE_LEFT_LEN];
    struct store_item *item;

    store_log_put_left(bytes, id, seq, until_s);
    if ((item = item_new(STORE_LEFT, id, bytes, sizeof(bytes))) == NULL)
        return P2P_ERR_NOMEM;
    item->seq = seq;
    item->until = until_s;
    if (!enqueue(s, item, &number))
        return P2P_ERR_BUSY;
    wait_for_ack(s, number);
    return P2P_OK;
}

/* ------------------------------------------------------------------ writing */

#define TEXT(s) REDIS_TEXT(s)

struct key {
    char text[sizeof(STORE_KEY_PEER) + 2 * P2P_DIGEST_LEN];
    size_t len;
};

static struct key
peer_key(const struct p2p_id *id)
{
    struct key k;

    memcpy(k.text, STORE_KEY_PEER, sizeof(STORE_KEY_PEER) - 1);
    p2p_hex_format(id->b, sizeof(id->b), k.text + sizeof(STORE_KEY_PEER) - 1);
    k.len = strlen(k.text);
    return k;
}

/* Each returns how many answers are to come, 0 when the link is broken. */
static unsigned
send_log(struct store *s, struct redis_link *l, const struct store_item *item)
{
    const char *type = store_type_name(item->type);
    struct redis_word words[] = {TEXT("XADD"),     TEXT(STORE_KEY_LOG),
                                 TEXT("MAXLEN"),   TEXT("~"),
                                 TEXT(LOG_LENGTH), TEXT("*"),
                                 TEXT("o"),        {s->origin, STORE_ORIGIN_LEN},
                                 TEXT("t"),        {type, strlen(type)},
                                 TEXT("d"),        {item->bytes, item->len}};

    return redis_send(l, words, sizeof(words) / sizeof(words[0]));
}

static unsigned
send_put(struct store *s, struct redis_link *l, const struct store_item *item)
{
    struct key k = peer_key(&item->id);
    const char *hex = k.text + sizeof(STORE_KEY_PEER) - 1;
    char until[24];
    struct redis_word set[] = {TEXT("SET"), {k.text, k.len}, {item->bytes, item->len}};
    struct redis_word add[] = {
        TEXT("ZADD"), TEXT(STORE_KEY_UNTIL), {until, 0}, {hex, 2 * P2P_DIGEST_LEN}};

    add[2].len =
        (size_t)snprintf(until, sizeof(until), "%llu", (unsigned long long)item->until);
    /* The log last: who starts now and misses it finds the record. */
    return redis_send(l, set, 3) && redis_send(l, add, 4) && send_log(s, l, item) ? 3
                                                                                  : 0;
}

static unsigned
send_left(struct store *s, struct redis_link *l, const struct store_item *item)
{
    struct key k = peer_key(&item->id);
    const char *hex = k.text + sizeof(STORE_KEY_PEER) - 1;
    char member[2 * P2P_DIGEST_LEN + 24], until[24];
    struct redis_word del[] = {TEXT("DEL"), {k.text, k.len}};
    struct redis_word rem[] = {
        TEXT("ZREM"), TEXT(STORE_KEY_UNTIL), {hex, 2 * P2P_DIGEST_LEN}};
    struct redis_word add[] = {
        TEXT("ZADD"), TEXT(STORE_KEY_LEFT), {until, 0}, {member, 0}};

    add[2].len =
        (size_t)snprintf(until, sizeof(until), "%llu", (unsigned long long)item->until);
    add[3].len = (size_t)snprintf(member, sizeof(member), "%s %llu", hex,
                                  (unsigned long long)item->seq);
    return redis_send(l, add, 4) && redis_send(l, del, 2) && redis_send(l, rem, 3) &&
                   send_log(s, l, item)
               ? 4
               : 0;
}

/* One ZADD for all of them, of those that are there only: a beat is no registration. */
static unsigned
send_beats(struct store *s, struct redis_link *l, const struct store_item *item)
{
    size_t n = item->len / STORE_BEAT_LEN;
    struct redis_word *words = calloc(3 + 2 * n, sizeof(*words));
    char(*scores)[24] = calloc(n, sizeof(*scores));
    char(*hex)[2 * P2P_DIGEST_LEN + 1] = calloc(n, sizeof(*hex));
    uint64_t until = store_wall_ms() + s->ttl_ms;
    bool ok = words != NULL && scores != NULL && hex != NULL;

    for (size_t i = 0; ok && i < n; i++) {
        const uint8_t *beat = item->bytes + i * STORE_BEAT_LEN;
        int len = snprintf(scores[i], sizeof(scores[i]), "%llu",
                           (unsigned long long)(until - p2p_load_u32(beat + 32)));

        p2p_hex_format(beat, P2P_DIGEST_LEN, hex[i]);
        words[3 + 2 * i] = (struct redis_word){scores[i], (size_t)len};
        words[4 + 2 * i] = (struct redis_word){hex[i], 2 * P2P_DIGEST_LEN};
    }
    if (ok) {
        words[0] = TEXT("ZADD");
        words[1] = TEXT(STORE_KEY_UNTIL);
        words[2] = TEXT("XX");
        ok = redis_send(l, words, 3 + 2 * n) && send_log(s, l, item);
    }
    free(words);
    free(scores);
    free(hex);
    return ok ? 2 : 0;
}

static bool
receive_all(struct redis_link *l, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct redisReply *reply = redis_receive(l);

        if (reply == NULL)
            return false;
        redis_reply_free(reply);
    }
    return true;
}

/* Up to BATCH items in one go; they stay in the queue until all are acknowledged. */
static bool
write_batch(struct store *s, struct redis_link *l, const struct store_item *first,
            unsigned n)
{
    static unsigned (*const senders[])(struct store *, struct redis_link *,
                                       const struct store_item *) = {
        [STORE_PUT] = send_put, [STORE_LEFT] = send_left, [STORE_BEAT] = send_beats};
    unsigned answers = 0;

    for (unsigned i = 0; i < n; i++, first = first->next) {
        unsigned more = senders[first->type](s, l, first);

        if (more == 0)
            return false;
        answers += more;
    }
    return receive_all(l, answers);
}

static void
drop_batch(struct store *s, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct store_item *item = s->first;

        s->first = item->next;
        s->acked = item->number;
        s->waiting_bytes -= item->len;
        s->sent++;
        free(item);
    }
    s->write_failed = false;
    pthread_cond_broadcast(&s->told);
}

/* Only this thread takes items away, so the first n stay where they are. */
static unsigned
batch_size(const struct store *s)
{
    unsigned n = 0;

    for (const struct store_item *i = s->first; i != NULL && n < BATCH; i = i->next)
        n++;
    return n;
}

/* ------------------------------------------------------------------ beats and sweeping
 */

static void
gather_beats(struct store *s)
{
    struct registry_beat *beats = malloc(BEATS_AT_ONCE * sizeof(*beats));
    uint8_t *bytes = malloc(BEATS_AT_ONCE * STORE_BEAT_LEN);
    uint32_t from = 0;
    uint64_t number;

    while (beats != NULL && bytes != NULL && from != UINT32_MAX) {
        size_t n = registry_take_beats(s->registry, &from, beats, BEATS_AT_ONCE);

        for (size_t i = 0; i < n; i++)
            store_log_put_beat(bytes + i * STORE_BEAT_LEN, &beats[i], p2p_now_ms());
        /* No room: they are told of with the next heartbeat. */
        if (n > 0)
            (void)enqueue(s, item_new(STORE_BEAT, NULL, bytes, n * STORE_BEAT_LEN),
                          &number);
    }
    free(beats);
    free(bytes);
}

/* Peers that no registry has heard of for two TTLs; as a script, so that none of them
 * can come back half way. */
static bool
sweep(struct store *s, struct redis_link *l)
{
    static const char script[] =
        "for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], "
        "'LIMIT', 0, 1000)) do redis.call('DEL', ARGV[3] .. id) "
        "redis.call('ZREM', KEYS[1], id) end "
        "redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[2]) return 1";
    char before[24], now[24];
    struct redis_word words[] = {TEXT("EVAL"),
                                 {script, sizeof(script) - 1},
                                 TEXT("2"),
                                 TEXT(STORE_KEY_UNTIL),
                                 TEXT(STORE_KEY_LEFT),
                                 {before, 0},
                                 {now, 0},
                                 TEXT(STORE_KEY_PEER)};
    struct redisReply *reply;

    words[5].len = (size_t)snprintf(before, sizeof(before), "%llu",
                                    (unsigned long long)(store_wall_ms() - s->ttl_ms));
    words[6].len =
        (size_t)snprintf(now, sizeof(now), "%llu", (unsigned long long)p2p_time_s());
    reply = redis_ask(l, words, sizeof(words) / sizeof(words[0]));
    redis_reply_free(reply);
    return reply != NULL;
}

/* ------------------------------------------------------------------ the writer's
 * thread */

struct writer {
    struct redis_link *link;
    uint64_t beats_at, sweep_at, retry_at;
    unsigned back_off_ms;
};

static void
note_failure(struct store *s, struct writer *w)
{
    redis_link_close(w->link);
    w->link = NULL;
    w->back_off_ms = w->back_off_ms == 0 ? BACK_OFF_MIN : w->back_off_ms * 2;
    if (w->back_off_ms > BACK_OFF_MAX)
        w->back_off_ms = BACK_OFF_MAX;
    w->retry_at = p2p_now_ms() + w->back_off_ms;
    pthread_mutex_lock(&s->lock);
    s->write_failed = true;
    pthread_cond_broadcast(&s->told);
    pthread_mutex_unlock(&s->lock);
}

static void
write_some(struct store *s, struct writer *w, const struct store_item *first,
           unsigned n)
{
    bool ok =
        w->link != NULL || redis_link_open(&s->url, ANSWER_MS, &w->link) == P2P_OK;

    if (ok && n > 0)
        ok = write_batch(s, w->link, first, n);
    else if (ok)
        ok = sweep(s, w->link);
    if (!ok) {
        note_failure(s, w);
        return;
    }
    w->back_off_ms = 0;
    w->retry_at = 0;
    pthread_mutex_lock(&s->lock);
    drop_batch(s, n);
    pthread_mutex_unlock(&s->lock);
}

/* Often enough that a peer heard at one registry never runs out at another. */
static uint64_t
beat_interval(const struct store *s)
{
    uint64_t ms = s->ttl_ms / 6;

    return ms < 250 ? 250 : ms > 5000 ? 5000 : ms;
}

static void *
writer_main(void *arg)
{
    struct store *s = arg;
    struct writer w = {.sweep_at = p2p_now_ms() + SWEEP_MS};

    pthread_mutex_lock(&s->lock);
    while (!s->is_stopping) {
        uint64_t now = p2p_now_ms(), next = w.beats_at;
        const struct store_item *first = s->first;
        unsigned n = batch_size(s);
        bool may_write = now >= w.retry_at && (n > 0 || now >= w.sweep_at);

        if (now < w.beats_at && !may_write) {
            if (n > 0 && w.retry_at < next)
                next = w.retry_at;
            wait_on(&s->work, &s->lock, next);
            continue;
        }
        pthread_mutex_unlock(&s->lock);
        if (now >= w.beats_at) {
            gather_beats(s);
            w.beats_at = now + beat_interval(s);
        }
        if (may_write)
            write_some(s, &w, first, n);
        if (n == 0 && may_write)
            w.sweep_at = now + SWEEP_MS;
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    redis_link_close(w.link);
    return NULL;
}

/* ------------------------------------------------------------------ life */

static void
init_locks(struct store *s)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->work, &attr);
    pthread_cond_init(&s->told, &attr);
    pthread_condattr_destroy(&attr);
}

enum p2p_err
store_open(const char *url, struct registry *registry, uint64_t ttl_ms,
           struct store **result)
{
    struct store *s = calloc(1, sizeof(*s));
    uint8_t origin[STORE_ORIGIN_LEN / 2];
    enum p2p_err err;

    *result = NULL;
    if (s == NULL)
        return P2P_ERR_NOMEM;
    init_locks(s);
    s->registry = registry;
    s->ttl_ms = ttl_ms;
    if ((err = redis_url_parse(url, &s->url)) != P2P_OK ||
        (err = p2p_random(origin, sizeof(origin))) != P2P_OK)
        goto out;
    p2p_hex_format(origin, sizeof(origin), s->origin);
    err = P2P_ERR_SYS;
    if (!(s->has_writer = pthread_create(&s->writer, NULL, writer_main, s) == 0) ||
        !(s->has_reader = pthread_create(&s->reader, NULL, store_reader_main, s) == 0))
        goto out;
    *result = s;
    s = NULL;
    err = P2P_OK;
out:
    store_close(s);
    return err;
}

void
store_close(struct store *s)
{
    if (s == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    s->is_stopping = true;
    if (s->reading != NULL)
        redis_link_break(s->reading);
    pthread_cond_broadcast(&s->work);
    pthread_cond_broadcast(&s->told);
    pthread_mutex_unlock(&s->lock);
    if (s->has_writer)
        pthread_join(s->writer, NULL);
    if (s->has_reader)
        pthread_join(s->reader, NULL);
    if (s->waiting_bytes > 0)
        p2p_log_warn("store: stopping with %llu bytes not written",
                     (unsigned long long)s->waiting_bytes);
    for (struct store_item *i = s->first, *next; i != NULL; i = next) {
        next = i->next;
        free(i);
    }
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->work);
    pthread_cond_destroy(&s->told);
    free(s);
}

bool
store_wait(struct store *s, uint64_t timeout_ms)
{
    uint64_t until = p2p_now_ms() + timeout_ms;
    bool is_reading;

    pthread_mutex_lock(&s->lock);
    while (!s->is_reading && !s->is_stopping && p2p_now_ms() < until)
        wait_on(&s->told, &s->lock, until);
    is_reading = s->is_reading;
    pthread_mutex_unlock(&s->lock);
    return is_reading;
}

void
store_stats(struct store *s, struct store_stats *out)
{
    pthread_mutex_lock(&s->lock);
    *out = (struct store_stats){
        .is_connected = s->is_reading && !s->write_failed,
        .waiting_bytes = s->waiting_bytes,
        .sent = s->sent,
        .received = s->received,
        .resyncs = s->resyncs,
    };
    pthread_mutex_unlock(&s->lock);
}

#else

enum p2p_err
store_open(const char *url, struct registry *registry, uint64_t ttl_ms,
           struct store **result)
{
    (void)url, (void)registry, (void)ttl_ms;
    *result = NULL;
    return P2P_ERR_UNSUPPORTED;
}

void
store_close(struct store *s)
{
    (void)s;
}

bool
store_wait(struct store *s, uint64_t timeout_ms)
{
    (void)s, (void)timeout_ms;
    return false;
}

enum p2p_err
store_put(struct store *s, const struct p2p_id *id)
{
    (void)s, (void)id;
    return P2P_ERR_UNSUPPORTED;
}

enum p2p_err
store_left(struct store *s, const struct p2p_id *id, uint64_t seq)
{
    (void)s, (void)id, (void)seq;
    return P2P_ERR_UNSUPPORTED;
}

void
store_stats(struct store *s, struct store_stats *out)
{
    (void)s;
    *out = (struct store_stats){0};
}

#endif
