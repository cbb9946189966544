/*
 * Gives access to Avahi inside the sandbox. The sandbox allows no Unix sockets, because
 * they would reach the session bus, key agents and other services of this user. But
 * Avahi's library uses the system bus, and name resolution (names in .local) uses
 * Avahi's own socket. Both open their connection themselves. So the daemons replace two
 * functions of the C library: `socket` returns a socket without another end, and
 * `connect` replaces it by a connection that the parent has opened (guardian_answer.c).
 * Code that makes the system calls directly is refused by the filter.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/guard/guardian_internal.h"
#include "p2p/io.h"

#define BUS_PATH     "/run/dbus/system_bus_socket"
#define AVAHI_PATH   "/run/avahi-daemon/socket"
#define ADDRESS_HEAD "unix:path="

/* The path in DBUS_SYSTEM_BUS_ADDRESS, if it has the form that names a path. */
static const char *
bus_path(char out[P2P_GUARDIAN_SOCKET_MAX])
{
    const char *address = getenv("DBUS_SYSTEM_BUS_ADDRESS");
    size_t len;

    if (address == NULL || address[0] == '\0')
        address = ADDRESS_HEAD BUS_PATH;
    if (strncmp(address, ADDRESS_HEAD, strlen(ADDRESS_HEAD)) != 0)
        return NULL;
    address += strlen(ADDRESS_HEAD);
    len = strcspn(address, ",;%");
    if (len == 0 || len >= P2P_GUARDIAN_SOCKET_MAX || address[len] == '%')
        return NULL;
    memcpy(out, address, len);
    out[len] = '\0';
    return out;
}

/* /var/run and /run are the same folder. */
static const char *
without_var(const char *path)
{
    return strncmp(path, "/var/run/", strlen("/var/run/")) == 0 ? path + strlen("/var")
                                                                : path;
}

const char *
p2p_guardian_socket(const char *wanted, char out[P2P_GUARDIAN_SOCKET_MAX])
{
    if (bus_path(out) != NULL && strcmp(without_var(wanted), without_var(out)) == 0)
        return out;
    strcpy(out, AVAHI_PATH);
    return strcmp(without_var(wanted), AVAHI_PATH) == 0 ? out : NULL;
}

bool
p2p_guardian_is_avahi(const char *path)
{
    return strcmp(path, AVAHI_PATH) == 0;
}

#if defined(P2P_WITH_AVAHI) && defined(P2P_WITH_SECCOMP)

static int
connect_by_parent(int fd, const struct sockaddr_un *to, socklen_t len)
{
    char path[sizeof(to->sun_path) + 1] = "", allowed[P2P_GUARDIAN_SOCKET_MAX];
    size_t head = offsetof(struct sockaddr_un, sun_path);
    int flags = fcntl(fd, F_GETFL), on_exec = fcntl(fd, F_GETFD), made = -1, rc = -1;

    if (len > head && len <= sizeof(*to))
        memcpy(path, to->sun_path, len - head);
    if (flags < 0 || p2p_guardian_socket(path, allowed) == NULL ||
        p2p_guardian_ask_socket(path, &made) != P2P_OK) {
        errno = ECONNREFUSED;
        return -1;
    }
    if (fcntl(made, F_SETFL, flags) == 0 &&
        dup3(made, fd, on_exec & FD_CLOEXEC ? O_CLOEXEC : 0) == fd)
        rc = 0;
    p2p_fd_close(&made);
    return rc;
}

/* Visible to Avahi's library, unlike what the compiler hides. */
#define SEEN_BY_LIBRARIES __attribute__((visibility("default")))

/* glibc declares it with a union. */
#ifdef __GLIBC__
#define CONNECT_ADDRESS    __CONST_SOCKADDR_ARG
#define SOCKADDR_OF(given) (given).__sockaddr__
#else
#define CONNECT_ADDRESS    const struct sockaddr *
#define SOCKADDR_OF(given) (given)
#endif

SEEN_BY_LIBRARIES int
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

SEEN_BY_LIBRARIES int
connect(int fd, CONNECT_ADDRESS address, socklen_t len)
{
    const struct sockaddr *to = SOCKADDR_OF(address);

    if (len < sizeof(to->sa_family) || to->sa_family != AF_UNIX ||
        !p2p_guardian_child.is_confined)
        return (int)syscall(SYS_connect, fd, to, len);
    return connect_by_parent(fd, (const struct sockaddr_un *)(const void *)to, len);
}

#endif
