/* Declarations shared by the files of the contents module. */
#ifndef P2P_CONTENTS_INTERNAL_H
#define P2P_CONTENTS_INTERNAL_H

#include "p2p/contents.h"

/* A limit, because no download uses more of them, and comparing a hundred thousand peers
 * with each other would take minutes. */
#define P2P_CONTENT_STRANGERS_MAX 2000

/* Its rank, or NEW if it was asked directly and did not confirm the statement about
 * it. */
enum p2p_rank p2p_peer_info_rank(struct p2p_identity *identity,
                                 const struct p2p_peer_info *peer);
/* Adds one peer, without its names. The caller has made sure that it is not there yet.
 * NOMEM. */
P2P_MUST_CHECK enum p2p_err p2p_content_add_peer(struct p2p_content *content,
                                                 const struct p2p_peer_info *peer,
                                                 enum p2p_rank rank);
/* Sorts the contents and the peers of each, best first; those without a root last.
 * NOMEM. */
P2P_MUST_CHECK enum p2p_err p2p_contents_sort(struct p2p_identity *identity,
                                              struct p2p_contents *contents);

#endif
