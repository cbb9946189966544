/* Writing: the queue's items as commands, and the thread that sends them. */
#include "discovery/store/store_internal.h"

#ifdef P2P_WITH_HIREDIS

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/bytes.h"
#include "p2p/lock.h"
#include "p2p/net.h"

#define BATCH       64u
#define ANSWER_MS   2000u
#define LOG_LENGTH  "20000" /* approximate number of entries that the log keeps */
#define NEWS_LENGTH "2000"  /* the same of the news, at most 8 KiB each */
/* Tombstones in Redis; those that expire first make room. */
#define LEFT_LENGTH   "100000"
#define SWEEP_MS      60000u
#define BACK_OFF_MIN  100u
#define BACK_OFF_MAX  3000u
#define BEATS_AT_ONCE 1000u
#define ID_HEX        (2 * P2P_DIGEST_LEN)

/* ---- commands ---- */

#define TEXT(s) REDIS_TEXT(s)

struct key {
    char text[sizeof(STORE_KEY_PEER) + ID_HEX];
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

struct number {
    char text[24];
    size_t len;
};

static struct number
number(uint64_t value)
{
    struct number n;

    n.len = (size_t)snprintf(n.text, sizeof(n.text), "%llu", (unsigned long long)value);
    return n;
}

/* The order of a record among the records of its peer (record.h), as sortable text. */
#define LUA_ORDER                                                                     \
    "local function order(v) return v and #v > 10 and v:byte(1) == 2 and "            \
    "string.format('%d%08x%08x', v:byte(2) % 2, struct.unpack('>I4I4', v, 3)) or '' " \
    "end "
#define LUA_LOG                                                          \
    "redis.call('XADD', KEYS[1], 'MAXLEN', '~', '" LOG_LENGTH "', '*', " \
    "'o', ARGV[1], 't', ARGV[2], 'd', ARGV[3], 'c', ARGV[7]) return 1 "

_Static_assert(RECORD_VERSION == 2, "LUA_ORDER reads the head of a record");

/*
 * These are scripts, because two registries may send the same peer at once: the newer
 * record must win and be the last in the log, whichever registry comes first. Keys:
 * log, peer, a sorted set, the peers that live, the claims. Arguments: origin, type,
 * bytes, id, two values for the set, claims. Each function returns how many answers are
 * to come, 0 if the link is broken.
 */
static unsigned
send_script(struct store *s, struct redis_link *l, struct redis_word script,
            const struct store_item *item, struct redis_word set,
            const struct number args[2])
{
    const char *type = store_type_name(item->type);
    struct key k = peer_key(&item->id);
    struct redis_word words[] = {
        TEXT("EVAL"),
        script,
        TEXT("5"),
        TEXT(STORE_KEY_LOG),
        {k.text, k.len},
        set,
        TEXT(STORE_KEY_UNTIL),
        TEXT(STORE_KEY_CLAIMS),
        {s->origin, STORE_ORIGIN_LEN},
        {type, strlen(type)},
        {item->bytes, item->len},
        {k.text + sizeof(STORE_KEY_PEER) - 1, ID_HEX},
        {args[0].text, args[0].len},
        {args[1].text, args[1].len},
        {(const char *)item->bytes + item->len, item->claims_len}};

    return redis_send(l, words, sizeof(words) / sizeof(words[0]));
}

static unsigned
send_put(struct store *s, struct redis_link *l, const struct store_item *item)
{
    /* A record whose peer has expired counts as none. */
    static const char script[] = LUA_ORDER
        "if tonumber(redis.call('ZSCORE', KEYS[4], ARGV[4]) or 0) > tonumber(ARGV[6]) "
        "and order(redis.call('GET', KEYS[2])) > order(ARGV[3]) then return 0 end "
        "redis.call('SET', KEYS[2], ARGV[3]) "
        "if ARGV[7] ~= '' then redis.call('HSET', KEYS[5], ARGV[4], ARGV[7]) "
        "else redis.call('HDEL', KEYS[5], ARGV[4]) end "
        "redis.call('ZADD', KEYS[4], ARGV[5], ARGV[4]) " LUA_LOG;
    struct number args[] = {number(redis_link_at(l, item->until)),
                            number(redis_link_at(l, p2p_now_ms()))};

    return send_script(s, l, TEXT(script), item, TEXT(STORE_KEY_UNTIL), args);
}

static unsigned
send_left(struct store *s, struct redis_link *l, const struct store_item *item)
{
    static const char script[] =
        LUA_ORDER "redis.call('ZADD', KEYS[3], ARGV[5], ARGV[4] .. ' ' .. ARGV[6]) "
                  "redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -" LEFT_LENGTH " - 1) "
                  "if order(redis.call('GET', KEYS[2])) <= "
                  "order(string.char(2, 1) .. string.sub(ARGV[3], 33)) then "
                  "redis.call('DEL', KEYS[2]) redis.call('ZREM', KEYS[4], ARGV[4]) "
                  "redis.call('HDEL', KEYS[5], ARGV[4]) end " LUA_LOG;
    struct number args[] = {number(item->until), number(item->seq)};

    return send_script(s, l, TEXT(script), item, TEXT(STORE_KEY_LEFT), args);
}

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
send_news(struct store *s, struct redis_link *l, const struct store_item *item)
{
    struct redis_word words[] = {TEXT("XADD"),      TEXT(STORE_KEY_NEWS),
                                 TEXT("MAXLEN"),    TEXT("~"),
                                 TEXT(NEWS_LENGTH), TEXT("*"),
                                 TEXT("o"),         {s->origin, STORE_ORIGIN_LEN},
                                 TEXT("d"),         {item->bytes, item->len}};

    return redis_send(l, words, sizeof(words) / sizeof(words[0]));
}

/* One ZADD for all of them. It changes existing entries only, because a heartbeat is
 * not a registration. */
static unsigned
send_beats(struct store *s, struct redis_link *l, const struct store_item *item)
{
    size_t n = item->len / STORE_BEAT_LEN;
    struct redis_word *words = calloc(3 + 2 * n, sizeof(*words));
    char(*scores)[24] = calloc(n, sizeof(*scores));
    char(*hex)[ID_HEX + 1] = calloc(n, sizeof(*hex));
    uint64_t until = redis_link_at(l, p2p_now_ms()) + s->ttl_ms;
    bool ok = words != NULL && scores != NULL && hex != NULL;

    for (size_t i = 0; ok && i < n; i++) {
        const uint8_t *beat = item->bytes + i * STORE_BEAT_LEN;
        int len = snprintf(scores[i], sizeof(scores[i]), "%llu",
                           (unsigned long long)(until - p2p_load_u32(beat + 32)));

        p2p_hex_format(beat, P2P_DIGEST_LEN, hex[i]);
        words[3 + 2 * i] = (struct redis_word){scores[i], (size_t)len};
        words[4 + 2 * i] = (struct redis_word){hex[i], ID_HEX};
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
        [STORE_PUT] = send_put,
        [STORE_LEFT] = send_left,
        [STORE_BEAT] = send_beats,
        [STORE_NEWS] = send_news};
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
drop_batch(struct store *s, unsigned n) P2P_REQUIRES(store_lock)
{
    for (unsigned i = 0; i < n; i++) {
        struct store_item *item = s->first;

        s->first = item->next;
        s->acked = item->number;
        s->waiting_bytes -= item->len + item->claims_len;
        s->sent++;
        free(item);
    }
    s->write_failed = false;
    pthread_cond_broadcast(&s->told);
}

/* Only this thread removes items, so the first n stay in place. */
static unsigned
batch_size(const struct store *s) P2P_REQUIRES(store_lock)
{
    unsigned n = 0;

    for (const struct store_item *i = s->first; i != NULL && n < BATCH; i = i->next)
        n++;
    return n;
}

/* ---- beats and sweeping ---- */

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
        /* No room: they are sent with the next heartbeat. */
        if (n > 0)
            (void)store_enqueue(
                s, store_item_new(STORE_BEAT, NULL, bytes, n * STORE_BEAT_LEN),
                &number);
    }
    free(beats);
    free(bytes);
}

