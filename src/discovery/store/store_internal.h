/* Declarations shared by store.c (queue and writing) and store_read.c (reading and
 * catching up). */
#ifndef P2P_DISCOVERY_STORE_INTERNAL_H
#define P2P_DISCOVERY_STORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "discovery/store/redis_link.h"
#include "discovery/store/store.h"
#include "discovery/store/store_log.h"
#include "p2p/lock.h"

#define STORE_KEY_LOG    "p2p:log"
#define STORE_KEY_NEWS   "p2p:box"
#define STORE_KEY_PEER   "p2p:peer:"
#define STORE_KEY_CLAIMS "p2p:claims"
#define STORE_KEY_UNTIL  "p2p:until"
#define STORE_KEY_LEFT   "p2p:left"

#define STORE_ORIGIN_LEN 16

/* One change on its way to Redis. */
struct store_item {
    struct store_item *next;
    enum store_type type;
    struct p2p_id id;
    uint64_t number; /* of the queue: rises */
    uint64_t until;  /* put: the time in ms (monotonic) until which it is alive; left:
                      * the time in s after which it no longer matters */
    uint64_t seq;    /* left */
    size_t len, claims_len;
    uint8_t bytes[]; /* put: followed by the claims */
};

P2P_MUTEX_KIND(store_lock);
struct store {
    struct redis_url url;
    struct registry *registry;
    uint64_t ttl_ms;
    char origin[STORE_ORIGIN_LEN + 1];
    pthread_t writer, reader;
    bool has_writer, has_reader;

    struct store_lock lock;
    pthread_cond_t work; /* for the writer: items, stopping */
    pthread_cond_t told; /* acked, is_reading, is_stopping have changed */
    struct store_item *first P2P_GUARDED_BY(store_lock);
    struct store_item *last P2P_GUARDED_BY(store_lock);
    uint64_t next_number P2P_GUARDED_BY(store_lock);
    /* Items up to this one are in Redis. */
    uint64_t acked P2P_GUARDED_BY(store_lock);
    uint64_t waiting_bytes P2P_GUARDED_BY(store_lock);
    uint64_t sent P2P_GUARDED_BY(store_lock);
    uint64_t received P2P_GUARDED_BY(store_lock);
    uint64_t resyncs P2P_GUARDED_BY(store_lock);
    store_on_news *on_news P2P_GUARDED_BY(store_lock);
    void *news_arg P2P_GUARDED_BY(store_lock);
    bool is_stopping P2P_GUARDED_BY(store_lock);
    bool is_reading P2P_GUARDED_BY(store_lock);
    bool write_failed P2P_GUARDED_BY(store_lock);
    /* For store_close() to break. */
    struct redis_link *reading P2P_GUARDED_BY(store_lock);
};

/* The threads. */
void *store_writer_main(void *store);
void *store_reader_main(void *store);

/* Copies; NULL: out of memory. enqueue takes ownership of the item; false if too many
 * changes wait already. */
struct store_item *store_item_new(enum store_type type, const struct p2p_id *id,
                                  const void *bytes, size_t len);
bool store_enqueue(struct store *s, struct store_item *item, uint64_t *number);

/* Queues what this registry knows about a peer (its record, or that it left) without
 * waiting. False: it knows nothing, or the queue is full. */
bool store_queue_known(struct store *s, const struct p2p_id *id, uint64_t *number);

/* Sleeps; false when the store is stopping. */
bool store_pause(struct store *s, uint64_t ms);

#endif
