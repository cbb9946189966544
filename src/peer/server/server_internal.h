/* Declarations shared by the loops and connections of one server. */
#ifndef PEER_SERVER_INTERNAL_H
#define PEER_SERVER_INTERNAL_H

#include <stdatomic.h>

#include "peer/access/clients.h"
#include "peer/server/recheck.h"
#include "peer/server/server.h"
#include "peer/server/workers.h"

/* The limit for ciphertext that sockets have not accepted yet, of all connections
 * together. */
#define HELD_BYTES_MAX (40 * P2P_MIB)

#define GREETING_PART                                            \
    4 /* one in this many bytes of the rate limit may be used by \
       * handshakes */

struct loop;

struct server {
    struct server_options opt;
    struct admission *admission;
    struct workers *crypto; /* RSA and trust decisions */
    struct workers *disk;   /* cold reads */
    struct clients *clients;
    struct p2p_rate rate;
    struct p2p_rate greeting_rate; /* of it, what handshakes may use */
    struct recheck *recheck;
    _Atomic unsigned access_generation; /* version of the lists of allowed peers */
    _Atomic unsigned connections;       /* sockets */
    _Atomic unsigned open, strangers;   /* proven clients, and the unknown ones among
                                         * them */
    _Atomic size_t held_bytes;
    _Atomic size_t kept_bytes;    /* of clients' input: conn_read.c */
    uint64_t grace_ms;            /* for running requests; constant once the server is
                                   * stopping */
    _Atomic unsigned leaves_jobs; /* that run or wait for a worker */
    _Atomic bool stopping;
    _Atomic uint64_t refusal_second; /* log lines about refused handshakes */
    _Atomic unsigned refusals;
    unsigned loop_count;
    struct loop *loops[PEER_THREADS_MAX];
};

/* The loop that gets the next connection, if `own` accepted it. */
struct loop *server_pick_loop(struct server *s, struct loop *own);

#endif
