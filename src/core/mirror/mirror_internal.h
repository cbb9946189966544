/*
 * mirror_internal - what the files of the mirrors share. For this room only.
 *
 *     jobs.c     keep.db: the jobs, and what their last rounds found
 *     applied.c  mirror-ID.db: what a mirror has put into its folder
 *     plan.c     what to do with each name, and the brake
 *     source.c   connecting to the peer, and its list
 *     round*.c   one round of a job (round.h)
 *     keeper.c   the thread that runs the jobs
 */
#ifndef P2P_MIRROR_INTERNAL_H
#define P2P_MIRROR_INTERNAL_H

#include <limits.h>

#include "core/mirror/plan.h"
#include "core/share/item.h"
#include "p2p/conn.h"
#include "p2p/mirror.h"
#include "p2p/path.h"
#include "p2p/sqlite.h"

/* ---- jobs.c ---- */

/* Stores what a round has found: the members of struct p2p_mirror from `state` on, and
 * `is_paused`. */
P2P_MUST_CHECK enum p2p_err p2p_mirrors_store(const char *keys_dir,
                                              const struct p2p_mirror *job);
/* Rises with every p2p_mirrors_accept and p2p_mirrors_check of a job; 0: no such job.
 */
uint64_t p2p_mirrors_wishes(const char *keys_dir, const char *id, bool *is_paused);

/* ---- applied.c ---- */

struct p2p_applied; /* *returned owned*, free with p2p_applied_close */

/* Makes the record of a new job, or opens that of a job. NOT_FOUND: it is not there, so
 * the folder is not the one of the job. */
P2P_MUST_CHECK enum p2p_err p2p_applied_open(const struct p2p_root *root,
                                             const char *id, bool create,
                                             struct p2p_applied **out);
void p2p_applied_close(struct p2p_applied *a); /* NULL is fine */

/* One file that the mirror knows here. */
struct p2p_applied_file {
    char *name; /* in the mirror's folder; owned by the list */
    bool is_put;
    struct p2p_digest put;  /* what the mirror has put there */
    struct p2p_digest seen; /* the content of the file in this state: */
    uint64_t size, inode;
    int64_t mtime_ns;
    bool is_missing; /* in the last list of the source */
    bool is_gone;    /* the source has said that it deleted the file */
};
struct p2p_applied_list {
    struct p2p_applied_file *at; /* sorted by name */
    size_t count;
};
P2P_MUST_CHECK enum p2p_err p2p_applied_load(struct p2p_applied *a,
                                             struct p2p_applied_list *out);
void p2p_applied_list_clear(struct p2p_applied_list *list);

/* Many changes together; ends with P2P_OK or the first error. */
P2P_MUST_CHECK enum p2p_err p2p_applied_begin(struct p2p_applied *a);
P2P_MUST_CHECK enum p2p_err p2p_applied_end(struct p2p_applied *a, enum p2p_err err);
P2P_MUST_CHECK enum p2p_err p2p_applied_put(struct p2p_applied *a,
                                            const struct p2p_applied_file *file);
P2P_MUST_CHECK enum p2p_err p2p_applied_drop(struct p2p_applied *a, const char *name);

/* Replacements and removals since a time of the kept clock. */
P2P_MUST_CHECK enum p2p_err p2p_applied_spent(struct p2p_applied *a, uint64_t since_k,
                                              uint64_t *out);
P2P_MUST_CHECK enum p2p_err p2p_applied_spend(struct p2p_applied *a, uint64_t now_k,
                                              uint64_t count);

/* Changes that are held back: the content at the source, or none for a removal. */
P2P_MUST_CHECK enum p2p_err p2p_applied_hold(struct p2p_applied *a, const char *name,
                                             const struct p2p_digest *source);
/* Forgets those that are held and not accepted. */
P2P_MUST_CHECK enum p2p_err p2p_applied_hold_none(struct p2p_applied *a);
P2P_MUST_CHECK enum p2p_err p2p_applied_accept(struct p2p_applied *a);
P2P_MUST_CHECK enum p2p_err p2p_applied_held(struct p2p_applied *a, size_t max,
                                             p2p_mirror_visit_held *visit, void *arg);
