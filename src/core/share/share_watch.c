/* inotify: one watch for each folder. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "core/share/share_internal.h"
#include "p2p/log.h"

#define WATCH_MASK                                                        \
    (IN_CREATE | IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE | IN_MOVED_FROM | \
     IN_MOVED_TO | IN_DELETE | IN_ONLYDIR | IN_EXCL_UNLINK)
/* Watch descriptors are never reused; after this many, start with a new inotify
 * instance. */
#define PRIVATE_FOLDER  ".p2p"
#define DESCRIPTORS_MAX (1u << 20)

void
p2p_watch_open(struct p2p_watch *watch)
{
    memset(watch, 0, sizeof(*watch));
    watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    watch->is_incomplete = watch->fd < 0;
}

void
p2p_watch_close(struct p2p_watch *watch)
{
    if (watch->fd >= 0)
        close(watch->fd);
    for (size_t i = 0; i < watch->cap; i++)
        free(watch->folders[i]);
    free(watch->folders);
    *watch = (struct p2p_watch){.fd = -1};
}

static bool
remember(struct p2p_watch *watch, size_t wd, const char *folder)
{
    if (wd >= watch->cap) {
        size_t cap = wd < 64 ? 128 : 2 * wd;
        char **more = realloc(watch->folders, cap * sizeof(*more));
        if (!more)
            return false;
        memset(more + watch->cap, 0, (cap - watch->cap) * sizeof(*more));
        watch->folders = more;
        watch->cap = cap;
    }
    free(watch->folders[wd]);
    watch->folders[wd] = strdup(folder);
    return watch->folders[wd] != NULL;
}

/* File systems that other machines or programs change without a word to this kernel. */
static bool
changes_unseen(int fd)
{
    static const uint32_t kinds[] = {
        FUSE_SUPER_MAGIC, NFS_SUPER_MAGIC, SMB_SUPER_MAGIC,  CIFS_SUPER_MAGIC,
        SMB2_SUPER_MAGIC, V9FS_MAGIC,      CEPH_SUPER_MAGIC, AFS_FS_MAGIC,
    };
    struct statfs fs;

    if (fstatfs(fd, &fs) != 0)
        return false;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if ((uint32_t)fs.f_type == kinds[i])
            return true;
    return false;
}

static void
add(struct p2p_watch *watch, const char *folder, int fd, uint32_t mask)
{
    char path[32];

    if (watch->fd < 0)
        return;
    watch->is_incomplete |= changes_unseen(fd);
    /* By descriptor, so that exactly this folder is watched, not another one with its
     * name. */
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int wd = inotify_add_watch(watch->fd, path, mask);
    if (wd >= 0 && remember(watch, (size_t)wd, folder))
        return;
    if (!watch->is_incomplete)
        p2p_log_warn(
            "cannot watch all folders for changes, so they are scanned at intervals "
            "instead; raise fs.inotify.max_user_watches reason=\"%s\"",
            strerror(errno));
    watch->is_incomplete = true;
}

void
p2p_watch_add(struct p2p_watch *watch, const char *folder, int fd)
{
    add(watch, folder, fd, WATCH_MASK);
}

void
p2p_watch_add_private(struct p2p_watch *watch, int fd)
{
    add(watch, PRIVATE_FOLDER, fd, IN_MOVED_TO | IN_ONLYDIR);
}

static void
deliver_folder(const struct inotify_event *event, const char *name,
               p2p_watch_visit *visit, void *arg)
{
    if (event->mask & (IN_CREATE | IN_MOVED_TO | IN_ATTRIB))
        visit(arg, P2P_WATCH_FOLDER, name);
    else if (event->mask & IN_MOVED_FROM) /* its watches report old names from now on */
        visit(arg, P2P_WATCH_LOST, "");
    else if (event->mask & IN_DELETE)
        visit(arg, P2P_WATCH_FOLDER_GONE, name);
}

static enum p2p_watch_event
kind_of(uint32_t mask)
{
    if (mask & IN_MODIFY)
        return P2P_WATCH_WRITING;
    if (mask & IN_CLOSE_WRITE)
        return P2P_WATCH_WRITTEN;
    return mask & IN_CREATE ? P2P_WATCH_CREATED : P2P_WATCH_TOUCHED;
}

static void
deliver(struct p2p_watch *watch, const struct inotify_event *event,
        p2p_watch_visit *visit, void *arg)
{
    char name[P2P_NAME_MAX + 1];
    size_t wd = (size_t)event->wd;

    if (event->mask & IN_Q_OVERFLOW || event->wd < 0 || wd > DESCRIPTORS_MAX) {
        visit(arg, P2P_WATCH_OVERFLOW, "");
        return;
    }
    if (wd >= watch->cap || !watch->folders[wd])
        return;
    if (event->mask & IN_IGNORED) {
        free(watch->folders[wd]);
        watch->folders[wd] = NULL;
        return;
    }
    if (event->len == 0 || event->name[0] == '.')
        return;
    const char *folder = watch->folders[wd];
    if (strcmp(folder, PRIVATE_FOLDER) == 0) {
        if (strcmp(event->name, P2P_SCAN_REQUEST) == 0 ||
            strcmp(event->name, P2P_CONFIRM_REQUEST) == 0)
            visit(arg, P2P_WATCH_LOST, "");
        return;
    }
    int n = snprintf(name, sizeof(name), "%s%s%s", folder, folder[0] ? "/" : "",
                     event->name);
    if (n < 0 || (size_t)n >= sizeof(name) ||
        p2p_name_check(name, (size_t)n, true) != P2P_OK) {
        if (event->mask & (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE))
            visit(arg, P2P_WATCH_LEFT_OUT, "");
        return;
    }
    if (event->mask & IN_ISDIR)
        deliver_folder(event, name, visit, arg);
    else
        visit(arg, kind_of(event->mask), name);
}

void
p2p_watch_read(struct p2p_watch *watch, p2p_watch_visit *visit, void *arg)
{
    _Alignas(struct inotify_event) char buf[64 * 1024];

    while (watch->fd >= 0) {
        ssize_t n = read(watch->fd, buf, sizeof(buf));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        for (char *at = buf; at < buf + n;) {
            const struct inotify_event *event = (const void *)at;
            deliver(watch, event, visit, arg);
            at += sizeof(*event) + event->len;
        }
    }
}
