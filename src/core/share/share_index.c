/* index.db: the facts about hashed files, so that they need not be read again. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/disk/beneath.h"
#include "core/share/feed.h"
#include "core/share/share_internal.h"
#include "p2p/clock.h"
#include "p2p/lock.h"
#include "p2p/log.h"
#include "p2p/sqlite.h"
#include "p2p/tree.h"

/* How many invalid rows are deleted after a load; others are deleted the next time. */
#define SENSELESS_MAX 64

/* `change` rises with every change, and followers read the rows by it. A row without a
 * root tells them that the file was removed (feed.h says for how long); it keeps the
 * file's last version, and its mtime_ns is when it was removed. Layers are in a
 * separate table, because they are large and seldom needed. */
static const char schema[] =
    "CREATE TABLE files(name TEXT PRIMARY KEY, size INTEGER NOT NULL,"
    " mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL, inode INTEGER NOT NULL,"
    " chunk_size INTEGER NOT NULL, version INTEGER NOT NULL, root BLOB, sha256 BLOB,"
    " change INTEGER NOT NULL);"
    "CREATE INDEX files_by_change ON files(change);"
    "CREATE TABLE layers(name TEXT PRIMARY KEY, hashes BLOB NOT NULL);"
    "CREATE TABLE status(id INTEGER PRIMARY KEY CHECK (id = 1), epoch INTEGER NOT NULL,"
    " hashing_files INTEGER NOT NULL, hashing_bytes INTEGER NOT NULL);"
    "INSERT INTO status VALUES(1, 0, 0, 0);";

/* Names of `files` that are not on disk now and may come back. The row '' has the
 * number of files that an empty folder had. Older indexes get this table when they are
 * opened. */
static const char missing_schema[] =
    "CREATE TABLE IF NOT EXISTS missing(name TEXT PRIMARY KEY, files INTEGER NOT NULL)";

enum statement {
    LOAD,
    LAST_VERSION,
    PUT,
    PUT_LAYER,
    COPY_LAYER,
    DROP_LAYER,
    REMOVE,
    DELETE_ROW,
    GET_STATUS,
    SET_STATUS,
    GET_LAYER,
    SET_MISSING,
    MARK_CHANGED,
    UNSET_MISSING,
    GET_EMPTIED,
    STATEMENTS,
};
static const char *const sql[STATEMENTS] = {
    [LOAD] =
        "SELECT f.name, size, mtime_ns, ctime_ns, inode, chunk_size, version, root,"
        " sha256, change, f.rowid, m.name IS NOT NULL FROM files f"
        " LEFT JOIN missing m ON m.name = f.name WHERE change > ?1 ORDER BY change",
    [LAST_VERSION] = "SELECT version FROM files WHERE name = ?1",
    [PUT] =
        "INSERT OR REPLACE INTO files VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    [PUT_LAYER] = "INSERT OR REPLACE INTO layers VALUES(?1, ?2)",
    [COPY_LAYER] = "INSERT OR REPLACE INTO layers SELECT ?1, hashes FROM layers"
                   " WHERE name = ?2",
    [DROP_LAYER] = "DELETE FROM layers WHERE name = ?1",
    [REMOVE] = "UPDATE files SET root = NULL, sha256 = NULL, change = ?2, mtime_ns = ?3"
               " WHERE name = ?1",
    [DELETE_ROW] = "DELETE FROM files WHERE rowid = ?1",
    [GET_STATUS] =
        "SELECT epoch, hashing_files, hashing_bytes FROM status WHERE id = 1",
    [SET_STATUS] = "UPDATE status SET epoch = ?1, hashing_files = ?2,"
                   " hashing_bytes = ?3 WHERE id = 1",
    [GET_LAYER] = "SELECT hashes FROM layers WHERE name = ?1",
    [SET_MISSING] = "INSERT OR REPLACE INTO missing VALUES(?1, ?2)",
    [MARK_CHANGED] = "UPDATE files SET change = ?2 WHERE name = ?1",
    [UNSET_MISSING] = "DELETE FROM missing WHERE name = ?1",
    [GET_EMPTIED] = "SELECT files FROM missing WHERE name = ''",
};

