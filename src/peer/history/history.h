/*
 * history - old contents of the shared files, for the clients whom the owner lets see
 * them (the setting `history` of p2p/versions.h), and who may see the file itself.
 *
 * Reading the versions needs the disk, so workers do it: history_list for a list, and
 * history_seek for one content. Afterwards the content can be looked up here like a
 * shared file. After HISTORY_KNOWN_MS, the lookups say BUSY until it was sought again:
 * by then the owner may have deleted it, or hidden it.
 *
 * Thread-safe.
 */
#ifndef PEER_HISTORY_H
#define PEER_HISTORY_H

#include "p2p/access.h"
#include "p2p/msg.h"
#include "p2p/shares.h"
#include "p2p/tender.h"

struct history; /* *returned owned*, free with history_free */

#define HISTORY_KNOWN_MS 1000
#define HISTORY_MAX      32 /* contents that are open at a time */

/* Both are borrowed until free. */
P2P_MUST_CHECK enum p2p_err
history_new(struct p2p_shares *shares, struct p2p_tender *tender, struct history **out);
/* NULL is fine. */
void history_free(struct history *h);

/* Who asks, and the rules at that time. */
struct history_asker {
    struct p2p_access *rules;
    struct p2p_access_caller caller;
};

/* ---- On a worker ---- */

struct history_page {
    struct p2p_history_entry at[P2P_HISTORY_MAX];
    size_t count;
    uint32_t next;
};
/* The contents of a name, newest first: those before `before`, with the present one if
 * that is 0. NOT_FOUND. */
P2P_MUST_CHECK enum p2p_err history_list(struct history *h,
                                         const struct history_asker *asker,
                                         const char *name, uint32_t before,
                                         struct history_page *out);
/* Opens an old content, or confirms that this client may have it. NOT_FOUND; BUSY: too
 * much is being hashed. */
P2P_MUST_CHECK enum p2p_err history_seek(struct history *h,
                                         const struct history_asker *asker,
                                         const struct p2p_digest *root);

/* ---- On a loop: without the disk ---- */

/* True if some client may see something; NULL is fine. */
bool history_is_on(struct history *h);
/* As the functions of share.h. BUSY: seek it. */
P2P_MUST_CHECK enum p2p_err history_find_root(struct history *h,
                                              const struct history_asker *asker,
                                              const struct p2p_digest *root,
                                              struct p2p_share_entry *out);
/* As p2p_share_layer; BUSY: seek it. */
P2P_MUST_CHECK enum p2p_err history_layer(struct history *h,
                                          const struct history_asker *asker,
                                          const struct p2p_digest *root, uint64_t first,
                                          uint32_t count, struct p2p_digest *out);
/* As p2p_share_file_open; BUSY: seek it. */
P2P_MUST_CHECK enum p2p_err history_file_open(struct history *h,
                                              const struct history_asker *asker,
                                              const struct p2p_digest *root,
                                              struct p2p_share_file **out);

#endif
