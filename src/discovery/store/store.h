/*
 * One list for several registries: everything a registry takes goes through Redis to
 * the others, and each answers from its own memory.
 *
 *   p2p:log          stream of changes: what one has taken, the others apply in this
 * order p2p:peer:<id>    the record (record.h) of a peer, for those that start later
 *   p2p:until        sorted set of peer ids by the time (ms) they are alive to
 *   p2p:left         sorted set of "<id> <seq>" of those that left, by when that is
 * moot (s)
 *
 * Heartbeats are gathered and cost one command for all every few seconds. Without Redis
 * the registry goes on with what it has; what it takes waits, within a bound, and is
 * sent when Redis is back. Safe from any thread.
 */
#ifndef P2P_DISCOVERY_STORE_H
#define P2P_DISCOVERY_STORE_H

#include "discovery/registry/registry.h"

/* Bytes of changes that wait for Redis; more are refused. */
#define STORE_QUEUE_BYTES (64u * 1024 * 1024)
/* How long a change waits for Redis to have it before it is answered as taken. */
#define STORE_ACK_MS 2000u

struct store;

/* P2P_ERR_USAGE: not a URL of redis_link.h; UNSUPPORTED: built without hiredis. */
P2P_MUST_CHECK enum p2p_err store_check_url(const char *url);
P2P_MUST_CHECK enum p2p_err store_open(const char *url, struct registry *registry,
                                       uint64_t ttl_ms, struct store **result);
void store_close(struct store *s); /* accepts NULL */

/* Waits for the first exchange with Redis: true when this registry knows what others
 * know. */
bool store_wait(struct store *s, uint64_t timeout_ms);

/*
 * Tells the others of a peer as it is here now, or that it left with this seq. Blocks
 * until Redis has it or STORE_ACK_MS are over; it is sent in any case. BUSY: too much
 * waits.
 */
P2P_MUST_CHECK enum p2p_err store_put(struct store *s, const struct p2p_id *id);
P2P_MUST_CHECK enum p2p_err store_left(struct store *s, const struct p2p_id *id,
                                       uint64_t seq);

struct store_stats {
    bool is_connected; /* to Redis, and in step with it */
    uint64_t waiting_bytes, sent, received, resyncs;
};
void store_stats(struct store *s, struct store_stats *out);

#endif