P2P_MUTEX_KIND(p2p_index_lock);
/* The share's loop writes with `db`. Any thread reads layers with `reader`, under the
 * lock. If there is a file, `reader` is a separate connection, so that reads need not
 * wait for a commit. */
struct p2p_index {
    sqlite3 *db, *reader;
    sqlite3_stmt *stmt[STATEMENTS];
    struct p2p_index_lock lock;
    int64_t change;
    bool in_memory, is_owner;
    bool has_removed; /* some file was removed: a name may have had versions */
    int64_t senseless[SENSELESS_MAX]; /* row ids */
    size_t senseless_count;
};

/* The lock guards the one connection of an index in memory against the readers. The
 * analysis does not follow locks that are taken on a condition. */
static void
lock_memory(struct p2p_index *index) P2P_NO_LOCK_CHECK
{
    if (index->in_memory)
        p2p_lock(&index->lock);
}

static void
unlock_memory(struct p2p_index *index) P2P_NO_LOCK_CHECK
{
    if (index->in_memory)
        p2p_unlock(&index->lock);
}

/* ---- Opening ---- */

void
p2p_index_close(struct p2p_index *index)
{
    if (!index)
        return;
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(index->stmt[i]);
    if (index->reader != index->db)
        p2p_sqlite_close(index->reader);
    p2p_sqlite_close(index->db);
    p2p_mutex_clear(&index->lock);
    free(index);
}

static enum p2p_err
open_at(const char *path, struct p2p_index **out)
{
    const struct p2p_sqlite_options opt = {
        .path = path, .schema = schema, .version = 1};
    struct p2p_index *index = calloc(1, sizeof(*index));
    enum p2p_err err;

    *out = NULL;
    if (!index)
        return P2P_ERR_NOMEM;
    p2p_mutex_init(&index->lock);
    index->in_memory = strcmp(path, ":memory:") == 0;
    err = p2p_sqlite_open(&opt, &index->db);
    if (!err && index->in_memory)
        index->reader = index->db;
    else if (!err)
        err = p2p_sqlite_open(&opt, &index->reader);
    if (!err)
        err = p2p_sqlite_run(index->db, missing_schema);
    if (!err)
        err = p2p_feed_prepare(index->db);
    for (int i = 0; i < STATEMENTS && !err; i++)
        err = p2p_sqlite_prepare(i == GET_LAYER ? index->reader : index->db, sql[i],
                                 &index->stmt[i]);
    if (err) {
        p2p_index_close(index);
        return err;
    }
    *out = index;
    return P2P_OK;
}

static int64_t
now_ns(void)
{
    return (int64_t)p2p_time_ms() * 1000000;
}

static enum p2p_err
begin_rows(struct p2p_index *index, const struct p2p_index_status *status)
{
    enum p2p_err err = p2p_feed_begin(index->db, status->epoch, &index->change);

    if (!err)
        err = p2p_sqlite_run(index->db, "DELETE FROM layers WHERE name NOT IN"
                                        " (SELECT name FROM files);"
                                        "DELETE FROM missing WHERE name <> '' AND"
                                        " name NOT IN (SELECT name FROM files)");
    return err ? err : p2p_index_set_status(index, status);
}

/* Forgets files that were removed long ago, and starts a new epoch. */
static enum p2p_err
begin_anew(struct p2p_index *index)
{
    struct p2p_index_status status = {.epoch = 0};
    enum p2p_err err = p2p_random(&status.epoch, sizeof(status.epoch));

    if (!err)
        err = p2p_sqlite_run(index->db, "BEGIN IMMEDIATE");
    if (err)
        return err;
    err = begin_rows(index, &status);
    if (!err)
        err = p2p_sqlite_run(index->db, "COMMIT");
    if (err)
        sqlite3_exec(index->db, "ROLLBACK", NULL, NULL, NULL);
    return err;
}

