/* The program's own files in `.p2p/`, and writing a small file completely. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/libc.h"
#include "core/disk/path_internal.h"
#include "p2p/io.h"
#include "p2p/limits.h"

#define PRIVATE_DIR  ".p2p"
#define ASIDE_SUFFIX ".new" /* suffix of a file that is written but not yet renamed */

bool
p2p_path_private_name_is_valid(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len <= P2P_NAME_PART_MAX && name[0] != '.' && !strchr(name, '/');
}

/* In a folder that other users can write to, another user may have created `.p2p`
 * first. */
static bool
is_ours(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && (st.st_uid == geteuid() || geteuid() == 0);
}

enum p2p_err
p2p_path_private_dir(const struct p2p_root *root, int *dir)
{
    const int flags = O_RDONLY | O_DIRECTORY;
    int fd;

    *dir = -1;
    fd = p2p_path_open_beneath(root->fd, PRIVATE_DIR, flags, 0);
    if (fd < 0 && errno == ENOENT) {
        if (mkdirat(root->fd, PRIVATE_DIR, 0700) != 0 && errno != EEXIST)
            return p2p_err_from_errno(errno);
        fd = p2p_path_open_beneath(root->fd, PRIVATE_DIR, flags, 0);
    }
    if (fd < 0)
        return errno == ELOOP || errno == ENOTDIR ? P2P_ERR_PERMISSION
                                                  : p2p_err_from_errno(errno);
    if (!is_ours(fd)) {
        close(fd);
        return P2P_ERR_PERMISSION;
    }
    *dir = fd;
    return P2P_OK;
}

/* Opens the directory and checks that `name` can be one of our files. */
static enum p2p_err
open_private_dir(const struct p2p_root *root, const char *name, int *dir)
{
    *dir = -1;
    if (!p2p_path_private_name_is_valid(name))
        return P2P_ERR_NAME;
    return p2p_path_private_dir(root, dir);
}

enum p2p_err
p2p_root_open_private(const struct p2p_root *root, const char *name, int flags, int *fd)
{
    int dir;
    enum p2p_err err = open_private_dir(root, name, &dir);

    *fd = -1;
    if (err)
        return err;
    *fd = p2p_path_open_beneath(dir, name, flags, 0600);
    if (*fd < 0)
        err = p2p_err_from_errno(errno);
    close(dir);
    return err;
}

enum p2p_err
p2p_root_unlink_private(const struct p2p_root *root, const char *name)
{
    int dir;
    enum p2p_err err = open_private_dir(root, name, &dir);

    if (err)
        return err;
    if (unlinkat(dir, name, 0) != 0)
        err = p2p_err_from_errno(errno);
    close(dir);
    return err;
}

enum p2p_err
p2p_root_move_private(const struct p2p_root *root, const char *from, const char *to)
{
    int dir;
    enum p2p_err err = open_private_dir(root, from, &dir);

    if (err)
        return err;
    if (!p2p_path_private_name_is_valid(to))
        err = P2P_ERR_NAME;
    else if (p2p_path_move_new(dir, from, dir, to) != 0)
        err = p2p_err_from_errno(errno);
    close(dir);
    return err;
}

/* Selects the files to remove: regular files older than `before` with this beginning
 * and end. */
struct left_over {
    const char *prefix, *suffix;
    time_t before;
};

static bool
is_left_over(int dir, const char *name, const struct left_over *what)
{
    size_t len = strlen(name), head = strlen(what->prefix), tail = strlen(what->suffix);
    struct stat st;

    return len > head + tail && strncmp(name, what->prefix, head) == 0 &&
           strcmp(name + len - tail, what->suffix) == 0 &&
           fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
           st.st_mtime < what->before;
}

