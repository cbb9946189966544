/*
 * access - decides which peers may download. Blocked peers may not. With --allow-peers
 * only the listed peers may, with --trusted-only those that the user trusts; with both
 * options, either is enough. The file (one peer id of 64 hex digits per line, #
 * comments) is read again when it changes; if it cannot be read, no peer may download.
 * Does file I/O, so do not call it on an event loop. Thread-safe.
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

/* Borrows what the options point to. Fails if the file of --allow-peers cannot be read.
 * *Returns owned*, free with access_close. */
P2P_MUST_CHECK enum p2p_err access_open(const struct access_options *opt,
                                        struct access **out);
/* NULL is fine. */
void access_close(struct access *a);
/* P2P_OK or NOT_ALLOWED. A peer that is refused because it is on no list is stored as
 * pending, so that the user can decide about it. `*is_known`: the user trusts it or has
 * downloaded from it. */
P2P_MUST_CHECK enum p2p_err access_check(struct access *a, const struct p2p_id *id,
                                         bool *is_known);
/* The same for a peer that is connected already: stores nothing. */
P2P_MUST_CHECK enum p2p_err access_look(struct access *a, const struct p2p_id *id);
/* The same for a peer that comes from outside the local networks: only trusted ones
 * may, whoever else may download here. */
P2P_MUST_CHECK enum p2p_err access_look_outside(struct access *a,
                                                const struct p2p_id *id);
/* With a list, only proven peers may download; the id in protocol 1 is only a claim. */
bool access_needs_proof(const struct access *a);

#endif
