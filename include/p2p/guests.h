/*
 * guests - how a peer meets the guests of a link: it reads the box of the link at each
 * registry, answers the calls that carry the link's MAC, and hands out the channel that
 * opens then (PROTOCOL.md, "Links"). Who is at its other end has proven to know the
 * secret of the link, and nothing more. Trust boundary: registries and callers.
 */
#ifndef P2P_GUESTS_H
#define P2P_GUESTS_H

#include "p2p/discovery.h"
#include "p2p/link.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

struct p2p_guests; /* *returned owned*, free with p2p_guests_stop */

struct p2p_guests_options {
    struct p2p_discovery *discovery; /* borrowed until stop */
    struct p2p_id peer;              /* told to the guests */
    const struct p2p_rsa *key;       /* its own, signs the answers; borrowed until stop.
                                      * NULL: they are not signed */
    struct p2p_link_keys keys;
    /* A guest is there; takes `fd`, a connected stream, non-blocking. On a thread of
     * its own. */
    void (*on_guest)(void *arg, int fd, const struct p2p_id *link,
                     const struct p2p_guest_id *guest);
    void *arg;
};
/* Starts its threads, one for each registry. SYS, NOMEM. */
P2P_MUST_CHECK enum p2p_err p2p_guests_start(const struct p2p_guests_options *opt,
                                             struct p2p_guests **out);
/* From now on nobody is met. Channels that are open stay. NULL is fine. */
void p2p_guests_stop(struct p2p_guests *g);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
