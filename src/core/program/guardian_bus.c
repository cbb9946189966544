/*
 * The system bus inside the sandbox, which has no Unix sockets: they would reach the
 * session bus, key agents and whatever else acts for this user. Avahi's library opens
 * its connection on its own, so the two functions of the C library that it calls are
 * ours in the daemons: `socket` gives it a socket without another end, and `connect`
 * puts the connection in its place that the parent has opened (guardian_answer.c).
 * Whoever makes the system calls directly is refused by the filter.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/program/guardian_internal.h"
#include "p2p/io.h"

#define DEFAULT_PATH "/run/dbus/system_bus_socket"
#define DEFAULT_TAIL "/dbus/system_bus_socket"
#define ADDRESS_HEAD "unix:path="

/* From DBUS_SYSTEM_BUS_ADDRESS, in a form that names a path. */
const char *
p2p_guardian_bus_path(char out[P2P_GUARDIAN_BUS_PATH_MAX])
{
    const char *address = getenv("DBUS_SYSTEM_BUS_ADDRESS");
    size_t len;

    if (address == NULL || address[0] == '\0')
        address = ADDRESS_HEAD DEFAULT_PATH;
    if (strncmp(address, ADDRESS_HEAD, strlen(ADDRESS_HEAD)) != 0)
        return NULL;
    address += strlen(ADDRESS_HEAD);
    len = strcspn(address, ",;%");
    if (len == 0 || len >= P2P_GUARDIAN_BUS_PATH_MAX || address[len] == '%')
        return NULL;
    memcpy(out, address, len);
    out[len] = '\0';
    return out;
}

#if defined(P2P_WITH_AVAHI) && defined(P2P_WITH_SECCOMP)

static bool
is_bus(const struct sockaddr_un *to, socklen_t len)
{
    char path[P2P_GUARDIAN_BUS_PATH_MAX], wanted[sizeof(to->sun_path) + 1] = "";
    size_t head = offsetof(struct sockaddr_un, sun_path), n;

    if (len <= head || len > sizeof(*to) || p2p_guardian_bus_path(path) == NULL)
        return false;
    memcpy(wanted, to->sun_path, len - head);
    n = strlen(wanted);
    /* /var/run and /run are one folder. */
    return strcmp(wanted, path) == 0 ||
           (strcmp(path, DEFAULT_PATH) == 0 && n >= strlen(DEFAULT_TAIL) &&
            strcmp(wanted + n - strlen(DEFAULT_TAIL), DEFAULT_TAIL) == 0);
}

static int
connect_bus(int fd)
{
    int flags = fcntl(fd, F_GETFL), on_exec = fcntl(fd, F_GETFD), bus;

    if (flags < 0 || p2p_guardian_ask_bus(&bus) != P2P_OK) {
        errno = ECONNREFUSED;
        return -1;
    }
    int rc = fcntl(bus, F_SETFL, flags) == 0 &&
                     dup3(bus, fd, on_exec & FD_CLOEXEC ? O_CLOEXEC : 0) == fd
                 ? 0
                 : -1;
    p2p_fd_close(&bus);
    return rc;
}

int
socket(int family, int type, int protocol)
{
    int pair[2];

    if (family != AF_UNIX || !p2p_guardian_child.is_confined)
        return (int)syscall(SYS_socket, family, type, protocol);
    if (socketpair(AF_UNIX, type, protocol, pair) != 0)
        return -1;
    close(pair[1]);
    return pair[0];
}

int
connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t len)
{
    const struct sockaddr *to = address.__sockaddr__;

    if (len < sizeof(to->sa_family) || to->sa_family != AF_UNIX ||
        !p2p_guardian_child.is_confined)
        return (int)syscall(SYS_connect, fd, to, len);
    if (is_bus((const struct sockaddr_un *)(const void *)to, len))
        return connect_bus(fd);
    errno = ECONNREFUSED;
    return -1;
}

#endif
