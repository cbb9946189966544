/*
 * search_lan - the part of `p2p search` that asks peers directly: peers of the local
 * network (mDNS) that no registry lists, and peers that have a root, for its name.
 */
#ifndef CLI_SEARCH_LAN_H
#define CLI_SEARCH_LAN_H

#include "cli/ask/peers.h"

struct lan_wanted {
    const char *text; /* text to find in names, without regard to case; NULL: none */
    struct p2p_digest root; /* the content */
    size_t limit;
};

/*
 * Adds to the registries' results, grouped by content: the name and size of a root and,
 * with `neighbours`, the files of peers of the local network. Peers that do not answer
 * are left out.
 */
void cli_search_lan(const struct cli_common *common, struct p2p_identity *identity,
                    const struct lan_wanted *wanted, bool neighbours,
                    struct p2p_search_results *results);

#endif
