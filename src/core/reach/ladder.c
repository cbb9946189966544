/* The order in which ways are tried, and the words for them. */
#include <string.h>

#include "p2p/reach.h"

const char *
p2p_path_kind_name(enum p2p_path_kind kind)
{
    static const char *const names[] = {"direct", "relay", "channel"};

    return names[kind];
}

enum p2p_err
p2p_path_wish_parse(const char *text, enum p2p_path_wish *out)
{
    static const char *const names[] = {"auto", "direct", "relay", "channel"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (enum p2p_path_wish)i;
            return P2P_OK;
        }
    return P2P_ERR_USAGE;
}

void
p2p_ladder_init(struct p2p_ladder *l, enum p2p_path_wish wish, size_t addresses,
                bool can_call, uint64_t now_ms)
{
    *l = (struct p2p_ladder){
        .direct = wish == P2P_WISH_RELAY || wish == P2P_WISH_CHANNEL ? 0 : addresses,
        .has_relay = can_call && wish != P2P_WISH_DIRECT,
        .began_ms = now_ms,
        .relay_ms = P2P_LADDER_RELAY_MS,
    };
}

size_t
p2p_ladder_ways(const struct p2p_ladder *l)
{
    return l->direct + l->has_relay + l->named;
}

void
p2p_ladder_name(struct p2p_ladder *l, size_t addresses, uint64_t now_ms)
{
    if (l->named == 0)
        l->named_ms = now_ms;
    l->named += addresses;
}

uint64_t
p2p_ladder_due_ms(const struct p2p_ladder *l, uint64_t now_ms)
{
    /* Nothing is under way: there is no reason to wait for the next one. */
    bool is_idle = l->failed == l->started;

    if (l->started < l->direct)
        return is_idle ? now_ms : l->began_ms + l->started * P2P_LADDER_NEXT_MS;
    if (l->has_relay && l->started == l->direct)
        return is_idle ? now_ms : l->began_ms + l->relay_ms;
    if (l->started < p2p_ladder_ways(l)) {
        size_t before = l->started - l->direct - l->has_relay;

        return is_idle ? now_ms : l->named_ms + before * P2P_LADDER_NEXT_MS;
    }
    return UINT64_MAX;
}
