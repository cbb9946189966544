/*
 * names - what people call peers, and which peer they mean by a name.
 *
 * The user's own name for a peer counts most, then what a trusted peer has said of
 * itself after it proved its id. All other names are claims: those of untrusted peers,
 * and what a registry or mDNS says. A claim never takes a name from a trusted peer, and
 * a name that several peers have means none of them. One object, one thread at a time.
 */
#ifndef P2P_NAMES_H
#define P2P_NAMES_H

#include "p2p/identity.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* ---- Showing ---- */

#define P2P_CALLED_MAX 96
/*
 * Writes what to show for a peer: the user's own name, or the name that a trusted peer
 * says, or a claim with the first digits of the id ("Kitchen (f23239c4)"), or the first
 * 16 digits and "..." when it has no name. `said` is what a registry or mDNS says;
 * NULL: nothing. The text can be shown as it is. Returns out.
 */
const char *p2p_peer_called(struct p2p_identity *identity, const struct p2p_id *id,
                            const struct p2p_about *said, char out[P2P_CALLED_MAX]);
/* The same for a peer that was looked up already; `known` NULL: it is not known. */
const char *p2p_known_called(const struct p2p_known_peer *known,
                             const struct p2p_id *id, const struct p2p_about *said,
                             char out[P2P_CALLED_MAX]);
/* The name alone, without digits; "" when it has none. Borrowed from its arguments. */
const char *p2p_known_name(const struct p2p_known_peer *known,
                           const struct p2p_about *said);

/* ---- Finding ---- */

/* Who has the right to a name; the first one counts most. */
enum p2p_name_claim { P2P_NAME_OWN, P2P_NAME_TRUSTED, P2P_NAME_CLAIMED };
struct p2p_name_entry {
    struct p2p_id id;
    enum p2p_name_claim claim;
    char name[P2P_PEER_NAME_MAX + 1];
};
struct p2p_names {
    struct p2p_name_entry *at;
    size_t count, cap;
};
void p2p_names_clear(struct p2p_names *names);
/* Adds the names of all known peers. */
P2P_MUST_CHECK enum p2p_err p2p_names_add_known(struct p2p_names *names,
                                                struct p2p_identity *identity);
/* Adds what a registry or mDNS says; an empty name adds nothing. */
P2P_MUST_CHECK enum p2p_err p2p_names_add_said(struct p2p_names *names,
                                               const struct p2p_id *id,
                                               const struct p2p_about *said);

#define P2P_NAMES_SEVERAL 8
struct p2p_names_found {
    enum p2p_name_claim claim;            /* why it is this one */
    size_t count;                         /* of peers with this right to the name */
    struct p2p_id ids[P2P_NAMES_SEVERAL]; /* the first ones */
};
/* The peer of exactly this name: out->ids[0]. NOT_FOUND. AMBIGUOUS: several peers have
 * it; `out` lists them. */
P2P_MUST_CHECK enum p2p_err p2p_names_find(const struct p2p_names *names,
                                           const char *name,
                                           struct p2p_names_found *out);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