bool p2p_applied_is_accepted(struct p2p_applied *a, const char *name,
                             const struct p2p_digest *source);
/* Names that were missing in the last list of the source. */
P2P_MUST_CHECK enum p2p_err p2p_applied_miss_none(struct p2p_applied *a);
P2P_MUST_CHECK enum p2p_err p2p_applied_miss(struct p2p_applied *a, const char *name);

/* How far the source's list of changes was read. */
struct p2p_applied_place {
    struct p2p_conn_place at;
    bool is_whole; /* and the record has the names and contents that the source had */
};
P2P_MUST_CHECK enum p2p_err p2p_applied_get_place(struct p2p_applied *a,
                                                  struct p2p_applied_place *out);
P2P_MUST_CHECK enum p2p_err
p2p_applied_set_place(struct p2p_applied *a, const struct p2p_applied_place *place);
P2P_MUST_CHECK enum p2p_err p2p_applied_set_gone(struct p2p_applied *a,
                                                 const char *name, bool is_gone);

/* ---- source.c ---- */

/* One file at the source. */
struct p2p_mirror_file {
    char *name; /* in the mirrored folder; owned by the list */
    struct p2p_digest root;
    uint64_t size, mtime_s;
};
struct p2p_mirror_source {
    struct p2p_conn *conn;
    struct p2p_addr at[P2P_CONN_OTHERS_MAX + 1]; /* where the peer may be */
    size_t at_count;
    struct p2p_mirror_file *files; /* sorted by name */
    size_t count, room;
    uint64_t bytes;
};
/* Connects to the peer of the job. */
P2P_MUST_CHECK enum p2p_err p2p_mirror_connect(const struct p2p_keeper_options *opt,
                                               const struct p2p_mirror *job,
                                               struct p2p_mirror_source *s);
/* Reads the whole list of the mirrored folder. */
P2P_MUST_CHECK enum p2p_err p2p_mirror_read_list(const struct p2p_mirror *job,
                                                 struct p2p_mirror_source *s);
/* Adds a file of the source; copies. */
P2P_MUST_CHECK enum p2p_err p2p_mirror_add_file(struct p2p_mirror_source *s,
                                                const struct p2p_mirror_file *file);
/* The name in the mirrored folder of a name at the peer; NULL: it is not in there. */
const char *p2p_mirror_inner(const struct p2p_mirror *job, const char *name);
void p2p_mirror_source_clear(struct p2p_mirror_source *s);

/* ---- round.c ---- */

/* Runs a round, and puts what it found into the job. `*stop` ends it early. */
void p2p_mirror_round(const struct p2p_keeper_options *opt, struct p2p_mirror *job,
                      bool (*stop)(void *arg), void *arg);

/* ---- watch.c ---- */

struct p2p_mirror_watch; /* *returned owned*, free with p2p_mirror_watch_stop */

/* Starts a thread that waits at the source of the job for changes there. `on_news` is
 * called from it. The options are borrowed until stop. */
P2P_MUST_CHECK enum p2p_err p2p_mirror_watch_start(const struct p2p_keeper_options *opt,
                                                   const struct p2p_mirror *job,
                                                   void (*on_news)(void *arg),
                                                   void *arg,
                                                   struct p2p_mirror_watch **out);
void p2p_mirror_watch_stop(struct p2p_mirror_watch *w); /* NULL is fine */
/* True while changes at the source are noticed at once. NULL: false. */
bool p2p_mirror_watch_is_live(const struct p2p_mirror_watch *w);
/* True if it has ended, and another one may be started. NULL: true. */
bool p2p_mirror_watch_is_over(const struct p2p_mirror_watch *w);
/* True if there was a change since the last call. NULL: false. */
bool p2p_mirror_watch_take_news(struct p2p_mirror_watch *w);

#endif
