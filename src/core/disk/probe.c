/* Finds out what a file system allows, by trying it in a folder of our own in
 * `.p2p/`. */
#include "p2p/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/disk/path_internal.h"
#include "p2p/limits.h"

/* Public names never begin with a dot, so this name conflicts with none. */
#define FILE_NAME  ".probe"
#define PLAIN_NAME "probe"

#define FAT_FILE_MAX UINT32_MAX

struct p2p_probe {
    const struct p2p_root *root;
    int private_dir, dir;
    char name[64]; /* of `dir` in `.p2p/` */
};

enum p2p_err
p2p_root_full_reason(const struct p2p_root *root, enum p2p_err err)
{
    struct statvfs fs;

    /* Some file systems have no fixed number of inodes and report 0 of 0. */
    if (err == P2P_ERR_DISK_FULL && fstatvfs(root->fd, &fs) == 0 && fs.f_files > 0 &&
        fs.f_ffree == 0)
        return P2P_ERR_NO_INODES;
    return err;
}

uint64_t
p2p_root_disk_bytes(const struct p2p_root *root)
{
    struct statvfs fs;

    return fstatvfs(root->fd, &fs) == 0 ? (uint64_t)fs.f_blocks * fs.f_frsize : 0;
}

static enum p2p_err
error_of(const struct p2p_probe *p, int errnum)
{
    return p2p_root_full_reason(p->root, p2p_err_from_errno(errnum));
}

static int
make_file(const struct p2p_probe *p)
{
    return openat(p->dir, FILE_NAME, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                  0600);
}

