/* peers - finds peers, and the one that a person named. */
#ifndef CLI_PEERS_H
#define CLI_PEERS_H

#include "cli/ask/common.h"

#define CLI_ADDRESS (P2P_HOST_MAX + 9)

/* One peer, wherever it was found. */
struct cli_peer {
    struct p2p_id id;
    struct p2p_addr addr;
    char others[P2P_PEER_OTHERS_TEXT]; /* further ones, see p2p_addr_list_read */
    bool is_reached,
        is_unreached; /* a registry could, or could not, connect to `addr` */
    bool id_known, verified, in_registry, on_lan, is_self;
    struct p2p_about about;           /* as a registry or mDNS says */
    char called[P2P_CALLED_MAX];      /* what to show for it */
    char name[P2P_PEER_NAME_MAX + 1]; /* given by the user */
    size_t file_count;
    uint64_t last_seen_s;
    enum p2p_trust trust;
};
struct cli_peers {
    struct cli_peer *at;
    size_t count;
    enum p2p_err registry_err; /* result of asking the registries */
};
/* All online peers: those of the registries and, with common->mdns, those of the local
 * network, one entry per peer id. Only NOMEM is an error. d may be NULL. */
P2P_MUST_CHECK enum p2p_err cli_find_peers(const struct cli_common *common,
                                           struct p2p_discovery *d,
                                           struct p2p_identity *identity,
                                           struct cli_peers *out);
/* Only the peers of the local network (takes about a second). */
P2P_MUST_CHECK enum p2p_err cli_find_lan(const struct cli_common *common,
                                         struct p2p_identity *identity,
                                         struct cli_peers *out);
void cli_peers_clear(struct cli_peers *peers);

/*
 * Finds the peer that a person named: as HOST:PORT, or as an id or its beginning (at
 * least 8 digits) or a name that only one peer has: looked up among known and online
 * peers. Fills addr and, if known, id. A peer that is not online, or that no registry
 * knows, is where it was last met. Prints its own error message.
 */
P2P_MUST_CHECK enum p2p_err cli_resolve_peer(const struct cli_common *common,
                                             struct p2p_identity *identity,
                                             const char *text, struct cli_peer *out);
/* Finds only the id; also for peers that are not online. */
P2P_MUST_CHECK enum p2p_err cli_resolve_id(const struct cli_common *common,
                                           struct p2p_identity *identity,
                                           const char *text, struct p2p_id *out);

#endif
