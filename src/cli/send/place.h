/*
 * place - the registry at which sender and receiver of a code meet: which one it is,
 * what others call it, and who can reach it. Single-threaded.
 */
#ifndef CLI_PLACE_H
#define CLI_PLACE_H

#include "p2p/code.h"
#include "p2p/discovery.h"

struct place {
    struct p2p_discovery *discovery; /* this registry alone */
    char url[P2P_CODE_REGISTRY_MAX];
    char for_others[P2P_CODE_REGISTRY_MAX]; /* its URL, as others reach it */
    bool is_local;                          /* only this network reaches it */
};

/* Opens one registry. Prints the reason of a failure. */
P2P_MUST_CHECK enum p2p_err place_open(struct place *p, const char *url,
                                       uint64_t timeout_ms);
void place_close(struct place *p);

#endif
