/* Processes, as /proc reports them (proc(5)). */
#include "core/guard/caller_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "p2p/io.h"

#define STAT_MAX   1024
#define CGROUP_MAX 8192

/* Reads a short file completely; CORRUPT if it does not fit. */
static enum p2p_err
read_text(int dir, const char *name, char *out, size_t cap)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t n = 1;

    *out = '\0';
    if (fd < 0)
        return p2p_err_from_errno(errno);
    while (n > 0 && len < cap - 1) {
        n = read(fd, out + len, cap - 1 - len);
        len += n > 0 ? (size_t)n : 0;
    }
    p2p_fd_close(&fd);
    out[len] = '\0';
    if (n < 0)
        return P2P_ERR_NOT_FOUND; /* ESRCH: it has ended */
    return n == 0 ? P2P_OK : P2P_ERR_CORRUPT;
}

/* Parses `pid (name) state ppid pgrp session ...`. The name may contain any
 * character. */
static enum p2p_err
parse_stat(char *text, struct p2p_caller_process *p)
{
    char *from = strchr(text, '('), *to = strrchr(text, ')');
    int parent, session;

    if (from == NULL || to == NULL || to < from ||
        sscanf(to + 1, " %*c %d %*d %d", &parent, &session) != 2)
        return P2P_ERR_CORRUPT;
    *to = '\0';
    snprintf(p->comm, sizeof(p->comm), "%s", from + 1);
    p->parent = parent;
    p->session = session;
    return P2P_OK;
}

