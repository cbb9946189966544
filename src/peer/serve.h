/*
 * serve - answers to proven clients. serve1.c speaks protocol 1, serve2.c protocol 2;
 * what both need of the disk and of the limits is in serve.c.
 */
#ifndef PEER_SERVE_H
#define PEER_SERVE_H

#include "peer/conn.h"
#include "peer/server_internal.h"

/* Of one loop: the largest thing that is read, sealed and sent in one piece. */
size_t serve_scratch_size(const struct server *s);

/* Takes one decrypted request. An error ends the connection. */
P2P_MUST_CHECK enum p2p_err serve1_handle(struct conn *c, const uint8_t *plain,
                                          size_t len);
/* Instead: says that this connection has had its share of messages, and ends it. */
P2P_MUST_CHECK enum p2p_err serve1_end(struct conn *c);
P2P_MUST_CHECK enum p2p_err serve2_handle(struct conn *c, const uint8_t *plain,
                                          size_t len);

/* Seals the next answers into the loop's scratch. `*len` 0: nothing now, either because
 * all is answered or because the connection waits (for the disk, a rate, memory) and
 * will be run again. */
P2P_MUST_CHECK enum p2p_err serve1_produce(struct conn *c, size_t *len);
P2P_MUST_CHECK enum p2p_err serve2_produce(struct conn *c, size_t *len);
/* The authenticated end of our direction, into the scratch. */
P2P_MUST_CHECK enum p2p_err serve2_close(struct conn *c, size_t *len);

/* True when `bytes` may be sent now; otherwise the connection waits for its turn. */
bool serve_may_send(struct conn *c, uint64_t bytes);

/*
 * Reads from the page cache. BUSY: the data are on the disk; a worker fetches them and
 * the connection is run again. FILE_CHANGED when it is not the file that was hashed any
 * more.
 */
P2P_MUST_CHECK enum p2p_err serve_read(struct conn *c, struct request *request,
                                       uint64_t offset, uint8_t *out, size_t len);
void cold_read_free(struct cold_read *cold);

/* For protocol 1: what META told this client last, so that one download never gets
 * chunks of two versions of a file. */
struct promise {
    struct p2p_digest root;
    char name[];
};

#endif
