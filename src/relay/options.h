/* The settings of p2p-relay. */
#ifndef RELAY_OPTIONS_H
#define RELAY_OPTIONS_H

#include "p2p/guardian.h"
#include "p2p/options.h"
#include "relay/relay.h"

struct relay_settings {
    const char *host, *admin_host;
    uint64_t port, admin_port;
    const char *relay_secret_file;
    const char *limit_rate; /* a timetable; of each session */
    uint64_t limit_rate_total;
    uint64_t quota, quota_total;
    uint64_t max_sessions, max_per_peer, max_time_ms, idle_timeout_ms, max_memory;
    struct p2p_guardian_settings guardian;
};

/* The table; and what changes in a running process, and what never does
 * (p2p/reload.h). */
extern const struct p2p_option_set relay_option_set;
extern const char *const relay_fixed_options[];
extern const char *const relay_live_options[];

/* Parses and checks the options. P2P_OK, CANCELLED (help was shown), or USAGE (a
 * message was shown). */
P2P_MUST_CHECK enum p2p_err relay_options_parse(struct relay_settings *opt, int argc,
                                                char **argv,
                                                struct p2p_options_text **text);
/* The limits in these settings. */
void relay_options_limits(const struct relay_settings *opt, struct relay_limits *out);

#endif
