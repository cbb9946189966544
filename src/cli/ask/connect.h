/* connect - a connection to one peer that a person named. */
#ifndef CLI_CONNECT_H
#define CLI_CONNECT_H

#include "cli/ask/peers.h"
#include "p2p/conn.h"

/* Connects by the first way at whose end the peer proves its id. `*at` is the address,
 * or the first one on failure. `discovery` may be NULL: addresses only. */
P2P_MUST_CHECK enum p2p_err cli_connect(const struct cli_common *common,
                                        struct p2p_identity *identity,
                                        struct p2p_discovery *discovery,
                                        const struct cli_peer *peer,
                                        struct p2p_addr *at, struct p2p_conn **conn);
/* Prints why a peer at this address did not answer, and what to do; returns the exit
 * status. */
int cli_fail_peer(enum p2p_err err, const char *address, const char *own_id);

#endif
