/* Shared and download folders (roots), and opening files in them. */
#include "p2p/path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/disk/path_internal.h"
#include "p2p/io.h"
#include "p2p/limits.h"

static atomic_bool openat2_is_missing;

void
p2p_path_forbid_openat2(bool forbid)
{
    atomic_store(&openat2_is_missing, forbid);
}

static int
openat2_beneath(int dir, const char *name, int flags, mode_t mode)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
        .mode = flags & O_CREAT ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    int fd;

    /* EAGAIN: a rename happened during the lookup (openat2(2)). */
    for (int tries = 0; tries < 64; tries++) {
        fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
            return fd;
    }
    return -1;
}

/* The same for kernels before 5.6 and for seccomp filters that do not know openat2:
 * opens each part of the path in the directory before it, and never follows a link. */
static int
walk_beneath(int dir, const char *name, int flags, mode_t mode)
{
    char part[NAME_MAX + 1];
    int at = dir, fd = -1, saved;

    for (;;) {
        size_t len = strcspn(name, "/");
        if (len == 0 || len > NAME_MAX) {
            errno = len == 0 ? ENOENT : ENAMETOOLONG;
            break;
        }
        memcpy(part, name, len);
        part[len] = '\0';
        if (strcmp(part, "..") == 0) {
            errno = EXDEV;
            break;
        }
        if (name[len] == '\0') {
            fd = openat(at, part, flags | O_NOFOLLOW | O_CLOEXEC, mode);
            break;
        }
        int next = openat(at, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0)
            break;
        if (at != dir)
            close(at);
        at = next;
        name += len + 1;
    }
    saved = errno;
    if (at != dir)
        close(at);
    errno = saved;
    return fd;
}

int
p2p_path_open_beneath(int dir, const char *name, int flags, mode_t mode)
{
    if (!atomic_load_explicit(&openat2_is_missing, memory_order_relaxed)) {
        int fd = openat2_beneath(dir, name, flags, mode);
        if (fd >= 0 || (errno != ENOSYS && errno != EPERM))
            return fd;
        /* Container filters answer EPERM for unknown calls. A real EPERM is also
         * returned by the fallback. */
        if (errno == ENOSYS)
            atomic_store(&openat2_is_missing, true);
    }
    return walk_beneath(dir, name, flags, mode);
}

enum p2p_err
p2p_path_error(int errnum)
{
    switch (errnum) {
    case ELOOP:
    case EXDEV:
    case ENXIO:
    case EISDIR:
    case ENAMETOOLONG:
        return P2P_ERR_NOT_FOUND;
    default:
        return p2p_err_from_errno(errnum);
    }
}

/* Reads the umask without changing it; umask(2) would change it for all threads. */
static mode_t
current_umask(void)
{
    FILE *status = fopen("/proc/self/status", "re");
    char line[256];
    unsigned mask = 077;

    if (!status)
        return 077;
    while (fgets(line, sizeof(line), status))
        if (sscanf(line, "Umask: %o", &mask) == 1)
            break;
    fclose(status);
    return (mode_t)mask & 0777;
}

/* Like mkdir -p: parents with the default mode, the last folder with `mode`. */
static enum p2p_err
make_directories(const char *directory, mode_t mode)
{
    char path[PATH_MAX];
    size_t len = strlen(directory);

    if (len == 0 || len >= sizeof(path))
        return P2P_ERR_NOT_FOUND;
    memcpy(path, directory, len + 1);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0777) != 0 && errno != EEXIST && errno != EROFS &&
            errno != EACCES)
            return p2p_err_from_errno(errno);
        *slash = '/';
    }
    if (mkdir(path, mode) != 0 && errno != EEXIST)
        return p2p_err_from_errno(errno);
    return P2P_OK;
}

/* Takes `fd`. */
static enum p2p_err
make_root(const char *directory, int fd, struct p2p_root **out)
{
    size_t len = strlen(directory) + 1;
    struct p2p_root *root = malloc(sizeof(*root) + len);

    if (!root) {
        close(fd);
        return P2P_ERR_NOMEM;
    }
    root->fd = fd;
    root->public_mode = 0666 & ~current_umask();
    memcpy(root->path, directory, len);
    *out = root;
    return P2P_OK;
}

