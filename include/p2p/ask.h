/*
 * ask - asks trusted and met peers directly.
 *
 * A registry may leave a peer out, list it with a wrong address, or claim contents for
 * it. So trusted and met peers are asked directly, all at once: at the addresses where
 * they were met, where a registry lists them, and where they announce themselves on the
 * local network. Only their own answers count as theirs. Thread-safe.
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
    const struct p2p_digest *root; /* finds its name; peers that are listed are not
                                    * asked */
    const char *text;              /* files whose names contain it, case aside */
    bool folders;                  /* with `text`: also empty folders, as files of size
                                    * 0 whose names end in '/' */

    /* May be NULL: with `name`, where registries have not shown all peers, they are
     * asked for all, to learn where the known ones are. */
    struct p2p_discovery *discovery;
    bool only_trusted; /* not those that were met */
    bool mdns; /* looks for trusted peers that have not answered: a second more */
    uint64_t timeout_ms; /* for each of them, at most two seconds */
};
/*
 * Asks the peers and adds their answers to `results`. With `name` or `text`, the answer
 * of a peer replaces everything that `results` state about it and these names; a peer
 * that does not answer is marked as `unproven`. Returns at once if no peer is trusted
 * or met. NOMEM.
 */
P2P_MUST_CHECK enum p2p_err p2p_ask_known(struct p2p_identity *identity,
                                          const struct p2p_ask *ask,
                                          struct p2p_search_results *results);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
