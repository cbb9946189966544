/* Asks two ports of a registry under which address they see this machine. */
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/channel/stun.h"
#include "core/net/resolve.h"
#include "p2p/crypto.h"
#include "p2p/nat.h"
#include "p2p/net.h"

enum {
    ASK_EVERY_MS = 400,
    OTHER_PORT_MS = 1000, /* for an answer that a router may keep out */
};

/* One check: a socket, and what each server has answered. */
struct check {
    int fd;
    struct sockaddr_storage to[P2P_NAT_SERVERS];
    socklen_t to_len;
    struct p2p_stun_id id[P2P_NAT_SERVERS];
    struct p2p_addr seen[P2P_NAT_SERVERS];
    /* A question to the first one, to be answered by the other one, which this socket
     * has not asked. */
    int other_fd;
    struct p2p_stun_id other_id;
    bool is_let_in;
};

enum p2p_nat
p2p_nat_of(const struct p2p_addr *own, const struct p2p_addr seen[P2P_NAT_SERVERS])
{
    if (seen[0].port == 0 && seen[1].port == 0)
        return P2P_NAT_BLOCKED;
    if (seen[0].port == 0 || seen[1].port == 0)
        return P2P_NAT_UNKNOWN;
    if (!p2p_addr_equal(&seen[0], &seen[1]))
        return P2P_NAT_CHANGING;
    return p2p_addr_equal(&seen[0], own) ? P2P_NAT_NONE : P2P_NAT_STEADY;
}

/* NAT is a matter of IPv4: its address comes first, if the name has one. */
static enum p2p_err
resolve(struct check *c, const struct p2p_addr servers[P2P_NAT_SERVERS],
        uint64_t deadline_ms)
{
    struct addrinfo *list = NULL;
    const struct addrinfo *best;
    enum p2p_err err = p2p_net_resolve(&servers[0], deadline_ms, -1, &list);

    if (err != P2P_OK)
        return err;
    best = list;
    for (const struct addrinfo *at = list; at != NULL; at = at->ai_next)
        if (at->ai_family == AF_INET && best->ai_family != AF_INET)
            best = at;
    c->to_len = best->ai_addrlen;
    for (size_t i = 0; i < P2P_NAT_SERVERS; i++) {
        memcpy(&c->to[i], best->ai_addr, best->ai_addrlen);
        if (best->ai_family == AF_INET)
            ((struct sockaddr_in *)&c->to[i])->sin_port = htons(servers[i].port);
        else
            ((struct sockaddr_in6 *)&c->to[i])->sin6_port = htons(servers[i].port);
    }
    freeaddrinfo(list);
    return P2P_OK;
}

static enum p2p_err
ask(struct check *c)
{
    bool is_sent = false;

    for (size_t i = 0; i < P2P_NAT_SERVERS; i++) {
        uint8_t bytes[P2P_STUN_QUESTION_LEN];

        if (c->seen[i].port != 0)
            continue;
        p2p_stun_question(&c->id[i], false, bytes);
        is_sent |= sendto(c->fd, bytes, sizeof(bytes), MSG_NOSIGNAL,
                          (struct sockaddr *)&c->to[i], c->to_len) > 0;
    }
    return is_sent ? P2P_OK : P2P_ERR_UNREACHABLE;
}