static enum p2p_err
open_as_owner(const char *path, struct p2p_index **out)
{
    enum p2p_err err = open_at(path, out);

    if (!err) {
        (*out)->is_owner = true;
        err = begin_anew(*out);
    }
    if (err) {
        p2p_index_close(*out);
        *out = NULL;
    }
    return err;
}

/* The damaged file is kept for examination; its journal is renamed with it. */
static void
put_aside(const struct p2p_root *root)
{
    int dir;

    if (p2p_path_private_dir(root, &dir))
        return;
    unlinkat(dir, P2P_INDEX_FILE "-wal", 0);
    unlinkat(dir, P2P_INDEX_FILE "-shm", 0);
    unlinkat(dir, P2P_INDEX_FILE "-journal", 0);
    if (renameat(dir, P2P_INDEX_FILE, dir, P2P_INDEX_FILE ".damaged") != 0)
        p2p_log_warn("cannot rename the damaged index reason=\"%s\"", strerror(errno));
    close(dir);
}

enum p2p_err
p2p_index_open(const struct p2p_root *root, bool owner, struct p2p_index **out)
{
    char path[PATH_MAX];
    enum p2p_err err = p2p_root_private_path(root, P2P_INDEX_FILE, path, sizeof(path));

    *out = NULL;
    if (!err && !owner)
        return open_at(path, out);
    if (!err)
        err = open_as_owner(path, out);
    if (err == P2P_ERR_CORRUPT || err == P2P_ERR_UNSUPPORTED) {
        p2p_log_warn("the index of the shared folder is damaged and a new one is "
                     "built; the old one was renamed to .p2p/" P2P_INDEX_FILE
                     ".damaged reason=\"%s\"",
                     p2p_err_text(err));
        put_aside(root);
        err = open_as_owner(path, out);
    }
    if (!err || !owner || err == P2P_ERR_AWAY)
        return err;
    p2p_log_warn("cannot store the index in the shared folder, so its files are hashed "
                 "again at every start reason=\"%s\"",
                 p2p_err_text(err));
    return open_as_owner(":memory:", out);
}

bool
p2p_index_is_in_memory(const struct p2p_index *index)
{
    return index->in_memory;
}

sqlite3 *
p2p_index_db(const struct p2p_index *index)
{
    return index->db;
}

/* ---- Reading ---- */

static int64_t
integer_at(sqlite3_stmt *stmt, int column)
{
    return sqlite3_column_int64(stmt, column);
}

/* Each value of a row is checked, because small parts of the file may be damaged. */
static enum p2p_err
read_row(sqlite3_stmt *stmt, const char **name, struct p2p_file_facts *facts)
{
    struct p2p_chunks g;
    enum p2p_err err;

    memset(facts, 0, sizeof(*facts));
    *name = (const char *)sqlite3_column_text(stmt, 0);
    if (!*name || p2p_name_check(*name, strlen(*name), true) != P2P_OK)
        return P2P_ERR_CORRUPT;
    facts->state.size = (uint64_t)integer_at(stmt, 1);
    facts->state.mtime_ns = integer_at(stmt, 2);
    facts->state.ctime_ns = integer_at(stmt, 3);
    facts->state.inode = (uint64_t)integer_at(stmt, 4);
    facts->chunk_size = (uint32_t)integer_at(stmt, 5);
    facts->version = (uint32_t)integer_at(stmt, 6);
    if (p2p_chunks_init(&g, facts->state.size, (uint64_t)integer_at(stmt, 5)) ||
        integer_at(stmt, 6) < 1 || integer_at(stmt, 6) > UINT32_MAX)
        return P2P_ERR_CORRUPT;
    err = p2p_sqlite_get_blob(stmt, 7, facts->root.b, sizeof(facts->root.b));
    if (!err && sqlite3_column_type(stmt, 8) != SQLITE_NULL) {
        err = p2p_sqlite_get_blob(stmt, 8, facts->sha256.b, sizeof(facts->sha256.b));
        facts->sha256_known = true;
    }
    return err;
}

