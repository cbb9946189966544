/* Sockets: listen, connect, and transfer bytes until a deadline. */
#include "p2p/net.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/net/net_internal.h"
#include "core/net/resolve.h"

/* ---- Listening ---- */

static enum p2p_err
open_listener(const struct sockaddr *sa, socklen_t len, bool reuse_port, int backlog,
              int *out)
{
    const int on = 1, off = 0;
    enum p2p_err err = P2P_OK;
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return p2p_err_from_errno(errno);
    /* Without REUSEADDR a restart only has to wait, so a failure is ignored. */
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (sa->sa_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if ((reuse_port &&
         setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) ||
        bind(fd, sa, len) != 0 || listen(fd, backlog) != 0)
        err = p2p_err_from_errno(errno);
    if (err != P2P_OK)
        p2p_fd_close(&fd);
    *out = fd;
    return err;
}

static uint16_t
bound_port(int fd)
{
    struct sockaddr_storage ss = {0};
    struct p2p_addr addr;
    socklen_t len = sizeof(ss);

    if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
        return 0;
    p2p_addr_from_sockaddr((struct sockaddr *)&ss, &addr);
    return addr.port;
}

static bool
is_any(const char *host)
{
    return host[0] == '\0' || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

static const char *
inner_of(const char *host, char inner[P2P_HOST_MAX + 1])
{
    size_t len = strlen(host) - 2;

    memcpy(inner, host + 1, len);
    inner[len] = '\0';
    return inner;
}

enum p2p_err
p2p_net_listen(const char *host, uint16_t port, bool reuse_port, int backlog, int *fd,
               uint16_t *actual_port)
{
    const struct sockaddr_in6 any6 = {.sin6_family = AF_INET6,
                                      .sin6_port = htons(port)};
    struct p2p_addr addr = {.port = port};
    struct addrinfo *list = NULL;
    enum p2p_err err = P2P_ERR_UNSUPPORTED;
    char inner[P2P_HOST_MAX + 1];

    *fd = -1;
    *actual_port = 0;
    if (strlen(host) > P2P_HOST_MAX)
        return P2P_ERR_USAGE;
    if (is_any(host)) {
        err = open_listener((const struct sockaddr *)&any6, sizeof(any6), reuse_port,
                            backlog, fd);
        if (err == P2P_ERR_IN_USE || err == P2P_ERR_PERMISSION)
            return err;
    }
    if (host[0] == '[' && host[strlen(host) - 1] == ']') /* as in a URL */
        return p2p_net_listen(inner_of(host, inner), port, reuse_port, backlog, fd,
                              actual_port);
    if (*fd < 0) { /* one address, or a system without IPv6 */
        strcpy(addr.host, is_any(host) ? "0.0.0.0" : host);
        err = p2p_net_resolve(&addr, P2P_NO_DEADLINE, -1, &list);
        for (struct addrinfo *a = list; a != NULL && *fd < 0; a = a->ai_next)
            err = open_listener(a->ai_addr, a->ai_addrlen, reuse_port, backlog, fd);
        if (list != NULL)
            freeaddrinfo(list);
    }
    if (err == P2P_OK)
        *actual_port = bound_port(*fd);
    return err;
}

/* ---- Waiting ---- */

/* The timeout for poll(): -1 without a deadline, 0 when the deadline has passed. */
static int
poll_ms(uint64_t deadline_ms)
{
    uint64_t now = p2p_now_ms();
    uint64_t left = deadline_ms > now ? deadline_ms - now : 0;

    if (deadline_ms == P2P_NO_DEADLINE)
        return -1;
    return left > INT_MAX ? INT_MAX : (int)left;
}

enum p2p_err
p2p_net_wait(int fd, short events, uint64_t deadline_ms, int stop_fd)
{
    for (;;) {
        struct pollfd p[2] = {{.fd = fd, .events = events},
                              {.fd = stop_fd, .events = POLLIN}};
        int n = poll(p, stop_fd >= 0 ? 2 : 1, poll_ms(deadline_ms));

        if (n > 0)
            return p[1].revents != 0 ? P2P_ERR_CANCELLED : P2P_OK;
        if (n < 0 && errno != EINTR)
            return p2p_err_from_errno(errno);
        if (poll_ms(deadline_ms) == 0)
            return P2P_ERR_TIMEOUT;
    }
}

static enum p2p_err
wait_for(int fd, short events, uint64_t deadline_ms)
{
    return p2p_net_wait(fd, events, deadline_ms, -1);
}

/* Translates an errno of send, recv or connect for callers that know only the other
 * side. */
static enum p2p_err
from_socket_errno(int errnum)
{
    switch (errnum) {
    case EAGAIN:
        return P2P_ERR_BUSY;
    case EPIPE:
    case ECONNRESET:
    case ECONNABORTED:
    case ENOTCONN:
        return P2P_ERR_CLOSED;
    case ETIMEDOUT:
        return P2P_ERR_TIMEOUT;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
        return P2P_ERR_UNREACHABLE;
    default:
        return p2p_err_from_errno(errnum);
    }
}

/* ---- Connecting ---- */

static enum p2p_err
finish_connect(int fd, uint64_t deadline_ms, int stop_fd)
{
    int error = 0;
    socklen_t len = sizeof(error);
    enum p2p_err err = p2p_net_wait(fd, POLLOUT, deadline_ms, stop_fd);

    if (err != P2P_OK)
        return err;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    errno = error;
    return error == 0 ? P2P_OK : from_socket_errno(error);
}

static enum p2p_err
connect_one(const struct addrinfo *to, uint64_t deadline_ms, int stop_fd, int *out)
{
    const int on = 1;
    enum p2p_err err = P2P_OK;
    int fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    *out = -1;
    if (fd < 0)
        return from_socket_errno(errno);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(fd, to->ai_addr, to->ai_addrlen) != 0)
        err = errno == EINPROGRESS || errno == EINTR
                  ? finish_connect(fd, deadline_ms, stop_fd)
                  : from_socket_errno(errno);
    if (err != P2P_OK)
        p2p_fd_close(&fd);
    *out = fd;
    return err;
}

/* Limits the time for one address, so that an address that drops packets leaves time
 * for the others. */
static uint64_t
share_of_time(const struct addrinfo *left, uint64_t deadline_ms)
{
    uint64_t now = p2p_now_ms(), count = 0;

    for (; left != NULL; left = left->ai_next)
        count++;
    if (deadline_ms == P2P_NO_DEADLINE || deadline_ms <= now || count < 2)
        return deadline_ms;
    return now + (deadline_ms - now) / count;
}

enum p2p_err
p2p_net_connect_or_stop(const struct p2p_addr *addr, uint64_t deadline_ms, int stop_fd,
                        int *fd)
{
    struct addrinfo *list = NULL;
    enum p2p_err err = p2p_net_resolve(addr, deadline_ms, stop_fd, &list);
    int error;

    *fd = -1;
    for (struct addrinfo *to = list; to != NULL && *fd < 0 && err != P2P_ERR_CANCELLED;
         to = to->ai_next)
        err = connect_one(to, share_of_time(to, deadline_ms), stop_fd, fd);
    error = errno;
    if (list != NULL)
        freeaddrinfo(list);
    errno = error;
    return err == P2P_ERR_CLOSED ? P2P_ERR_UNREACHABLE : err;
}

enum p2p_err
p2p_net_connect(const struct p2p_addr *addr, uint64_t deadline_ms, int *fd)
{
    return p2p_net_connect_or_stop(addr, deadline_ms, -1, fd);
}

/* ---- Moving bytes ---- */

enum p2p_err
p2p_net_try_read(int fd, void *out, size_t cap, size_t *got)
{
    ssize_t n;

    *got = 0;
    do
        n = recv(fd, out, cap, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return from_socket_errno(errno);
    *got = (size_t)n;
    return n == 0 && cap > 0 ? P2P_ERR_CLOSED : P2P_OK;
}

static enum p2p_err
try_writev(int fd, struct iovec *iov, int count, size_t *sent)
{
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)count};
    ssize_t n;

    *sent = 0;
    do
        n = sendmsg(fd, &msg, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return from_socket_errno(errno);
    *sent = (size_t)n;
    return P2P_OK;
}

enum p2p_err
p2p_net_try_write(int fd, const void *data, size_t len, size_t *sent)
{
    struct iovec iov = {(void *)(uintptr_t)data, len};

    return try_writev(fd, &iov, 1, sent);
}

enum p2p_err
p2p_net_read_some(int fd, void *out, size_t cap, uint64_t deadline_ms, size_t *got)
{
    for (;;) {
        enum p2p_err err = p2p_net_try_read(fd, out, cap, got);
        if (err == P2P_ERR_BUSY)
            err = wait_for(fd, POLLIN, deadline_ms);
        if (err != P2P_OK || *got > 0 || cap == 0)
            return err;
    }
}

enum p2p_err
p2p_net_read(int fd, void *out, size_t len, uint64_t deadline_ms)
{
    uint8_t *at = out;
    enum p2p_err err = P2P_OK;

    while (len > 0 && err == P2P_OK) {
        size_t got;
        err = p2p_net_read_some(fd, at, len, deadline_ms, &got);
        at += got;
        len -= got;
    }
    return err;
}

/* Removes `sent` bytes from the front. */
static void
advance(struct iovec **iov, int *count, size_t sent)
{
    while (*count > 0 && sent >= (*iov)->iov_len) {
        sent -= (*iov)->iov_len;
        (*iov)++;
        (*count)--;
    }
    if (*count > 0) {
        (*iov)->iov_base = (uint8_t *)(*iov)->iov_base + sent;
        (*iov)->iov_len -= sent;
    }
}

enum p2p_err
p2p_net_writev(int fd, struct iovec *iov, int count, uint64_t deadline_ms)
{
    advance(&iov, &count, 0);
    while (count > 0) {
        size_t sent;
        enum p2p_err err = try_writev(fd, iov, count, &sent);
        if (err == P2P_ERR_BUSY)
            err = wait_for(fd, POLLOUT, deadline_ms);
        if (err != P2P_OK)
            return err;
        advance(&iov, &count, sent);
    }
    return P2P_OK;
}

enum p2p_err
p2p_net_write(int fd, const void *data, size_t len, uint64_t deadline_ms)
{
    struct iovec iov = {(void *)(uintptr_t)data, len};

    return p2p_net_writev(fd, &iov, 1, deadline_ms);
}
