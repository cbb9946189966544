/*
 * trials - the addresses at which the registry tries to reach peers, as a queue without
 * sockets and clocks: what waits, what is under way, and the budgets. Nobody can use a
 * registry to flood or scan others: only the address from which a peer registers is
 * tried, one port at a time, and a source pays for each trial. One thread at a time.
 */
#ifndef P2P_DISCOVERY_TRIALS_H
#define P2P_DISCOVERY_TRIALS_H

#include "http/meet/boxes.h"
#include "p2p/addr.h"
#include "p2p/crypto.h"

enum {
    TRIALS_MAX = 256,    /* that wait or are under way; later ones are left out */
    TRIALS_AT_ONCE = 16, /* that are under way */
    TRIALS_MS = 4000,    /* then the peer counts as out of reach */
    /* Of one source: this many at first, then one in this time. */
    TRIALS_BURST = 8,
    TRIALS_EVERY_MS = 15000,
    TRIALS_SOURCES = 4096,
};

enum trial_result { TRIAL_UNKNOWN, TRIAL_REACHED, TRIAL_FAILED };

struct trial {
    struct p2p_id peer;
    struct box_source source;
    struct p2p_addr addr;
};

struct trials; /* *returned owned*, free with trials_free */

/* NULL: out of memory. */
struct trials *trials_new(void);
void trials_free(struct trials *t);

/* Asks for a trial. False: the source has used up its budget, or the queue is full. A
 * trial of the same peer that waits is replaced. */
bool trials_add(struct trials *t, const struct trial *trial, uint64_t now_ms);
/* The next one to begin, which is under way from now on; its number, or -1: none. */
int trials_begin(struct trials *t, struct trial *out);
/* The trial with this number has ended. */
void trials_end(struct trials *t, int number);

#endif