static enum p2p_err
visit_row(struct p2p_index *index, p2p_index_visit *visit, void *arg)
{
    sqlite3_stmt *stmt = index->stmt[LOAD];
    struct p2p_file_facts facts;
    const char *name;

    if (sqlite3_column_type(stmt, 7) == SQLITE_NULL) {
        name = (const char *)sqlite3_column_text(stmt, 0);
        index->has_removed = true;
        return name ? visit(arg, name, NULL, false) : P2P_OK;
    }
    if (read_row(stmt, &name, &facts) == P2P_OK)
        return visit(arg, name, &facts, integer_at(stmt, 11) != 0);
    /* Its file, if there is one, is hashed again. */
    if (index->senseless_count < SENSELESS_MAX)
        index->senseless[index->senseless_count++] = integer_at(stmt, 10);
    return P2P_OK;
}

static enum p2p_err
delete_senseless(struct p2p_index *index)
{
    enum p2p_err err = P2P_OK;

    while (index->is_owner && index->senseless_count > 0 && !err) {
        int64_t id = index->senseless[--index->senseless_count];
        sqlite3_bind_int64(index->stmt[DELETE_ROW], 1, id);
        err = p2p_sqlite_done(index->stmt[DELETE_ROW]);
    }
    index->senseless_count = 0;
    return err;
}

enum p2p_err
p2p_index_load(struct p2p_index *index, int64_t after, p2p_index_visit *visit,
               void *arg, int64_t *last_change)
{
    sqlite3_stmt *stmt = index->stmt[LOAD];
    enum p2p_err err;
    bool row = true;

    *last_change = after;
    lock_memory(index);
    sqlite3_bind_int64(stmt, 1, after);
    err = p2p_sqlite_next(stmt, &row);
    while (!err && row) {
        *last_change = integer_at(stmt, 9);
        err = visit_row(index, visit, arg);
        if (!err)
            err = p2p_sqlite_next(stmt, &row);
    }
    sqlite3_reset(stmt);
    if (!err)
        err = delete_senseless(index);
    unlock_memory(index);
    if (index->change < *last_change)
        index->change = *last_change;
    return err;
}

uint32_t
p2p_index_last_version(struct p2p_index *index, const char *name)
{
    sqlite3_stmt *stmt = index->stmt[LAST_VERSION];
    bool row = false;
    int64_t version = 0;

    if (!index->has_removed)
        return 0;
    lock_memory(index);
    sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    if (p2p_sqlite_next(stmt, &row) == P2P_OK && row)
        version = integer_at(stmt, 0);
    sqlite3_reset(stmt);
    unlock_memory(index);
    return version > 0 && version < UINT32_MAX ? (uint32_t)version : 0;
}

enum p2p_err
p2p_index_get_status(struct p2p_index *index, struct p2p_index_status *out)
{
    sqlite3_stmt *stmt = index->stmt[GET_STATUS];
    bool row;

    memset(out, 0, sizeof(*out));
    lock_memory(index);
    enum p2p_err err = p2p_sqlite_next(stmt, &row);
    if (!err && !row)
        err = P2P_ERR_CORRUPT;
    if (!err) {
        out->epoch = integer_at(stmt, 0);
        out->hashing_files = integer_at(stmt, 1);
        out->hashing_bytes = integer_at(stmt, 2);
    }
    sqlite3_reset(stmt);
    unlock_memory(index);
    return err;
}

enum p2p_err
p2p_index_layer(struct p2p_index *index, const char *name, const struct p2p_chunks *g,
                const struct p2p_digest *root, struct p2p_digest *out)
{
    sqlite3_stmt *stmt = index->stmt[GET_LAYER];
    bool row = false;
    enum p2p_err err;

    p2p_lock(&index->lock);
    sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    err = p2p_sqlite_next(stmt, &row);
    if (!err && !row)
        err = P2P_ERR_NOT_FOUND;
    if (!err)
        err = p2p_sqlite_get_blob(stmt, 0, out, (size_t)g->count * sizeof(*out));
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    p2p_unlock(&index->lock);
    return err ? err : p2p_tree_check_layer(g, out, root);
}