static void
sweep(const struct p2p_root *root, const struct left_over *what)
{
    int fd;
    DIR *dir;

    if (p2p_path_private_dir(root, &fd) != P2P_OK)
        return;
    if ((dir = fdopendir(fd)) == NULL) {
        close(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (is_left_over(fd, entry->d_name, what))
            (void)unlinkat(fd, entry->d_name, 0);
    closedir(dir);
}

void
p2p_root_sweep_private(const struct p2p_root *root, const char *suffix, time_t before)
{
    sweep(root, &(struct left_over){.prefix = "", .suffix = suffix, .before = before});
}

void
p2p_root_sweep_aside(const struct p2p_root *root, const char *name)
{
    char prefix[NAME_MAX + 1];
    int n = snprintf(prefix, sizeof(prefix), "%s.", name);
    /* the largest time_t, which has 32 bits on some machines */
    const time_t any_age = (time_t)(UINT64_MAX >> (65 - 8 * sizeof(time_t)));

    if (n > 0 && (size_t)n < sizeof(prefix))
        sweep(root, &(struct left_over){
                        .prefix = prefix, .suffix = ASIDE_SUFFIX, .before = any_age});
}

static bool
leads_to(const char *path, int dir)
{
    struct stat held, there;

    return fstat(dir, &held) == 0 && stat(path, &there) == 0 &&
           p2p_stat_is_same_file(&held, &there);
}

/* The path of the open `dir`, which is a private directory of `root`. The system tells
 * the path within its own mount for a file system that was unmounted lazily: that path
 * leads to something else. The same file system may be mounted again at its place. */
static enum p2p_err
find_path(const struct p2p_root *root, int dir, char out[PATH_MAX])
{
    char link[PATH_MAX];

    if (!p2p_fd_path(dir, out, PATH_MAX))
        return P2P_ERR_SYS;
    if (leads_to(out, dir))
        return P2P_OK;
    if (snprintf(link, sizeof(link), "%s/" PRIVATE_DIR, root->path) <
            (int)sizeof(link) &&
        realpath(link, out) && leads_to(out, dir))
        return P2P_OK;
    return P2P_ERR_AWAY;
}

enum p2p_err
p2p_root_private_path(const struct p2p_root *root, const char *name, char *out,
                      size_t cap)
{
    char base[PATH_MAX];
    int dir;
    enum p2p_err err = open_private_dir(root, name, &dir);

    out[0] = '\0';
    if (err)
        return err;
    err = find_path(root, dir, base);
    close(dir);
    if (err)
        return err;
    if (strlen(base) + 1 + strlen(name) >= cap)
        return P2P_ERR_TOO_LARGE;
    snprintf(out, cap, "%s/%s", base, name);
    return P2P_OK;
}

static enum p2p_err
write_all(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? p2p_err_from_errno(errno) : P2P_ERR_SYS;
        data += n;
        len -= (size_t)n;
    }
    return P2P_OK;
}

static enum p2p_err
write_new(int dir, const char *name, const void *data, size_t len)
{
    int fd =
        openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    enum p2p_err err;

    if (fd < 0)
        return p2p_err_from_errno(errno);
    err = write_all(fd, data, len);
    if (!err && fsync(fd) != 0)
        err = p2p_err_from_errno(errno);
    if (close(fd) != 0 && !err)
        err = p2p_err_from_errno(errno);
    if (err)
        unlinkat(dir, name, 0);
    return err;
}

bool
p2p_path_flush(int dir)
{
    return fsync(dir) == 0 || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP;
}

/* Errors that are about the disk or the names, not about this way of renaming. */
static bool
is_final(int errnum)
{
    return errnum == EEXIST || errnum == ENOSPC || errnum == EDQUOT ||
           errnum == EROFS || errnum == EXDEV || errnum == EFBIG;
}

/*
 * For file systems with neither RENAME_NOREPLACE nor links (exFAT, many FUSE ones):
 * creates an empty file with the name first, so that no other program can take the
 * name, and then renames over it. Until then, only a file that is still empty and ours
 * may be replaced.
 */
static int
move_onto_placeholder(int from_dir, const char *from, int to_dir, const char *to)
{
    struct stat st;
    int fd =
        openat(to_dir, to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return -1;
    close(fd);
    if (fstatat(to_dir, to, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode) ||
        st.st_size != 0) {
        errno = EEXIST;
        return -1;
    }
    if (renameat(from_dir, from, to_dir, to) == 0)
        return 0;
    int saved = errno;
    (void)unlinkat(to_dir, to, 0);
    /* A file system whose rename never replaces a file needs no placeholder. */
    if (saved == EEXIST && renameat(from_dir, from, to_dir, to) == 0)
        return 0;
    errno = saved;
    return -1;
}

int
p2p_path_move_new(int from_dir, const char *from, int to_dir, const char *to)
{
    if (renameat2(from_dir, from, to_dir, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP && errno != EPERM)
        return -1;
    /* File systems without RENAME_NOREPLACE (NFS, some FUSE): link(2) never replaces.
     */
    if (linkat(from_dir, from, to_dir, to, 0) == 0)
        return unlinkat(from_dir, from, 0);
    if (is_final(errno))
        return -1;
    return move_onto_placeholder(from_dir, from, to_dir, to);
}

static enum p2p_err
write_whole(int dir, const char *name, const void *data, size_t len, bool replace)
{
    /* Makes a unique temporary name for each writer: the counter distinguishes threads,
     * the pid distinguishes processes. */
    static atomic_uint counter;
    char aside[NAME_MAX + 1];
    int n = snprintf(aside, sizeof(aside), "%s.%ld-%u" ASIDE_SUFFIX, name,
                     (long)getpid(), atomic_fetch_add(&counter, 1));

    if (n < 0 || (size_t)n >= sizeof(aside))
        return P2P_ERR_NAME;
    unlinkat(dir, aside, 0); /* left by an old process with the same pid */
    enum p2p_err err = write_new(dir, aside, data, len);
    if (err)
        return err;
    int failed = replace ? renameat(dir, aside, dir, name)
                         : p2p_path_move_new(dir, aside, dir, name);
    if (failed || !p2p_path_flush(dir)) {
        err = p2p_err_from_errno(errno);
        unlinkat(dir, aside, 0);
    }
    return err;
}

enum p2p_err
p2p_path_replace(int dir, const char *name, const void *data, size_t len)
{
    return write_whole(dir, name, data, len, true);
}

enum p2p_err
p2p_path_create(int dir, const char *name, const void *data, size_t len)
{
    return write_whole(dir, name, data, len, false);
}

enum p2p_err
p2p_root_replace_private(const struct p2p_root *root, const char *name,
                         const void *data, size_t len)
{
    int dir;
    enum p2p_err err = open_private_dir(root, name, &dir);

    if (err)
        return err;
    err = p2p_path_replace(dir, name, data, len);
    close(dir);
    return err;
}
