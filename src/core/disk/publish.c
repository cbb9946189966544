/* Moving files between public names and `.p2p/`: publish, withdraw, rename, unlink. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/disk/path_internal.h"
#include "p2p/limits.h"
#include "p2p/log.h"
#include "p2p/mailbox.h"

#define NUMBERS_MAX 9999

static bool
is_regular(int dir, const char *leaf)
{
    struct stat st;

    return fstatat(dir, leaf, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

/* Private files have mode 0600; public ones follow the umask. */
static enum p2p_err
make_public(const struct p2p_root *root, int dir, const char *name)
{
    int fd = p2p_path_open_beneath(dir, name, O_RDONLY | O_NONBLOCK, 0);

    if (fd < 0)
        return p2p_err_from_errno(errno);
    int failed = fchmod(fd, root->public_mode);
    /* FAT and similar file systems have no modes; that is no reason to fail. */
    bool has_none = failed && (errno == EPERM || errno == ENOSYS ||
                               errno == EOPNOTSUPP || errno == EINVAL);
    enum p2p_err err = failed && !has_none ? p2p_err_from_errno(errno) : P2P_OK;
    close(fd);
    return err;
}

/* One attempt under one name. EXISTS when it is taken (or, with `replace`, taken by a
 * folder). */
static enum p2p_err
publish_once(const struct p2p_root *root, int private_dir, const char *private_name,
             const char *name, bool replace, bool flush)
{
    struct p2p_path_place place;
    enum p2p_err err = p2p_path_place_open(root, name, true, &place);

    if (err)
        return err;
    int failed =
        replace ? renameat(private_dir, private_name, place.dir, place.leaf)
                : p2p_path_move_new(private_dir, private_name, place.dir, place.leaf);
    if (!failed)
        err = flush ? p2p_path_flush_both(place.dir, private_dir) : P2P_OK;
    else if (errno == EEXIST || errno == EISDIR || errno == ENOTEMPTY)
        err = P2P_ERR_EXISTS;
    else if (errno == EXDEV)
        err = P2P_ERR_OTHER_DISK;
    else if (errno == EINVAL || errno == ENAMETOOLONG || errno == EILSEQ)
        err = P2P_ERR_TARGET_NAME;
    else
        err = p2p_err_from_errno(errno);
    p2p_path_place_close(&place);
    return err;
}

/* NOT_FOUND: another thread found our new folder empty and removed it. */
static enum p2p_err
publish_as(const struct p2p_root *root, int private_dir, const char *private_name,
           const char *name, bool replace, bool flush)
{
    enum p2p_err err = P2P_ERR_NOT_FOUND;

    for (int tries = 0; tries < 8 && err == P2P_ERR_NOT_FOUND; tries++)
        err = publish_once(root, private_dir, private_name, name, replace, flush);
    return err;
}

/* How to publish. */
struct manner {
    enum p2p_on_conflict conflict;
    bool flush;
    const struct p2p_mailbox_old *old; /* what is known about a file that is replaced */
};

/* Takes the name, whatever file has it; that one goes to the mailbox. `*kept`: why it
 * cannot go there. */
static enum p2p_err
publish_and_keep(const struct p2p_root *root, int private_dir, const char *private_name,
                 const char *name, const struct manner *how, enum p2p_err *kept)
{
    enum p2p_err err = P2P_ERR_NOT_FOUND;

    for (int tries = 0; tries < 8; tries++) {
        *kept = p2p_mailbox_replace(root, private_dir, private_name, name, how->old,
                                    how->flush);
        if (*kept != P2P_ERR_NOT_FOUND)
            return *kept;
        *kept = P2P_OK; /* nothing has the name */
        err = publish_once(root, private_dir, private_name, name, false, how->flush);
        if (err != P2P_ERR_EXISTS && err != P2P_ERR_NOT_FOUND)
            break; /* else the name or its folder came or went meanwhile */
    }
    return err;
}

static enum p2p_err
publish_over(const struct p2p_root *root, int private_dir, const char *private_name,
             const char *name, const struct manner *how)
{
    enum p2p_err kept,
        err = publish_and_keep(root, private_dir, private_name, name, how, &kept);

    if (err == P2P_OK || kept == P2P_OK || how->conflict == P2P_CONFLICT_VERSION)
        return err;
    err = publish_as(root, private_dir, private_name, name, true, how->flush);
    if (err == P2P_OK)
        p2p_log_warn("replaced a file without keeping its old content error=%s",
                     p2p_err_name(kept));
    return err;
}

static bool
replaces(enum p2p_on_conflict conflict)
{
    return conflict == P2P_CONFLICT_OVERWRITE || conflict == P2P_CONFLICT_VERSION;
}

