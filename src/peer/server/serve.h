/*
 * serve - answers to proven clients. serve1.c implements protocol 1, serve2.c protocol
 * 2. serve.c has what both need of the disk and the rate limits.
 */
#ifndef PEER_SERVE_H
#define PEER_SERVE_H

#include "peer/server/conn.h"
#include "peer/server/server_internal.h"

/* The buffer of one loop: holds the largest piece that is read, encrypted and sent at
 * once. */
size_t serve_scratch_size(const struct server *s);

/* Handles one decrypted request. An error closes the connection. */
P2P_MUST_CHECK enum p2p_err serve1_handle(struct conn *c, const uint8_t *plain,
                                          size_t len);
/* Used instead of it: tells the client that this connection has had too many messages,
 * and ends it. */
P2P_MUST_CHECK enum p2p_err serve1_end(struct conn *c);
P2P_MUST_CHECK enum p2p_err serve2_handle(struct conn *c, const uint8_t *plain,
                                          size_t len);

/* Queues the answer to a request that is not accepted; code 0 is TICKET. */
P2P_MUST_CHECK enum p2p_err serve2_refuse(struct conn *c, uint32_t req, unsigned code,
                                          const char *text);

/* Queues the first message to a guest of a link. NOT_ALLOWED: the link is gone. */
P2P_MUST_CHECK enum p2p_err serve_guest_welcome(struct conn *c);
/* Writes it. */
void serve_guest_put_welcome(const struct conn *c, struct p2p_wr *wr);
/* Handles one message of a guest: as serve2_handle, for those that guests may send. */
P2P_MUST_CHECK enum p2p_err serve_guest_handle(struct conn *c, const uint8_t *plain,
                                               size_t len);
/* May so many bytes of a file go to this guest? The first ones make a use of it.
 * NOT_ALLOWED. */
P2P_MUST_CHECK enum p2p_err serve_guest_take(struct conn *c, uint32_t bytes);

/* Encrypts the next answers into the loop's buffer. `*len` is 0 if nothing can be sent
 * now: either everything is answered, or the connection waits (for the disk, a rate
 * limit, memory) and will run again. */
P2P_MUST_CHECK enum p2p_err serve1_produce(struct conn *c, size_t *len);
P2P_MUST_CHECK enum p2p_err serve2_produce(struct conn *c, size_t *len);
/* Writes the authenticated end of our direction into the buffer. */
P2P_MUST_CHECK enum p2p_err serve2_close(struct conn *c, size_t *len);

/* True if `bytes` may be sent now; otherwise the connection waits for its turn. */
bool serve_may_send(struct conn *c, uint64_t bytes);

/*
 * Reads from the page cache. BUSY: the data is on the disk; a worker reads it and the
 * connection will run again. FILE_CHANGED if it is no longer the file that was hashed.
 */
P2P_MUST_CHECK enum p2p_err serve_read(struct conn *c, struct request *request,
                                       uint64_t offset, uint8_t *out, size_t len);
/* Counts bytes of a file that are about to be sent (uploads.h). */
void serve_count(struct conn *c, const struct request *request, uint64_t bytes);
void cold_read_free(struct cold_read *cold);

/* ---- Old contents (serve_history.c) ---- */

struct history_page;
/* After a lookup that said MORE: asks a worker for the content. MORE: the connection
 * will run again. P2P_OK: look it up again. */
P2P_MUST_CHECK enum p2p_err serve_seek(struct conn *c, struct request *request);
/* The answer to HISTORY?, borrowed until the next request. MORE: the connection will
 * run again. */
P2P_MUST_CHECK enum p2p_err serve_history(struct conn *c, struct request *request,
                                          const struct history_page **out);
void seek_free(struct seek *seek);
/* Opens the file of a request by its root. MORE: a worker looks for an old content, and
 * the connection will run again. */
P2P_MUST_CHECK enum p2p_err serve_open(struct conn *c, struct request *request);

/* ---- Leaves (serve_leaves.c) ---- */

/* The leaves that a request asks for, as LEAVES has them; borrowed until
 * serve_leaves_end. MORE: a worker makes them, and the connection will run again.
 * RANGE, FILE_CHANGED. */
P2P_MUST_CHECK enum p2p_err serve_leaves(struct conn *c, struct request *request,
                                         const uint8_t **out);
/* The answer is written, or an error: frees the leaves. */
void serve_leaves_end(struct conn *c);
void leaves_job_free(struct leaves_job *job);

/* ---- The list of changes (serve_changes.c) ---- */

/* Takes CHANGES?. P2P_OK, or the error that answers it. */
P2P_MUST_CHECK enum p2p_err serve_changes_take(const struct conn *c,
                                               struct request *request,
                                               const struct p2p_msg_changes_get *msg);
/* Writes the answer. BUSY: nothing has changed yet, and the request is parked. */
P2P_MUST_CHECK enum p2p_err serve_changes(struct conn *c, struct request *request,
                                          struct p2p_wr *wr);

/* For protocol 1: the content of the last META to this client, so that a download never
 * mixes chunks of two versions of a file. */
struct promise {
    struct p2p_digest root;
    char name[];
};

#endif
