/* The settings of p2p-discovery. */
#ifndef P2P_DISCOVERY_OPTIONS_H
#define P2P_DISCOVERY_OPTIONS_H

#include "http/tls.h"
#include "p2p/addr.h"
#include "p2p/guardian.h"
#include "p2p/options.h"

struct discovery_options {
    const char *host;
    uint64_t port;
    uint64_t ttl_ms;
    const char *store;
    const char *snapshot;
    bool require_signed;
    uint64_t threads;
    uint64_t max_connections;
    uint64_t max_connections_per_ip;
    uint64_t max_body_memory;
    uint64_t max_peers;
    uint64_t max_peers_per_ip;
    uint64_t max_memory;
    uint64_t max_memory_per_ip;
    uint64_t rate;
    uint64_t register_rate;
    struct p2p_option_list allow_host;
    struct p2p_option_list trusted_proxies;
    struct p2p_guardian_settings guardian;
    struct http_tls_options tls; /* --tls-cert, --tls-key */
    bool probe, stun;
    const char *relay, *relay_secret_file;
    struct p2p_addr relay_at; /* of `relay` */
    struct p2p_option_list turn;
    const char *turn_secret_file;
};

/* The table; which options change in a running process, and which never change
 * (p2p/reload.h). */
extern const struct p2p_option_set discovery_option_set;
extern const char *const discovery_fixed_options[];

/* Parses the options. P2P_OK, CANCELLED (help was shown), or USAGE (a message was
 * shown). */
P2P_MUST_CHECK enum p2p_err discovery_options_parse(struct discovery_options *opt,
                                                    int argc, char **argv,
                                                    struct p2p_options_text **text);

#endif
