#include "discovery/store/store_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/bytes.h"
#include "p2p/lock.h"
#include "p2p/log.h"
#include "p2p/net.h"

enum p2p_err
store_check_url(const char *url)
{
    struct redis_url parsed;

    return redis_url_parse(url, &parsed);
}

#ifdef P2P_WITH_HIREDIS

bool
store_pause(struct store *s, uint64_t ms)
{
    uint64_t until = p2p_now_ms() + ms;
    bool goes_on;

    p2p_lock(&s->lock);
    while (!s->is_stopping && p2p_now_ms() < until)
        (void)p2p_wait_until(&s->told, &s->lock, until);
    goes_on = !s->is_stopping;
    p2p_unlock(&s->lock);
    return goes_on;
}

/* ---- the queue ---- */

struct store_item *
store_item_new(enum store_type type, const struct p2p_id *id, const void *bytes,
               size_t len)
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

bool
store_enqueue(struct store *s, struct store_item *item, uint64_t *number)
{
    bool has_room;

    if (item == NULL)
        return false;
    p2p_lock(&s->lock);
    has_room =
        s->waiting_bytes + item->len + item->claims_len <= STORE_QUEUE_BYTES;
    if (has_room) {
        item->number = *number = ++s->next_number;
        if (s->first == NULL)
            s->first = item;
        else
            s->last->next = item;
        s->last = item;
        s->waiting_bytes += item->len + item->claims_len;
        pthread_cond_signal(&s->work);
    }
    p2p_unlock(&s->lock);
    if (!has_room)
        free(item);
    return has_room;
}

static struct store_item *
new_put(const struct store *s, const struct registry_exported *p)
{
    uint8_t claims[STORE_CLAIMS_MAX];
    size_t claims_len = store_log_put_claims(claims, p);
    struct store_item *item = malloc(sizeof(*item) + p->len + claims_len);

    if (item == NULL)
        return NULL;
    *item = (struct store_item){.type = STORE_PUT,
                                .id = p->id,
                                .until = p->heard_ms + s->ttl_ms,
                                .len = p->len,
                                .claims_len = claims_len};
    memcpy(item->bytes, p->bytes, p->len);
    memcpy(item->bytes + p->len, claims, claims_len);
    return item;
}

static struct store_item *
new_left(const struct p2p_id *id, uint64_t seq, uint64_t until_s)
{
    uint8_t bytes[STORE_LEFT_LEN];
    struct store_item *item;

    store_log_put_left(bytes, id, seq, until_s);
    if ((item = store_item_new(STORE_LEFT, id, bytes, sizeof(bytes))) == NULL)
        return NULL;
    item->seq = seq;
    item->until = until_s;
    return item;
}

struct known_here {
    const struct store *store;
    struct store_item *item;
};

static bool
make_item(void *arg, const struct registry_exported *p)
{
    struct known_here *known = arg;

    known->item = p->bytes != NULL ? new_put(known->store, p)
                                   : new_left(&p->id, p->seq, p->seq_until_s);
    return true;
}

bool
store_queue_known(struct store *s, const struct p2p_id *id, uint64_t *number)
{
    struct known_here known = {s, NULL};

    return registry_export_one(s->registry, id, make_item, &known) &&
           store_enqueue(s, known.item, number);
}

/* Waits until Redis has the change. Does not wait while Redis is known to be
 * unavailable. */
static void
wait_for_ack(struct store *s, uint64_t number)
{
    uint64_t until = p2p_now_ms() + STORE_ACK_MS;

    p2p_lock(&s->lock);
    while (s->acked < number && !s->is_stopping && !s->write_failed &&
           p2p_now_ms() < until)
        (void)p2p_wait_until(&s->told, &s->lock, until);
    p2p_unlock(&s->lock);
}

enum p2p_err
store_put(struct store *s, const struct p2p_id *id)
{
    uint64_t number;

    if (!store_queue_known(s, id, &number))
        return P2P_ERR_BUSY;
    wait_for_ack(s, number);
    return P2P_OK;
}

enum p2p_err
store_left(struct store *s, const struct p2p_id *id, uint64_t seq)
{
    uint64_t until_s = p2p_time_s() + REGISTRY_SIGNATURE_MAX_S, number;

    if (!store_enqueue(s, new_left(id, seq, until_s), &number))
        return P2P_ERR_BUSY;
    wait_for_ack(s, number);
    return P2P_OK;
}

bool
store_tell(struct store *s, const void *bytes, size_t len)
{
    uint64_t number;

    return store_enqueue(s, store_item_new(STORE_NEWS, NULL, bytes, len), &number);
}

void
store_listen(struct store *s, store_on_news *on_news, void *arg)
{
    p2p_lock(&s->lock);
    s->on_news = on_news;
    s->news_arg = arg;
    p2p_unlock(&s->lock);
}

/* ---- life ---- */

static void
init_locks(struct store *s)
{
    p2p_mutex_init(&s->lock);
    p2p_cond_init(&s->work);
    p2p_cond_init(&s->told);
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
    if (!(s->has_writer =
              pthread_create(&s->writer, NULL, store_writer_main, s) == 0) ||
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
    p2p_lock(&s->lock);
    s->is_stopping = true;
    if (s->reading != NULL)
        redis_link_break(s->reading);
    pthread_cond_broadcast(&s->work);
    pthread_cond_broadcast(&s->told);
    p2p_unlock(&s->lock);
    if (s->has_writer)
        pthread_join(s->writer, NULL);
    if (s->has_reader)
        pthread_join(s->reader, NULL);
    p2p_mutex_unshared(&s->lock);
    if (s->waiting_bytes > 0)
        p2p_log_warn(
            "store: stopping with changes that were not written to Redis bytes=%llu",
            (unsigned long long)s->waiting_bytes);
    for (struct store_item *i = s->first, *next; i != NULL; i = next) {
        next = i->next;
        free(i);
    }
    p2p_mutex_clear(&s->lock);
    pthread_cond_destroy(&s->work);
    pthread_cond_destroy(&s->told);
    free(s);
}

bool
store_wait(struct store *s, uint64_t timeout_ms)
{
    uint64_t until = p2p_now_ms() + timeout_ms;
    bool is_reading;

    p2p_lock(&s->lock);
    while (!s->is_reading && !s->is_stopping && p2p_now_ms() < until)
        (void)p2p_wait_until(&s->told, &s->lock, until);
    is_reading = s->is_reading;
    p2p_unlock(&s->lock);
    return is_reading;
}

void
store_stats(struct store *s, struct store_stats *out)
{
    p2p_lock(&s->lock);
    *out = (struct store_stats){
        .is_connected = s->is_reading && !s->write_failed,
        .waiting_bytes = s->waiting_bytes,
        .sent = s->sent,
        .received = s->received,
        .resyncs = s->resyncs,
    };
    p2p_unlock(&s->lock);
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

bool
store_tell(struct store *s, const void *bytes, size_t len)
{
    (void)s, (void)bytes, (void)len;
    return false;
}

void
store_listen(struct store *s, store_on_news *on_news, void *arg)
{
    (void)s, (void)on_news, (void)arg;
}

void
store_stats(struct store *s, struct store_stats *out)
{
    (void)s;
    *out = (struct store_stats){0};
}

#endif
