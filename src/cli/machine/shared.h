/* shared - messages about this machine's own shared folder. */
#ifndef P2P_CLI_SHARED_H
#define P2P_CLI_SHARED_H

#include <stdbool.h>
#include <stddef.h>

#include "p2p/home.h"
#include "p2p/options.h"
#include "p2p/share.h"

/* Which folder a command is about. */
struct cli_shared {
    const char *dir, *keys_dir;
    /* It was named, or p2p-peer or p2p-ui with these keys shares it: so it should be
     * there. */
    bool is_known;
    struct p2p_share_record record;
    struct p2p_home home;
};
/* `named` is --shared-dir. If it is NULL, the folder of the running programs with these
 * keys is taken, or else that of the home folder. Borrows both texts. */
void cli_find_shared(const char *keys_dir, const char *named, struct cli_shared *out);

/* The folder with bare names in a list of PATH or NAME=PATH, else the first one; NULL
 * for an empty list. */
const char *cli_first_shared(const struct p2p_option_list *named);

/* Counts the entries of the folder that are not shared. NOT_FOUND: there is no such
 * folder, or no program has shared it yet. */
P2P_MUST_CHECK enum p2p_err cli_look_at_shared(const struct cli_shared *shared,
                                               size_t *problems, uint64_t *missing);
/* Counts the files of the folder that are away: its own if it is empty, or those of
 * disks beneath it. NOT_FOUND: no program has shared it yet. */
P2P_MUST_CHECK enum p2p_err cli_away_files(const struct p2p_root *root,
                                           const char *keys_dir, uint64_t *files);
/* Writes one line about it for people, such as "3 entries of shared are not shared:
 * ..."; "" if there is nothing to report. `is_named`: the user named the folder, so it
 * should exist. `out` has `cap` bytes. Returns true if something is wrong. */
bool cli_tell_shared(const struct cli_shared *shared, char *out, size_t cap);

#endif
