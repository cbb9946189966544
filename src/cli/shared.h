/* shared - what this machine's own shared folder has to tell. */
#ifndef P2P_CLI_SHARED_H
#define P2P_CLI_SHARED_H

#include <stdbool.h>
#include <stddef.h>

#include "p2p/err.h"

/* How many entries of the folder are not shared. NOT_FOUND: there is no such folder, or
 * no program has shared it yet. */
P2P_MUST_CHECK enum p2p_err cli_count_problems(const char *shared_dir, size_t *count);
/* One line for people about that, as "3 entries of shared are not shared: ..."; ""
 * when there is nothing to say. `is_named`: the folder was named, so it should be
 * there. `out` holds `cap` bytes. Returns whether something is wrong. */
bool cli_tell_shared(const char *shared_dir, bool is_named, char *out, size_t cap);

#endif
