/*
 * pickup - the receiver's side of a code: finds the sender through the registry, proves
 * the words, and gets the offer. What was got is kept in the keys folder until all
 * files are there, so that the same command resumes after an interruption, although the
 * code is used up. Single-threaded.
 */
#ifndef CLI_PICKUP_H
#define CLI_PICKUP_H

#include "p2p/discovery.h"
#include "p2p/exchange.h"
#include "p2p/identity.h"
#include "p2p/stop.h"

struct pickup {
    struct p2p_code code;
    char url[P2P_CODE_REGISTRY_MAX]; /* of the registry where the sender is */
    struct p2p_exchange exchange;
    char *offer; /* owned: JSON of the sender, proven */
    bool is_resumed;
};

struct pickup_options {
    const char *keys_dir;
    struct p2p_identity *identity;
    const struct p2p_option_list *registries; /* if the code names none */
    uint64_t timeout_ms;
    const struct p2p_stop *stop;
};

/* Gets the offer of this code, or the one that it got before. Returns 0 or the exit
 * status; prints its own messages. `p` is to be closed in any case. */
int pickup_open(struct pickup *p, const struct p2p_code *code,
                const struct pickup_options *opt);
/* Everything is here: tells the sender, and forgets the code. */
void pickup_finish(struct pickup *p, const struct pickup_options *opt);
/* Forgets the code without telling anybody. */
void pickup_forget(struct pickup *p, const struct pickup_options *opt);
void pickup_close(struct pickup *p);

#endif
