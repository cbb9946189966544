/*
 * peer - what p2p-peer consists of while it serves: opened in one order, closed in
 * another.
 */
#ifndef PEER_PEER_H
#define PEER_PEER_H

#include "p2p/identity.h"
#include "p2p/lock.h"
#include "p2p/mdns.h"
#include "p2p/portmap.h"
#include "p2p/reach.h"
#include "p2p/shares.h"
#include "p2p/tender.h"
#include "peer/control.h"
#include "peer/options.h"
#include "peer/registration/announcer.h"
#include "peer/server/server.h"

P2P_MUTEX_KIND(peer_lock);
P2P_MUTEX_KIND(rates_lock);
struct peer {
    int argc;
    char **argv;
    struct peer_options opt;
    struct p2p_options_text *text;
    char *own_keys; /* FOLDER.keys, of a further peer on this machine; or NULL */
    uint16_t port;  /* the actual one */
    int listeners[PEER_THREADS_MAX];
    struct rates_lock rates_lock;
    struct p2p_timetable rates P2P_GUARDED_BY(rates_lock);
    struct p2p_identity *identity;
    struct p2p_shares_folders folders; /* those that can be opened */
    struct p2p_shares *shares;
    struct history *history;
    struct p2p_tender *tender; /* NULL: nobody looks after old versions */
    struct access *access;
    struct uploads *uploads;
    struct offers *offers;
    struct inbox *inbox;
    struct links *links;
    int claim;          /* of the keys directory */
    int control_socket; /* until `control` has it; -1: none */
    struct control_view view;
    struct p2p_control *control;
    struct p2p_discovery *discovery;
    /* The share's thread uses these two as soon as they are there. */
    struct peer_lock lock;
    struct server *server P2P_GUARDED_BY(peer_lock);
    struct announcer *announcer P2P_GUARDED_BY(peer_lock);
    struct p2p_addr mapped P2P_GUARDED_BY(peer_lock); /* by the router; port 0: none */
    struct p2p_mdns *mdns;
    struct duplicate duplicate;
    struct p2p_doorman *doorman;
    struct p2p_portmapper *portmapper;
};

/* Starts everything with the options, the listeners, the claim and the control socket
 * of `peer`. Logs what fails. After an error call peer_close. */
P2P_MUST_CHECK enum p2p_err peer_open(struct peer *peer);
/* Stops what was started, and closes the claim and the control socket. */
void peer_close(struct peer *peer);

#endif
