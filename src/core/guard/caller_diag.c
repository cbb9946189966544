/* Sockets, as reported by the kernel's socket monitor (sock_diag(7)). */
#include "core/guard/caller_internal.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "p2p/array.h"
#include "p2p/io.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

#define ANSWER_SIZE   32768
#define ANSWER_WAIT_S 2
#define LISTENERS_MAX 65536u /* one for each port, and some more */
#define DUMP_TRIES    3

struct question {
    struct nlmsghdr head;
    struct inet_diag_req_v2 body;
    /* IPPROTO_MPTCP does not fit into the byte of `body`. */
    struct nlattr protocol_head;
    uint32_t protocol;
};

/* An address as 16 bytes of IPv6; IPv4 addresses are mapped. */
struct end {
    uint8_t ip[16];
    uint16_t port; /* network order */
};

static bool
end_of(const struct sockaddr *sa, struct end *out)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    const struct sockaddr_in *v4 = (const void *)sa;
    const struct sockaddr_in6 *v6 = (const void *)sa;

    memset(out, 0, sizeof(*out));
    if (sa->sa_family == AF_INET) {
        memcpy(out->ip, mapped, 12);
        memcpy(out->ip + 12, &v4->sin_addr, 4);
        out->port = v4->sin_port;
    } else if (sa->sa_family == AF_INET6) {
        memcpy(out->ip, &v6->sin6_addr, 16);
        out->port = v6->sin6_port;
    } else
        return false;
    return true;
}

static bool
is_v4(const struct end *e)
{
    return IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(const void *)e->ip);
}

static void
put_ip(__be32 out[4], const struct end *e)
{
    memcpy(out, is_v4(e) ? e->ip + 12 : e->ip, is_v4(e) ? 4 : 16);
}

static bool
is_same(const struct inet_diag_msg *m, const __be32 ip[4], __be16 port,
        const struct end *e)
{
    struct end got = {.port = port};

    if (m->idiag_family == AF_INET) {
        got.ip[10] = got.ip[11] = 0xff;
        memcpy(got.ip + 12, ip, 4);
    } else
        memcpy(got.ip, ip, 16);
    return got.port == e->port && memcmp(got.ip, e->ip, 16) == 0;
}

/* ---- the conversation ---- */

static enum p2p_err
open_monitor(int *fd)
{
    const struct timeval wait = {ANSWER_WAIT_S, 0};

    *fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (*fd < 0)
        return p2p_err_from_errno(errno);
    if (setsockopt(*fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) != 0)
        return p2p_err_from_errno(errno);
    return P2P_OK;
}

static struct question
new_question(int family, int protocol, uint16_t flags)
{
    struct question q = {
        .head = {.nlmsg_type = SOCK_DIAG_BY_FAMILY,
                 .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags)},
        .body = {.sdiag_family = (uint8_t)family, .sdiag_protocol = IPPROTO_TCP},
    };

    q.head.nlmsg_len = NLMSG_LENGTH(sizeof(q.body));
    if (protocol != IPPROTO_TCP) {
        q.protocol_head.nla_len =
            (uint16_t)(sizeof(q.protocol_head) + sizeof(q.protocol));
        q.protocol_head.nla_type = INET_DIAG_REQ_PROTOCOL;
        q.protocol = (uint32_t)protocol;
        q.head.nlmsg_len = sizeof(q);
    }
    return q;
}

static enum p2p_err
ask(int fd, const struct question *q)
{
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    ssize_t n = sendto(fd, q, q->head.nlmsg_len, 0, (const struct sockaddr *)&kernel,
                       sizeof(kernel));

    return n == (ssize_t)q->head.nlmsg_len ? P2P_OK : p2p_err_from_errno(errno);
}

static enum p2p_err
hear(int fd, char *answer, size_t *len)
{
    struct sockaddr_nl from;
    socklen_t from_len = sizeof(from);
    ssize_t n;

    do
        n = recvfrom(fd, answer, ANSWER_SIZE, MSG_TRUNC, (struct sockaddr *)&from,
                     &from_len);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return p2p_err_from_errno(errno);
    if (n > ANSWER_SIZE || from.nl_pid != 0)
        return P2P_ERR_MALFORMED;
    *len = (size_t)n;
    return P2P_OK;
}

/* The error of an NLMSG_ERROR; NOT_FOUND where the kernel says ENOENT. */
static enum p2p_err
error_of(const struct nlmsghdr *m)
{
    const struct nlmsgerr *e = NLMSG_DATA(m);

    if (m->nlmsg_len < NLMSG_LENGTH(sizeof(*e)))
        return P2P_ERR_MALFORMED;
    return p2p_err_from_errno(-e->error);
}

/* ---- one connection ---- */

static enum p2p_err
take_socket(const struct nlmsghdr *m, const struct end *local, const struct end *remote,
            struct p2p_caller_socket *out)
{
    const struct inet_diag_msg *s = NLMSG_DATA(m);

    if (m->nlmsg_type == NLMSG_ERROR)
        return error_of(m);
    if (m->nlmsg_type != SOCK_DIAG_BY_FAMILY || m->nlmsg_len < NLMSG_LENGTH(sizeof(*s)))
        return P2P_ERR_MALFORMED;
    /* If the connection has ended, the kernel may answer with a listening socket. */
    if (s->idiag_state == TCP_LISTEN || s->idiag_inode == 0 ||
        !is_same(s, s->id.idiag_src, s->id.idiag_sport, local) ||
        !is_same(s, s->id.idiag_dst, s->id.idiag_dport, remote))
        return P2P_ERR_NOT_FOUND;
    out->uid = s->idiag_uid;
    out->inode = s->idiag_inode;
    return P2P_OK;
}

