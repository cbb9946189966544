/* Complete reads and writes, paths of descriptors, and close. */
#include "p2p/io.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum p2p_err
p2p_pread_full(int fd, void *out, size_t len, uint64_t offset)
{
    uint8_t *at = out;

    while (len > 0) {
        ssize_t n = pread(fd, at, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return p2p_err_from_errno(errno);
        if (n == 0)
            return P2P_ERR_CORRUPT;
        at += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return P2P_OK;
}

enum p2p_err
p2p_pwrite_full(int fd, const void *data, size_t len, uint64_t offset)
{
    const uint8_t *at = data;

    while (len > 0) {
        ssize_t n = pwrite(fd, at, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return p2p_err_from_errno(errno);
        at += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return P2P_OK;
}

bool
p2p_fd_path(int fd, char *out, size_t cap)
{
    char link[32];
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, out, cap - 1);
    if (n <= 0)
        return false;
    out[n] = '\0';
    return true;
}

void
p2p_fd_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

bool
p2p_stat_is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool
is_same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool
p2p_stat_is_unchanged(const struct stat *before, const struct stat *now)
{
    return p2p_stat_is_same_file(before, now) && before->st_size == now->st_size &&
           is_same_time(&before->st_mtim, &now->st_mtim) &&
           is_same_time(&before->st_ctim, &now->st_ctim);
}
