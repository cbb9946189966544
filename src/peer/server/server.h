/*
 * server - the listening side of p2p-peer: one event loop per thread, each with its own
 * listener (SO_REUSEPORT). A new connection goes to the loop that has the fewest.
 */
#ifndef PEER_SERVER_H
#define PEER_SERVER_H

#include "p2p/identity.h"
#include "p2p/rate.h"
#include "p2p/shares.h"
#include "peer/access/access.h"
#include "peer/access/admission.h"
#include "peer/offers/links.h"
#include "peer/uploads/uploads.h"

#define PEER_THREADS_MAX 64

struct server_options {
    const int *listeners; /* one for each thread, from server_listen; takes ownership */
    unsigned threads;
    unsigned max_connections;
    unsigned reserved_connections; /* of these, reserved for loopback and known peers;
                                    * must be fewer */
    uint64_t client_memory; /* memory for unfinished frames, queued requests and nonces
                             * of all clients together */
    uint32_t chunk_size;    /* chunk size of protocol 1; any size up to
                             * P2P_CHUNK_SIZE_MAX */
    bool protocol_1, compress;
    struct p2p_identity *identity; /* these are borrowed until close */
    struct p2p_shares *shares;
    struct access *access;
    struct offers *offers;       /* NULL: none */
    struct history *history;     /* NULL: old contents are nobody's business */
    struct inbox *inbox;         /* NULL: no peer can offer anything */
    struct links *links;         /* NULL: none */
    void (*on_rules)(void *arg); /* the rules of `access` are others now. May be NULL */
    void *arg;
    struct uploads *uploads;           /* NULL: uploads are not counted */
    const char *keys_dir, *allow_file; /* files to watch for changes of the lists */
    struct admission_options admission;
    uint64_t handshake_timeout_ms, idle_timeout_ms, stall_timeout_ms;
    uint64_t rate_per_peer; /* bytes a second, 0: no limit */
};

struct server_totals {
    unsigned connections; /* all, with those in a handshake */
    unsigned proven;      /* of these, connections of proven clients */
};

struct server; /* *returned owned*, free with server_close */

/*
 * Opens `count` listening sockets for one port, 0 for a free one; `*port` gets the
 * actual one. IN_USE, PERMISSION, ...
 */
P2P_MUST_CHECK enum p2p_err server_listen(const char *host, uint16_t *port,
                                          int *listeners, size_t count);

/* Starts the loops. */
P2P_MUST_CHECK enum p2p_err server_open(const struct server_options *opt,
                                        struct server **out);
/* The limit for all connections together; any time. */
void server_set_rate(struct server *s, uint64_t bytes_per_s);
/* The limit for each peer, as `rate_per_peer`; any time. */
void server_set_rate_per_peer(struct server *s, uint64_t bytes_per_s);
/* The shared files changed: answers that waited for a file's hash may be possible now.
 * From any thread. */
void server_files_changed(struct server *s);
/* Serves a connection through a relay, for which this peer has called; takes `fd`. Only
 * this peer is served there, as one from outside, and not by protocol 1. From any
 * thread. */
void server_adopt(struct server *s, int fd, const struct p2p_id *caller);
/* Serves a guest of this link on a channel that was opened with the link's secret;
 * takes `fd`. It sees the files of the link and nothing else. From any thread. */
void server_adopt_guest(struct server *s, int fd, const struct p2p_id *link,
                        const struct p2p_guest_id *guest);
/* Checks the lists of allowed peers again and closes the connections of peers that may
 * no longer download. Changes of the files are noticed without this call. From any
 * thread. */
void server_recheck(struct server *s);
/* The current counters; from any thread. */
void server_totals(struct server *s, struct server_totals *out);
/* Stops listening, lets running requests finish (for at most grace_ms), closes and
 * frees everything. */
void server_close(struct server *s, uint64_t grace_ms);

#endif