enum p2p_err
p2p_root_open(const char *directory, bool create, mode_t mode, struct p2p_root **out)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    int fd;

    *out = NULL;
    /* The operator names the root, so links are followed here, and only here. */
    fd = open(directory, flags);
    if (fd < 0 && errno == ENOENT && create) {
        enum p2p_err err = make_directories(directory, mode);
        if (err)
            return err;
        fd = open(directory, flags);
    }
    if (fd < 0) /* there is a file with this name: not "not found" */
        return errno == ENOTDIR ? P2P_ERR_NOT_FOLDER : p2p_err_from_errno(errno);
    return make_root(directory, fd, out);
}

/* The root is a folder that was removed: nothing can be created in it. */
enum p2p_err
p2p_root_open_away(const char *directory, const char *near, struct p2p_root **out)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/.away-XXXXXX", near), fd, failed;

    *out = NULL;
    if (len < 0 || (size_t)len >= sizeof(path))
        return P2P_ERR_TOO_LARGE;
    if (!mkdtemp(path))
        return p2p_err_from_errno(errno);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    failed = fd < 0 ? errno : 0;
    rmdir(path);
    return failed ? p2p_err_from_errno(failed) : make_root(directory, fd, out);
}

bool
p2p_root_is_missing(const char *directory)
{
    struct stat st;

    return stat(directory, &st) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

/* Resolves the part of the path that exists, and appends the rest. */
enum p2p_err
p2p_root_resolve(const char *directory, char *out)
{
    char head[PATH_MAX], found[PATH_MAX];
    size_t len = strlen(directory);

    if (realpath(directory, out))
        return P2P_OK;
    if (errno != ENOENT || len >= sizeof(head))
        return p2p_err_from_errno(errno);
    memcpy(head, directory, len + 1);
    for (;;) {
        char *slash = strrchr(head, '/');
        const char *parent = !slash ? "." : slash == head ? "/" : head;
        if (slash)
            *slash = '\0';
        if (realpath(parent, found)) {
            const char *rest = directory + (slash ? (size_t)(slash - head) + 1 : 0);
            int n =
                snprintf(out, PATH_MAX, "%s/%s", strcmp(found, "/") ? found : "", rest);
            return n < PATH_MAX ? P2P_OK : P2P_ERR_TOO_LARGE;
        }
        if (errno != ENOENT || !slash || slash == head)
            return p2p_err_from_errno(errno);
    }
}

void
p2p_root_close(struct p2p_root *root)
{
    if (!root)
        return;
    close(root->fd);
    free(root);
}

mode_t
p2p_path_public_mode(const struct p2p_root *root)
{
    return root->public_mode;
}

int
p2p_root_fd(const struct p2p_root *root)
{
    return root->fd;
}

const char *
p2p_root_path(const struct p2p_root *root)
{
    return root->path;
}

bool
p2p_root_is_in_place(const struct p2p_root *root)
{
    struct stat held, there;

    if (fstat(root->fd, &held) != 0 || held.st_nlink == 0)
        return false;
    if (stat(root->path, &there) != 0)
        return errno != ENOENT && errno != ENOTDIR;
    return p2p_stat_is_same_file(&held, &there);
}

enum p2p_err
p2p_root_open_file(const struct p2p_root *root, const char *name, int *fd,
                   struct stat *st)
{
    *fd = -1;
    memset(st, 0, sizeof(*st));
    enum p2p_err err = p2p_name_check(name, strlen(name), true);
    if (err)
        return err;
    /* O_NONBLOCK: opening a FIFO or a device must not block before fstat tells what it
     * is. */
    int file =
        p2p_path_open_beneath(root->fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    if (file < 0)
        return p2p_path_error(errno);
    if (fstat(file, st) != 0 || !S_ISREG(st->st_mode)) {
        close(file);
        memset(st, 0, sizeof(*st));
        return P2P_ERR_NOT_FOUND;
    }
    *fd = file;
    return P2P_OK;
}

enum p2p_err
p2p_root_stat(const struct p2p_root *root, const char *name, struct stat *st)
{
    memset(st, 0, sizeof(*st));
    enum p2p_err err = p2p_name_check(name, strlen(name), true);
    if (err)
        return err;
    int fd = p2p_path_open_beneath(root->fd, name, O_PATH | O_NOFOLLOW, 0);
    if (fd < 0)
        return p2p_path_error(errno);
    if (fstat(fd, st) != 0 || !S_ISREG(st->st_mode)) {
        memset(st, 0, sizeof(*st));
        err = P2P_ERR_NOT_FOUND;
    }
    close(fd);
    return err;
}
