/*
 * Reading: first all records, then the log as it grows. After every interruption it
 * starts again, so that no gap remains.
 */
#include "discovery/store/store_internal.h"

#ifdef P2P_WITH_HIREDIS

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/bytes.h"
#include "p2p/lock.h"
#include "p2p/log.h"
#include "p2p/net.h"

#define BLOCK_MS     "5000"
#define ANSWER_MS    8000u /* more than BLOCK_MS */
#define BACK_OFF_MIN 100u
#define BACK_OFF_MAX 3000u
#define BATCH        64u
#define ID_HEX       (2 * P2P_DIGEST_LEN)
#define TEXT(s)      REDIS_TEXT(s)

/* A place in a stream, as Redis writes it. */
struct place {
    char text[48];
};

/* How far this registry has read. */
struct places {
    struct place log, news;
};

/* One peer that Redis has. */
struct known {
    struct p2p_id id;
    uint64_t left_ms; /* how long it is alive, as far as Redis knows */
};

struct known_list {
    struct known *at;
    size_t count;
};

static bool
copy_text(const struct redisReply *r, char *out, size_t size)
{
    size_t len;
    const char *text = redis_reply_text(r, &len);

    if (text == NULL || len >= size)
        return false;
    memcpy(out, text, len);
    out[len] = '\0';
    return true;
}

static bool
parse_id(const struct redisReply *r, struct p2p_id *id)
{
    char hex[ID_HEX + 1];

    return copy_text(r, hex, sizeof(hex)) && strlen(hex) == ID_HEX &&
           p2p_hex_parse(hex, id->b, sizeof(id->b)) == P2P_OK;
}

/* ---- catching up ---- */

static bool
find_end(struct redis_link *l, struct redis_word key, struct place *end)
{
    struct redis_word words[] = {TEXT("XREVRANGE"), key,           TEXT("+"),
                                 TEXT("-"),         TEXT("COUNT"), TEXT("1")};
    struct redisReply *reply = redis_ask(l, words, 6);
    const struct redisReply *entry = redis_reply_at(reply, 0);

    if (!copy_text(redis_reply_at(entry, 0), end->text, sizeof(end->text)))
        strcpy(end->text, "0-0");
    redis_reply_free(reply);
    return reply != NULL;
}

static struct redisReply *
ask_range(struct redis_link *l, struct redis_word key, uint64_t from)
{
    char text[24];
    struct redis_word words[] = {
        TEXT("ZRANGEBYSCORE"), key, {text, 0}, TEXT("+inf"), TEXT("WITHSCORES")};

    words[2].len =
        (size_t)snprintf(text, sizeof(text), "%llu", (unsigned long long)from);
    return redis_ask(l, words, 5);
}

/* Peers may have left while we were disconnected. */
static void
learn_leave(struct store *s, const struct p2p_id *id, uint64_t seq, uint64_t until_s)
{
    uint64_t known_seq;

    (void)registry_leave(s->registry, id, seq, &known_seq);
    registry_remember(s->registry, id, seq, until_s);
}

/* Members are "<id> <seq>". */
static bool
learn_left(struct store *s, struct redis_link *l)
{
    struct redisReply *reply = ask_range(l, TEXT(STORE_KEY_LEFT), p2p_time_s());

    for (size_t i = 0; i + 1 < redis_reply_count(reply); i += 2) {
        char member[ID_HEX + 24], until[32];
        struct p2p_id id;

        if (!copy_text(redis_reply_at(reply, i), member, sizeof(member)) ||
            !copy_text(redis_reply_at(reply, i + 1), until, sizeof(until)) ||
            strlen(member) < ID_HEX + 2 || member[ID_HEX] != ' ')
            continue;
        member[ID_HEX] = '\0';
        if (p2p_hex_parse(member, id.b, sizeof(id.b)) == P2P_OK)
            learn_leave(s, &id, strtoull(member + ID_HEX + 1, NULL, 10),
                        strtoull(until, NULL, 10));
    }
    redis_reply_free(reply);
    return reply != NULL;
}

static int
compare_known(const void *a, const void *b)
{
    return memcmp(((const struct known *)a)->id.b, ((const struct known *)b)->id.b,
                  P2P_DIGEST_LEN);
}

static bool
list_known(struct redis_link *l, struct known_list *list)
{
    uint64_t now_ms = redis_link_at(l, p2p_now_ms());
    struct redisReply *reply = ask_range(l, TEXT(STORE_KEY_UNTIL), now_ms);
    size_t n = redis_reply_count(reply) / 2;
    char until[32];

    list->at = calloc(n + 1, sizeof(*list->at));
    for (size_t i = 0; list->at != NULL && i < n; i++) {
        struct known *k = &list->at[list->count];

        if (!parse_id(redis_reply_at(reply, 2 * i), &k->id) ||
            !copy_text(redis_reply_at(reply, 2 * i + 1), until, sizeof(until)))
            continue;
        k->left_ms = strtoull(until, NULL, 10) - now_ms;
        list->count++;
    }
    if (list->at != NULL)
        qsort(list->at, list->count, sizeof(*list->at), compare_known);
    redis_reply_free(reply);
    return reply != NULL && list->at != NULL;
}

