/*
 * versions_internal - what the files of the versions share: the open database, its
 * rows, and the files that hold contents. For this room only.
 */
#ifndef P2P_VERSIONS_INTERNAL_H
#define P2P_VERSIONS_INTERNAL_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "core/keep/content.h"
#include "core/keep/retention.h"
#include "p2p/chunk.h"
#include "p2p/lock.h"
#include "p2p/sqlite.h"
#include "p2p/versions.h"

P2P_MUTEX_KIND(p2p_versions_lock);
struct p2p_versions {
    const struct p2p_root *root;
    struct p2p_versions_lock lock;
    sqlite3 *db P2P_GUARDED_BY(p2p_versions_lock);
    int dir;                                           /* `.p2p/versions` */
    atomic_bool is_cancelled;                          /* p2p_versions_cancel */
    bool is_stopped P2P_GUARDED_BY(p2p_versions_lock); /* as last found */
    bool was_warned P2P_GUARDED_BY(p2p_versions_lock);
    char thinned[P2P_NAME_MAX + 1] P2P_GUARDED_BY(p2p_versions_lock); /* up to here */
    unsigned swept P2P_GUARDED_BY(p2p_versions_lock); /* the next folder */
    bool was_swept P2P_GUARDED_BY(p2p_versions_lock);
    struct p2p_digest swept_row P2P_GUARDED_BY(p2p_versions_lock); /* up to here */
};

#define VERSIONS_DAMAGED "versions.db.damaged"

/* ---- The database (versions.c); under the lock ---- */

/* "BEGIN IMMEDIATE", then COMMIT or, after an error, ROLLBACK. Returns the first
 * error. */
P2P_MUST_CHECK enum p2p_err p2p_versions_begin(struct p2p_versions *v)
    P2P_REQUIRES(p2p_versions_lock);
P2P_MUST_CHECK enum p2p_err p2p_versions_end(struct p2p_versions *v, enum p2p_err err)
    P2P_REQUIRES(p2p_versions_lock);
/* The first column of the first row of a query with up to two bound values; `missing`
 * if there is no row. */
P2P_MUST_CHECK enum p2p_err p2p_versions_number(struct p2p_versions *v, const char *sql,
                                                int64_t missing, int64_t *out)
    P2P_REQUIRES(p2p_versions_lock);

/* ---- The kept clock (versions_clock.c) ---- */

/* Moves the clock by the time that the machine has run since the last call, and reads
 * it. Needs a transaction. */
P2P_MUST_CHECK enum p2p_err p2p_versions_clock(struct p2p_versions *v, uint64_t *now_k)
    P2P_REQUIRES(p2p_versions_lock);
/* The same without moving it; 0 after an error, so that nothing seems old. */
uint64_t p2p_versions_clock_peek(struct p2p_versions *v)
    P2P_REQUIRES(p2p_versions_lock);
/* How far the clock moves between two readings of the machine's running time. */
uint64_t p2p_versions_clock_step(bool same_boot, uint64_t before_s, uint64_t now_s);

/* ---- Contents on the disk (versions_object.c) ---- */

/* A content's path beneath `.p2p/versions`. */
#define OBJECT_PATH (2 + 1 + 2 * P2P_DIGEST_LEN + 1)
void p2p_versions_object_path(const struct p2p_digest *root, char out[OBJECT_PATH]);
/* Moves a file from the mailbox to its place. */
P2P_MUST_CHECK enum p2p_err p2p_versions_object_put(struct p2p_versions *v, int in,
                                                    const char *id,
                                                    const struct p2p_digest *root);
/* The same, without flushing it to the disk. */
P2P_MUST_CHECK enum p2p_err p2p_versions_object_place(struct p2p_versions *v, int in,
                                                      const char *id,
                                                      const struct p2p_digest *root);
P2P_MUST_CHECK enum p2p_err p2p_versions_object_open(struct p2p_versions *v,
                                                     const struct p2p_digest *root,
                                                     int *fd);
void p2p_versions_object_remove(struct p2p_versions *v, const struct p2p_digest *root);
bool p2p_versions_object_is_there(struct p2p_versions *v,
                                  const struct p2p_digest *root);
/* What the names of all files in a folder begin with; "" for the whole share. NAME: it
 * is too long. */
#define P2P_VERSIONS_PREFIX (P2P_NAME_MAX + 2)
P2P_MUST_CHECK enum p2p_err p2p_versions_prefix(const char *folder,
                                                char out[P2P_VERSIONS_PREFIX]);

/* As p2p_versions_hash, and returns the layer from which the root is computed, too;
 * *returns owned* layer, free().
 */
P2P_MUST_CHECK enum p2p_err p2p_versions_hash_layer(int fd, uint64_t size,
                                                    bool (*stop)(void *arg), void *arg,
                                                    struct p2p_chunks *g,
                                                    struct p2p_digest **layer,
                                                    struct p2p_digest *root);
