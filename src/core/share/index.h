/*
 * index - index.db: the facts about hashed files, kept across restarts. The connection
 * belongs to the share's own thread, except where a function says otherwise.
 */
#ifndef P2P_SHARE_INDEX_H
#define P2P_SHARE_INDEX_H

#include <sqlite3.h>

#include "core/share/item.h"
#include "p2p/path.h"

#define P2P_INDEX_FILE "index.db"

struct p2p_index; /* *returned owned*, free with p2p_index_close */

/* `owner`: may write. A damaged file is renamed (index.db.damaged) and a new one is
 * built; if nothing can be written, the index is in memory. A follower gets the error
 * instead. */
P2P_MUST_CHECK enum p2p_err p2p_index_open(const struct p2p_root *root, bool owner,
                                           struct p2p_index **out);
void p2p_index_close(struct p2p_index *index);
bool p2p_index_is_in_memory(const struct p2p_index *index);
sqlite3 *p2p_index_db(const struct p2p_index *index); /* the loop's connection */

/* Visits the rows changed after change number `after`, in order of change. NULL facts:
 * the file was removed. `is_missing`: it is not on disk, and may come back. */
typedef enum p2p_err p2p_index_visit(void *arg, const char *name,
                                     const struct p2p_file_facts *facts,
                                     bool is_missing);
/* Visits the rows that changed after `after`, and removes rows that make no sense.
 * `*last_change` is the newest change seen. Stops at an error of `visit`. */
P2P_MUST_CHECK enum p2p_err p2p_index_load(struct p2p_index *index, int64_t after,
                                           p2p_index_visit *visit, void *arg,
                                           int64_t *last_change);
/* The version that a name had last, also if its file was removed; 0: none is known. */
uint32_t p2p_index_last_version(struct p2p_index *index, const char *name);
P2P_MUST_CHECK enum p2p_err p2p_index_begin(struct p2p_index *index);
P2P_MUST_CHECK enum p2p_err p2p_index_commit(struct p2p_index *index);
/* Writes the row of a file. `layer` NULL: the row keeps its layer. */
P2P_MUST_CHECK enum p2p_err p2p_index_put(struct p2p_index *index, const char *name,
                                          const struct p2p_file_facts *facts,
                                          const struct p2p_digest *layer);
/* The same, with the layer of another row (for a file that was renamed or linked).
 * NOT_FOUND if that row has none. */
P2P_MUST_CHECK enum p2p_err p2p_index_put_copy(struct p2p_index *index,
                                               const char *name,
                                               const struct p2p_file_facts *facts,
                                               const char *layer_of);
P2P_MUST_CHECK enum p2p_err p2p_index_remove(struct p2p_index *index, const char *name);
/* Marks the file as missing on disk or as present again. The row is kept, and followers
 * do not list a missing file. */
P2P_MUST_CHECK enum p2p_err p2p_index_set_missing(struct p2p_index *index,
                                                  const char *name, bool is_missing);
/* Stores that the folder is empty and had this many files, which were not confirmed as
 * deleted; 0: the folder is not in this state. */
P2P_MUST_CHECK enum p2p_err p2p_index_set_emptied(struct p2p_index *index,
                                                  uint64_t files);
P2P_MUST_CHECK enum p2p_err p2p_index_get_emptied(struct p2p_index *index,
                                                  uint64_t *files);
/* Reads the layer of a file and checks it against the root. From any thread. */
P2P_MUST_CHECK enum p2p_err p2p_index_layer(struct p2p_index *index, const char *name,
                                            const struct p2p_chunks *g,
                                            const struct p2p_digest *root,
                                            struct p2p_digest *out);

typedef void p2p_index_row(void *arg, sqlite3_stmt *row);
/* Visits the rows of a query about a table that another file of this room keeps in the
 * index. No rows: nothing has created the table yet. From any thread. */
P2P_MUST_CHECK enum p2p_err p2p_index_each_row(struct p2p_index *index,
                                               const char *query, p2p_index_row *visit,
                                               void *arg);

/* The list of changes; see p2p_share_changes. Looks at `max` rows at most. From any
 * thread. */
P2P_MUST_CHECK enum p2p_err p2p_index_changes(struct p2p_index *index, uint64_t after,
                                              size_t max, p2p_share_visit_change *visit,
                                              void *arg, struct p2p_share_feed *out);

/* Data from the owner for its followers, in addition to the files. */
struct p2p_index_status {
    int64_t
        epoch; /* if it differs, the owner has started a new index: read everything */
    int64_t hashing_files, hashing_bytes;
};
/* Reads what the owner of the share told its followers. */
P2P_MUST_CHECK enum p2p_err p2p_index_get_status(struct p2p_index *index,
                                                 struct p2p_index_status *out);
/* Stores what followers are to know. */
P2P_MUST_CHECK enum p2p_err p2p_index_set_status(struct p2p_index *index,
                                                 const struct p2p_index_status *status);

#endif
