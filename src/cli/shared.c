#include "cli/shared.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "p2p/path.h"
#include "p2p/share.h"

/* The last one has no name and begins with the number of all the others. */
static void
count_one(void *count, const char *name, const char *reason)
{
    *(size_t *)count += name[0] != '\0' ? 1 : strtoul(reason, NULL, 10);
}

enum p2p_err
cli_count_problems(const char *shared_dir, size_t *count)
{
    struct p2p_root *root = NULL;
    enum p2p_err err = p2p_root_open(shared_dir, false, 0755, &root);

    *count = 0;
    if (err == P2P_OK)
        err = p2p_share_problems_at(root, count_one, count);
    p2p_root_close(root);
    return err;
}

bool
cli_tell_shared(const char *shared_dir, bool is_named, char *out, size_t cap)
{
    struct stat st;
    size_t count;
    enum p2p_err err = cli_count_problems(shared_dir, &count);

    out[0] = '\0';
    if (stat(shared_dir, &st) != 0) {
        if (!is_named)
            return false; /* another folder is shared, or none */
        snprintf(out, cap,
                 errno == ENOENT
                     ? "%s is not there: it was moved, deleted or unmounted, and "
                       "nothing of it is shared"
                     : "%s cannot be looked at",
                 shared_dir);
        return true;
    }
    if (err == P2P_ERR_NOT_FOUND)
        return false; /* nobody shares it */
    if (err != P2P_OK)
        snprintf(out, cap, "the index of %s cannot be read: %s", shared_dir,
                 p2p_err_text(err));
    else if (count > 0)
        snprintf(
            out, cap,
            "%zu %s not shared; `p2p share ls --problems --shared-dir %s` tells why",
            count, count == 1 ? "entry is" : "entries are", shared_dir);
    return err != P2P_OK || count > 0;
}
