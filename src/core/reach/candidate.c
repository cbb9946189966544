#include "core/reach/candidate.h"

#include <stdio.h>
#include <string.h>

#include "p2p/bytes.h"
#include "p2p/net.h"

static const char tcp[] = "tcp";

bool
p2p_candidate_parse(const char *text, struct p2p_candidate *out)
{
    char ip[P2P_ENDPOINT_TEXT];
    const char *rest[3];
    uint64_t port, number;

    for (size_t i = 0; i < 3; i++) {
        const char *from = i == 0 ? text : rest[i - 1] + 1;

        if ((rest[i] = strchr(from, ' ')) == NULL)
            return false;
    }
    if ((size_t)(rest[0] - text) >= sizeof(ip))
        return false;
    memcpy(ip, text, (size_t)(rest[0] - text));
    ip[rest[0] - text] = '\0';
    if (p2p_decimal_parse(rest[0] + 1, (size_t)(rest[1] - rest[0] - 1), UINT16_MAX,
                          &port) != P2P_OK ||
        p2p_decimal_parse(rest[2] + 1, strlen(rest[2] + 1), UINT32_MAX, &number) !=
            P2P_OK)
        return false;
    out->is_tcp = (size_t)(rest[2] - rest[1] - 1) == strlen(tcp) &&
                  memcmp(rest[1] + 1, tcp, strlen(tcp)) == 0;
    out->priority = (uint32_t)number;
    return p2p_endpoint_parse(ip, (uint16_t)port, &out->at) == P2P_OK;
}

void
p2p_candidate_add(struct p2p_call_channel *list, const struct p2p_endpoint *at,
                  const char *kind, uint32_t priority)
{
    char ip[P2P_ENDPOINT_TEXT];

    if (list->candidate_count < P2P_CALL_CANDIDATES_MAX)
        snprintf(list->candidates[list->candidate_count++], P2P_CALL_CANDIDATE_TEXT,
                 "%s %u %s %u", p2p_endpoint_format_ip(at, ip), at->port, kind,
                 priority);
}

void
p2p_candidate_add_tcp(struct p2p_call_channel *list, const struct p2p_addr *at,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct p2p_endpoint e;

        if (p2p_endpoint_parse(at[i].host, at[i].port, &e) == P2P_OK &&
            p2p_endpoint_is_unicast(&e))
            p2p_candidate_add(list, &e, tcp, 0);
    }
}

size_t
p2p_candidate_tcp(const struct p2p_call_channel *list, struct p2p_addr *out, size_t max)
{
    size_t count = 0;

    for (size_t i = 0; i < list->candidate_count && count < max; i++) {
        struct p2p_candidate c;
        char ip[P2P_ENDPOINT_TEXT];

        if (p2p_candidate_parse(list->candidates[i], &c) && c.is_tcp &&
            p2p_endpoint_is_unicast(&c.at) &&
            p2p_addr_make(p2p_endpoint_format_ip(&c.at, ip), c.at.port, &out[count]) ==
                P2P_OK &&
            !p2p_addr_is_loopback(&out[count]))
            count++;
    }
    return count;
}
