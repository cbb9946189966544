/*
 * grants - the table of who may have what, as the owner has decided: `grants.db` in the
 * keys directory (0600), a SQLite database that the command line and the dashboard
 * write. p2p-peer reads it into a snapshot (access.h) whenever it changes.
 *
 * Each row is one grant. Today they are the rules for folders: who is everyone, or the
 * peers of a private folder. Rows of a kind that this version does not know give nobody
 * anything. Without the file there is no rule.
 *
 * Thread-safe.
 */
#ifndef P2P_GRANTS_H
#define P2P_GRANTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/access.h"
#include "p2p/err.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

#define P2P_GRANTS_FILE "grants.db"

struct p2p_grant {
    uint64_t id;
    char folder[P2P_NAME_MAX + 2]; /* "photos/" with the last slash; "": everything */
    bool everyone;
    struct p2p_id peers[P2P_ACCESS_PEERS_MAX]; /* without `everyone` */
    size_t peer_count;
    uint64_t created_s;
};

/* Checks a folder as people write it ("photos", "photos/2026/", "/" for everything) and
 * writes it as in struct p2p_grant. NAME. */
P2P_MUST_CHECK enum p2p_err p2p_grants_folder(const char *text,
                                              char out[P2P_NAME_MAX + 2]);

/* The rules for folders, by folder. *Returns owned* array of `*count`, free(). CORRUPT,
 * UNSUPPORTED (a newer program made it), BUSY, ... */
P2P_MUST_CHECK enum p2p_err p2p_grants_list(const char *keys_dir,
                                            struct p2p_grant **out, size_t *count);
/* From now on only these peers (and the owner) see the folder. Replaces the former rule
 * for it. TOO_LARGE: too many rules or peers. */
P2P_MUST_CHECK enum p2p_err p2p_grants_set_private(const char *keys_dir,
                                                   const char *folder,
                                                   const struct p2p_id *peers,
                                                   size_t count);
/* From now on everyone sees the folder, also inside of a private one. */
P2P_MUST_CHECK enum p2p_err p2p_grants_set_public(const char *keys_dir,
                                                  const char *folder);
/* Ends one grant. NOT_FOUND. */
P2P_MUST_CHECK enum p2p_err p2p_grants_remove(const char *keys_dir, uint64_t id);
/* The rules as a snapshot; *returns owned*, free with p2p_access_put. */
P2P_MUST_CHECK enum p2p_err p2p_grants_read(const char *keys_dir, bool is_public,
                                            struct p2p_access **out);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
