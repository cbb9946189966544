/*
 * access - which authenticated peers may fetch: the blocked ones of known_peers may
 * not, and with --allow-peers only the listed ones may. The file (one peer id of 64 hex
 * digits a line, # comments) is read again when it changed; one that cannot be read
 * lets nobody in. Does file I/O: not on an event loop. Thread-safe.
 */
#ifndef PEER_ACCESS_H
#define PEER_ACCESS_H

#include "p2p/identity.h"

struct access; /* *returned owned*, free with access_close */

/* `allow_file` NULL: everybody who is not blocked. Borrows the identity. */
P2P_MUST_CHECK enum p2p_err access_open(struct p2p_identity *identity,
                                        const char *allow_file, struct access **out);
void access_close(struct access *a);
/* P2P_OK or NOT_ALLOWED; a peer that is not listed is noted as pending for the user. */
P2P_MUST_CHECK enum p2p_err access_check(struct access *a, const struct p2p_id *id);
/* With an allow file only proven peers may fetch, and protocol 1 proves nothing. */
bool access_needs_proof(const struct access *a);

#endif
