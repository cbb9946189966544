/* control - the requests that p2p-peer answers at its control socket (p2p/control.h).
 */
#ifndef PEER_CONTROL_H
#define PEER_CONTROL_H

#include "p2p/control.h"
#include "p2p/reach.h"
#include "peer/registration/duplicate.h"
#include "peer/server/server.h"

/* What the answers tell; borrowed until the stop. */
struct control_view {
    struct p2p_identity *identity;
    struct p2p_shares *shares;
    struct server *server;
    struct uploads *uploads;
    struct offers *offers;
    struct inbox *inbox;
    struct links *links;
    struct duplicate *duplicate;
    struct p2p_doorman_counts calls;
    const struct p2p_shares_folders
        *folders; /* all, with those that cannot be opened */
    unsigned port;
    bool is_public;
};

/* Answers on a thread of its own. *Takes* `fd`, from p2p_control_bind. */
P2P_MUST_CHECK enum p2p_err control_start(int fd, const char *keys_dir,
                                          struct control_view *view,
                                          struct p2p_control **out);

#endif