/* Removes peers that no registry has heard for two TTLs. It is a script, so that a peer
 * cannot come back in the middle. */
static bool
sweep(struct store *s, struct redis_link *l)
{
    static const char script[] =
        "for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], "
        "'LIMIT', 0, 1000)) do redis.call('DEL', ARGV[3] .. id) "
        "redis.call('ZREM', KEYS[1], id) redis.call('HDEL', KEYS[3], id) end "
        "redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[2]) return 1";
    char before[24], now[24];
    struct redis_word words[] = {TEXT("EVAL"),
                                 {script, sizeof(script) - 1},
                                 TEXT("3"),
                                 TEXT(STORE_KEY_UNTIL),
                                 TEXT(STORE_KEY_LEFT),
                                 TEXT(STORE_KEY_CLAIMS),
                                 {before, 0},
                                 {now, 0},
                                 TEXT(STORE_KEY_PEER)};
    struct redisReply *reply;
    uint64_t dead_ms;

    if (!redis_link_read_clock(l))
        return false;
    dead_ms = redis_link_at(l, p2p_now_ms()) - s->ttl_ms;
    words[6].len =
        (size_t)snprintf(before, sizeof(before), "%llu", (unsigned long long)dead_ms);
    words[7].len =
        (size_t)snprintf(now, sizeof(now), "%llu", (unsigned long long)p2p_time_s());
    reply = redis_ask(l, words, sizeof(words) / sizeof(words[0]));
    redis_reply_free(reply);
    return reply != NULL;
}

/* ---- the writer's thread ---- */

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
    p2p_lock(&s->lock);
    s->write_failed = true;
    pthread_cond_broadcast(&s->told);
    p2p_unlock(&s->lock);
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
    if (n == 0)
        w->sweep_at = p2p_now_ms() + SWEEP_MS;
    p2p_lock(&s->lock);
    drop_batch(s, n);
    p2p_unlock(&s->lock);
}

/* Often enough that a peer that checks in with one registry never expires at
 * another. */
static uint64_t
beat_interval(const struct store *s)
{
    uint64_t ms = s->ttl_ms / 6;

    return ms < 250 ? 250 : ms > 5000 ? 5000 : ms;
}

void *
store_writer_main(void *arg)
{
    struct store *s = arg;
    struct writer w = {.sweep_at = p2p_now_ms() + SWEEP_MS};

    p2p_lock(&s->lock);
    while (!s->is_stopping) {
        uint64_t now = p2p_now_ms(), next = w.beats_at;
        const struct store_item *first = s->first;
        unsigned n = batch_size(s);
        bool may_write = now >= w.retry_at && (n > 0 || now >= w.sweep_at);

        if (now < w.beats_at && !may_write) {
            if (n > 0 && w.retry_at < next)
                next = w.retry_at;
            (void)p2p_wait_until(&s->work, &s->lock, next);
            continue;
        }
        p2p_unlock(&s->lock);
        if (now >= w.beats_at) {
            gather_beats(s);
            w.beats_at = now + beat_interval(s);
        }
        if (may_write)
            write_some(s, &w, first, n);
        p2p_lock(&s->lock);
    }
    p2p_unlock(&s->lock);
    redis_link_close(w.link);
    return NULL;
}

#endif
