/*
 * uploads - who downloads what from this peer, how fast, and how much each peer has
 * downloaded in total.
 *
 * An upload is one content that goes to one peer, over as many connections as the peer
 * uses. It begins with the first bytes and ends when no more came for UPLOADS_PAUSE_MS
 * (sooner if everything was sent). A log line tells that it has ended.
 *
 * The totals are stored in the keys directory and survive a restart. All tables are
 * bounded. A stranger costs nothing to invent, so when the table of peers is full, the
 * peer that has downloaded least is dropped from it; it stays in the sum.
 *
 * Protocol 1 proves no id: its uploads belong to the id that was claimed.
 *
 * Thread-safe; uploads_add is called for each chunk. Has a thread of its own that ends
 * uploads and stores the totals.
 */
#ifndef PEER_UPLOADS_H
#define PEER_UPLOADS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/about.h"
#include "p2p/crypto.h"
#include "p2p/err.h"
#include "p2p/limits.h"

#define UPLOADS_RUNNING_MAX 512
#define UPLOADS_RECENT_MAX  32
#define UPLOADS_PEERS_MAX   1024
/* How long nothing is sent before an upload counts as ended. */
#define UPLOADS_PAUSE_MS      10000
#define UPLOADS_DONE_PAUSE_MS 1000
#define UPLOADS_STORE_MS      30000 /* how often the totals are stored at most */

struct uploads; /* *returned owned*, free with uploads_close */

/* Reads the totals in `keys_dir` (borrowed until close) and starts the thread. Totals
 * that cannot be read begin at zero, which is logged. */
P2P_MUST_CHECK enum p2p_err uploads_open(const char *keys_dir, struct uploads **out);
/* Ends all uploads and stores the totals. NULL is fine. */
void uploads_close(struct uploads *u);

/* Bytes of a file that were given to the socket. `name` and `root` are copied. */
struct upload_piece {
    const struct p2p_id *peer;
    bool is_proven;    /* protocol 2 */
    const char *claim; /* the name that the peer says; copied; "": none */
    const struct p2p_digest *root;
    const char *name;
    uint64_t size; /* of the file */
    uint64_t bytes;
};
/* Counts bytes that were sent to a peer. */
void uploads_add(struct uploads *u, const struct upload_piece *piece, uint64_t now_ms);

/* One upload, a copy. */
struct upload {
    uint64_t id; /* since the start of the process, from 1 */
    struct p2p_id peer;
    bool is_proven;
    char claim[P2P_ABOUT_NAME_MAX + 1];
    struct p2p_digest root;
    char name[P2P_NAME_MAX + 1];
    uint64_t size,
        sent;       /* `sent` is larger than `size` if bytes were asked for twice */
    uint64_t speed; /* bytes per second now; of an ended one: on average */
    uint64_t started_s, ended_s; /* since 1970; ended_s is 0 while it runs */
};

struct upload_peer {
    struct p2p_id id;
    bool is_proven;
    char claim[P2P_ABOUT_NAME_MAX + 1]; /* said since the start of the process */
    uint64_t uploads, bytes;
    uint64_t last_s; /* since 1970 */
};

struct uploads_sum {
    uint64_t running, speed; /* now */
    uint64_t uploads, bytes; /* since `since_s`, over restarts */
    uint64_t peers;          /* in the table */
    uint64_t since_s;
};

/* The totals of all peers, and what is being uploaded now. */
void uploads_sum(struct uploads *u, struct uploads_sum *out, uint64_t now_ms);
/* Copies the running uploads (the oldest first), and then the latest ended ones (the
 * latest first), at most `max`; returns their number. */
size_t uploads_list(struct uploads *u, struct upload *out, size_t max, uint64_t now_ms);
/* Copies the peers that have downloaded most, at most `max`; returns their number. */
size_t uploads_peers(struct uploads *u, struct upload_peer *out, size_t max);
/* Ends the uploads that have paused for long enough. The thread does it; for tests. */
void uploads_end_paused(struct uploads *u, uint64_t now_ms);

#endif
