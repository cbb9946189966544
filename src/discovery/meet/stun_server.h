/*
 * stun_server - answers the question "from which address do you see me?" (STUN Binding,
 * RFC 8489) on UDP, at the number of the HTTP port and the next one. Two ports, because
 * a router that shows another port to each of them cannot be crossed by UDP. A source
 * gets so many answers. Those that are longer than their questions are few, for one
 * source and in total. One thread.
 */
#ifndef P2P_DISCOVERY_STUN_SERVER_H
#define P2P_DISCOVERY_STUN_SERVER_H

#include <stdint.h>

#include "p2p/err.h"

enum {
    STUN_PORTS = 2,
    STUN_ANSWERS_PER_SECOND = 50, /* to one source */
    /* The same for questions that are shorter than their answers, as browsers send
     * them; and all of those together. */
    STUN_SHORT_PER_SECOND = 5,
    STUN_SHORT_IN_TOTAL = 500,
};

/* Opens the sockets beside a TCP listener, at its address. `fds` are -1 where that is
 * not possible. Returns the number of sockets. */
unsigned stun_server_listen(int listener, int fds[STUN_PORTS]);

struct stun_server; /* *returned owned*, free with stun_server_stop */

/* Borrows the sockets. SYS, NOMEM. */
P2P_MUST_CHECK enum p2p_err stun_server_start(const int fds[STUN_PORTS],
                                              struct stun_server **out);
void stun_server_stop(struct stun_server *s); /* accepts NULL */
/* Answers that were sent. Accepts NULL. */
uint64_t stun_server_answers(const struct stun_server *s);

#endif
