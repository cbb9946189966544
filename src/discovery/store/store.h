/*
 * One list for several registries: every change of a registry goes through Redis to the
 * others, and each one answers from its own memory.
 *
 * p2p:log        stream of changes: the others apply them in this order
 * p2p:box        stream of news between registries: messages in boxes, and the like
 * (meet/news.h). The latest ones only; who was away does not get them
 * p2p:peer:<id>  the record (record.h) of a peer, for registries that start later
 * p2p:claims     hash: what these peers state beside their record, by id
 * p2p:until      sorted set of peer ids by the time (ms) until which they are alive
 * p2p:left       sorted set of "<id> <seq>" of peers that left, by the time (s) at
 * which that no longer matters
 *
 * Heartbeats are collected and cost one command for all of them every few seconds.
 * Without Redis, the registry continues with what it has; its changes wait, within a
 * limit, and are sent when Redis is back. Safe from any thread.
 */
#ifndef P2P_DISCOVERY_STORE_H
#define P2P_DISCOVERY_STORE_H

#include "discovery/registry/registry.h"

/* The limit in bytes for changes that wait for Redis; more are refused. */
#define STORE_QUEUE_BYTES (64u * 1024 * 1024)
/* How long a change waits for Redis before it is answered as accepted. */
#define STORE_ACK_MS 2000u

struct store;

/* P2P_ERR_USAGE: not a URL of redis_link.h; UNSUPPORTED: built without hiredis. */
P2P_MUST_CHECK enum p2p_err store_check_url(const char *url);
P2P_MUST_CHECK enum p2p_err store_open(const char *url, struct registry *registry,
                                       uint64_t ttl_ms, struct store **result);
void store_close(struct store *s); /* accepts NULL */

/* Waits for the first exchange with Redis: true if this registry then knows what the
 * others know. */
bool store_wait(struct store *s, uint64_t timeout_ms);

/*
 * Sends the peer's current record to the others, or that it left with this seq. Blocks
 * until Redis has it or STORE_ACK_MS are over; it is sent in any case. BUSY: too many
 * changes wait.
 */
P2P_MUST_CHECK enum p2p_err store_put(struct store *s, const struct p2p_id *id);
P2P_MUST_CHECK enum p2p_err store_left(struct store *s, const struct p2p_id *id,
                                       uint64_t seq);

/* Tells the other registries something that matters for a minute, without waiting.
 * False: too many changes wait. */
bool store_tell(struct store *s, const void *bytes, size_t len);
/* What others tell goes there from now on, on the store's reader thread; NULL:
 * nowhere. */
typedef void store_on_news(void *arg, const uint8_t *bytes, size_t len);
void store_listen(struct store *s, store_on_news *on_news, void *arg);

struct store_stats {
    bool is_connected; /* connected to Redis, and synchronized with it */
    uint64_t waiting_bytes, sent, received, resyncs;
};
/* From any thread. */
void store_stats(struct store *s, struct store_stats *out);

#endif