enum p2p_err
p2p_index_each_row(struct p2p_index *index, const char *query, p2p_index_row *visit,
                   void *arg)
{
    sqlite3_stmt *stmt = NULL;
    enum p2p_err err = P2P_OK;
    bool row = false;

    p2p_lock(&index->lock);
    if (p2p_sqlite_prepare(index->reader, query, &stmt) == P2P_OK)
        err = p2p_sqlite_next(stmt, &row);
    while (!err && row) {
        visit(arg, stmt);
        err = p2p_sqlite_next(stmt, &row);
    }
    sqlite3_finalize(stmt);
    p2p_unlock(&index->lock);
    return err;
}

enum p2p_err
p2p_index_changes(struct p2p_index *index, uint64_t after, size_t max,
                  p2p_share_visit_change *visit, void *arg, struct p2p_share_feed *out)
{
    p2p_lock(&index->lock);
    enum p2p_err err = p2p_feed_read(index->reader, after, max, visit, arg, out);
    p2p_unlock(&index->lock);
    return err;
}

/* ---- Writing ---- */

static enum p2p_err
run(struct p2p_index *index, const char *statement)
{
    lock_memory(index);
    enum p2p_err err = p2p_sqlite_run(index->db, statement);
    unlock_memory(index);
    return err;
}

enum p2p_err
p2p_index_begin(struct p2p_index *index)
{
    return run(index, "BEGIN IMMEDIATE");
}

enum p2p_err
p2p_index_commit(struct p2p_index *index)
{
    lock_memory(index);
    enum p2p_err err =
        index->is_owner ? p2p_feed_note(index->db, index->change) : P2P_OK;
    unlock_memory(index);
    if (!err)
        err = run(index, "COMMIT");
    if (err && !sqlite3_get_autocommit(index->db))
        (void)!run(index, "ROLLBACK");
    return err;
}

static enum p2p_err
put_row(struct p2p_index *index, const char *name, const struct p2p_file_facts *facts)
{
    sqlite3_stmt *stmt = index->stmt[PUT];

    sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 2, (int64_t)facts->state.size);
    sqlite3_bind_int64(stmt, 3, facts->state.mtime_ns);
    sqlite3_bind_int64(stmt, 4, facts->state.ctime_ns);
    sqlite3_bind_int64(stmt, 5, (int64_t)facts->state.inode);
    sqlite3_bind_int64(stmt, 6, facts->chunk_size);
    sqlite3_bind_int64(stmt, 7, facts->version);
    sqlite3_bind_blob(stmt, 8, facts->root.b, sizeof(facts->root.b), SQLITE_STATIC);
    if (facts->sha256_known)
        sqlite3_bind_blob(stmt, 9, facts->sha256.b, sizeof(facts->sha256.b),
                          SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 10, ++index->change);
    return p2p_sqlite_done(stmt);
}

static enum p2p_err
put_layer(struct p2p_index *index, const char *name, const struct p2p_file_facts *facts,
          const struct p2p_digest *layer)
{
    sqlite3_stmt *stmt = index->stmt[PUT_LAYER];
    struct p2p_chunks g;
    enum p2p_err err = p2p_chunks_init(&g, facts->state.size, facts->chunk_size);

    if (err)
        return err;
    sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_blob64(stmt, 2, layer, g.count * sizeof(*layer), SQLITE_STATIC);
    return p2p_sqlite_done(stmt);
}

static enum p2p_err
drop_layer(struct p2p_index *index, const char *name)
{
    sqlite3_bind_text(index->stmt[DROP_LAYER], 1, name, -1, SQLITE_STATIC);
    return p2p_sqlite_done(index->stmt[DROP_LAYER]);
}

enum p2p_err
p2p_index_put(struct p2p_index *index, const char *name,
              const struct p2p_file_facts *facts, const struct p2p_digest *layer)
{
    lock_memory(index);
    enum p2p_err err = put_row(index, name, facts);
    if (!err && layer)
        err = put_layer(index, name, facts, layer);
    unlock_memory(index);
    return err;
}