enum p2p_err
p2p_probe_open(const struct p2p_root *root, struct p2p_probe **out)
{
    static atomic_uint counter;
    struct p2p_probe *p = calloc(1, sizeof(*p));
    enum p2p_err err;

    *out = NULL;
    if (p == NULL)
        return P2P_ERR_NOMEM;
    p->root = root;
    p->dir = -1;
    snprintf(p->name, sizeof(p->name), "probe-%ld-%u", (long)getpid(),
             atomic_fetch_add(&counter, 1));
    err = p2p_root_full_reason(root, p2p_path_private_dir(root, &p->private_dir));
    if (err == P2P_OK && mkdirat(p->private_dir, p->name, 0700) != 0 && errno != EEXIST)
        err = error_of(p, errno);
    if (err == P2P_OK) {
        p->dir = openat(p->private_dir, p->name,
                        O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (p->dir < 0)
            err = error_of(p, errno);
    }
    if (err == P2P_OK)
        *out = p;
    else
        p2p_probe_close(p);
    return err;
}

void
p2p_probe_close(struct p2p_probe *p)
{
    if (p == NULL)
        return;
    if (p->dir >= 0) {
        (void)unlinkat(p->dir, FILE_NAME, 0);
        close(p->dir);
        (void)unlinkat(p->private_dir, p->name, AT_REMOVEDIR);
    }
    if (p->private_dir >= 0)
        close(p->private_dir);
    free(p);
}

/* ---- Sizes ---- */

/* True if setting the size of an empty file costs nothing. On other file systems (FAT,
 * exFAT, FUSE) it may write every byte. */
static bool
has_holes(const struct statfs *fs)
{
    const unsigned long exfat = 0x2011bab0, fuse = 0x65735546;
    unsigned long type = (unsigned long)fs->f_type;

    return type != MSDOS_SUPER_MAGIC && type != exfat && type != fuse;
}

/* Some file systems in user space upload a file while it is written (rclone without a
 * cache). */
static enum p2p_err
try_to_seek(const struct p2p_probe *p, int fd)
{
    if (ftruncate(fd, 2) == 0 && pwrite(fd, "b", 1, 1) == 1 &&
        pwrite(fd, "a", 1, 0) == 1)
        return P2P_OK;
    enum p2p_err err = error_of(p, errno);
    return p2p_err_is_space(err) || err == P2P_ERR_READ_ONLY ? err : P2P_ERR_NO_SEEK;
}

enum p2p_err
p2p_probe_size(struct p2p_probe *p, uint64_t size)
{
    enum p2p_err err = P2P_OK;
    struct statfs fs;
    int fd = make_file(p);

    if (fd < 0)
        return error_of(p, errno);
    if (fstatfs(fd, &fs) == 0) {
        if ((unsigned long)fs.f_type == MSDOS_SUPER_MAGIC && size > FAT_FILE_MAX)
            err = P2P_ERR_FILE_TOO_BIG;
        else if (has_holes(&fs) && ftruncate(fd, (off_t)size) != 0 && errno == EFBIG)
            err = P2P_ERR_FILE_TOO_BIG;
    }
    if (err == P2P_OK && size > 0)
        err = try_to_seek(p, fd);
    close(fd);
    (void)unlinkat(p->dir, FILE_NAME, 0);
    return err;
}

/* ---- Names ---- */

/* Creates a file here and moves it, as a download will do at its end. Returns 0 or
 * errno. */
static int
try_leaf(struct p2p_probe *p, const char *leaf)
{
    int fd = make_file(p), failed = 0;

    if (fd < 0)
        return errno;
    close(fd);
    if (p2p_path_move_new(p->dir, FILE_NAME, p->dir, leaf) != 0)
        failed = errno;
    (void)unlinkat(p->dir, failed ? FILE_NAME : leaf, 0);
    return failed;
}

static int
try_folder(struct p2p_probe *p, const char *part)
{
    if (mkdirat(p->dir, part, 0700) != 0)
        return errno;
    return unlinkat(p->dir, part, AT_REMOVEDIR) != 0 ? errno : 0;
}

static int
try_parts(struct p2p_probe *p, const char *name)
{
    char part[P2P_NAME_PART_MAX + 1];
    const char *slash;

    for (; (slash = strchr(name, '/')) != NULL; name = slash + 1) {
        snprintf(part, sizeof(part), "%.*s", (int)(slash - name), name);
        int failed = try_folder(p, part);
        if (failed)
            return failed;
    }
    return try_leaf(p, name);
}

/* Tries the smallest change to the name first. */
static void
find_name_that_works(struct p2p_probe *p, const char *name, char *works)
{
    static const struct {
        size_t part_max;
        bool ascii;
    } rules[] = {{255, false}, {140, false}, {120, true}, {60, true}};

    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        if (p2p_name_safe(name, rules[i].part_max, rules[i].ascii, works) == P2P_OK &&
            try_parts(p, works) == 0)
            return;
    works[0] = '\0';
}

/* True if the existing folders can hold it. */
static enum p2p_err
check_place(const struct p2p_probe *p, const char *name)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    char part[P2P_NAME_PART_MAX + 1];
    int at = openat(p->root->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum p2p_err err = at < 0 ? error_of(p, errno) : P2P_OK;
    struct stat root, here;
    const char *slash;

    for (; err == P2P_OK && (slash = strchr(name, '/')) != NULL; name = slash + 1) {
        snprintf(part, sizeof(part), "%.*s", (int)(slash - name), name);
        int next = openat(at, part, flags);
        if (next < 0) {
            if (errno == ENOTDIR || errno == ELOOP)
                err = P2P_ERR_IN_THE_WAY;
            else if (errno == EACCES)
                err = P2P_ERR_PERMISSION;
            break; /* it must be created, or its name is refused */
        }
        close(at);
        at = next;
        if (fstat(p->root->fd, &root) == 0 && fstat(at, &here) == 0 &&
            root.st_dev != here.st_dev)
            err = P2P_ERR_OTHER_DISK;
    }
    if (at >= 0)
        close(at);
    return err;
}

enum p2p_err
p2p_probe_name(struct p2p_probe *p, const char *name, char *works)
{
    enum p2p_err err = p2p_name_check(name, strlen(name), true);
    int failed;

    works[0] = '\0';
    if (err == P2P_OK)
        err = check_place(p, name);
    if (err != P2P_OK || (failed = try_parts(p, name)) == 0)
        return err;
    err = error_of(p, failed);
    if (p2p_err_is_space(err) || err == P2P_ERR_READ_ONLY || err == P2P_ERR_BUSY)
        return err;
    /* If another name works, the name is the problem. */
    if (try_leaf(p, PLAIN_NAME) != 0)
        return err;
    find_name_that_works(p, name, works);
    return P2P_ERR_TARGET_NAME;
}
