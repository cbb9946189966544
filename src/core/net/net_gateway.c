/* The router of this machine, as the kernel's table of routes has it. */
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "p2p/net.h"

struct question {
    struct nlmsghdr head;
    struct rtmsg body;
};

/* Attributes are read by hand: the macros of the kernel's headers mix signs. */
struct route {
    uint8_t gateway[4];
    bool has_gateway;
    uint32_t metric;
};

static void
read_attributes(const char *at, size_t len, struct route *out)
{
    struct rtattr head;

    while (len >= sizeof(head)) {
        size_t step;

        memcpy(&head, at, sizeof(head));
        step = RTA_ALIGN((size_t)head.rta_len);
        if (head.rta_len < sizeof(head) || head.rta_len > len)
            return;
        if (head.rta_type == RTA_GATEWAY && head.rta_len == sizeof(head) + 4) {
            memcpy(out->gateway, at + sizeof(head), 4);
            out->has_gateway = true;
        }
        if (head.rta_type == RTA_PRIORITY && head.rta_len == sizeof(head) + 4)
            memcpy(&out->metric, at + sizeof(head), 4);
        if (step >= len)
            return;
        at += step;
        len -= step;
    }
}

/* True for a default route of IPv4 in the main table that leads to a router. */
static bool
read_route(const char *body, size_t len, struct route *out)
{
    struct rtmsg route;

    *out = (struct route){.metric = 0};
    if (len < sizeof(route))
        return false;
    memcpy(&route, body, sizeof(route));
    if (route.rtm_family != AF_INET || route.rtm_dst_len != 0 ||
        route.rtm_table != RT_TABLE_MAIN || route.rtm_type != RTN_UNICAST)
        return false;
    read_attributes(body + NLMSG_ALIGN(sizeof(route)), len - NLMSG_ALIGN(sizeof(route)),
                    out);
    return out->has_gateway;
}

/* Reads one part of the answer. False: it was the last one. */
static bool
read_part(int fd, struct route *best)
{
    char bytes[16384];
    ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
    size_t left = n > 0 ? (size_t)n : 0, at = 0;
    struct nlmsghdr head;

    if (left == 0)
        return false;
    while (left - at >= sizeof(head)) {
        struct route route;

        memcpy(&head, bytes + at, sizeof(head));
        if (head.nlmsg_len < NLMSG_HDRLEN || head.nlmsg_len > left - at ||
            head.nlmsg_type == NLMSG_DONE || head.nlmsg_type == NLMSG_ERROR)
            return false;
        if (head.nlmsg_type == RTM_NEWROUTE &&
            read_route(bytes + at + NLMSG_HDRLEN, head.nlmsg_len - NLMSG_HDRLEN,
                       &route) &&
            (!best->has_gateway || route.metric < best->metric))
            *best = route;
        if (NLMSG_ALIGN((size_t)head.nlmsg_len) >= left - at)
            break;
        at += NLMSG_ALIGN((size_t)head.nlmsg_len);
    }
    return true;
}

bool
p2p_net_gateway(uint8_t out[4])
{
    const struct question q = {
        .head = {.nlmsg_len = sizeof(q),
                 .nlmsg_type = RTM_GETROUTE,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .body = {.rtm_family = AF_INET},
    };
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    struct route best = {.has_gateway = false};

    if (fd < 0)
        return false;
    if (send(fd, &q, sizeof(q), 0) == (ssize_t)sizeof(q))
        while (read_part(fd, &best))
            continue;
    close(fd);
    memcpy(out, best.gateway, sizeof(best.gateway));
    return best.has_gateway;
}
