/*
 * turn - the TURN servers that a registry names to guests of links, and the logins for
 * them (p2p/turn.h). The user name holds a number that stands for the guest's address,
 * so that the server can limit what one address uses; it does not tell the address.
 * Filled in at the start, then read-only; safe from any thread.
 */
#ifndef P2P_DISCOVERY_TURN_H
#define P2P_DISCOVERY_TURN_H

#include "http/meet/boxes.h"
#include "p2p/turn.h"

enum {
    TURN_URLS_MAX = 8,
    TURN_URL_TEXT = 300,
    /* How long a login can begin and renew sessions. A page gets another one when its
     * connection ends. */
    TURN_LOGIN_S = 2 * 3600,
};

struct turn {
    size_t count; /* of URLs; 0: there is no server */
    char urls[TURN_URLS_MAX][TURN_URL_TEXT];
    struct p2p_turn_secret secret;
    uint64_t seed[2]; /* random */
};

/* Adds HOST[:PORT] (over UDP, and over TCP), or turn:HOST[:PORT] or turns:HOST[:PORT],
 * which may have ?transport=udp or tcp behind it. USAGE; TOO_LARGE. */
P2P_MUST_CHECK enum p2p_err turn_add(struct turn *t, const char *text);
/* A login for a guest at this source. CRYPTO. */
P2P_MUST_CHECK enum p2p_err turn_login(const struct turn *t,
                                       const struct box_source *source, uint64_t now_s,
                                       struct p2p_turn_login *out);

#endif