/* Applies a record from Redis. If this registry knows something newer (another record,
 * or that the peer left), it sends that to Redis. */
static void
learn_record(struct store *s, const struct known *k, const struct store_entry *entry)
{
    /* Another registry may have another TTL, and CLOCK_MONOTONIC starts at boot. */
    uint64_t left_ms = k->left_ms < s->ttl_ms ? k->left_ms : s->ttl_ms;
    uint64_t until_ms = p2p_now_ms() + left_ms, known_seq, number;
    uint64_t heard_ms = until_ms > s->ttl_ms ? until_ms - s->ttl_ms : 1;
    enum registry_result result;
    struct record rec;

    if (record_decode(entry->bytes, entry->len, &rec) != P2P_OK)
        return;
    store_log_take_claims(&rec, entry->claims, entry->claims_len);
    result = registry_put(s->registry, &rec, heard_ms, &known_seq);
    if (result == REGISTRY_OK)
        registry_mark_told(s->registry, &rec.id);
    else if (result == REGISTRY_SIGNED ||
             (result == REGISTRY_STALE && (!rec.is_signed || known_seq > rec.seq)))
        (void)store_queue_known(s, &rec.id, &number);
    record_clear(&rec);
}

/* The record and the claims of one peer. */
static bool
receive_record(struct store *s, struct redis_link *l, const struct known *k)
{
    struct redisReply *record = redis_receive(l);
    struct redisReply *claims = record != NULL ? redis_receive(l) : NULL;
    struct store_entry entry = {.type = ""};

    entry.bytes = redis_reply_text(record, &entry.len);
    entry.claims = redis_reply_text(claims, &entry.claims_len);
    if (entry.claims == NULL)
        entry.claims_len = 0;
    if (entry.bytes != NULL)
        learn_record(s, k, &entry);
    redis_reply_free(record);
    redis_reply_free(claims);
    return record != NULL && claims != NULL;
}

static bool
learn_batch(struct store *s, struct redis_link *l, const struct known *at, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char key[sizeof(STORE_KEY_PEER) + ID_HEX] = STORE_KEY_PEER;
        char *hex = key + sizeof(STORE_KEY_PEER) - 1;
        struct redis_word get[] = {TEXT("GET"), {key, 0}};
        struct redis_word hget[] = {
            TEXT("HGET"), TEXT(STORE_KEY_CLAIMS), {hex, ID_HEX}};

        p2p_hex_format(at[i].id.b, P2P_DIGEST_LEN, hex);
        get[1].len = strlen(key);
        if (!redis_send(l, get, 2) || !redis_send(l, hget, 3))
            return false;
    }
    for (size_t i = 0; i < n; i++)
        if (!receive_record(s, l, &at[i]))
            return false;
    return true;
}

struct telling {
    struct store *store;
    const struct known_list *list;
};

/* Sends everything again to a Redis that has lost its data, or to a replica that was
 * behind. */
static bool
tell_if_unknown(void *arg, const struct registry_exported *p)
{
    struct telling *t = arg;
    struct known wanted = {.id = p->id};
    uint64_t number;

    if (p->bytes != NULL && bsearch(&wanted, t->list->at, t->list->count,
                                    sizeof(wanted), compare_known) == NULL)
        (void)store_queue_known(t->store, &p->id, &number);
    return true;
}

static bool
catch_up(struct store *s, struct redis_link *l, struct places *end)
{
    struct known_list list = {0};
    bool ok = find_end(l, TEXT(STORE_KEY_LOG), &end->log) &&
              find_end(l, TEXT(STORE_KEY_NEWS), &end->news) && learn_left(s, l) &&
              list_known(l, &list);

    for (size_t i = 0; ok && i < list.count; i += BATCH)
        ok = learn_batch(s, l, list.at + i,
                         list.count - i < BATCH ? list.count - i : BATCH);
    if (ok)
        (void)registry_export(s->registry, tell_if_unknown,
                              &(struct telling){s, &list});
    free(list.at);
    return ok;
}

/* ---- following the log ---- */

static void
pass_news(struct store *s, const char *bytes, size_t len)
{
    store_on_news *on_news;
    void *arg;

    p2p_lock(&s->lock);
    on_news = s->on_news;
    arg = s->news_arg;
    p2p_unlock(&s->lock);
    if (on_news != NULL)
        on_news(arg, (const uint8_t *)bytes, len);
}

