/*
 * rendezvous - one code of a sender: its number and box at the registry, and what it
 * tells the one who comes (p2p/exchange.h). Single-threaded.
 */
#ifndef CLI_RENDEZVOUS_H
#define CLI_RENDEZVOUS_H

#include "p2p/box.h"
#include "p2p/discovery.h"
#include "p2p/exchange.h"
#include "p2p/stop.h"

enum rendezvous_state {
    RENDEZVOUS_WAITS,     /* nobody has come */
    RENDEZVOUS_CLAIMED,   /* somebody has the number, and has not proven the words */
    RENDEZVOUS_PROVEN,    /* somebody has; `claim` tells who. Call rendezvous_answer */
    RENDEZVOUS_ANSWERED,  /* it has the offer */
    RENDEZVOUS_DONE,      /* it has everything */
    RENDEZVOUS_WRONG,     /* it does not know the words: the code is used up */
    RENDEZVOUS_ABANDONED, /* it claimed the number and said nothing more */
    RENDEZVOUS_LOST,      /* the registry does not know the code any longer */
};

struct rendezvous {
    enum rendezvous_state state;
    struct p2p_code code;
    struct p2p_exchange exchange;
    uint64_t after, claimed_ms;
    char *claim; /* owned: JSON of the receiver */
    char peer_id[P2P_ID_HEX_LEN + 1];
    char name[256]; /* of the receiver, as it says; for people */
    uint64_t sent, speed, started_ms;
};

/* Reserves a number at the registry and chooses words. Its registry is to be set. */
P2P_MUST_CHECK enum p2p_err rendezvous_open(struct rendezvous *m,
                                            struct p2p_discovery *d,
                                            const struct p2p_stop *stop);
void rendezvous_close(struct rendezvous *m);
/* Looks into the box, for at most `wait_s`. Changes the state. */
P2P_MUST_CHECK enum p2p_err rendezvous_look(struct rendezvous *m,
                                            struct p2p_discovery *d, unsigned wait_s,
                                            const struct p2p_stop *stop);
/* Sends the offer to the one who is proven. */
P2P_MUST_CHECK enum p2p_err rendezvous_answer(struct rendezvous *m,
                                              struct p2p_discovery *d,
                                              const char *offer,
                                              const struct p2p_stop *stop);

#endif