enum p2p_err
p2p_caller_process_open(pid_t pid, struct p2p_caller_process *out)
{
    char path[32], text[STAT_MAX];
    enum p2p_err err;

    *out = (struct p2p_caller_process){.dir = -1, .pid = pid};
    snprintf(path, sizeof(path), "/proc/%d", (int)pid);
    if ((out->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        return p2p_err_from_errno(errno);
    if ((err = read_text(out->dir, "stat", text, sizeof(text))) == P2P_OK)
        err = parse_stat(text, out);
    if (err != P2P_OK)
        p2p_caller_process_close(out);
    return err;
}

void
p2p_caller_process_close(struct p2p_caller_process *process)
{
    p2p_fd_close(&process->dir);
}

static enum p2p_err
read_link(int dir, const char *name, char *out, size_t cap)
{
    ssize_t n = readlinkat(dir, name, out, cap - 1);

    out[n > 0 ? n : 0] = '\0';
    if (n < 0)
        return p2p_err_from_errno(errno);
    return (size_t)n < cap - 1 ? P2P_OK : P2P_ERR_CORRUPT;
}

enum p2p_err
p2p_caller_process_name(const struct p2p_caller_process *process,
                        char out[P2P_CALLER_NAME_MAX])
{
    static const char deleted[] = " (deleted)";
    char path[PATH_MAX + sizeof(deleted)];
    const char *slash;
    size_t len;
    enum p2p_err err;

    *out = '\0';
    if ((err = read_link(process->dir, "exe", path, sizeof(path))) != P2P_OK)
        return err;
    len = strlen(path);
    if (len >= sizeof(deleted) &&
        strcmp(path + len - (sizeof(deleted) - 1), deleted) == 0)
        path[len - (sizeof(deleted) - 1)] = '\0';
    slash = strrchr(path, '/');
    snprintf(out, P2P_CALLER_NAME_MAX, "%.*s", P2P_CALLER_NAME_MAX - 1,
             slash != NULL ? slash + 1 : path);
    return P2P_OK;
}

/* Lines are `id:controllers:path`. The wanted one is systemd's own hierarchy, or the
 * only one. */
enum p2p_err
p2p_caller_process_unit(const struct p2p_caller_process *process,
                        char out[P2P_CALLER_UNIT_MAX])
{
    static const char *const hierarchies[] = {":name=systemd:", "0::"};
    char text[CGROUP_MAX];
    enum p2p_err err = read_text(process->dir, "cgroup", text, sizeof(text));

    *out = '\0';
    if (err != P2P_OK)
        return err;
    for (size_t i = 0; i < 2; i++) {
        const char *at = strstr(text, hierarchies[i]);
        size_t len;

        if (at == NULL)
            continue;
        at += strlen(hierarchies[i]);
        if ((len = strcspn(at, "\n")) >= P2P_CALLER_UNIT_MAX)
            return P2P_ERR_CORRUPT;
        memcpy(out, at, len);
        out[len] = '\0';
        return P2P_OK;
    }
    return P2P_ERR_NOT_FOUND;
}

/* ---- its sockets ---- */

static bool
is_socket_of(int fds, const char *name, const struct p2p_caller_inodes *inodes)
{
    char target[64];
    unsigned long long inode;

    return name[0] != '.' && read_link(fds, name, target, sizeof(target)) == P2P_OK &&
           sscanf(target, "socket:[%llu]", &inode) == 1 &&
           p2p_caller_has_inode(inodes, inode);
}

enum p2p_err
p2p_caller_process_holds(const struct p2p_caller_process *process,
                         const struct p2p_caller_inodes *inodes, bool *holds)
{
    int fd = openat(process->dir, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *fds;

    *holds = false;
    if (fd < 0)
        return p2p_err_from_errno(errno);
    if ((fds = fdopendir(fd)) == NULL) {
        p2p_fd_close(&fd);
        return P2P_ERR_NOMEM;
    }
    for (;;) {
        const struct dirent *entry;
        int failed;

        errno = 0;
        entry = readdir(fds);
        failed = errno;
        if (entry != NULL && !is_socket_of(dirfd(fds), entry->d_name, inodes))
            continue;
        *holds = entry != NULL;
        closedir(fds);
        return failed == 0 ? P2P_OK : p2p_err_from_errno(failed);
    }
}

static bool
is_in_our_network(const struct p2p_caller_process *process, enum p2p_err *err)
{
    char ours[64], theirs[64];

    if ((*err = read_link(AT_FDCWD, "/proc/self/ns/net", ours, sizeof(ours))) == P2P_OK)
        *err = read_link(process->dir, "ns/net", theirs, sizeof(theirs));
    return *err == P2P_OK && strcmp(ours, theirs) == 0;
}

/* `sl local remote st tx:rx tr:when retrnsmt uid timeout inode ...` */
static enum p2p_err
read_table(const struct p2p_caller_process *process, const char *name,
           struct p2p_caller_inodes *out)
{
    int fd = openat(process->dir, name, O_RDONLY | O_CLOEXEC);
    enum p2p_err err = P2P_OK;
    char line[512];
    FILE *file;

    if (fd < 0)
        return errno == ENOENT ? P2P_OK : p2p_err_from_errno(errno);
    if ((file = fdopen(fd, "r")) == NULL) {
        p2p_fd_close(&fd);
        return P2P_ERR_NOMEM;
    }
    while (err == P2P_OK && fgets(line, sizeof(line), file) != NULL) {
        unsigned long long inode;
        unsigned state;

        if (sscanf(line, " %*s %*s %*s %x %*s %*s %*s %*s %*s %llu", &state, &inode) ==
                2 &&
            state == 0x0a)
            err = p2p_caller_add_inode(out, inode);
    }
    fclose(file);
    return err;
}

enum p2p_err
p2p_caller_process_listens(const struct p2p_caller_process *process,
                           const struct p2p_caller_inodes *inodes, bool *listens)
{
    struct p2p_caller_inodes others = {NULL, 0, 0};
    enum p2p_err err = p2p_caller_process_holds(process, inodes, listens);
    bool is_near;

    if (err != P2P_OK || *listens)
        return err;
    is_near = is_in_our_network(process, &err);
    if (err != P2P_OK || is_near)
        return err;
    if ((err = read_table(process, "net/tcp", &others)) == P2P_OK &&
        (err = read_table(process, "net/tcp6", &others)) == P2P_OK) {
        p2p_caller_sort_inodes(&others);
        err = p2p_caller_process_holds(process, &others, listens);
    }
    p2p_caller_free_inodes(&others);
    return err;
}
