/*
 * clients - one rate limit for each peer, however many connections it has.
 *
 * A reference-counted table from peer id (protocol 1: the claimed one) to its token
 * bucket. Thread-safe.
 */
#ifndef PEER_CLIENTS_H
#define PEER_CLIENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "p2p/crypto.h"
#include "p2p/rate.h"

struct clients; /* *returned owned*, free with clients_free */
struct client;  /* one reference of an entry */

/* `all` (borrowed) is the limit of all of them together: a take passes both or none. */
P2P_MUST_CHECK enum p2p_err clients_new(uint64_t bytes_per_s, struct p2p_rate *all,
                                        struct clients **out);
void clients_free(struct clients *c);
P2P_MUST_CHECK enum p2p_err clients_get(struct clients *c, const struct p2p_id *id,
                                        struct client **out);
void clients_put(struct clients *c, struct client *client); /* NULL is fine */
struct p2p_rate *client_rate(struct client *client);
/* All ids that are here now; *returns owned* array of `*count`, free(). */
P2P_MUST_CHECK enum p2p_err clients_ids(struct clients *c, struct p2p_id **ids,
                                        size_t *count);
/* May it not be here any longer? False when that is no news, or it has gone. */
bool clients_refuse(struct clients *c, const struct p2p_id *id, bool refused);
bool client_is_refused(const struct client *client);

#endif
