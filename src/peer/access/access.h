/*
 * access - decides which peers may download, and holds the rules for what they see.
 * Blocked peers may not. With --allow-peers only the listed peers may, with
 * --trusted-only those that the user trusts; with both options, either is enough. The
 * file (one peer id of 64 hex digits per line, # comments) is read again when it
 * changes; if it cannot be read, no peer may download. Peers from outside the local
 * networks need the user's trust, a place on the list, or a private folder that is open
 * to them (p2p/access.h). Does file I/O, so do not call it on an event loop, except for
 * access_rules. Thread-safe.
 */
#ifndef PEER_ACCESS_H
#define PEER_ACCESS_H

#include "p2p/access.h"
#include "p2p/identity.h"
#include "peer/offers/offers.h"

struct access; /* *returned owned*, free with access_close */

struct access_options {
    struct p2p_identity *identity; /* borrowed */
    const char *allow_file;        /* NULL: every peer that is not blocked. Borrowed */
    const char *keys_dir;          /* with the grants. Borrowed */
    struct offers *offers;         /* NULL: none. Borrowed */
    bool trusted_only;
    bool is_public; /* "everyone" is the whole Internet, not the local networks */
};

/* Where one peer stands. */
struct access_standing {
    bool refused, refused_outside; /* from anywhere; from outside the local networks */
    bool is_known;                 /* the user trusts it or has downloaded from it */
    bool is_trusted;               /* the user trusts it, or has put it on the list */
    /* It is not refused only because of an offer (offers.h), and sees nothing else.
     * From outside, the rules say what it sees. */
    bool is_guest;
};

/* Borrows what the options point to. Fails if the file of --allow-peers cannot be read.
 * *Returns owned*, free with access_close. */
P2P_MUST_CHECK enum p2p_err access_open(const struct access_options *opt,
                                        struct access **out);
/* NULL is fine. */
void access_close(struct access *a);
/* P2P_OK or NOT_ALLOWED. A peer that is refused because it is on no list, or because it
 * comes from outside, is stored as pending, so that the user can decide about it. */
P2P_MUST_CHECK enum p2p_err access_check(struct access *a, const struct p2p_id *id,
                                         bool is_outside, struct access_standing *out);
/* The same for a peer that is connected already, and for one that calls: stores
 * nothing. */
void access_look(struct access *a, const struct p2p_id *id,
                 struct access_standing *out);
/* The present rules; *returns owned*, free with p2p_access_put. */
struct p2p_access *access_rules(struct access *a);
/* Reads the grants again; `*changed`: the rules are others now. After an error nobody
 * sees anything until they can be read. */
P2P_MUST_CHECK enum p2p_err access_reload(struct access *a, bool *changed);
/* With a list, only proven peers may download; the id in protocol 1 is only a claim. */
bool access_needs_proof(const struct access *a);

#endif
