/*
 * The thread for work that is due by the clock: expiry, waking watchers, snapshots. It
 * sleeps when there is nothing to do.
 */
#ifndef P2P_DISCOVERY_HOUSEKEEPER_H
#define P2P_DISCOVERY_HOUSEKEEPER_H

#include "discovery/http/app.h"

struct housekeeper;

/* Starts the thread. Borrows `app` until it is stopped; *returns owned*. */
P2P_MUST_CHECK enum p2p_err housekeeper_start(struct app *app,
                                              struct housekeeper **result);
void housekeeper_stop(struct housekeeper *h); /* accepts NULL */

/* The memory of a long request was freed: soon returns what the allocator keeps of it
 * to the system. */
void housekeeper_trim_soon(struct housekeeper *h);

/* Something has changed: cheap, from any thread. */
void housekeeper_poke(struct housekeeper *h);

#endif
