/* What the loops and connections of one server share. */
#ifndef PEER_SERVER_INTERNAL_H
#define PEER_SERVER_INTERNAL_H

#include <stdatomic.h>

#include "peer/clients.h"
#include "peer/recheck.h"
#include "peer/server.h"
#include "peer/workers.h"

/* Ciphertext that a socket did not take yet, of all connections: the server's memory
 * bound. */
#define HELD_BYTES_MAX (40 * P2P_MIB)

#define GREETING_PART 4 /* of the limit: one in so many bytes may be of handshakes */

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
    _Atomic unsigned access_generation; /* of the lists of who may download */
    _Atomic unsigned connections;       /* sockets */
    _Atomic unsigned open, strangers;   /* proven clients, and those without a name */
    _Atomic size_t held_bytes;
    _Atomic size_t kept_bytes; /* of clients' input: conn_read.c */
    uint64_t grace_ms;         /* for what runs; constant once it is stopping */
    _Atomic bool stopping;
    _Atomic uint64_t refusal_second; /* log lines about refused handshakes */
    _Atomic unsigned refusals;
    unsigned loop_count;
    struct loop *loops[PEER_THREADS_MAX];
};

/* The loop that should take the next connection when `own` accepted it. */
struct loop *server_pick_loop(struct server *s, struct loop *own);

#endif
