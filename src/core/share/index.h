/*
 * index - index.db: what is known of hashed files, kept across restarts. The connection
 * belongs to the share's own thread, except where a function says otherwise.
 */
#ifndef P2P_SHARE_INDEX_H
#define P2P_SHARE_INDEX_H

#include <sqlite3.h>

#include "core/share/item.h"
#include "p2p/path.h"

struct p2p_index; /* *returned owned*, free with p2p_index_close */

/* `owner`: may write; a damaged file is put aside (index.db.damaged) and begun anew;
 * where nothing can be written it lives in memory. A follower gets the error instead.
 */
P2P_MUST_CHECK enum p2p_err p2p_index_open(const struct p2p_root *root, bool owner,
                                           struct p2p_index **out);
void p2p_index_close(struct p2p_index *index);
bool p2p_index_is_in_memory(const struct p2p_index *index);
sqlite3 *p2p_index_db(const struct p2p_index *index); /* the loop's connection */

/* Rows changed after change number `after`, in order of change; NULL facts: the file
 * went. `is_missing`: it is not on disk, and may come back. */
typedef enum p2p_err p2p_index_visit(void *arg, const char *name,
                                     const struct p2p_file_facts *facts,
                                     bool is_missing);
P2P_MUST_CHECK enum p2p_err p2p_index_load(struct p2p_index *index, int64_t after,
                                           p2p_index_visit *visit, void *arg,
                                           int64_t *last_change);
P2P_MUST_CHECK enum p2p_err p2p_index_begin(struct p2p_index *index);
P2P_MUST_CHECK enum p2p_err p2p_index_commit(struct p2p_index *index);
/* `layer` NULL: the row's layer stays. */
P2P_MUST_CHECK enum p2p_err p2p_index_put(struct p2p_index *index, const char *name,
                                          const struct p2p_file_facts *facts,
                                          const struct p2p_digest *layer);
/* The same with the layer of another row (a file that was renamed or linked). NOT_FOUND
 * when that row has none. */
P2P_MUST_CHECK enum p2p_err p2p_index_put_copy(struct p2p_index *index,
                                               const char *name,
                                               const struct p2p_file_facts *facts,
                                               const char *layer_of);
P2P_MUST_CHECK enum p2p_err p2p_index_remove(struct p2p_index *index, const char *name);
/* The row of a file that is not on disk now is kept, and its followers do not list it.
 */
P2P_MUST_CHECK enum p2p_err p2p_index_set_missing(struct p2p_index *index,
                                                  const char *name, bool is_missing);
/* The folder is empty and had so many files, which nobody has confirmed as deleted; 0:
 * it is not so. */
P2P_MUST_CHECK enum p2p_err p2p_index_set_emptied(struct p2p_index *index,
                                                  uint64_t files);
P2P_MUST_CHECK enum p2p_err p2p_index_get_emptied(struct p2p_index *index,
                                                  uint64_t *files);
/* The layer of a file, checked against the root. Any thread. */
P2P_MUST_CHECK enum p2p_err p2p_index_layer(struct p2p_index *index, const char *name,
                                            const struct p2p_chunks *g,
                                            const struct p2p_digest *root,
                                            struct p2p_digest *out);

/* What is not shared, and why; see p2p_share_problems. Any thread. */
P2P_MUST_CHECK enum p2p_err
p2p_index_problems(struct p2p_index *index, p2p_share_visit_problem *visit, void *arg);

/* What the owner tells its followers beside the files. */
struct p2p_index_status {
    int64_t epoch; /* another one: an owner began anew, read everything */
    int64_t hashing_files, hashing_bytes;
};
P2P_MUST_CHECK enum p2p_err p2p_index_get_status(struct p2p_index *index,
                                                 struct p2p_index_status *out);
P2P_MUST_CHECK enum p2p_err p2p_index_set_status(struct p2p_index *index,
                                                 const struct p2p_index_status *status);

#endif
