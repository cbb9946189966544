/*
 * discovery - what p2p-discovery consists of while it serves.
 */
#ifndef DISCOVERY_DISCOVERY_H
#define DISCOVERY_DISCOVERY_H

#include "discovery/http/app.h"
#include "discovery/meet/stun_server.h"
#include "discovery/options.h"

struct discovery {
    struct discovery_options opt;
    int argc;
    char **argv;
    struct app app;
    struct p2p_options_text *text;
    /* Of the parent: the listener, then those for STUN, without gaps. */
    int descriptors[1 + STUN_PORTS];
    size_t descriptor_count;
    int listener, stun[STUN_PORTS];
    struct housekeeper *housekeeper;
};

/* Starts everything with the options and the listeners of `d`. Logs what fails. After
 * an error call discovery_close. */
P2P_MUST_CHECK enum p2p_err discovery_open(struct discovery *d);
/* Stops what was started; hands the list of peers over to the next process. */
void discovery_close(struct discovery *d);

#endif
