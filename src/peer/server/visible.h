/*
 * visible - what of the shared files the client of a connection sees: each question
 * about a file that a client asks goes through here, and from here through one rule
 * (p2p/access.h). What a client may not see is not there: the answers are those for
 * files that do not exist. A content is visible if any of its names is.
 */
#ifndef PEER_VISIBLE_H
#define PEER_VISIBLE_H

#include "p2p/access.h"
#include "p2p/shares.h"

struct conn;

/* Who the client is, as far as the rule asks. */
struct p2p_access_caller visible_caller(const struct conn *c);

/* May the client see this name? */
bool visible_may(const struct conn *c, const char *name);
/* A number that is another one when other names are visible for the client. */
uint32_t visible_mark(const struct conn *c);
/* As the functions of shares.h. Those that take a root say MORE if it may be an old
 * content: serve_seek finds out. */
P2P_MUST_CHECK enum p2p_err visible_find_name(const struct conn *c, const char *name,
                                              struct p2p_share_entry *out);
/* The entry has a name that is visible. */
P2P_MUST_CHECK enum p2p_err visible_find_root(const struct conn *c,
                                              const struct p2p_digest *root,
                                              struct p2p_share_entry *out);
/* True if only an old content can have this root. */
bool visible_is_old(const struct conn *c, const struct p2p_digest *root);
P2P_MUST_CHECK enum p2p_err visible_layer(const struct conn *c,
                                          const struct p2p_digest *root, uint64_t first,
                                          uint32_t count, struct p2p_digest *out);
P2P_MUST_CHECK enum p2p_err visible_open(const struct conn *c,
                                         const struct p2p_digest *root,
                                         struct p2p_share_file **out);
/* One page of the list; `*more`: there may be names behind the last one. */
P2P_MUST_CHECK enum p2p_err visible_list(const struct conn *c, const char *after,
                                         struct p2p_share_entry *out, size_t max,
                                         size_t *count, bool *more);

#endif
