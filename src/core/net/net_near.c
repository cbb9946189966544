/* Which sources are in the local networks. */
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "p2p/net.h"

/* A shorter prefix than these is no local network, but a mistake or a tunnel for
 * everything. */
enum { PREFIX_MIN_V4 = 96 + 8, PREFIX_MIN_V6 = 32 };

static const uint8_t v4_mapped[12] = {[10] = 0xff, [11] = 0xff};

static bool
read_ip(const struct sockaddr *sa, uint8_t ip[16])
{
    const struct sockaddr_in *v4 = (const void *)sa;
    const struct sockaddr_in6 *v6 = (const void *)sa;

    if (sa == NULL || (sa->sa_family != AF_INET && sa->sa_family != AF_INET6))
        return false;
    if (sa->sa_family == AF_INET6) {
        memcpy(ip, &v6->sin6_addr, 16);
        return true;
    }
    memcpy(ip, v4_mapped, sizeof(v4_mapped));
    memcpy(ip + sizeof(v4_mapped), &v4->sin_addr, 4);
    return true;
}

static bool
is_in(const uint8_t ip[16], const uint8_t net[16], unsigned prefix)
{
    unsigned bytes = prefix / 8, bits = prefix % 8;

    return memcmp(ip, net, bytes) == 0 &&
           (bits == 0 || (ip[bytes] ^ net[bytes]) >> (8 - bits) == 0);
}

/* ---- The networks of the interfaces ---- */

static unsigned
count_bits(const struct sockaddr *mask, bool is_v4)
{
    uint8_t bytes[16];
    unsigned bits = 0;

    if (!read_ip(mask, bytes))
        return 128;
    if (is_v4)
        memset(bytes, 0xff, sizeof(v4_mapped));
    while (bits < 128 && (bytes[bits / 8] & (0x80 >> bits % 8)))
        bits++;
    return bits;
}

size_t
p2p_net_links(struct p2p_net_link *out, size_t max)
{
    struct ifaddrs *list = NULL;
    size_t count = 0;

    if (getifaddrs(&list) != 0)
        return 0;
    for (const struct ifaddrs *ifa = list; ifa != NULL && count < max;
         ifa = ifa->ifa_next) {
        struct p2p_net_link *link = &out[count];
        bool is_v4;
        if (!(ifa->ifa_flags & IFF_UP) || !read_ip(ifa->ifa_addr, link->ip))
            continue;
        is_v4 = ifa->ifa_addr->sa_family == AF_INET;
        link->prefix = count_bits(ifa->ifa_netmask, is_v4);
        count += link->prefix >= (is_v4 ? PREFIX_MIN_V4 : PREFIX_MIN_V6);
    }
    freeifaddrs(list);
    return count;
}

/* ---- A source ---- */

bool
p2p_net_is_near(const struct sockaddr *from, const struct p2p_net_link *links,
                size_t count)
{
    static const struct p2p_net_link local[] = {
        {{[10] = 0xff, [11] = 0xff, 127}, 96 + 8},
        {{[10] = 0xff, [11] = 0xff, 10}, 96 + 8},
        {{[10] = 0xff, [11] = 0xff, 172, 16}, 96 + 12},
        {{[10] = 0xff, [11] = 0xff, 192, 168}, 96 + 16},
        {{[10] = 0xff, [11] = 0xff, 169, 254}, 96 + 16},
        {{[15] = 1}, 128},  /* ::1 */
        {{0xfe, 0x80}, 10}, /* link-local */
        {{0xfc}, 7},        /* unique local */
    };
    uint8_t ip[16];

    if (!read_ip(from, ip))
        return false;
    for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++)
        if (is_in(ip, local[i].ip, local[i].prefix))
            return true;
    for (size_t i = 0; i < count; i++)
        if (is_in(ip, links[i].ip, links[i].prefix))
            return true;
    return false;
}
