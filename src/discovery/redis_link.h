/*
 * A connection to Redis: the only code that knows hiredis. One link, one thread, except
 * redis_link_break().
 */
#ifndef P2P_DISCOVERY_REDIS_LINK_H
#define P2P_DISCOVERY_REDIS_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/err.h"

struct redis_url {
    char host[256];
    uint16_t port;
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
 * Connects, authenticates (P2P_REDIS_PASSWORD), selects. `timeout_ms` holds for every
 * answer. UNREACHABLE.
 */
P2P_MUST_CHECK enum p2p_err redis_link_open(const struct redis_url *url,
                                            unsigned timeout_ms,
                                            struct redis_link **result);
void redis_link_close(struct redis_link *l);

/* From another thread: whoever waits on the link gets an error soon. */
void redis_link_break(struct redis_link *l);

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

/* Looking into an answer: elements of a list, bytes of a text; NULL and 0 otherwise. */
size_t redis_reply_count(const struct redisReply *r);
const struct redisReply *redis_reply_at(const struct redisReply *r, size_t i);
const char *redis_reply_text(const struct redisReply *r, size_t *len);

#endif
