/*
 * ask - what trusted and met peers say themselves.
 *
 * A registry may leave a peer out, list it elsewhere, or state contents in its name. So
 * trusted and met peers are asked directly, all at once: where they were met, where a
 * registry lists them, and where they announce themselves on the local network. What
 * they answer counts as theirs; what a registry says about one that does not answer is
 * hearsay. Thread-safe.
 */
#ifndef P2P_ASK_H
#define P2P_ASK_H

#include "p2p/discovery.h"
#include "p2p/identity.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* The trusted ones first, then those that were met, the last met first. */
#define P2P_ASK_PEERS_MAX 32
/* Results that one call adds. */
#define P2P_ASK_RESULTS_MAX 1000

struct p2p_ask {
    /* One of these. */
    const char *name;              /* which file this is */
    const struct p2p_digest *root; /* what they call it; those listed are not asked */
    const char *text;              /* files whose names contain it, case aside */

    /* May be NULL: with `name`, where registries have not shown all peers, they are
     * asked for all, to learn where the known ones are. */
    struct p2p_discovery *discovery;
    bool only_trusted; /* not those that were met */
    bool mdns; /* looks for trusted peers that have not answered: a second more */
    uint64_t timeout_ms; /* for each of them, at most two seconds */
};
/*
 * Asks, and joins what they say to `results`. With `name` or `text`, a peer that
 * answers takes back all that `results` say about it and these names, and one that does
 * not is marked as `unproven` there. Costs nothing where nobody is trusted or met.
 * NOMEM.
 */
P2P_MUST_CHECK enum p2p_err p2p_ask_known(struct p2p_identity *identity,
                                          const struct p2p_ask *ask,
                                          struct p2p_search_results *results);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
