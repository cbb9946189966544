/*
 * prober - the thread that tries whether registering peers can be reached from here:
 * one TCP connection to each, closed at once (trials.h has the budgets). Safe from any
 * thread.
 */
#ifndef P2P_DISCOVERY_PROBER_H
#define P2P_DISCOVERY_PROBER_H

#include "discovery/meet/trials.h"

struct prober; /* *returned owned*, free with prober_stop */

/* Called on the prober's thread. */
typedef void prober_result(void *arg, const struct trial *trial,
                           enum trial_result result);

/* SYS, NOMEM. */
P2P_MUST_CHECK enum p2p_err prober_start(prober_result *on_result, void *arg,
                                         struct prober **out);
void prober_stop(struct prober *p); /* accepts NULL */

/* Asks for a trial; left out if the budgets say so. Accepts NULL. */
void prober_ask(struct prober *p, const struct trial *trial);
/* How many trials have ended, by result. Accepts NULL. */
struct prober_stats {
    uint64_t reached, failed;
};
/* From any thread. All zeros for NULL. */
void prober_stats(struct prober *p, struct prober_stats *out);

#endif
