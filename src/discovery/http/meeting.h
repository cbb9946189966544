/* What the routes of boxes and relays use (routes_box.c, routes_relay.c): the boxes,
 * the requests that wait at them, the budgets, the relay and the TURN
 * servers with their secrets. */
#ifndef P2P_DISCOVERY_MEETING_H
#define P2P_DISCOVERY_MEETING_H

#include "discovery/meet/codes.h"
#include "discovery/meet/turn.h"
#include "http/http.h"
#include "http/meet/boxes.h"
#include "p2p/addr.h"
#include "p2p/crypto.h"

struct http_ratelimit;
struct http_waitlist;

/* A message wakes only the requests of its list. */
#define MEETING_LISTS 256u

/* Budgets, a minute. Loopback is exempt from those of a source. */
enum {
    MEETING_POSTS_PER_SOURCE = 60,
    MEETING_CALLS_PER_SENDER = 40,
    MEETING_CALLS_PER_BOX = 120,
    MEETING_TOKENS_PER_SOURCE = 60,
    MEETING_TOKENS_PER_PEER = 40,
    MEETING_TOKENS_IN_TOTAL = 6000,
    MEETING_TOKEN_LIFE_S = 60,
    MEETING_CODES_PER_SOURCE = 12,
    MEETING_CLAIMS_PER_HOUR = 10, /* of a source */
    MEETING_CLAIMS_BURST = 10,
    MEETING_TURN_PER_SOURCE = 12,
};

struct meeting {
    struct boxes *boxes;
    struct codes *codes;
    struct http_waitlist *waiting[MEETING_LISTS];
    struct http_ratelimit *posts, *senders, *targets, *token_sources, *token_peers,
        *tokens, *sessions, *codes_made, *claims, *turn_logins;
    bool has_relay;
    struct p2p_addr relay;
    struct p2p_secret relay_key;
    struct turn turn;
};

/* Set `has_relay` and what belongs to it, and `turn`, before. The server is open, but
 * does not answer yet. */
P2P_MUST_CHECK enum p2p_err meeting_open(struct meeting *m, struct http_server *server);
/* The server is closed. Accepts a meeting that is all zero. */
void meeting_close(struct meeting *m);
/* The list of this box. */
struct http_waitlist *meeting_list(const struct meeting *m, const struct box_id *id);
/* True, with 429 sent, if the budget of this address is used up. */
bool meeting_is_limited(struct http_request *req, struct http_ratelimit *budget);
/* The same for the budget of a peer or a box. */
bool meeting_is_limited_for(struct http_request *req, struct http_ratelimit *budget,
                            const void *key, size_t len);

#endif
