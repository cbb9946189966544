/*
 * portmap - asks a router to forward a TCP port from outside: PCP (RFC 6887), and
 * NAT-PMP (RFC 6886) where the router does not know it, and UPnP at last (upnp.h asks,
 * this says when). A machine without sockets and
 * clock: it is told the time and what arrived, and says what to send. Trust boundary:
 * what the router, or someone in its place, sends.
 */
#ifndef P2P_PORTMAP_MACHINE_H
#define P2P_PORTMAP_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    P2P_PORTMAP_SERVER_PORT = 5351, /* of the router */
    P2P_PORTMAP_NEWS_PORT = 5350,   /* of those who listen for its news */
    P2P_PORTMAP_MESSAGE_MAX = 60,   /* that is sent */
    P2P_PORTMAP_LIFE_S = 7200,
    P2P_PORTMAP_AGAIN_MS = 15 * 60 * 1000, /* after a router that did not help */
};

enum p2p_portmap_by {
    P2P_PORTMAP_NONE,
    P2P_PORTMAP_PCP,
    P2P_PORTMAP_NAT_PMP,
    P2P_PORTMAP_UPNP,
};

/* What the router forwards; `by` NONE: nothing. */
struct p2p_mapping {
    enum p2p_portmap_by by;
    uint8_t ip[4]; /* from outside */
    uint16_t port;
};

struct p2p_portmap {
    uint8_t own_ip[4];
    uint16_t port; /* here */
    uint8_t nonce[12];
    struct p2p_mapping mapping;
    enum p2p_portmap_by trying;
    bool has_ip;     /* NAT-PMP tells the address in an answer of its own */
    bool has_upnp;   /* there is something that asks by UPnP; set after init */
    bool wants_upnp; /* it is to ask now, and p2p_portmap_on_upnp says the answer */
    unsigned tries;
    uint64_t due_ms;
    uint64_t end_ms; /* of the mapping */
    /* The router's clock at an answer: it begins anew when the router does. */
    bool has_epoch;
    uint32_t epoch_s;
    uint64_t epoch_at_ms;
};

/* `nonce` is random; it proves that an answer is one to us. */
void p2p_portmap_init(struct p2p_portmap *m, const uint8_t own_ip[4], uint16_t port,
                      const uint8_t nonce[12], uint64_t now_ms);
/* When p2p_portmap_on_time is to be called. */
uint64_t p2p_portmap_due_ms(const struct p2p_portmap *m);
/* Returns the length of what is to be sent to the router; 0: nothing. */
size_t p2p_portmap_on_time(struct p2p_portmap *m, uint64_t now_ms,
                           uint8_t out[P2P_PORTMAP_MESSAGE_MAX]);
/* Takes a datagram of the router: an answer, or its news to all. */
void p2p_portmap_on_datagram(struct p2p_portmap *m, const uint8_t *data, size_t len,
                             uint64_t now_ms);
/* Nothing listens at the router's port (ICMP): what is tried now does not work. */
void p2p_portmap_on_refusal(struct p2p_portmap *m, uint64_t now_ms);
/* The answer by UPnP. NULL: the router maps nothing. */
void p2p_portmap_on_upnp(struct p2p_portmap *m, const struct p2p_mapping *mapping,
                         uint64_t now_ms);
/* Writes the request that ends the mapping. Returns its length; 0: there is no mapping,
 * or UPnP made it. */
size_t p2p_portmap_end(const struct p2p_portmap *m,
                       uint8_t out[P2P_PORTMAP_MESSAGE_MAX]);
/* "PCP", "NAT-PMP", "UPnP", or "none". */
const char *p2p_portmap_by_name(enum p2p_portmap_by by);

#endif
