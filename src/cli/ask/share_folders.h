/* share_folders - p2p share ls, add and rm: the list of shared folders in p2p.conf and
 * in the running p2p-peer. */
#ifndef P2P_CLI_SHARE_FOLDERS_H
#define P2P_CLI_SHARE_FOLDERS_H

#include "cli/ask/common.h"
#include "p2p/shares.h"

/* Finds the folders that a command is about: those of `named` (--shared-dir, or
 * p2p.conf), else those of the running peer, else the one of cli_find_shared. Returns 0
 * or the exit status. `out` borrows from `named` or from `memory`, which the caller
 * keeps. */
struct cli_folders_memory {
    struct cJSON *status; /* cJSON_Delete */
    struct cli_shared *shared;
};
int cli_find_folders(const struct cli_common *common,
                     const struct p2p_option_list *named,
                     struct cli_folders_memory *memory, struct p2p_shares_folders *out);

/* Prints the shared folders with the counters of the running peer. */
int cli_list_folders(const struct cli_common *common,
                     const struct p2p_shares_folders *folders);
/* `text` is PATH or NAME=PATH. */
int cli_add_folder(const struct cli_common *common, const char *text);
/* `text` is a name or a path. */
int cli_remove_folder(const struct cli_common *common, const char *text);

#endif
