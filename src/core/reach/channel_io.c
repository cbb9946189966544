#include "core/reach/channel_io.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "p2p/net.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum {
    READ_MAX = 32,   /* datagrams a call */
    READ_ROUNDS = 8, /* calls, before something else has its turn */
    BATCH_MAX = 10,  /* more at once overflow the buffers of some receivers */
    SOCKET_BUFFER = 4 * 1024 * 1024,
};

struct p2p_channel_io {
    int fd;
    bool has_v6; /* the socket is of both families */
    bool has_segments;
    /* datagrams that are kept, side by side: all of one length, but the last one */
    struct p2p_endpoint to;
    uint8_t batch[BATCH_MAX * P2P_DTLS_DATAGRAM_MAX];
    size_t batch_len, batch_count, segment;
    /* for reading */
    uint8_t in[READ_MAX][P2P_DTLS_DATAGRAM_MAX];
};

/* ---- the socket ---- */

static bool
open_socket(struct p2p_channel_io *io)
{
    struct sockaddr_in6 any6 = {.sin6_family = AF_INET6};
    struct sockaddr_in any4 = {.sin_family = AF_INET};
    int off = 0;

    io->fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    io->has_v6 =
        io->fd >= 0 &&
        setsockopt(io->fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) == 0 &&
        bind(io->fd, (struct sockaddr *)&any6, sizeof(any6)) == 0;
    if (io->has_v6)
        return true;
    p2p_fd_close(&io->fd);
    io->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return io->fd >= 0 && bind(io->fd, (struct sockaddr *)&any4, sizeof(any4)) == 0;
}

enum p2p_err
p2p_channel_io_new(struct p2p_channel_io **out)
{
    struct p2p_channel_io *io = calloc(1, sizeof(*io));
    int size = SOCKET_BUFFER, segment = 0;
    socklen_t len = sizeof(segment);

    *out = NULL;
    if (io == NULL)
        return P2P_ERR_NOMEM;
    if (!open_socket(io)) {
        enum p2p_err err = p2p_err_from_errno(errno);

        p2p_channel_io_free(io);
        return err;
    }
    /* As much as the system allows: 208 KiB, mostly. */
    (void)setsockopt(io->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    (void)setsockopt(io->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    io->has_segments =
        getsockopt(io->fd, IPPROTO_UDP, UDP_SEGMENT, &segment, &len) == 0;
    *out = io;
    return P2P_OK;
}

void
p2p_channel_io_free(struct p2p_channel_io *io)
{
    if (io == NULL)
        return;
    p2p_fd_close(&io->fd);
    free(io);
}

int
p2p_channel_io_fd(const struct p2p_channel_io *io)
{
    return io->fd;
}

/* ---- addresses ---- */

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static socklen_t
to_sockaddr(const struct p2p_channel_io *io, const struct p2p_endpoint *e,
            struct sockaddr_storage *out)
{
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;
    struct sockaddr_in *four = (struct sockaddr_in *)out;

    memset(out, 0, sizeof(*out));
    if (!io->has_v6) {
        four->sin_family = AF_INET;
        four->sin_port = htons(e->port);
        memcpy(&four->sin_addr, e->ip, 4);
        return sizeof(*four);
    }
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(e->port);
    if (e->family == P2P_FAMILY_6) {
        memcpy(&six->sin6_addr, e->ip, 16);
    } else {
        memcpy(&six->sin6_addr, mapped_prefix, 12);
        memcpy((uint8_t *)&six->sin6_addr + 12, e->ip, 4);
    }
    return sizeof(*six);
}

static struct p2p_endpoint
from_sockaddr(const struct sockaddr_storage *sa)
{
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)sa;
    const struct sockaddr_in *four = (const struct sockaddr_in *)sa;

    if (sa->ss_family == AF_INET6)
        return p2p_endpoint_make((const uint8_t *)&six->sin6_addr, 16,
                                 ntohs(six->sin6_port));
    return p2p_endpoint_make((const uint8_t *)&four->sin_addr, 4,
                             ntohs(four->sin_port));
}

uint16_t
p2p_channel_io_port(const struct p2p_channel_io *io)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);

    memset(&sa, 0, sizeof(sa));
    if (getsockname(io->fd, (struct sockaddr *)&sa, &len) != 0)
        return 0;
    return from_sockaddr(&sa).port;
}

