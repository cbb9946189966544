/*
 * clients - one rate limit per peer, shared by all its connections. A reference-counted
 * table from peer id (protocol 1: the claimed one) to its token bucket. Thread-safe.
 */
#ifndef PEER_CLIENTS_H
#define PEER_CLIENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "p2p/crypto.h"
#include "p2p/rate.h"
#include "peer/access/access.h"

struct clients; /* *returned owned*, free with clients_free */
struct client;  /* a reference to an entry */

/* `all` (borrowed) is the limit for all peers together: bytes are taken from both
 * buckets or from none. */
P2P_MUST_CHECK enum p2p_err clients_new(uint64_t bytes_per_s, struct p2p_rate *all,
                                        struct clients **out);
void clients_free(struct clients *c);
/* Applies to present and to later clients. */
void clients_set_rate(struct clients *c, uint64_t bytes_per_s);
P2P_MUST_CHECK enum p2p_err clients_get(struct clients *c, const struct p2p_id *id,
                                        struct client **out);
void clients_put(struct clients *c, struct client *client); /* NULL is fine */
struct p2p_rate *client_rate(struct client *client);
const struct p2p_id *client_id(const struct client *client); /* borrowed */
/* The ids of all connected peers; *returns owned* array of `*count`, free(). */
P2P_MUST_CHECK enum p2p_err clients_ids(struct clients *c, struct p2p_id **ids,
                                        size_t *count);
/* Where a peer stands now (access.h). False if it was refused already, or is not
 * connected. */
bool clients_judge(struct clients *c, const struct p2p_id *id,
                   const struct access_standing *standing);
/* The same for one that has just connected. */
void client_judge(struct client *client, const struct access_standing *standing);
bool client_is_refused(const struct client *client, bool is_outside);
bool client_is_trusted(const struct client *client);
/* See access_standing. */
bool client_is_guest(const struct client *client);

#endif
