/*
 * announcer - tells the registries about this peer: registers at start, and at once
 * when the shared files or this machine's address changed or a registry has forgotten
 * this peer; again with back-off when that failed; leaves on a clean stop. Signs of
 * life go by the clock, from a thread of their own.
 */
#ifndef PEER_ANNOUNCER_H
#define PEER_ANNOUNCER_H

#include "p2p/discovery.h"
#include "p2p/identity.h"
#include "p2p/share.h"

struct announcer; /* *returned owned*, free with announcer_free */

/* Called about every heartbeat, from that thread, for what else goes by the clock. */
typedef void announcer_tick(void *arg);

struct announcer_options {
    struct p2p_discovery *discovery; /* NULL: only ticks; all borrowed until stop */
    struct p2p_identity *identity;
    struct p2p_share *share;
    const char *advertise; /* NULL: what the registry sees */
    bool advertise_own;    /* without `advertise`: this machine's own address */
    uint16_t port;
    uint64_t heartbeat_ms;
    announcer_tick *tick;
    void *arg;
};
P2P_MUST_CHECK enum p2p_err announcer_start(const struct announcer_options *opt,
                                            struct announcer **out);
/* The shared files changed: register again now. From any thread; NULL is fine. */
void announcer_poke(struct announcer *a);
/* Leaves the registries and ends the thread; poke does nothing from now on. Then free.
 */
void announcer_stop(struct announcer *a);
void announcer_free(struct announcer *a);

#endif
