/* Built without Avahi. */
#ifndef P2P_WITH_AVAHI

#include "p2p/mdns.h"

enum p2p_err
p2p_mdns_announce(const struct p2p_mdns_announcement *what, struct p2p_mdns **out)
{
    (void)what;
    *out = NULL;
    return P2P_ERR_UNSUPPORTED;
}

void
p2p_mdns_stop(struct p2p_mdns *mdns)
{
    (void)mdns;
}

enum p2p_err
p2p_mdns_browse(uint64_t wait_ms, struct p2p_mdns_peer *out, size_t max, size_t *count)
{
    (void)wait_ms;
    (void)out;
    (void)max;
    *count = 0;
    return P2P_ERR_UNSUPPORTED;
}

#else
/* An empty translation unit is not C. */
typedef int p2p_mdns_is_built_in;
#endif