/* Of what arrives, only an answer to a question of ours counts. */
static void
hear(struct check *c)
{
    uint8_t bytes[P2P_STUN_MAX];
    char ip[P2P_ENDPOINT_TEXT];
    struct p2p_stun answer;
    ssize_t n;

    while ((n = recv(c->fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
        if (p2p_stun_parse(bytes, (size_t)n, &answer) != P2P_OK ||
            answer.class != P2P_STUN_SUCCESS || answer.mapped.port == 0)
            continue;
        for (size_t i = 0; i < P2P_NAT_SERVERS; i++)
            if (memcmp(&answer.id, &c->id[i], sizeof(answer.id)) == 0)
                (void)!p2p_addr_make(p2p_endpoint_format_ip(&answer.mapped, ip),
                                     answer.mapped.port, &c->seen[i]);
    }
}

static bool
is_complete(const struct check *c)
{
    return c->seen[0].port != 0 && c->seen[1].port != 0;
}

/* Finds out if the router accepts packets from a port to which nothing was sent. */
static void
ask_for_other_port(struct check *c)
{
    uint64_t end_ms = p2p_now_ms() + OTHER_PORT_MS;
    struct pollfd fd = {.fd = c->other_fd, .events = POLLIN};
    uint8_t bytes[P2P_STUN_MAX];
    struct p2p_stun answer;

    while (c->other_fd >= 0 && !c->is_let_in && p2p_now_ms() < end_ms) {
        p2p_stun_question(&c->other_id, true, bytes);
        (void)!sendto(c->other_fd, bytes, P2P_STUN_QUESTION_LEN, MSG_NOSIGNAL,
                      (struct sockaddr *)&c->to[0], c->to_len);
        if (poll(&fd, 1, ASK_EVERY_MS) <= 0)
            continue;
        ssize_t n = recv(c->other_fd, bytes, sizeof(bytes), MSG_DONTWAIT);
        c->is_let_in = n > 0 && p2p_stun_parse(bytes, (size_t)n, &answer) == P2P_OK &&
                       answer.class == P2P_STUN_SUCCESS &&
                       memcmp(&answer.id, &c->other_id, sizeof(answer.id)) == 0;
    }
}

static enum p2p_err
ask_and_hear(struct check *c, uint64_t deadline_ms)
{
    uint64_t now = p2p_now_ms(), again = now;
    struct pollfd fd = {.fd = c->fd, .events = POLLIN};

    for (; now < deadline_ms && !is_complete(c); now = p2p_now_ms()) {
        if (now >= again) {
            if (ask(c) != P2P_OK)
                return P2P_ERR_UNREACHABLE;
            again = now + ASK_EVERY_MS;
        }
        if (again > deadline_ms)
            again = deadline_ms;
        if (poll(&fd, 1, (int)(again - now)) > 0)
            hear(c);
    }
    return P2P_OK;
}

/* The socket's own address: the address from which this machine reaches the server, and
 * the socket's port. */
static void
own_address(const struct check *c, struct p2p_addr *out)
{
    struct sockaddr_storage sa = {0};
    socklen_t len = sizeof(sa);
    struct p2p_addr bound;
    int fd = socket(c->to[0].ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    *out = bound = (struct p2p_addr){.port = 0};
    if (getsockname(c->fd, (struct sockaddr *)&sa, &len) == 0)
        p2p_addr_from_sockaddr((struct sockaddr *)&sa, &bound);
    len = sizeof(sa);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&c->to[0], c->to_len) == 0 &&
        getsockname(fd, (struct sockaddr *)&sa, &len) == 0)
        p2p_addr_from_sockaddr((struct sockaddr *)&sa, out);
    out->port = bound.port;
    if (fd >= 0)
        close(fd);
}

enum p2p_err
p2p_nat_check(const struct p2p_addr servers[P2P_NAT_SERVERS], uint64_t timeout_ms,
              enum p2p_nat *out, struct p2p_addr *outside)
{
    uint64_t deadline_ms = p2p_now_ms() + timeout_ms;
    struct check c = {.fd = -1, .other_fd = -1};
    struct p2p_addr own;
    enum p2p_err err = resolve(&c, servers, deadline_ms);

    *out = P2P_NAT_UNKNOWN;
    *outside = (struct p2p_addr){.port = 0};
    if (err == P2P_OK)
        err = p2p_random(c.id, sizeof(c.id));
    if (err == P2P_OK)
        err = p2p_random(&c.other_id, sizeof(c.other_id));
    if (err != P2P_OK)
        return err;
    c.fd = socket(c.to[0].ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (c.fd < 0)
        return P2P_ERR_UNREACHABLE;
    err = ask_and_hear(&c, deadline_ms);
    own_address(&c, &own);
    close(c.fd);
    *out = p2p_nat_of(&own, c.seen);
    if (*out == P2P_NAT_STEADY) {
        c.other_fd = socket(c.to[0].ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        ask_for_other_port(&c);
        p2p_fd_close(&c.other_fd);
    }
    if (c.is_let_in)
        *out = P2P_NAT_CONE;
    *outside = c.seen[c.seen[0].port == 0];
    return err;
}
