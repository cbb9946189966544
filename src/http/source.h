/*
 * Sources: what the clients of one address (IPv6: one /64) have open here. Limits of
 * one source are shares of what is left, so that no number of greedy ones takes
 * everything: each may hold as much as is still free, and a newcomer always finds
 * something free.
 *
 * The table has a lock of its own. The members of a source belong to those who use
 * them, under the locks named here; a source stays as long as somebody holds it.
 */
#ifndef P2P_HTTP_SOURCE_H
#define P2P_HTTP_SOURCE_H

#include <pthread.h>

#include "http/address.h"
#include "p2p/lock.h"

struct http_request;

struct http_source {
    struct http_source *next; /* in its bucket; the table's */
    struct http_address key;
    unsigned holders; /* the table's */

    unsigned connections; /* under the server's lock */

    uint64_t body_bytes;   /* under the table's lock: bodies in memory, */
    uint64_t answer_bytes; /* and answers that are not sent yet */

    /* Work that waits for a thread of the pool, under the pool's lock. */
    struct http_request *first, *last;
    struct http_source *work_next;
    unsigned queued;
    uint64_t spent; /* what its work has cost, see offload.c */
};

#define HTTP_SOURCE_BUCKETS 1024u
P2P_MUTEX_KIND(http_sources_lock);
struct http_sources {
    struct http_sources_lock lock;
    uint64_t seed;
    uint64_t body_bytes, answer_bytes; /* of all sources */
    struct http_source *buckets[HTTP_SOURCE_BUCKETS];
};

void http_sources_init(struct http_sources *t);
/* Every source has been released. */
void http_sources_clear(struct http_sources *t);

/* The source of an address, held until http_source_release(). NULL: out of memory. */
struct http_source *http_source_hold(struct http_sources *t,
                                     const struct http_address *address);
void http_source_release(struct http_sources *t, struct http_source *source);

/*
 * Charges `more` bytes of a body. False, and nothing is charged, when the source would
 * hold more than is free of `budget`; what is `always` may be held in any case.
 */
bool http_source_take_body(struct http_sources *t, struct http_source *source,
                           uint64_t more, uint64_t budget, uint64_t always);
void http_source_give_body(struct http_sources *t, struct http_source *source,
                           uint64_t bytes);

/* Answers are charged when they are there: they only delay the source's next ones. */
void http_source_add_answer(struct http_sources *t, struct http_source *source,
                            uint64_t bytes);
void http_source_sub_answer(struct http_sources *t, struct http_source *source,
                            uint64_t bytes);

enum http_may_answer { HTTP_MAY_ANSWER, HTTP_HAS_ENOUGH, HTTP_ALL_IS_FULL };

/* Whether another answer of this source may be made now. */
enum http_may_answer http_source_may_answer(struct http_sources *t,
                                            const struct http_source *source,
                                            uint64_t budget);

#endif
