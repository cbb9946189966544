/*
 * sqlite - opens SQLite databases, and runs the few steps that every statement takes.
 * SQL is prepared once and bound, never put together from text.
 *
 * A connection is used by one thread at a time (the caller locks). WAL mode: a writer
 * does not block readers in other connections and processes. File systems that copy on
 * write (btrfs, ZFS) get a rollback journal instead: readers wait for a commit there.
 * A commit survives kill -9;
 * after a power loss the last commits may be missing, but never a part of one.
 */
#ifndef P2P_SQLITE_H
#define P2P_SQLITE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

#include "p2p/err.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

struct p2p_sqlite_options {
    const char *path;   /* from p2p_root_private_path, or ":memory:" */
    const char *schema; /* SQL that makes an empty database; ends as `version` */
    int version;        /* PRAGMA user_version, 1 or more */
    bool is_rare; /* seldom written: no WAL, so that the database is one file, readers
                   * write nothing, and every commit is on the disk */
};
/* *Returns owned*, close with p2p_sqlite_close. CORRUPT: no database, or a damaged one;
 * UNSUPPORTED: made by another version of the program. Follows no link. */
P2P_MUST_CHECK enum p2p_err p2p_sqlite_open(const struct p2p_sqlite_options *opt,
                                            sqlite3 **db);
/* Opens a rare database `directory`/`name` that other users can never read, whatever
 * the umask. NOT_FOUND: it does not exist, and `create` is false. */
P2P_MUST_CHECK enum p2p_err p2p_sqlite_open_own(const char *directory, const char *name,
                                                bool create, const char *schema,
                                                sqlite3 **db);
/* The kind of journal that suits the file system of `path`; p2p_sqlite_open calls it. A
 * database that others have open keeps its kind. */
P2P_MUST_CHECK enum p2p_err p2p_sqlite_choose_journal(sqlite3 *db, const char *path);
void p2p_sqlite_close(sqlite3 *db); /* after all its statements; NULL is fine */

/* *Returns owned*, free with sqlite3_finalize (NULL is fine). */
P2P_MUST_CHECK enum p2p_err p2p_sqlite_prepare(sqlite3 *db, const char *sql,
                                               sqlite3_stmt **stmt);
/* Runs SQL without parameters and results ("BEGIN IMMEDIATE"). */
P2P_MUST_CHECK enum p2p_err p2p_sqlite_run(sqlite3 *db, const char *sql);
/* Runs a bound statement that gives no rows, and makes it ready for the next time. */
P2P_MUST_CHECK enum p2p_err p2p_sqlite_done(sqlite3_stmt *stmt);
/* Steps to the next row of a bound statement: `*row` is false at the end; the statement
 * is then ready for the next use. To stop before the end, call sqlite3_reset. */
P2P_MUST_CHECK enum p2p_err p2p_sqlite_next(sqlite3_stmt *stmt, bool *row);
/* Reads all rows of a query without parameters into an array of `max` rows of `size`
 * bytes (*returns owned*, free()): `read` fills one, which is zeros. TOO_LARGE: there
 * are more. After an error: NULL, and no rows. */
typedef enum p2p_err p2p_sqlite_read(sqlite3_stmt *stmt, void *row);
P2P_MUST_CHECK enum p2p_err p2p_sqlite_list(sqlite3 *db, const char *sql, size_t size,
                                            size_t max, p2p_sqlite_read *read,
                                            void **rows, size_t *count);
/* Binds a copy of the text; NULL: null. */
void p2p_sqlite_bind_text(sqlite3_stmt *stmt, int place, const char *text);
/* Copies a blob of exactly `len` bytes out of a row; CORRUPT otherwise. */
P2P_MUST_CHECK enum p2p_err p2p_sqlite_get_blob(sqlite3_stmt *stmt, int column,
                                                void *out, size_t len);
/* The nearest error for a result code: SQLITE_FULL is DISK_FULL, NOTADB CORRUPT, ... */
enum p2p_err p2p_sqlite_error(int rc);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
