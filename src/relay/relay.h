/*
 * relay - the serving side of p2p-relay: one thread that accepts connections, reads
 * their token, joins those of one session, and moves their bytes. It sees ciphertext of
 * protocol 2 only, and interprets none of it. Trust boundary: everything that a client
 * sends before it is joined.
 */
#ifndef RELAY_RELAY_H
#define RELAY_RELAY_H

#include <stdint.h>

#include "p2p/crypto.h"
#include "p2p/rate.h"

/* What may change while the relay runs. */
struct relay_limits {
    struct p2p_timetable rates;              /* of each session, by the time of day */
    uint64_t rate_in_total;                  /* bytes a second; 0: no limit */
    uint64_t quota_per_peer, quota_in_total; /* bytes a day; 0: no limit */
    unsigned max_sessions, max_per_peer;
    uint64_t max_time_ms, idle_timeout_ms;
    uint64_t max_memory; /* of all pipes */
};

struct relay_options {
    int listener; /* takes */
    struct p2p_secret key;
    struct relay_limits limits;
    unsigned look_ms; /* between two looks at the limits of time; 0: a second */
};

struct relay; /* *returned owned*, free with relay_close */

/* Starts the thread. */
P2P_MUST_CHECK enum p2p_err relay_open(const struct relay_options *opt,
                                       struct relay **out);
/* From any thread; for sessions to come, the totals for all. */
void relay_set_limits(struct relay *r, const struct relay_limits *limits);
/* Ends all sessions and the thread. NULL is fine. */
void relay_close(struct relay *r);

/* Why a client got nothing. */
enum relay_refusal {
    RELAY_BAD_TOKEN, /* or none in time */
    RELAY_EXPIRED,
    RELAY_USED,
    RELAY_ALONE, /* the other side did not come */
    RELAY_BUSY,
    RELAY_QUOTA,
    RELAY_REFUSALS
};
/* Its name in metrics. */
const char *relay_refusal_name(enum relay_refusal why);

struct relay_stats {
    uint64_t sessions, waiting; /* now */
    uint64_t sessions_total, bytes_total, accounts;
    uint64_t refused[RELAY_REFUSALS];
};
/* From any thread. */
void relay_stats(struct relay *r, struct relay_stats *out);

#endif
