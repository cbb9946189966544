/* conn_race - connects to one peer at several addresses side by side, as Happy Eyeballs
 * (RFC 8305) does, and by a call when they fail (reach.h). The first way whose
 * handshake proves the expected peer wins. */
#ifndef P2P_CONN_RACE_H
#define P2P_CONN_RACE_H

#include "core/remote/conn_internal.h"

/*
 * Tries opt->addr, then each of opt->others, and last a call if opt->reach allows it,
 * with the addresses that its answer names. Each attempt begins 250 ms after the one
 * before, or as soon as that one has failed. CANCELLED when `stop_fd` becomes readable.
 * If all fail, a temporary error is returned if there was one: another device may have
 * the peer's old address while the peer itself is away.
 */
P2P_MUST_CHECK enum p2p_err p2p_conn_race(const struct p2p_conn_options *opt,
                                          int stop_fd, struct p2p_conn **out);

#endif
