/*
 * fetch - the requests of one connection. A slot is a chunk that is put together in a
 * buffer. It is requested with one request, or with several if the source's chunk size
 * is smaller than the download's. A complete chunk is checked and written at once, or
 * parked: it is offered to the verifier, and its buffer is kept until there is a
 * verdict.
 */
#ifndef P2P_FETCH_H
#define P2P_FETCH_H

#include "core/download/file.h"
#include "core/plan/window.h"
#include "core/remote/request.h"

#define FETCH_SLOTS PLAN_HELD_MAX

struct fetch_slot {
    uint64_t chunk;
    uint8_t *buf; /* NULL: free */
    uint32_t length, asked, received;
    bool has_begun, is_warm; /* bytes have come; the buffer has its memory already */
    bool is_prepared;        /* what is here already is in the buffer: */
    uint32_t reused;         /* so many bytes, */
    struct base_blocks have; /* these blocks */
    int offer;               /* the offer at the frontier, or FRONTIER_REFUSED */
};

struct fetch {
    struct dl_worker *w;
    struct window window;
    uint32_t max_get;
    struct fetch_slot slots[FETCH_SLOTS];
    struct requests requests;
    unsigned slot_count; /* number of used slots, including parked ones */
    unsigned parked;
    bool proven;       /* one chunk of this connection was correct */
    bool stepped_back; /* it has lowered its priority in favor of the hash */
    uint64_t last_bytes_ms;
    uint64_t taken;     /* bytes of DATA so far */
    uint64_t uncounted; /* bytes that the download's counters do not have yet */
};

/* ---- fetch_slots.c ---- */

/* Connections that have a lane of the plan. */
unsigned p2p_fetch_open_lanes(const struct p2p_download *dl) P2P_REQUIRES(p2p_dl_lock);
/* This connection's equal share of the buffers, however fast it is. */
unsigned p2p_fetch_buffer_share(const struct fetch *f) P2P_REQUIRES(p2p_dl_lock);
/* Returns its buffer. */
void p2p_fetch_release_slot(struct fetch *f, unsigned slot) P2P_REQUIRES(p2p_dl_lock);

/* Blocks of a chunk that are here already (reuse.c); the lock is not held. */

/* Puts them into the buffer; the rest is asked for. */
void p2p_fetch_prepare(struct fetch *f, struct fetch_slot *slot);
/* Passes those that stand where the next request would begin. */
void p2p_fetch_skip(struct fetch_slot *slot);
/* The length of the next request, up to the next block that is here. */
uint32_t p2p_fetch_part(const struct fetch_slot *slot, uint32_t max);

/* Parked chunks; the lock is not held. */

/* Parks a whole chunk with the verifier. False: the caller checks it. */
bool p2p_fetch_offer(struct fetch *f, unsigned slot);
/* Writes parked chunks with a good verdict, and checks those that the verifier gave
 * back. HASH_MISMATCH, ... */
P2P_MUST_CHECK enum p2p_err p2p_fetch_collect(struct fetch *f);
/* For a connection that has only parked chunks: waits until there may be something to
 * collect. */
void p2p_fetch_wait_parked(struct fetch *f);
/* At the end: finishes every parked chunk, also after an error. Returns the first
 * error. */
P2P_MUST_CHECK enum p2p_err p2p_fetch_take_back(struct fetch *f);

#endif
