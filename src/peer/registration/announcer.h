/*
 * announcer - registers this peer with the registries: at the start, and at once when
 * the shared files or this machine's address have changed or a registry has forgotten
 * this peer. Retries with back-off after a failure, and unregisters on a clean stop. A
 * thread of its own sends heartbeats by the clock.
 */
#ifndef PEER_ANNOUNCER_H
#define PEER_ANNOUNCER_H

#include "p2p/discovery.h"
#include "p2p/identity.h"
#include "p2p/shares.h"
#include "peer/access/access.h"
#include "peer/registration/duplicate.h"

struct announcer; /* *returned owned*, free with announcer_free */

/* Called about once per heartbeat, from the heartbeat thread, for other periodic
 * work. */
typedef void announcer_tick(void *arg);

struct announcer_options {
    struct p2p_discovery *discovery; /* NULL: calls only on_tick; everything is borrowed
                                      * until stop */
    struct p2p_identity *identity;
    struct p2p_shares *shares;
    struct access *access; /* only names that everyone may see are registered */
    struct duplicate *duplicate;
    /* Where others reach this peer, best first: IP, IP:PORT or NAME:PORT, valid. The
     * first IP is the address of the registration; without one, that is the address
     * that the registry sees. */
    const char *const *advertise;
    size_t advertise_count;
    bool advertise_own; /* without an IP in `advertise`: this machine's own address */
    bool listens_everywhere; /* so the machine's other addresses are listed, too */
    uint16_t port;
    uint64_t heartbeat_ms;
    announcer_tick *tick;
    void *arg;
};
/* Starts the threads. Copies the options, borrows what they point to; *returns owned*.
 */
P2P_MUST_CHECK enum p2p_err announcer_start(const struct announcer_options *opt,
                                            struct announcer **out);
/* The shared files changed: registers again now. From any thread; accepts NULL. */
void announcer_poke(struct announcer *a);
/* The router forwards this address to the peer's port, as it says; NULL: none any
 * longer. Registered only if a registry sees this device at the same address: otherwise
 * there is another router behind it. From any thread. */
void announcer_set_mapped(struct announcer *a, const struct p2p_addr *addr);
/* Unregisters this peer and ends the threads; poke does nothing from now on. Call free
 * afterwards. */
void announcer_stop(struct announcer *a);
void announcer_free(struct announcer *a);

#endif
