/*
 * access - which peers may download: blocked ones may not. With --allow-peers only the
 * listed ones may, with --trusted-only those that the user trusts; with both, either is
 * enough. The file (one peer id of 64 hex digits a line, # comments) is read again when
 * it changed; one that cannot be read lets nobody in. Does file I/O: not on an event
 * loop. Thread-safe.
 */
#ifndef PEER_ACCESS_H
#define PEER_ACCESS_H

#include "p2p/identity.h"

struct access; /* *returned owned*, free with access_close */

struct access_options {
    struct p2p_identity *identity; /* borrowed */
    const char *allow_file;        /* NULL: every peer that is not blocked. Borrowed */
    bool trusted_only;
};

P2P_MUST_CHECK enum p2p_err access_open(const struct access_options *opt,
                                        struct access **out);
void access_close(struct access *a);
/* P2P_OK or NOT_ALLOWED; a peer that is refused because no list has it is noted as
 * pending for the user. `*is_known`: the user trusts it or has downloaded from it. */
P2P_MUST_CHECK enum p2p_err access_check(struct access *a, const struct p2p_id *id,
                                         bool *is_known);
/* The same for a peer that is here already: notes nothing. */
P2P_MUST_CHECK enum p2p_err access_look(struct access *a, const struct p2p_id *id);
/* With a list only proven peers may download, and the id of protocol 1 is a claim. */
bool access_needs_proof(const struct access *a);

#endif
