/*
 * tickets - which sides of which sessions have shown their token. Each token works
 * once: a session is remembered until its tokens have expired, whatever became of it.
 * The table is bounded. Pure: time is an argument. One thread at a time.
 */
#ifndef RELAY_TICKETS_H
#define RELAY_TICKETS_H

#include <stddef.h>

#include "p2p/relay.h"

struct tickets; /* *returned owned*, free with tickets_free */

enum ticket_verdict {
    TICKET_FIRST,   /* wait for the other side */
    TICKET_SECOND,  /* both are there: `*other` waits */
    TICKET_USED,    /* this token was shown before, or the other side has left */
    TICKET_EXPIRED, /* or so far in the future that no registry of this clock made it */
    TICKET_FULL,
};

/* A token that is valid for longer than this was not made for one session. */
#define TICKET_LIFE_MAX_S 300u

/* Remembers at most `max` tickets; *returns owned*, free with tickets_free. */
P2P_MUST_CHECK enum p2p_err tickets_new(size_t max, struct tickets **out);
/* NULL is fine. */
void tickets_free(struct tickets *t);
/* `holder` stands for the connection that shows the token. */
enum ticket_verdict tickets_show(struct tickets *t, const struct p2p_relay_token *token,
                                 void *holder, uint64_t now_s, void **other);
/* The connection that waits leaves: no other one can be joined with it. */
void tickets_leave(struct tickets *t, const struct p2p_session_id *session,
                   const void *holder);
/* Forgets what has expired; returns how many are left. */
size_t tickets_expire(struct tickets *t, uint64_t now_s);

#endif
