/*
 * recheck - applies decisions about peers at once. A thread waits for changes of
 * known_peers, of the grants and of the --allow-peers file by any process, and then
 * closes the connections of peers that may no longer download. It also tells admission
 * the addresses of known peers.
 */
#ifndef PEER_RECHECK_H
#define PEER_RECHECK_H

#include "p2p/err.h"

struct server;
struct recheck;

/* *Returns owned*, free with recheck_free after the loops have ended. */
P2P_MUST_CHECK enum p2p_err recheck_new(struct server *s, struct recheck **out);
P2P_MUST_CHECK enum p2p_err recheck_start(struct recheck *r); /* the loops run */
void recheck_free(struct recheck *r);
/* Checks again. From any thread; accepts NULL. */
void recheck_poke(struct recheck *r);

#endif
