/*
 * plan - decides which chunk is requested over which connection. Pure: no sockets, no
 * clock, no lock (the download's lock guards it), so it is tested without any of them.
 * A connection is a lane. It takes the lowest chunk that no lane holds, so that the
 * file fills from its beginning. A chunk is held by one lane, or by two if the first
 * one seems unable to deliver it: it has been silent, or all other chunks are requested
 * and another lane would finish this one much earlier (endgame). The first lane that
 * completes the chunk wins; the other one finds it done and cancels its request.
 */
#ifndef P2P_PLAN_H
#define P2P_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "p2p/chunk.h"
#include "p2p/limits.h"

#define PLAN_LANES    P2P_DOWNLOAD_CONNECTIONS_MAX
#define PLAN_HELD_MAX P2P_REQUESTS_IN_FLIGHT
#define PLAN_SILENT_US                                                                 \
    700000 /* a lane with open requests that has sent no bytes for this long is silent \
            */

/* Readers, and chunks from the place of a reader on that it needs soon. */
#define PLAN_READERS P2P_DOWNLOAD_READERS_MAX
#define PLAN_SOON    8
#define PLAN_NOWHERE UINT64_MAX

struct plan_reader {
    uint64_t at;   /* the chunk that it needs next; PLAN_NOWHERE: it needs none */
    uint64_t next; /* the chunks from `at` on and before this one are not free */
};

struct plan_lane {
    bool open;
    unsigned source; /* lanes of one source fail together */
    unsigned count;
    uint64_t held[PLAN_HELD_MAX]; /* its chunks, in the order of the requests */
    uint64_t last_us;             /* time of the last bytes, or of the first request */
    double rate;                  /* bytes per microsecond; 0: not yet known */
};

struct plan {
    struct p2p_chunks geometry;
    uint8_t *state;   /* per chunk: how many hold it, or PLAN_DONE */
    uint64_t next;    /* no chunk below it is free */
    uint64_t free;    /* number of chunks that no lane holds and that are not done */
    uint64_t left;    /* number of chunks that are not done */
    uint64_t doubled; /* number of chunks that were requested twice */
    struct plan_lane lanes[PLAN_LANES];
    struct plan_reader readers[PLAN_READERS];
    unsigned reading; /* readers that need a chunk */
    unsigned turn;    /* the reader whose turn it is */
};

/* All chunks are free, all lanes closed. NOMEM. */
P2P_MUST_CHECK enum p2p_err p2p_plan_init(struct plan *p, const struct p2p_chunks *g);
/* Frees what init made. */
void p2p_plan_clear(struct plan *p);

/* Marks a chunk as on disk. */
void p2p_plan_set_done(struct plan *p, uint64_t chunk);
/* Marks it as missing again. */
void p2p_plan_set_free(struct plan *p, uint64_t chunk);
/* True if the chunk is on disk. */
bool p2p_plan_is_done(const struct plan *p, uint64_t chunk);

/* The reader needs the chunks from this one on; PLAN_NOWHERE: it needs nothing. */
void p2p_plan_read_from(struct plan *p, unsigned reader, uint64_t chunk);
/* True if a reader needs this very chunk next. */
bool p2p_plan_is_awaited(const struct plan *p, uint64_t chunk);
/* True if the lane, which has not received anything of this chunk, should give it back:
 * no reader needs it soon, but one needs soon what no lane holds, or what the lane
 * holds behind it. */
bool p2p_plan_should_yield(const struct plan *p, unsigned lane, uint64_t chunk);

/* The lane belongs to this source now and holds nothing. */
void p2p_plan_open_lane(struct plan *p, unsigned lane, unsigned source,
                        uint64_t now_us);
/* Gives back everything that the lane holds. */
void p2p_plan_close_lane(struct plan *p, unsigned lane);

/* Takes the next chunk for this lane. False: there is none now. */
bool p2p_plan_take(struct plan *p, unsigned lane, uint64_t now_us, uint64_t *chunk);
/* The lane will not deliver the chunk. */
void p2p_plan_give_back(struct plan *p, unsigned lane, uint64_t chunk);
/* The chunk is verified and on disk. False: another lane was first. */
bool p2p_plan_complete(struct plan *p, unsigned lane, uint64_t chunk);

/* Bytes of the lane have arrived; `rate` is what its window measures. */
void p2p_plan_on_bytes(struct plan *p, unsigned lane, uint64_t now_us, double rate);

#endif
