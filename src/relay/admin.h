/* The HTTP side of p2p-relay: GET /health and GET /metrics, for its operator. */
#ifndef RELAY_ADMIN_H
#define RELAY_ADMIN_H

#include "http/http.h"
#include "relay/relay.h"

struct admin {
    struct relay *relay; /* borrowed */
    struct http_server *server;
    uint64_t started_ms;
};

/* Serves on the listener, which it takes. */
P2P_MUST_CHECK enum p2p_err admin_open(struct admin *admin, int listener);
void admin_close(struct admin *admin);

#endif
