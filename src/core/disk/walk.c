/* Visits everything in a folder, without following links. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/base/libc.h"
#include "core/disk/path_internal.h"
#include "p2p/limits.h"

/* `name` is one buffer for the whole walk; its first `len` bytes are the name of the
 * current folder. */
struct walk {
    const struct p2p_walk *how;
    size_t skipped;
    char name[P2P_NAME_MAX + 1];
    size_t len;
    unsigned depth, first_depth;
};

static enum p2p_err walk_folder(struct walk *w, int fd);

/* The first `folder_len` bytes of the name are the folder that contains `leaf`. */
static void
leave_out(struct walk *w, size_t folder_len, const char *leaf, const char *reason)
{
    char folder[P2P_NAME_MAX + 1];

    w->skipped++;
    if (!w->how->left_out)
        return;
    memcpy(folder, w->name, folder_len);
    folder[folder_len] = '\0';
    w->how->left_out(w->how->arg, folder, leaf, reason);
}

/* The entry with the current name cannot be read. It may still be there: its disk
 * fails, or the server of a network folder does not answer. */
static void
meet_closed(struct walk *w, size_t above, const char *leaf, int errnum)
{
    leave_out(w, above, leaf, strerrordesc_np(errnum));
    if (w->how->closed && errnum != ENOTDIR && errnum != ELOOP)
        w->how->closed(w->how->arg, w->name);
}

/* Entries that cannot be read, or that were removed since they were listed, do not stop
 * the walk. */
static enum p2p_err
walk_subfolder(struct walk *w, int dir, const char *leaf, size_t above)
{
    int fd;

    if (w->depth + 1 >= P2P_NAME_DEPTH_MAX) {
        leave_out(w, above, leaf, "it is nested in too many folders");
        return P2P_OK;
    }
    fd = openat(dir, leaf, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE)
            return P2P_ERR_BUSY;
        if (errno != ENOENT)
            meet_closed(w, above, leaf, errno);
        return P2P_OK;
    }
    w->depth++;
    enum p2p_err err = walk_folder(w, fd);
    w->depth--;
    return err;
}

static enum p2p_err
visit_entry(struct walk *w, int dir, const char *leaf, size_t above)
{
    struct stat st;

    if (fstatat(dir, leaf, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno != ENOENT)
            meet_closed(w, above, leaf, errno);
        return P2P_OK;
    }
    if (S_ISDIR(st.st_mode))
        return walk_subfolder(w, dir, leaf, above);
    if (S_ISREG(st.st_mode))
        return w->how->file ? w->how->file(w->how->arg, w->name, &st) : P2P_OK;
    leave_out(w, above, leaf,
              S_ISLNK(st.st_mode) ? "it is a symbolic link"
                                  : "it is not a regular file");
    return P2P_OK;
}

/* Appends a part to the name for one visit. */
static enum p2p_err
walk_entry(struct walk *w, int dir, const char *leaf)
{
    size_t len = strlen(leaf), before = w->len, slash = before > 0;
    const char *problem;
    enum p2p_err err;

    if (leaf[0] == '.')
        return P2P_OK; /* hidden by convention: not counted */
    problem = before + slash + len > P2P_NAME_MAX ? "its path is too long"
                                                  : p2p_name_problem(leaf, len, false);
    if (problem) {
        leave_out(w, before, leaf, problem);
        return P2P_OK;
    }
    if (slash)
        w->name[w->len++] = '/';
    memcpy(w->name + w->len, leaf, len + 1);
    w->len += len;
    err = visit_entry(w, dir, leaf, before);
    w->len = before;
    w->name[before] = '\0';
    return err;
}

/* The disk of the current folder failed. Only its own files are affected, unless it is
 * the one where the walk began. */
static enum p2p_err
stop_reading(struct walk *w, int errnum)
{
    char *slash = strrchr(w->name, '/');
    size_t above = slash ? (size_t)(slash - w->name) : 0;

    if (w->depth <= w->first_depth)
        return p2p_err_from_errno(errnum);
    meet_closed(w, above, slash ? slash + 1 : w->name, errnum);
    return P2P_OK;
}

/* Takes `fd`. */
static enum p2p_err
walk_folder(struct walk *w, int fd)
{
    enum p2p_err err = P2P_OK;
    DIR *dir = fdopendir(fd);
    bool is_empty = true;

    if (!dir) {
        close(fd);
        return P2P_ERR_NOMEM;
    }
    if (w->how->folder)
        err = w->how->folder(w->how->arg, w->name, fd);
    while (!err) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (!entry) {
            /* 0 at the end of a folder, ENOENT if the folder was removed. */
            if (errno != 0 && errno != ENOENT)
                err = stop_reading(w, errno);
            break;
        }
        is_empty = is_empty && entry->d_name[0] == '.';
        err = walk_entry(w, fd, entry->d_name);
    }
    closedir(dir);
    if (!err && is_empty && w->len > 0 && w->how->empty)
        w->how->empty(w->how->arg, w->name);
    return err;
}

static unsigned
depth_of(const char *folder)
{
    unsigned depth = folder[0] != '\0';

    for (; *folder; folder++)
        depth += *folder == '/';
    return depth;
}

enum p2p_err
p2p_root_walk_folder(const struct p2p_root *root, const char *folder,
                     const struct p2p_walk *how, size_t *skipped)
{
    struct walk w = {.how = how, .len = strlen(folder), .depth = depth_of(folder)};
    enum p2p_err err;
    int fd;

    if (skipped)
        *skipped = 0;
    if (w.len > 0) {
        err = p2p_name_check(folder, w.len, true);
        if (err)
            return err;
    }
    memcpy(w.name, folder, w.len + 1);
    w.first_depth = w.depth;
    /* Not dup(): two simultaneous walks must not share a position in the folder. */
    fd = w.len > 0 ? p2p_path_open_beneath(root->fd, folder, O_RDONLY | O_DIRECTORY, 0)
                   : openat(root->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return p2p_path_error(errno);
    err = walk_folder(&w, fd);
    if (skipped)
        *skipped = w.skipped;
    return err;
}

enum p2p_err
p2p_root_walk(const struct p2p_root *root, p2p_visit_file *visit, void *arg,
              size_t *skipped)
{
    struct p2p_walk how = {.file = visit, .arg = arg};

    return p2p_root_walk_folder(root, "", &how, skipped);
}

bool
p2p_root_is_empty_folder(const struct p2p_root *root, const char *name)
{
    const struct dirent *entry;
    int fd;
    DIR *dir;

    if (p2p_name_check(name, strlen(name), true) != P2P_OK)
        return false;
    fd = p2p_path_open_beneath(root->fd, name, O_RDONLY | O_DIRECTORY, 0);
    dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    errno = 0;
    while ((entry = readdir(dir)) && entry->d_name[0] == '.')
        continue;
    bool is_empty = !entry && errno == 0;
    closedir(dir);
    return is_empty;
}
