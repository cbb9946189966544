/*
 * schedule - the key schedule of protocol 2. Every step has its name from PROTOCOL.md.
 * Internal to wire. Intermediate values (HS, MS) are wiped.
 */
#ifndef P2P_CORE_WIRE_SCHEDULE_H
#define P2P_CORE_WIRE_SCHEDULE_H

#include "p2p/crypto.h"

/* One secret for each direction. */
struct p2p_secret_pair {
    struct p2p_secret c2s, s2c;
};

/* key(hs c2s), key(hs s2c) from TH2 and dh. */
P2P_MUST_CHECK enum p2p_err p2p_schedule_handshake(const struct p2p_digest *th2,
                                                   const struct p2p_secret *dh,
                                                   struct p2p_secret_pair *keys);
/* S_c(1), S_s(1) from THF, dh and k. */
P2P_MUST_CHECK enum p2p_err p2p_schedule_application(const struct p2p_digest *thf,
                                                     const struct p2p_secret *dh,
                                                     const struct p2p_secret *k,
                                                     struct p2p_secret_pair *secrets);
/* key(e) and S(e+1) from S(e). */
P2P_MUST_CHECK enum p2p_err p2p_schedule_key(const struct p2p_secret *secret,
                                             struct p2p_secret *key);
P2P_MUST_CHECK enum p2p_err p2p_schedule_next(const struct p2p_secret *secret,
                                              struct p2p_secret *next);

#endif
