#include "core/channel/endpoint.h"

#include <arpa/inet.h>
#include <string.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

struct p2p_endpoint
p2p_endpoint_make(const uint8_t *ip, size_t len, uint16_t port)
{
    struct p2p_endpoint e = {.port = port};

    if (len == 16 && memcmp(ip, mapped_prefix, sizeof(mapped_prefix)) == 0) {
        ip += sizeof(mapped_prefix);
        len = 4;
    }
    if (len != 4 && len != 16)
        return (struct p2p_endpoint){0};
    e.family = len == 4 ? P2P_FAMILY_4 : P2P_FAMILY_6;
    memcpy(e.ip, ip, len);
    return e;
}

bool
p2p_endpoint_equal(const struct p2p_endpoint *a, const struct p2p_endpoint *b)
{
    return a->family == b->family && a->port == b->port &&
           memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

bool
p2p_endpoint_is_unicast(const struct p2p_endpoint *e)
{
    static const uint8_t any[16];

    if (e->port == 0)
        return false;
    if (e->family == P2P_FAMILY_4)
        return e->ip[0] != 0 && e->ip[0] < 224;
    return e->family == P2P_FAMILY_6 && e->ip[0] != 0xff &&
           memcmp(e->ip, any, sizeof(any)) != 0;
}

enum p2p_err
p2p_endpoint_parse(const char *ip, uint16_t port, struct p2p_endpoint *out)
{
    uint8_t bytes[16];

    *out = (struct p2p_endpoint){0};
    if (inet_pton(AF_INET, ip, bytes) == 1)
        *out = p2p_endpoint_make(bytes, 4, port);
    else if (inet_pton(AF_INET6, ip, bytes) == 1)
        *out = p2p_endpoint_make(bytes, 16, port);
    return out->family != P2P_FAMILY_NONE ? P2P_OK : P2P_ERR_MALFORMED;
}

const char *
p2p_endpoint_format_ip(const struct p2p_endpoint *e, char out[P2P_ENDPOINT_TEXT])
{
    int family = e->family == P2P_FAMILY_6 ? AF_INET6 : AF_INET;

    if (inet_ntop(family, e->ip, out, P2P_ENDPOINT_TEXT) == NULL)
        out[0] = '\0';
    return out;
}
