/* The file of the control socket: making it, and connecting to it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/control/control_internal.h"
#include "p2p/io.h"

enum { BACKLOG = 16, CONNECT_S = 5 };

/* The path of a socket has room for 107 bytes only; the way through the held folder is
 * always short enough. */
static void
name_socket(int dir, struct sockaddr_un *out)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(out->sun_path, sizeof(out->sun_path), "/proc/self/fd/%d/%s", dir,
             P2P_CONTROL_FILE);
}

static enum p2p_err
open_folder(const char *path, int *dir)
{
    *dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return *dir >= 0 ? P2P_OK : p2p_err_from_errno(errno);
}

static enum p2p_err
make(int dir, int fd)
{
    struct sockaddr_un name;

    name_socket(dir, &name);
    if (unlinkat(dir, P2P_CONTROL_FILE, 0) != 0 && errno != ENOENT)
        return p2p_err_from_errno(errno);
    /* The file gets the mode that the socket has before it is bound. */
    if (fchmod(fd, 0600) != 0 ||
        bind(fd, (const struct sockaddr *)&name, sizeof(name)) != 0)
        return errno == EPERM ? P2P_ERR_UNSUPPORTED : p2p_err_from_errno(errno);
    return listen(fd, BACKLOG) == 0 ? P2P_OK : p2p_err_from_errno(errno);
}

enum p2p_err
p2p_control_bind(const char *keys_dir, int *fd)
{
    int dir = -1;
    enum p2p_err err = open_folder(keys_dir, &dir);

    *fd = -1;
    if (err == P2P_OK) {
        *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        err = *fd >= 0 ? make(dir, *fd) : p2p_err_from_errno(errno);
    }
    if (err != P2P_OK)
        p2p_fd_close(fd);
    p2p_fd_close(&dir);
    return err;
}

enum p2p_err
p2p_control_connect(const char *keys_dir, int *fd)
{
    /* For a peer that accepts nobody: its queue may be full. */
    const struct timeval limit = {.tv_sec = CONNECT_S};
    struct sockaddr_un name;
    int dir = -1;
    enum p2p_err err = open_folder(keys_dir, &dir);

    *fd = -1;
    if (err == P2P_OK) {
        name_socket(dir, &name);
        *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (*fd < 0 ||
            setsockopt(*fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) != 0 ||
            connect(*fd, (const struct sockaddr *)&name, sizeof(name)) != 0)
            err = p2p_err_from_errno(errno);
        else if (!p2p_control_is_own(*fd))
            err = P2P_ERR_NOT_ALLOWED;
    }
    if (err != P2P_OK)
        p2p_fd_close(fd);
    p2p_fd_close(&dir);
    return err;
}
