/*
 * search_lan - the part of `p2p search` that asks peers themselves: neighbours found by
 * mDNS for whom no registry speaks, and whoever has a root for its name.
 */
#ifndef CLI_SEARCH_LAN_H
#define CLI_SEARCH_LAN_H

#include "cli.h"

struct lan_wanted {
    const char *text;       /* in names, case aside; NULL: */
    struct p2p_digest root; /* the content */
    size_t limit;
};

/*
 * Adds to what the registries have said, grouped by content: the name and size of a
 * root, and, with `neighbours`, what those have. Whoever does not answer is left out.
 */
void cli_search_lan(const struct cli_common *common, struct p2p_identity *identity,
                    const struct lan_wanted *wanted, bool neighbours,
                    struct p2p_search_results *results);

#endif