/* fields = name, value, name, value, ... */
static void
apply_entry(struct store *s, const struct redisReply *fields, bool is_news)
{
    char name[8], type[16] = "", origin[STORE_ORIGIN_LEN + 1] = "";
    struct store_entry entry = {.type = type};

    for (size_t i = 0; i + 1 < redis_reply_count(fields); i += 2) {
        const struct redisReply *value = redis_reply_at(fields, i + 1);

        if (!copy_text(redis_reply_at(fields, i), name, sizeof(name)))
            continue;
        if (strcmp(name, "o") == 0)
            (void)copy_text(value, origin, sizeof(origin));
        else if (strcmp(name, "t") == 0)
            (void)copy_text(value, type, sizeof(type));
        else if (strcmp(name, "d") == 0)
            entry.bytes = redis_reply_text(value, &entry.len);
        else if (strcmp(name, "c") == 0)
            entry.claims = redis_reply_text(value, &entry.claims_len);
    }
    if (entry.claims == NULL)
        entry.claims_len = 0;
    if (entry.bytes == NULL || strcmp(origin, s->origin) == 0)
        return;
    if (is_news)
        pass_news(s, entry.bytes, entry.len);
    else
        store_log_apply(s->registry, &entry);
}

static void
apply_stream(struct store *s, const struct redisReply *stream, struct places *at)
{
    const struct redisReply *entries = redis_reply_at(stream, 1);
    char key[sizeof(STORE_KEY_NEWS) + 1] = "";
    bool is_news = copy_text(redis_reply_at(stream, 0), key, sizeof(key)) &&
                   strcmp(key, STORE_KEY_NEWS) == 0;
    struct place *place = is_news ? &at->news : &at->log;

    for (size_t i = 0; i < redis_reply_count(entries); i++) {
        const struct redisReply *entry = redis_reply_at(entries, i);

        apply_entry(s, redis_reply_at(entry, 1), is_news);
        (void)copy_text(redis_reply_at(entry, 0), place->text, sizeof(place->text));
    }
    p2p_lock(&s->lock);
    s->received += redis_reply_count(entries);
    p2p_unlock(&s->lock);
}

/* answer = [[key, [[id, fields], ...]], ...], or nothing when BLOCK_MS are over. */
static bool
follow(struct store *s, struct redis_link *l, struct places *at)
{
    struct redis_word words[] = {TEXT("XREAD"),
                                 TEXT("COUNT"),
                                 TEXT("256"),
                                 TEXT("BLOCK"),
                                 TEXT(BLOCK_MS),
                                 TEXT("STREAMS"),
                                 TEXT(STORE_KEY_LOG),
                                 TEXT(STORE_KEY_NEWS),
                                 {at->log.text, strlen(at->log.text)},
                                 {at->news.text, strlen(at->news.text)}};
    struct redisReply *reply = redis_ask(l, words, sizeof(words) / sizeof(words[0]));

    for (size_t i = 0; i < redis_reply_count(reply); i++)
        apply_stream(s, redis_reply_at(reply, i), at);
    redis_reply_free(reply);
    return reply != NULL;
}

static void
set_reading(struct store *s, bool is_reading)
{
    p2p_lock(&s->lock);
    if (s->is_reading != is_reading)
        p2p_log_info("store: %s", is_reading ? "synchronized with redis"
                                             : "redis cannot be reached");
    s->is_reading = is_reading;
    s->resyncs += is_reading;
    pthread_cond_broadcast(&s->told);
    p2p_unlock(&s->lock);
}

/* False: the store is stopping, so no other thread would interrupt this link. */
static bool
set_link(struct store *s, struct redis_link *l)
{
    bool goes_on;

    p2p_lock(&s->lock);
    s->reading = l;
    goes_on = !s->is_stopping;
    p2p_unlock(&s->lock);
    return goes_on;
}

void *
store_reader_main(void *arg)
{
    struct store *s = arg;
    unsigned back_off = BACK_OFF_MIN;

    do {
        struct redis_link *l = NULL;
        struct places at;

        if (redis_link_open(&s->url, ANSWER_MS, &l) == P2P_OK && set_link(s, l) &&
            catch_up(s, l, &at)) {
            set_reading(s, true);
            back_off = BACK_OFF_MIN;
            while (follow(s, l, &at))
                ;
            set_reading(s, false);
        }
        (void)set_link(s, NULL);
        redis_link_close(l);
        back_off = back_off * 2 < BACK_OFF_MAX ? back_off * 2 : BACK_OFF_MAX;
    } while (store_pause(s, back_off));
    return NULL;
}

#endif
