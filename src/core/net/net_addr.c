/* Addresses of sockets: of either end, and those of this machine. */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "p2p/net.h"

void
p2p_addr_from_sockaddr(const struct sockaddr *sa, struct p2p_addr *out)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)sa;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)sa;
    char zone[IF_NAMESIZE];

    memset(out, 0, sizeof(*out));
    if (sa->sa_family == AF_INET) {
        inet_ntop(AF_INET, &v4->sin_addr, out->host, sizeof(out->host));
        out->port = ntohs(v4->sin_port);
    } else if (sa->sa_family == AF_INET6) {
        if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
            inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], out->host,
                      sizeof(out->host));
        else
            inet_ntop(AF_INET6, &v6->sin6_addr, out->host, sizeof(out->host));
        if (IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr) &&
            if_indextoname(v6->sin6_scope_id, zone) != NULL) {
            size_t len = strlen(out->host);
            snprintf(out->host + len, sizeof(out->host) - len, "%%%s", zone);
        }
        out->port = ntohs(v6->sin6_port);
    }
}

bool
p2p_addr_is_loopback(const struct p2p_addr *addr)
{
    struct in6_addr v6;
    struct in_addr v4;

    if (strcmp(addr->host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, addr->host, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    return inet_pton(AF_INET6, addr->host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/* Connecting a datagram socket sends nothing; it only chooses the route. 192.0.2.1
 * (TEST-NET-1) belongs to no host. */
bool
p2p_net_own_address(char *out, size_t cap)
{
    struct sockaddr_in far = {.sin_family = AF_INET, .sin_port = htons(9)};
    struct sockaddr_in own = {0};
    socklen_t len = sizeof(own);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool found;

    far.sin_addr.s_addr = htonl(0xc0000201);
    found = fd >= 0 && connect(fd, (const struct sockaddr *)&far, sizeof(far)) == 0 &&
            getsockname(fd, (struct sockaddr *)&own, &len) == 0 &&
            (ntohl(own.sin_addr.s_addr) >> 24) != 127 &&
            inet_ntop(AF_INET, &own.sin_addr, out, (socklen_t)cap) != NULL;
    if (fd >= 0)
        close(fd);
    return found;
}

/* A link-local address means nothing without its zone, which has another name on each
 * machine. */
static bool
is_reachable(const struct ifaddrs *ifa)
{
    const struct sockaddr_in *v4 = (const void *)ifa->ifa_addr;
    const struct sockaddr_in6 *v6 = (const void *)ifa->ifa_addr;
    const unsigned up = IFF_UP | IFF_RUNNING;

    if (ifa->ifa_addr == NULL || (ifa->ifa_flags & up) != up ||
        (ifa->ifa_flags & IFF_LOOPBACK) != 0)
        return false;
    if (ifa->ifa_addr->sa_family == AF_INET)
        return (ntohl(v4->sin_addr.s_addr) >> 24) != 127 &&
               (ntohl(v4->sin_addr.s_addr) >> 16) != 0xa9fe;
    return ifa->ifa_addr->sa_family == AF_INET6 &&
           !IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr) &&
           !IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

struct own_addresses {
    struct p2p_addr *at;
    size_t count, max;
    uint16_t port;
};

static void
add_own(struct own_addresses *own, const char *host)
{
    struct p2p_addr *addr = &own->at[own->count];

    for (size_t i = 0; i < own->count; i++)
        if (strcmp(own->at[i].host, host) == 0)
            return;
    if (own->count == own->max)
        return;
    memset(addr, 0, sizeof(*addr));
    snprintf(addr->host, sizeof(addr->host), "%s", host);
    addr->port = own->port;
    own->count++;
}

static void
add_family(struct own_addresses *own, const struct ifaddrs *list, int family)
{
    for (const struct ifaddrs *ifa = list; ifa != NULL; ifa = ifa->ifa_next) {
        struct p2p_addr addr;

        if (!is_reachable(ifa) || ifa->ifa_addr->sa_family != family)
            continue;
        p2p_addr_from_sockaddr(ifa->ifa_addr, &addr);
        add_own(own, addr.host);
    }
}

size_t
p2p_net_own_addresses(uint16_t port, struct p2p_addr *out, size_t max)
{
    struct own_addresses own = {.at = out, .max = max, .port = port};
    char first[INET6_ADDRSTRLEN];
    struct ifaddrs *list = NULL;

    if (p2p_net_own_address(first, sizeof(first)))
        add_own(&own, first);
    if (getifaddrs(&list) != 0)
        return own.count;
    add_family(&own, list, AF_INET);
    add_family(&own, list, AF_INET6);
    freeifaddrs(list);
    return own.count;
}
