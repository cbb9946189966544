/*
 * frontier - chunks that wait in memory for their turn in the hash of the whole file,
 * so that one pass checks and hashes them. Pure: no clock, no lock (the download's lock
 * guards it), and it never reads the data.
 *
 * The connection that received a chunk offers it. The verifier takes it when it is the
 * next one in the file. The connection, whose buffer it stays all the time, collects it
 * with a verdict. Parked chunks never wait for a missing one: when the verifier has had
 * nothing to do for FRONTIER_PATIENCE_US, offers are given back unchecked.
 */
#ifndef P2P_FRONTIER_H
#define P2P_FRONTIER_H

#include <stdbool.h>
#include <stdint.h>

#include "p2p/err.h"

#define FRONTIER_WINDOW                                                           \
    64 /* how many chunks from the next one on may be offered; also the number of \
        * offers                                                                  \
        * \ */
#define FRONTIER_PATIENCE_US 30000
#define FRONTIER_REFUSED     (-1)

enum frontier_state {
    FRONTIER_FREE,
    FRONTIER_WAITING,
    FRONTIER_TAKEN,
    FRONTIER_SETTLED
};

struct p2p_frontier_offer {
    enum frontier_state state;
    uint64_t chunk;
    const uint8_t *data;
    enum p2p_err verdict;
};

struct frontier {
    bool open;        /* the verifier takes offers */
    uint64_t next;    /* the chunk that is hashed next */
    uint64_t idle_us; /* time when the verifier ran out of work; 0: it is working */
    struct p2p_frontier_offer offers[FRONTIER_WINDOW];
};

enum frontier_answer {
    FRONTIER_WAIT,
    FRONTIER_CHECKED,   /* the verdict is there */
    FRONTIER_UNCHECKED, /* the verifier will not check it, so the owner must */
};

/* ---- For the connection that has the chunk ---- */

/* Borrows `data` until the offer is collected. FRONTIER_REFUSED: check it yourself. */
int p2p_frontier_offer(struct frontier *f, uint64_t chunk, const uint8_t *data,
                       uint64_t now_us);
/* Unless the result is WAIT, the offer no longer exists. */
enum frontier_answer p2p_frontier_collect(struct frontier *f, int offer,
                                          uint64_t now_us, enum p2p_err *verdict);
/* The same for an owner that cannot wait: WAIT only while the chunk is being hashed. */
enum frontier_answer p2p_frontier_withdraw(struct frontier *f, int offer,
                                           enum p2p_err *verdict);

/* ---- For the verifier ---- */

/* Takes the offer of the next chunk; it must be settled. FRONTIER_REFUSED: the chunk
 * was not offered. */
int p2p_frontier_take(struct frontier *f);
/* Stores the verdict. After P2P_OK the following chunk is next. */
void p2p_frontier_settle(struct frontier *f, int offer, enum p2p_err verdict);
/* The next chunk was hashed from the disk. */
void p2p_frontier_pass(struct frontier *f);
/* The verifier has nothing to do. */
void p2p_frontier_idle(struct frontier *f, uint64_t now_us);

#endif
