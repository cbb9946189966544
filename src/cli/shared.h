/* shared - what this machine's own shared folder has to tell. */
#ifndef P2P_CLI_SHARED_H
#define P2P_CLI_SHARED_H

#include <stdbool.h>
#include <stddef.h>

#include "p2p/home.h"
#include "p2p/share.h"

/* Which folder a command is about. */
struct cli_shared {
    const char *dir;
    /* It was named, or p2p-peer or p2p-ui with these keys shares it: so it should be
     * there. */
    bool is_known;
    struct p2p_share_record record;
    struct p2p_home home;
};
/* `named` is --shared-dir, or NULL: then the programs with these keys tell, and last it
 * is that of the home. Borrows `named`. */
void cli_find_shared(const char *keys_dir, const char *named, struct cli_shared *out);

/* How many entries of the folder are not shared. NOT_FOUND: there is no such folder, or
 * no program has shared it yet. AWAY: it had `*missing` files and is empty. */
P2P_MUST_CHECK enum p2p_err cli_look_at_shared(const struct cli_shared *shared,
                                               size_t *problems, uint64_t *missing);
/* One line for people about that, as "3 entries of shared are not shared: ..."; ""
 * when there is nothing to say. `out` holds `cap` bytes. Returns whether something is
 * wrong. */
bool cli_tell_shared(const struct cli_shared *shared, char *out, size_t cap);

#endif
