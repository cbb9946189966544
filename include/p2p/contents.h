/*
 * contents - the meaning of a name: the different files that peers share under it, and
 * the choice between them. Made from the results of registries and peers of the local
 * network (struct p2p_search_results) and from the ranks of the peers (rank.h). The
 * number of peers decides nothing, because anyone can create many ids. Pure except for
 * reading the known peers. Thread-safe.
 */
#ifndef P2P_CONTENTS_H
#define P2P_CONTENTS_H

#include "p2p/discovery.h"
#include "p2p/rank.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

struct p2p_content {
    struct p2p_digest root;
    bool root_known; /* false: these peers do not state their content */
    uint64_t size;
    enum p2p_rank best;         /* of its peers */
    size_t ranks[P2P_RANKS];    /* how many peers of each */
    struct p2p_peer_list peers; /* best first; owned */
};
struct p2p_contents {
    struct p2p_content *at; /* best first; those without a root last; owned */
    size_t count;           /* with a root */
    bool has_rootless;      /* at[count] has none */
};

/*
 * Collects the results that are called exactly `name`. Leaves out this device's own
 * copies, blocked peers, and contents that no other peer has. NOMEM.
 */
P2P_MUST_CHECK enum p2p_err p2p_contents_find(struct p2p_identity *identity,
                                              const struct p2p_search_results *results,
                                              const char *name,
                                              struct p2p_contents *out);
/* Frees what p2p_contents_find has allocated and leaves it empty. */
void p2p_contents_clear(struct p2p_contents *contents);

/*
 * The same for a folder (`folder` ends in "/"), from the results of a prefix search. A
 * folder has no root: peers that share the same files in it are one content, without a
 * root. `size` is the total of these files. `*disputed`: two files have the same name
 * and different contents, and no single trusted peer decides. NOMEM.
 */
P2P_MUST_CHECK enum p2p_err
p2p_contents_of_folder(struct p2p_identity *identity,
                       const struct p2p_search_results *results, const char *folder,
                       struct p2p_contents *out, bool *disputed);

/*
 * Chooses the content: the only one, or the only one that a trusted peer has. NULL if
 * there is none with a root. AMBIGUOUS: the user has to choose. If the only trusted
 * peers that have the name do not state their content, the result is the content
 * without a root, and those peers are asked.
 */
P2P_MUST_CHECK enum p2p_err p2p_contents_choose(const struct p2p_contents *contents,
                                                const struct p2p_content **out);
/* Writes the number of peers of each rank: "1 trusted, 3 new". Returns out. */
#define P2P_CONTENT_WHO 96
const char *p2p_content_who(const struct p2p_content *content,
                            char out[P2P_CONTENT_WHO]);

/* Sorts a list of peers, best first; those of one rank keep their order. NOMEM. */
P2P_MUST_CHECK enum p2p_err p2p_peers_rank(struct p2p_identity *identity,
                                           struct p2p_peer_list *list);
/* The best rank among the peers of a list, by what is proven. This device itself does
 * not count; NEW if there is no other peer. */
enum p2p_rank p2p_peers_best(struct p2p_identity *identity,
                             const struct p2p_peer_list *list);
/* Adds a peer to the result with the same name and content as `said`, or makes a new
 * result with this peer only. `from` is copied without its files. False: the peer is
 * there already, or out of memory. */
bool p2p_results_add(struct p2p_search_results *results,
                     const struct p2p_search_result *said,
                     const struct p2p_peer_info *from);
/* The same for all results and peers of `from`. NOMEM. */
P2P_MUST_CHECK enum p2p_err p2p_results_join(struct p2p_search_results *results,
                                             const struct p2p_search_results *from);
/* Sorts the peers of each result, and sorts the results by their best peer. Results of
 * the same rank keep their order, which is how well they match. NOMEM. */
P2P_MUST_CHECK enum p2p_err p2p_results_rank(struct p2p_identity *identity,
                                             struct p2p_search_results *results);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