enum p2p_err
p2p_caller_find_socket(const struct sockaddr *local, const struct sockaddr *remote,
                       struct p2p_caller_socket *out)
{
    _Alignas(struct nlmsghdr) char answer[ANSWER_SIZE];
    struct question q;
    struct end from, to;
    size_t len = 0;
    int fd = -1;
    enum p2p_err err;

    memset(out, 0, sizeof(*out));
    if (!end_of(local, &from) || !end_of(remote, &to) || is_v4(&from) != is_v4(&to))
        return P2P_ERR_USAGE;
    q = new_question(is_v4(&from) ? AF_INET : AF_INET6, IPPROTO_TCP, 0);
    q.body.idiag_states = ~0u;
    q.body.id.idiag_cookie[0] = q.body.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    q.body.id.idiag_sport = from.port;
    q.body.id.idiag_dport = to.port;
    put_ip(q.body.id.idiag_src, &from);
    put_ip(q.body.id.idiag_dst, &to);
    if ((err = open_monitor(&fd)) == P2P_OK && (err = ask(fd, &q)) == P2P_OK &&
        (err = hear(fd, answer, &len)) == P2P_OK) {
        const struct nlmsghdr *m = (const void *)answer;

        err = NLMSG_OK(m, len) ? take_socket(m, &from, &to, out) : P2P_ERR_MALFORMED;
    }
    p2p_fd_close(&fd);
    return err;
}

/* ---- all that listen ---- */

enum p2p_err
p2p_caller_add_inode(struct p2p_caller_inodes *inodes, uint64_t inode)
{
    uint64_t *at;

    if (inodes->count >= LISTENERS_MAX)
        return P2P_ERR_TOO_LARGE;
    at = p2p_array_room(inodes->at, inodes->count, &inodes->cap, sizeof(*at));
    if (at == NULL)
        return P2P_ERR_NOMEM;
    inodes->at = at;
    inodes->at[inodes->count++] = inode;
    return P2P_OK;
}

static int
compare_inodes(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

void
p2p_caller_sort_inodes(struct p2p_caller_inodes *inodes)
{
    if (inodes->count > 1)
        qsort(inodes->at, inodes->count, sizeof(*inodes->at), compare_inodes);
}

bool
p2p_caller_has_inode(const struct p2p_caller_inodes *inodes, uint64_t inode)
{
    return inodes->count > 0 && bsearch(&inode, inodes->at, inodes->count,
                                        sizeof(*inodes->at), compare_inodes) != NULL;
}

void
p2p_caller_free_inodes(struct p2p_caller_inodes *inodes)
{
    free(inodes->at);
    memset(inodes, 0, sizeof(*inodes));
}

/* Parses one message of a list. MORE until the list ends; BUSY if the list changed
 * while it was read. */
static enum p2p_err
take_listener(const struct nlmsghdr *m, struct p2p_caller_inodes *out)
{
    const struct inet_diag_msg *s = NLMSG_DATA(m);
    enum p2p_err err = P2P_ERR_MALFORMED;

    if (m->nlmsg_flags & NLM_F_DUMP_INTR)
        return P2P_ERR_BUSY;
    if (m->nlmsg_type == NLMSG_DONE)
        return P2P_OK;
    if (m->nlmsg_type == NLMSG_ERROR)
        return error_of(m);
    if (m->nlmsg_type == SOCK_DIAG_BY_FAMILY &&
        m->nlmsg_len >= NLMSG_LENGTH(sizeof(*s)))
        err = p2p_caller_add_inode(out, s->idiag_inode);
    return err == P2P_OK ? P2P_ERR_MORE : err;
}

static enum p2p_err
list_listeners(int family, int protocol, struct p2p_caller_inodes *out)
{
    _Alignas(struct nlmsghdr) char answer[ANSWER_SIZE];
    struct question q = new_question(family, protocol, NLM_F_DUMP);
    int fd = -1;
    enum p2p_err err;

    q.body.idiag_states = 1u << TCP_LISTEN;
    if ((err = open_monitor(&fd)) == P2P_OK && (err = ask(fd, &q)) == P2P_OK)
        err = P2P_ERR_MORE;
    while (err == P2P_ERR_MORE) {
        const struct nlmsghdr *m = (const void *)answer;
        size_t len = 0;

        if ((err = hear(fd, answer, &len)) != P2P_OK)
            break;
        err = P2P_ERR_MORE;
        for (; err == P2P_ERR_MORE && NLMSG_OK(m, len); m = NLMSG_NEXT(m, len))
            err = take_listener(m, out);
    }
    p2p_fd_close(&fd);
    return err;
}

/* A kernel without multipath TCP answers with an error: then no such socket listens. */
static enum p2p_err
list_all(struct p2p_caller_inodes *out)
{
    static const int families[] = {AF_INET, AF_INET6};
    enum p2p_err err = P2P_OK;

    for (size_t i = 0; i < 2 && err == P2P_OK; i++)
        err = list_listeners(families[i], IPPROTO_TCP, out);
    for (size_t i = 0; i < 2 && err == P2P_OK; i++)
        if (list_listeners(families[i], IPPROTO_MPTCP, out) == P2P_ERR_BUSY)
            err = P2P_ERR_BUSY;
    return err;
}

enum p2p_err
p2p_caller_find_listeners(struct p2p_caller_inodes *out)
{
    enum p2p_err err = P2P_ERR_BUSY;

    memset(out, 0, sizeof(*out));
    for (int i = 0; i < DUMP_TRIES && err == P2P_ERR_BUSY; i++) {
        p2p_caller_free_inodes(out);
        err = list_all(out);
    }
    p2p_caller_sort_inodes(out);
    return err;
}
