/* complete_own - what is on this machine and begins with a word, one a line: for p2p
 * complete. Prints nothing where something cannot be read. */
#ifndef P2P_CLI_COMPLETE_OWN_H
#define P2P_CLI_COMPLETE_OWN_H

#include "cli/ask/common.h"

struct cli_own {
    const struct cli_common *common;
    const struct p2p_option_list *shared_dirs; /* --shared-dir */
    const char *downloads;
};

/* The kinds: "shared" (files and folders of the shared folders, up to the next '/'),
 * "deleted" (files that can be restored), "folders" (shared folders), "mirrors",
 * "unfinished" (downloads), "settings", "links" and "offers" (of other devices). False
 * for another kind. */
bool cli_offer_own(const struct cli_own *own, const char *kind, const char *beginning);

#endif
