/* The order in which peers are asked. */
#include "p2p/rank.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/bytes.h"
#include "p2p/crypto.h"
#include "p2p/siphash.h"

const char *
p2p_rank_name(enum p2p_rank rank)
{
    static const char *const names[] = {
        [P2P_RANK_TRUSTED] = "trusted",
        [P2P_RANK_MET] = "known",
        [P2P_RANK_NEW] = "new",
        [P2P_RANK_BLOCKED] = "blocked",
    };

    return (unsigned)rank < P2P_RANKS ? names[rank] : "new";
}

static enum p2p_rank
rank_of_trust(enum p2p_trust trust)
{
    switch (trust) {
    case P2P_TRUST_TRUSTED:
        return P2P_RANK_TRUSTED;
    case P2P_TRUST_SEEN:
        return P2P_RANK_MET;
    case P2P_TRUST_BLOCKED:
        return P2P_RANK_BLOCKED;
    case P2P_TRUST_UNKNOWN:
    case P2P_TRUST_PENDING:
        break;
    }
    return P2P_RANK_NEW;
}

enum p2p_rank
p2p_rank_of(struct p2p_identity *identity, const struct p2p_id *id)
{
    struct p2p_known_peer known;

    if (id == NULL || p2p_known_find(identity, id, &known) != P2P_OK)
        return P2P_RANK_NEW;
    return rank_of_trust(known.trust);
}

/* ---- Chance ---- */

static uint64_t key[2];

static void
make_key(void)
{
    if (p2p_random(key, sizeof(key)) != P2P_OK)
        key[0] = (uint64_t)(uintptr_t)&key; /* address randomization has to do */
}

uint64_t
p2p_rank_order(const void *data, size_t len)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make_key);
    return p2p_siphash24(key, data, len);
}

/* ---- Sorting ---- */

int
p2p_rank_compare(const struct p2p_ranked *a, const struct p2p_ranked *b)
{
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    if (a->turn != b->turn)
        return a->turn < b->turn ? -1 : 1;
    if (a->order != b->order)
        return a->order < b->order ? -1 : 1;
    return (a->index > b->index) - (a->index < b->index);
}

static int
compare(const void *a, const void *b)
{
    return p2p_rank_compare(a, b);
}

void
p2p_rank_sort(struct p2p_ranked *list, size_t count)
{
    if (count > 1)
        qsort(list, count, sizeof(*list), compare);
}

/* ---- Networks ---- */

static bool
is_open_v4(uint32_t ip)
{
    static const struct {
        uint32_t net, mask;
    } own[] = {
        {0x00000000, 0xff000000}, /* 0.0.0.0/8: this host */
        {0x0a000000, 0xff000000}, /* 10.0.0.0/8 */
        {0x64400000, 0xffc00000}, /* 100.64.0.0/10 */
        {0x7f000000, 0xff000000}, /* 127.0.0.0/8 */
        {0xa9fe0000, 0xffff0000}, /* 169.254.0.0/16 */
        {0xac100000, 0xfff00000}, /* 172.16.0.0/12 */
        {0xc0a80000, 0xffff0000}, /* 192.168.0.0/16 */
    };

    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if ((ip & own[i].mask) == own[i].net)
            return false;
    return true;
}

static bool
net_of_v4(const uint8_t ip[4], struct p2p_net_of *out)
{
    if (!is_open_v4(p2p_load_u32(ip)))
        return false;
    out->family = 4;
    memcpy(out->prefix, ip, 3);
    return true;
}

bool
p2p_rank_net_of_ip(const uint8_t ip[16], struct p2p_net_of *out)
{
    struct in6_addr v6;

    memcpy(&v6, ip, sizeof(v6));
    memset(out, 0, sizeof(*out));
    if (IN6_IS_ADDR_V4MAPPED(&v6))
        return net_of_v4(ip + 12, out);
    if (IN6_IS_ADDR_LOOPBACK(&v6) || IN6_IS_ADDR_LINKLOCAL(&v6) ||
        (ip[0] & 0xfe) == 0xfc)
        return false;
    out->family = 6;
    memcpy(out->prefix, ip, 8);
    return true;
}

bool
p2p_rank_net(const struct p2p_addr *addr, struct p2p_net_of *out)
{
    uint8_t ip[16];

    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET, addr->host, ip) == 1)
        return net_of_v4(ip, out);
    return inet_pton(AF_INET6, addr->host, ip) == 1 && p2p_rank_net_of_ip(ip, out);
}

bool
p2p_rank_same_net(const struct p2p_addr *a, const struct p2p_addr *b)
{
    struct p2p_net_of x, y;

    return p2p_rank_net(a, &x) && p2p_rank_net(b, &y) && x.family == y.family &&
           memcmp(x.prefix, y.prefix, sizeof(x.prefix)) == 0;
}

/* ---- What is remembered ---- */

size_t
p2p_rank_remembered(struct p2p_identity *identity, const struct p2p_id *id,
                    struct p2p_addr out[P2P_PEER_ADDRESSES_MAX])
{
    struct p2p_known_peer known;
    size_t count = 0;

    if (id == NULL || p2p_known_find(identity, id, &known) != P2P_OK ||
        rank_of_trust(known.trust) > P2P_RANK_MET)
        return 0;
    for (size_t i = 0; i < P2P_PEER_ADDRESSES_MAX && known.addresses[i][0] != '\0'; i++)
        if (p2p_addr_parse(known.addresses[i], 0, &out[count]) == P2P_OK)
            count++;
    return count;
}
