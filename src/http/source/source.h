/*
 * Sources: the resources that the clients of one address (IPv6: one /64) use. A source,
 * and the network that it belongs to, may use at most the part of a limit that is still
 * free. So no number of greedy
 * sources takes everything, and a new one always finds something free. The table has
 * its own lock. The members of a source belong to the code that uses them, under the
 * locks named here. A source exists as long as something holds it.
 */
#ifndef P2P_HTTP_SOURCE_H
#define P2P_HTTP_SOURCE_H

#include <pthread.h>

#include "http/source/address.h"
#include "p2p/lock.h"

struct http_request;

struct http_source {
    struct http_source
        *next; /* next source in its bucket; guarded by the table's lock */
    struct http_address key;
    /* The /48 of an IPv6 address, of which one customer has up to 65,536 /64. The
     * source itself for IPv4. Set once. */
    struct http_source *network;
    unsigned holders; /* the table's */

    unsigned connections;         /* under the server's lock; so is: */
    unsigned network_connections; /* of all sources of this network (IPv6: one /48) */

    uint64_t body_bytes;   /* guarded by the table's lock: bytes of bodies in memory, */
    uint64_t answer_bytes; /* and bytes of unsent answers */

    /* Work that waits for a thread of the pool, guarded by the pool's lock. */
    struct http_request *first, *last;
    struct http_source *work_next;
    unsigned queued;
    uint64_t spent; /* the cost of its work so far, see offload.c */
};

#define HTTP_SOURCE_BUCKETS 1024u
P2P_MUTEX_KIND(http_sources_lock);
struct http_sources {
    struct http_sources_lock lock;
    uint64_t seed;
    /* Of all sources. */
    uint64_t body_bytes P2P_GUARDED_BY(http_sources_lock);
    uint64_t answer_bytes P2P_GUARDED_BY(http_sources_lock);
    struct http_source *buckets[HTTP_SOURCE_BUCKETS] P2P_GUARDED_BY(http_sources_lock);
};

/* Starts empty. */
void http_sources_init(struct http_sources *t);
/* All sources must have been released. */
void http_sources_clear(struct http_sources *t);

/* Returns the source of an address, held until http_source_release(). NULL: out of
 * memory. */
struct http_source *http_source_hold(struct http_sources *t,
                                     const struct http_address *address);
void http_source_release(struct http_sources *t, struct http_source *source);

/*
 * Charges `more` bytes of a body. False, and nothing is charged, if the source would
 * or its network would then use more than the free part of `budget`; up to `always`
 * bytes of the source are allowed in any case.
 */
bool http_source_take_body(struct http_sources *t, struct http_source *source,
                           uint64_t more, uint64_t budget, uint64_t always);
void http_source_give_body(struct http_sources *t, struct http_source *source,
                           uint64_t bytes);

/* Answers are charged when they exist: they only delay the next ones of the source. */
void http_source_add_answer(struct http_sources *t, struct http_source *source,
                            uint64_t bytes);
void http_source_sub_answer(struct http_sources *t, struct http_source *source,
                            uint64_t bytes);

enum http_may_answer { HTTP_MAY_ANSWER, HTTP_HAS_ENOUGH, HTTP_ALL_IS_FULL };

/* True if another answer for this source may be made now. */
enum http_may_answer http_source_may_answer(struct http_sources *t,
                                            const struct http_source *source,
                                            uint64_t budget);

#endif