/* ---- reading ---- */

static int
read_some(struct p2p_channel_io *io, p2p_channel_io_visit *visit, void *arg)
{
    struct mmsghdr messages[READ_MAX];
    struct sockaddr_storage from[READ_MAX];
    struct iovec at[READ_MAX];
    int n;

    memset(messages, 0, sizeof(messages));
    for (size_t i = 0; i < READ_MAX; i++) {
        at[i] = (struct iovec){io->in[i], sizeof(io->in[i])};
        messages[i].msg_hdr.msg_name = &from[i];
        messages[i].msg_hdr.msg_namelen = sizeof(from[i]);
        messages[i].msg_hdr.msg_iov = &at[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    n = recvmmsg(io->fd, messages, READ_MAX, MSG_DONTWAIT, NULL);
    for (int i = 0; i < n; i++) {
        struct p2p_endpoint e = from_sockaddr(&from[i]);

        if ((messages[i].msg_hdr.msg_flags & MSG_TRUNC) == 0)
            visit(arg, &e, io->in[i], messages[i].msg_len);
    }
    return n;
}

bool
p2p_channel_io_read(struct p2p_channel_io *io, p2p_channel_io_visit *visit, void *arg)
{
    int n = 0, all = 0;

    for (int round = 0; round < READ_ROUNDS; round++) {
        n = read_some(io, visit, arg);
        all += n > 0 ? n : 0;
        if (n < READ_MAX)
            break;
    }
    return all > 0;
}

/* ---- writing ---- */

/* One call for all of them: the kernel cuts it into datagrams. */
static bool
send_segments(struct p2p_channel_io *io, struct msghdr *message)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(uint16_t))];
    } control;
    uint16_t segment = (uint16_t)io->segment;
    struct cmsghdr *head;

    memset(&control, 0, sizeof(control));
    message->msg_control = &control;
    message->msg_controllen = sizeof(control);
    head = CMSG_FIRSTHDR(message);
    head->cmsg_level = IPPROTO_UDP;
    head->cmsg_type = UDP_SEGMENT;
    head->cmsg_len = CMSG_LEN(sizeof(segment));
    memcpy(CMSG_DATA(head), &segment, sizeof(segment));
    if (sendmsg(io->fd, message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        return true;
    message->msg_control = NULL;
    message->msg_controllen = 0;
    /* This path or this driver cannot. */
    if (errno == EIO || errno == EINVAL || errno == EOPNOTSUPP)
        io->has_segments = false;
    return io->has_segments;
}

static void
send_each(struct p2p_channel_io *io, struct msghdr *message, struct iovec *at)
{
    for (size_t done = 0; done < io->batch_len; done += at->iov_len) {
        at->iov_base = io->batch + done;
        at->iov_len =
            io->batch_len - done < io->segment ? io->batch_len - done : io->segment;
        (void)!sendmsg(io->fd, message, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}

void
p2p_channel_io_flush(struct p2p_channel_io *io)
{
    struct sockaddr_storage to;
    struct iovec at = {io->batch, io->batch_len};
    struct msghdr message = {.msg_name = &to, .msg_iov = &at, .msg_iovlen = 1};

    if (io->batch_count == 0)
        return;
    message.msg_namelen = to_sockaddr(io, &io->to, &to);
    if (io->batch_count == 1 || !io->has_segments || !send_segments(io, &message))
        send_each(io, &message, &at);
    io->batch_len = io->batch_count = 0;
}

void
p2p_channel_io_send(struct p2p_channel_io *io, const struct p2p_endpoint *to,
                    const uint8_t *data, size_t len)
{
    if (!io->has_v6 && to->family != P2P_FAMILY_4)
        return;
    if (io->batch_count > 0 && (len > io->segment || !p2p_endpoint_equal(to, &io->to)))
        p2p_channel_io_flush(io);
    if (io->batch_count == 0) {
        io->to = *to;
        io->segment = len;
    }
    memcpy(io->batch + io->batch_len, data, len);
    io->batch_len += len;
    io->batch_count++;
    if (io->batch_count == BATCH_MAX || len < io->segment)
        p2p_channel_io_flush(io);
}
