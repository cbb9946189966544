#include "core/reach/gather.h"

#include <netdb.h>
#include <netinet/in.h>

#include "core/net/resolve.h"
#include "p2p/box.h"
#include "p2p/clock.h"
#include "p2p/log.h"

enum { SERVERS_MAX = 4, RESOLVE_MS = 2000 };

/* One address of each family is enough: it shows one mapping of the router. */
static size_t
resolve(const struct p2p_addr *server, const struct p2p_stop *stop,
        struct p2p_endpoint *out, size_t max)
{
    struct addrinfo *list = NULL;
    size_t count = 0;

    if (p2p_net_resolve(server, p2p_now_ms() + RESOLVE_MS, p2p_stop_fd(stop), &list) !=
        P2P_OK)
        return 0;
    for (const struct addrinfo *ai = list; ai != NULL && count < max;
         ai = ai->ai_next) {
        const struct sockaddr_in *four = (const void *)ai->ai_addr;
        const struct sockaddr_in6 *six = (const void *)ai->ai_addr;

        if (ai->ai_family == AF_INET)
            out[count++] =
                p2p_endpoint_make((const uint8_t *)&four->sin_addr, 4, server->port);
        else if (ai->ai_family == AF_INET6)
            out[count++] =
                p2p_endpoint_make((const uint8_t *)&six->sin6_addr, 16, server->port);
    }
    freeaddrinfo(list);
    return count;
}

struct p2p_channel_port *
p2p_gather(struct p2p_discovery *d, size_t registry, const struct p2p_stop *stop)
{
    struct p2p_endpoint stun[SERVERS_MAX];
    struct p2p_channel_port *port = NULL;
    struct p2p_reach_offer offer;
    size_t count = 0;
    enum p2p_err err = p2p_reach_offer_soon(d, registry, stop, &offer);

    if (err == P2P_OK && offer.stun[0].port != 0)
        count = resolve(&offer.stun[0], stop, stun, SERVERS_MAX);
    err = p2p_channel_port_new(stun, count, stop, &port);
    if (err != P2P_OK)
        p2p_log_debug("cannot make a port for a channel error=%s", p2p_err_name(err));
    return port;
}