/* A stop for both: true after p2p_versions_cancel. `versions` is a struct p2p_versions.
 */
bool p2p_versions_is_cancelled(void *versions);

/* Makes rows and contents agree, a part each time, and reads contents again that were
 * not read for 30 days (versions_sweep.c). Not under the lock. */
void p2p_versions_sweep(struct p2p_versions *v, uint64_t now_k)
    P2P_EXCLUDES(p2p_versions_lock);

/* ---- Rows (versions_read.c); under the lock ---- */

/* What a row needs to become a struct p2p_version. */
struct p2p_versions_reader {
    uint64_t now_k, now_s, deleted_s;
};
P2P_MUST_CHECK enum p2p_err p2p_versions_reader_init(struct p2p_versions *v,
                                                     struct p2p_versions_reader *r)
    P2P_REQUIRES(p2p_versions_lock);
/* A row of ROW_COLUMNS. */
P2P_MUST_CHECK enum p2p_err p2p_versions_read_row(const struct p2p_versions_reader *r,
                                                  sqlite3_stmt *stmt,
                                                  struct p2p_version *out);

/* Visits the rows of a query for ?1 name, ?2 the version to begin below (0: the
 * newest), ?3 the largest number of rows. */
P2P_MUST_CHECK enum p2p_err
p2p_versions_visit_rows(struct p2p_versions *v, const char *sql, const char *name,
                        uint32_t before, size_t max, p2p_versions_visit *visit,
                        void *arg) P2P_REQUIRES(p2p_versions_lock);

#define ROW_COLUMNS                                                               \
    "v.name, v.version, v.end, v.size, v.mtime_ns, v.since_s, v.until_s, v.root," \
    " v.until_k, EXISTS (SELECT 1 FROM objects o WHERE o.root = v.root)"
/* One version of a file. NOT_FOUND: there is none of this number. */
P2P_MUST_CHECK enum p2p_err p2p_versions_find_locked(struct p2p_versions *v,
                                                     const char *name, uint32_t version,
                                                     struct p2p_version *out)
    P2P_REQUIRES(p2p_versions_lock);

/* ---- Writing rows (versions_write.c); under the lock ---- */

/* Records a content that is in its place, or about to get there. A base copy is of a
 * content that is still current. */
P2P_MUST_CHECK enum p2p_err
p2p_versions_add_object(struct p2p_versions *v, const struct p2p_digest *root,
                        const struct stat *st, uint64_t now_k, bool is_base)
    P2P_REQUIRES(p2p_versions_lock);

/* Records that a content has ended, under the next number of its name. */
P2P_MUST_CHECK enum p2p_err p2p_versions_add_row(struct p2p_versions *v,
                                                 const struct p2p_mailbox_note *note,
                                                 const struct p2p_digest *root,
                                                 const struct stat *st, uint64_t now_k)
    P2P_REQUIRES(p2p_versions_lock);

/* Removes a content: the versions stay, as facts. Returns the bytes freed. */
uint64_t p2p_versions_evict(struct p2p_versions *v, const struct p2p_digest *root)
    P2P_REQUIRES(p2p_versions_lock);
/* Removes the row of a version, and its content if no other version has it. */
P2P_MUST_CHECK enum p2p_err p2p_versions_forget(struct p2p_versions *v,
                                                const char *name, uint32_t version,
                                                const struct p2p_digest *root)
    P2P_REQUIRES(p2p_versions_lock);

/* ---- Room (versions_room.c); under the lock ---- */

/* The first root that a query with one number finds; false: none. */
bool p2p_versions_find_root(struct p2p_versions *v, const char *sql, uint64_t number,
                            struct p2p_digest *root) P2P_REQUIRES(p2p_versions_lock);
/* Removes old contents until there is room for `more` bytes within the cap, and the
 * floor is free. True if that could be reached. */
bool p2p_versions_shrink(struct p2p_versions *v, uint64_t more)
    P2P_REQUIRES(p2p_versions_lock);

/* ---- Removing (versions_remove.c); under the lock ---- */

/* Removes base copies of contents that are neither current nor versions. */
void p2p_versions_drop_unused(struct p2p_versions *v) P2P_REQUIRES(p2p_versions_lock);

/* ---- Settings (versions_settings.c); under the lock ---- */

struct p2p_versions_limits {
    bool is_on;
    bool is_shown;     /* to the readers of a file */
    uint64_t copy_max; /* bytes of a file */
    struct p2p_retention retention;
    uint64_t cap, floor, free; /* bytes; `free`: what is free now */
    uint64_t used;
};
/* The settings in use, and how much is used. */
P2P_MUST_CHECK enum p2p_err p2p_versions_limits(struct p2p_versions *v,
                                                struct p2p_versions_limits *out)
    P2P_REQUIRES(p2p_versions_lock);

#endif
