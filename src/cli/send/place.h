/*
 * place - the registry at which sender and receiver of a code meet: which one it is,
 * what others call it, and who can reach it. Single-threaded.
 */
#ifndef CLI_PLACE_H
#define CLI_PLACE_H

#include "cli/send/helper.h"
#include "p2p/code.h"
#include "p2p/discovery.h"
#include "p2p/options.h"

struct place {
    struct p2p_discovery *discovery; /* this registry alone */
    char url[P2P_CODE_REGISTRY_MAX];
    char for_others[P2P_CODE_REGISTRY_MAX]; /* its URL, as others reach it */
    bool is_local;                          /* only this network reaches it */
    bool has_links;                         /* it has the page for guests of links */
    struct helper helper; /* p2p-discovery, if it was started for this */
    /* p2p-ui of this machine as a place for guests, if there is no registry: for
     * programs of this machine, and for others. Empty: none. */
    char near[P2P_CODE_REGISTRY_MAX], near_for_others[P2P_CODE_REGISTRY_MAX];
};

/* Opens the first registry of the list that answers. If none does, or with "none" in
 * the list, starts one on this machine, for this network. Says first if only this
 * network reaches it, and why. Prints the reason of a failure; `p` is to be closed in
 * any case. */
P2P_MUST_CHECK enum p2p_err
place_open(struct place *p, const struct p2p_option_list *urls, uint64_t timeout_ms);
void place_close(struct place *p);
/* Looks for a p2p-ui of this user at `url`, if there is no registry. */
void place_find_near(struct place *p, const char *url, uint64_t timeout_ms);
/* Why a link is not for this place: a sentence; NULL: it is. Outside of private
 * addresses, only https keeps others from changing the page on its way. */
const char *place_against_link(const struct place *p);

#endif