static enum p2p_err
publish(const struct p2p_root *root, const char *private_name, const char *name,
        const struct manner *how, char *stored)
{
    char candidate[P2P_NAME_MAX + 1];
    enum p2p_err err;
    int dir;

    stored[0] = '\0';
    if (p2p_name_check(name, strlen(name), true) != P2P_OK ||
        !p2p_path_private_name_is_valid(private_name))
        return P2P_ERR_NAME;
    err = p2p_path_private_dir(root, &dir);
    if (err)
        return err;
    snprintf(candidate, sizeof(candidate), "%s", name);
    err = make_public(root, dir, private_name);
    if (!err)
        err = replaces(how->conflict)
                  ? publish_over(root, dir, private_name, name, how)
                  : publish_as(root, dir, private_name, name, false, how->flush);
    for (unsigned i = 1; err == P2P_ERR_EXISTS && how->conflict == P2P_CONFLICT_RENAME;
         i++) {
        if (i > NUMBERS_MAX || p2p_name_numbered(name, i, candidate) != P2P_OK)
            break;
        err = publish_as(root, dir, private_name, candidate, false, how->flush);
    }
    close(dir);
    if (err)
        p2p_path_remove_empty_folders(root, name);
    else
        snprintf(stored, P2P_NAME_MAX + 1, "%s", candidate);
    return err;
}

enum p2p_err
p2p_root_publish(const struct p2p_root *root, const char *private_name,
                 const char *name, enum p2p_on_conflict conflict, char *stored)
{
    const struct p2p_mailbox_old old = {.may_drop = conflict != P2P_CONFLICT_VERSION};
    const struct manner how = {.conflict = conflict, .flush = true, .old = &old};

    return publish(root, private_name, name, &how, stored);
}

enum p2p_err
p2p_root_publish_unflushed(const struct p2p_root *root, const char *private_name,
                           const char *name, enum p2p_on_conflict conflict,
                           char *stored)
{
    const struct p2p_mailbox_old old = {.may_drop = conflict != P2P_CONFLICT_VERSION};
    const struct manner how = {.conflict = conflict, .old = &old};

    return publish(root, private_name, name, &how, stored);
}

enum p2p_err
p2p_mailbox_publish(const struct p2p_root *root, const char *private_name,
                    const char *name, const struct p2p_mailbox_old *old, char *stored)
{
    const struct manner how = {
        .conflict = P2P_CONFLICT_VERSION, .flush = true, .old = old};

    return publish(root, private_name, name, &how, stored);
}

enum p2p_err
p2p_root_unlink(const struct p2p_root *root, const char *name)
{
    struct p2p_path_place place;
    enum p2p_err err = p2p_path_place_open(root, name, false, &place);

    if (err)
        return err;
    if (!is_regular(place.dir, place.leaf))
        err = P2P_ERR_NOT_FOUND;
    else if (unlinkat(place.dir, place.leaf, 0) != 0 || !p2p_path_flush(place.dir))
        err = p2p_path_error(errno);
    p2p_path_place_close(&place);
    if (!err)
        p2p_path_remove_empty_folders(root, name);
    return err;
}

enum p2p_err
p2p_root_rename(const struct p2p_root *root, const char *from, const char *to)
{
    struct p2p_path_place source, target = {.dir = -1};
    enum p2p_err err = p2p_path_place_open(root, from, false, &source);

    if (err)
        return err;
    if (!is_regular(source.dir, source.leaf)) {
        err = P2P_ERR_NOT_FOUND;
        goto out;
    }
    err = p2p_path_place_open(root, to, true, &target);
    if (err)
        goto out;
    if (p2p_path_move_new(source.dir, source.leaf, target.dir, target.leaf) != 0)
        err = p2p_err_from_errno(errno);
    else
        err = p2p_path_flush_both(target.dir, source.dir);
    p2p_path_remove_empty_folders(root, err ? to : from);
out:
    p2p_path_place_close(&target);
    p2p_path_place_close(&source);
    return err;
}

enum p2p_err
p2p_root_withdraw(const struct p2p_root *root, const char *name,
                  const char *private_name)
{
    struct p2p_path_place place;
    int dir = -1;
    enum p2p_err err = p2p_path_place_open(root, name, false, &place);

    if (err)
        return err;
    if (!p2p_path_private_name_is_valid(private_name))
        err = P2P_ERR_NAME;
    else if (!is_regular(place.dir, place.leaf))
        err = P2P_ERR_NOT_FOUND;
    else
        err = p2p_path_private_dir(root, &dir);
    if (err)
        goto out;
    if (p2p_path_move_new(place.dir, place.leaf, dir, private_name) != 0)
        err = p2p_err_from_errno(errno);
    else
        err = p2p_path_flush_both(dir, place.dir);
out:
    if (dir >= 0)
        close(dir);
    p2p_path_place_close(&place);
    if (!err)
        p2p_path_remove_empty_folders(root, name);
    return err;
}
