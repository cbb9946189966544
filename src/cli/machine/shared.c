#include "cli/machine/shared.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "p2p/path.h"
#include "p2p/shares.h"

void
cli_find_shared(const char *keys_dir, const char *named, struct cli_shared *out)
{
    memset(out, 0, sizeof(*out));
    out->keys_dir = keys_dir;
    out->is_known =
        named != NULL ||
        p2p_share_read_record(keys_dir, "p2p-peer", &out->record) == P2P_OK ||
        p2p_share_read_record(keys_dir, "p2p-ui", &out->record) == P2P_OK;
    if (named != NULL)
        out->dir = named;
    else if (out->is_known)
        out->dir = out->record.path;
    else
        out->dir =
            p2p_home_find(&out->home) == P2P_OK ? out->home.shared_dir : "shared";
}

const char *
cli_first_shared(const struct p2p_option_list *named)
{
    const char *first = NULL;

    for (size_t i = 0; i < named->count; i++) {
        size_t name_len;
        const char *path = p2p_shares_path(named->at[i], &name_len);
        if (name_len == 0)
            return path;
        if (first == NULL)
            first = path;
    }
    return first;
}

/* The last row has no name; its text begins with the number of the others. */
static void
count_one(void *count, const char *name, const char *reason)
{
    *(size_t *)count += name[0] != '\0' ? 1 : strtoul(reason, NULL, 10);
}

static void
add_files(void *sum, const char *place, uint64_t files)
{
    (void)place;
    *(uint64_t *)sum += files;
}

enum p2p_err
cli_away_files(const struct p2p_root *root, const char *keys_dir, uint64_t *files)
{
    uint64_t on_disks = 0;
    enum p2p_err err = p2p_share_missing_at(root, keys_dir, files);

    if (err == P2P_OK)
        err = p2p_share_disks_at(root, keys_dir, add_files, &on_disks);
    if (*files == 0) /* else these are among them */
        *files = on_disks;
    return err;
}

enum p2p_err
cli_look_at_shared(const struct cli_shared *shared, size_t *problems, uint64_t *missing)
{
    struct p2p_root *root = NULL;
    enum p2p_err err = p2p_root_open(shared->dir, false, 0755, &root);

    *problems = 0;
    *missing = 0;
    if (err == P2P_OK)
        err = p2p_share_problems_at(root, shared->keys_dir, count_one, problems);
    if (err == P2P_OK)
        err = p2p_share_missing_at(root, shared->keys_dir, missing);
    p2p_root_close(root);
    return err == P2P_OK && *missing > 0 ? P2P_ERR_AWAY : err;
}

static void
tell_not_there(const char *dir, int errnum, char *out, size_t cap)
{
    snprintf(out, cap,
             errnum == ENOENT ? "%s does not exist (it was moved, deleted or "
                                "unmounted), so none of its files are shared"
                              : "cannot look into %s",
             dir);
}

static void
tell_emptied(const char *dir, uint64_t files, char *out, size_t cap)
{
    snprintf(
        out, cap,
        "%s is empty and had %llu file%s: it counts as away. Mount its disk or put "
        "the files back; if they were deleted, run: p2p share confirm --shared-dir "
        "%s",
        dir, (unsigned long long)files, files == 1 ? "" : "s", dir);
}

bool
cli_tell_shared(const struct cli_shared *shared, char *out, size_t cap)
{
    struct stat st;
    size_t problems;
    uint64_t missing;
    enum p2p_err err = cli_look_at_shared(shared, &problems, &missing);

    out[0] = '\0';
    if (stat(shared->dir, &st) != 0) {
        if (shared->is_known)
            tell_not_there(shared->dir, errno, out, cap);
        return shared->is_known; /* else another folder is shared, or none */
    }
    if (err == P2P_ERR_NOT_FOUND)
        return false; /* nobody shares it */
    if (err == P2P_ERR_AWAY)
        tell_emptied(shared->dir, missing, out, cap);
    else if (err != P2P_OK)
        snprintf(out, cap, "cannot read the index of %s: %s", shared->dir,
                 p2p_err_text(err));
    else if (problems > 0)
        snprintf(out, cap,
                 "%zu %s not shared; `p2p share ls --problems --shared-dir %s` lists "
                 "the reasons",
                 problems, problems == 1 ? "entry is" : "entries are", shared->dir);
    return err != P2P_OK || problems > 0;
}
