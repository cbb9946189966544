/*
 * links - the table of links that this device answers until they end: in `grants.db` of
 * the keys directory, beside the grants (grants.h). Each row has what is derived from
 * the secret of the link, but not the secret itself: so the link is shown once, when it
 * is made. The command line and the dashboard write the table. p2p-peer follows the
 * links that give files; the program that made a link that takes files answers it
 * itself (intake.h).
 *
 * Thread-safe.
 */
#ifndef P2P_LINKS_H
#define P2P_LINKS_H

#include "p2p/limits.h"
#include "p2p/link.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

#define P2P_LINKS_MAX        32 /* registries allow 64 for an address; older ones 16 */
#define P2P_LINKS_TITLE_MAX  200
#define P2P_LINKS_NAMES_MAX  8192
#define P2P_LINKS_FOLDER_MAX 4096
#define P2P_LINKS_NO_LIMIT   UINT64_MAX
#define P2P_LINKS_DEFAULT_S  (7 * 24 * 3600)
#define P2P_LINKS_MAX_S      (366 * 24 * 3600)

struct p2p_links_row {
    uint64_t id;
    struct p2p_link_keys keys;
    char title[P2P_LINKS_TITLE_MAX + 1];
    /* Shared files, and folders with a last slash, each with a newline behind it. */
    char names[P2P_LINKS_NAMES_MAX];
    /* Guests put files into this folder; "": they get those that are named above. */
    char folder[P2P_LINKS_FOLDER_MAX];
    uint64_t created_s, expires_s;
    uint64_t uses_left, bytes_left; /* or P2P_LINKS_NO_LIMIT */
    bool has_pin;
    struct p2p_link_pin pin;
};

/* Adds a name to the list of a row: of a shared file ("a/b.txt") or of a folder ("a/").
 * NAME; TOO_LARGE. */
P2P_MUST_CHECK enum p2p_err p2p_links_name(struct p2p_links_row *row, const char *name);
/* Stores a new link; `row->id` is set. TOO_LARGE: there are P2P_LINKS_MAX. */
P2P_MUST_CHECK enum p2p_err p2p_links_add(const char *keys_dir,
                                          struct p2p_links_row *row);
/* All that have not expired, the oldest first. *Returns owned* array of `*count`,
 * free(); wipe it first. */
P2P_MUST_CHECK enum p2p_err p2p_links_list(const char *keys_dir,
                                           struct p2p_links_row **out, size_t *count);
/* Ends a link. NOT_FOUND. */
P2P_MUST_CHECK enum p2p_err p2p_links_revoke(const char *keys_dir, uint64_t id);
/* Stores what is left of it. Nothing happens if it is gone. */
P2P_MUST_CHECK enum p2p_err p2p_links_spend(const char *keys_dir, uint64_t id,
                                            uint64_t uses_left, uint64_t bytes_left);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
