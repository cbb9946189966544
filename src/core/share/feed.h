/*
 * feed - the list of changes of a shared folder, across restarts: the rows of the index
 * in the order of their numbers. A row without a root is a deletion. Deletions are
 * forgotten after 90 days in which the machine ran, so a wall clock that jumps deletes
 * none of them.
 *
 * The list has a random id, which is made with the index. It gets another one if
 * anybody else has written the index, or it may be an older state: then nothing that is
 * missing there counts as deleted. For share_index.c alone.
 */
#ifndef P2P_SHARE_FEED_H
#define P2P_SHARE_FEED_H

#include <sqlite3.h>

#include "p2p/share.h"

/* Makes the tables of the list where an older program made the index. */
P2P_MUST_CHECK enum p2p_err p2p_feed_prepare(sqlite3 *db);
/* The owner begins, in a transaction: decides whether the list goes on, forgets old
 * deletions, and notes the epoch that the owner writes from now on. `*last` is the
 * number of the last change; the next one gets a larger number. */
P2P_MUST_CHECK enum p2p_err p2p_feed_begin(sqlite3 *db, int64_t epoch, int64_t *last);
/* The owner commits: notes the number of the last change, and the time. */
P2P_MUST_CHECK enum p2p_err p2p_feed_note(sqlite3 *db, int64_t last);
/* Where the list is now, and what changed; see p2p_share_changes. */
P2P_MUST_CHECK enum p2p_err p2p_feed_read(sqlite3 *db, uint64_t after, size_t max,
                                          p2p_share_visit_change *visit, void *arg,
                                          struct p2p_share_feed *out);

#endif