static enum p2p_err
copy_layer(struct p2p_index *index, const char *name, const char *layer_of)
{
    sqlite3_stmt *stmt = index->stmt[COPY_LAYER];
    enum p2p_err err;

    sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 2, layer_of, -1, SQLITE_STATIC);
    err = p2p_sqlite_done(stmt);
    return err || sqlite3_changes(index->db) > 0 ? err : P2P_ERR_NOT_FOUND;
}

enum p2p_err
p2p_index_put_copy(struct p2p_index *index, const char *name,
                   const struct p2p_file_facts *facts, const char *layer_of)
{
    struct p2p_chunks g;
    enum p2p_err err = p2p_chunks_init(&g, facts->state.size, facts->chunk_size);

    lock_memory(index);
    if (!err && g.count > 1)
        err = copy_layer(index, name, layer_of);
    if (!err)
        err = put_row(index, name, facts);
    unlock_memory(index);
    return err;
}

/* ---- Missing files ---- */

static enum p2p_err
set_missing(struct p2p_index *index, const char *name, uint64_t files)
{
    sqlite3_stmt *stmt = index->stmt[SET_MISSING];

    sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 2, (int64_t)files);
    return p2p_sqlite_done(stmt);
}

static enum p2p_err
unset_missing(struct p2p_index *index, const char *name)
{
    sqlite3_bind_text(index->stmt[UNSET_MISSING], 1, name, -1, SQLITE_STATIC);
    return p2p_sqlite_done(index->stmt[UNSET_MISSING]);
}

/* Changes the row's number, so that followers read it again. */
static enum p2p_err
mark_changed(struct p2p_index *index, const char *name)
{
    sqlite3_stmt *stmt = index->stmt[MARK_CHANGED];

    sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 2, ++index->change);
    return p2p_sqlite_done(stmt);
}

enum p2p_err
p2p_index_set_missing(struct p2p_index *index, const char *name, bool is_missing)
{
    lock_memory(index);
    enum p2p_err err =
        is_missing ? set_missing(index, name, 0) : unset_missing(index, name);
    if (!err)
        err = mark_changed(index, name);
    unlock_memory(index);
    return err;
}

enum p2p_err
p2p_index_set_emptied(struct p2p_index *index, uint64_t files)
{
    lock_memory(index);
    enum p2p_err err =
        files > 0 ? set_missing(index, "", files) : unset_missing(index, "");
    unlock_memory(index);
    return err;
}

enum p2p_err
p2p_index_get_emptied(struct p2p_index *index, uint64_t *files)
{
    sqlite3_stmt *stmt = index->stmt[GET_EMPTIED];
    bool row;

    *files = 0;
    lock_memory(index);
    enum p2p_err err = p2p_sqlite_next(stmt, &row);
    if (!err && row && integer_at(stmt, 0) > 0)
        *files = (uint64_t)integer_at(stmt, 0);
    sqlite3_reset(stmt);
    unlock_memory(index);
    return err;
}

enum p2p_err
p2p_index_remove(struct p2p_index *index, const char *name)
{
    sqlite3_stmt *stmt = index->stmt[REMOVE];

    lock_memory(index);
    sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 2, ++index->change);
    sqlite3_bind_int64(stmt, 3, now_ns());
    enum p2p_err err = p2p_sqlite_done(stmt);
    index->has_removed = true;
    if (!err)
        err = drop_layer(index, name);
    if (!err)
        err = unset_missing(index, name);
    unlock_memory(index);
    return err;
}

enum p2p_err
p2p_index_set_status(struct p2p_index *index, const struct p2p_index_status *status)
{
    sqlite3_stmt *stmt = index->stmt[SET_STATUS];

    lock_memory(index);
    sqlite3_bind_int64(stmt, 1, status->epoch);
    sqlite3_bind_int64(stmt, 2, status->hashing_files);
    sqlite3_bind_int64(stmt, 3, status->hashing_bytes);
    enum p2p_err err = p2p_sqlite_done(stmt);
    unlock_memory(index);
    return err;
}
