/*
 * A connection to Redis: the only code that knows hiredis. One link, one thread, except
 * redis_link_break().
 */
#ifndef P2P_DISCOVERY_REDIS_LINK_H
#define P2P_DISCOVERY_REDIS_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/net.h"

#define REDIS_HOSTS_MAX  8
#define REDIS_MASTER_MAX 63

/*
 * redis://HOST[:PORT][/DB] names a Redis. In
 * redis+sentinel://HOST[:PORT],.../MASTER[/DB] the hosts are Sentinels, which say which
 * Redis is MASTER now.
 */
struct redis_url {
    struct p2p_addr hosts[REDIS_HOSTS_MAX];
    unsigned count;
    char master[REDIS_MASTER_MAX + 1]; /* empty: no Sentinels */
    unsigned db;
};
P2P_MUST_CHECK enum p2p_err redis_url_parse(const char *text, struct redis_url *out);

/* Words of a command. */
struct redis_word {
    const void *at;
    size_t len;
};
#define REDIS_TEXT(s) ((struct redis_word){(s), sizeof(s) - 1})

struct redis_link;
struct redisReply;

/*
 * Asks the Sentinels, connects, authenticates (P2P_REDIS_PASSWORD; Sentinels:
 * P2P_SENTINEL_PASSWORD), selects. `timeout_ms` is the limit for each answer.
 * UNREACHABLE.
 */
P2P_MUST_CHECK enum p2p_err redis_link_open(const struct redis_url *url,
                                            unsigned timeout_ms,
                                            struct redis_link **result);
void redis_link_close(struct redis_link *l);

/* From another thread: a thread that waits on the link soon gets an error. */
void redis_link_break(struct redis_link *l);

/*
 * The time of day in ms by the clock of Redis, so that all registries mean the same
 * time even if their clocks differ or jump. It is read when the link opens and by
 * read_clock, and continues by our monotonic clock from there. redis_link_at() converts
 * one of its times.
 */
P2P_MUST_CHECK bool redis_link_read_clock(struct redis_link *l);
uint64_t redis_link_at(const struct redis_link *l, uint64_t monotonic_ms);

/*
 * Sends one command and returns its answer, to be freed with redis_reply_free(). NULL:
 * the link is broken or Redis refused; close it.
 */
struct redisReply *redis_ask(struct redis_link *l, const struct redis_word *words,
                             size_t n);
void redis_reply_free(struct redisReply *reply);

/* Pipelining: any number of sends, then as many receives. False: broken or refused. */
bool redis_send(struct redis_link *l, const struct redis_word *words, size_t n);
struct redisReply *redis_receive(struct redis_link *l);

/* Access to an answer: elements of a list, bytes of a text; NULL and 0 for anything
 * else. */
size_t redis_reply_count(const struct redisReply *r);
const struct redisReply *redis_reply_at(const struct redisReply *r, size_t i);
const char *redis_reply_text(const struct redisReply *r, size_t *len);

#endif
