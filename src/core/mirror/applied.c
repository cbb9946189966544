#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mirror/mirror_internal.h"
#include "p2p/array.h"

struct p2p_applied {
    sqlite3 *db;
};

/* `changes` is for the brake. The source of a held removal is empty. */
static const char schema[] =
    "CREATE TABLE applied(name TEXT PRIMARY KEY, put BLOB, seen BLOB NOT NULL,"
    " size INTEGER NOT NULL, inode INTEGER NOT NULL, mtime_ns INTEGER NOT NULL)"
    " WITHOUT ROWID;"
    "CREATE TABLE changes(at_k INTEGER NOT NULL, count INTEGER NOT NULL);"
    "CREATE TABLE held(name TEXT PRIMARY KEY, source BLOB NOT NULL,"
    " accepted INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE missing(name TEXT PRIMARY KEY) WITHOUT ROWID;";

/* Where the source's list of changes was read to, and which of the files here it has
 * deleted. Older records get these tables when they are opened. */
static const char feed_schema[] =
    "CREATE TABLE IF NOT EXISTS gone(name TEXT PRIMARY KEY) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS place(id INTEGER PRIMARY KEY CHECK (id = 1),"
    " log INTEGER NOT NULL, after INTEGER NOT NULL, is_whole INTEGER NOT NULL)";

enum p2p_err
p2p_applied_open(const struct p2p_root *root, const char *id, bool create,
                 struct p2p_applied **out)
{
    char name[64], path[PATH_MAX];
    struct p2p_sqlite_options opt = {.path = path, .schema = schema, .version = 1};
    struct p2p_applied *a;
    struct stat st;
    enum p2p_err err;

    *out = NULL;
    snprintf(name, sizeof(name), "mirror-%s.db", id);
    if (!create) {
        char below[80];
        snprintf(below, sizeof(below), ".p2p/%s", name);
        if (fstatat(p2p_root_fd(root), below, &st, AT_SYMLINK_NOFOLLOW) != 0)
            return P2P_ERR_NOT_FOUND;
    }
    err = p2p_root_private_path(root, name, path, sizeof(path));
    if (err != P2P_OK)
        return err;
    if ((a = calloc(1, sizeof(*a))) == NULL)
        return P2P_ERR_NOMEM;
    err = p2p_sqlite_open(&opt, &a->db);
    if (err == P2P_OK)
        err = p2p_sqlite_run(a->db, feed_schema);
    if (err != P2P_OK) {
        p2p_applied_close(a);
        return err;
    }
    (void)chmod(path, 0600);
    *out = a;
    return P2P_OK;
}

void
p2p_applied_close(struct p2p_applied *a)
{
    if (a == NULL)
        return;
    p2p_sqlite_close(a->db);
    free(a);
}

/* ---- Statements with a name and a content ---- */

static enum p2p_err
prepare(struct p2p_applied *a, const char *sql, const char *name,
        const struct p2p_digest *source, sqlite3_stmt **stmt)
{
    enum p2p_err err = p2p_sqlite_prepare(a->db, sql, stmt);

    if (err == P2P_OK && sqlite3_bind_parameter_count(*stmt) > 0)
        p2p_sqlite_bind_text(*stmt, 1, name);
    if (err == P2P_OK && sqlite3_bind_parameter_count(*stmt) > 1)
        sqlite3_bind_blob(*stmt, 2, source != NULL ? source->b : (const uint8_t *)"",
                          source != NULL ? sizeof(source->b) : 0, SQLITE_STATIC);
    return err;
}

static enum p2p_err
run(struct p2p_applied *a, const char *sql, const char *name,
    const struct p2p_digest *source)
{
    sqlite3_stmt *stmt = NULL;
    enum p2p_err err = prepare(a, sql, name, source, &stmt);

    if (err == P2P_OK)
        err = p2p_sqlite_done(stmt);
    sqlite3_finalize(stmt);
    return err;
}

/* In doubt, it has none. */
static bool
has_row(struct p2p_applied *a, const char *sql, const char *name,
        const struct p2p_digest *source)
{
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    enum p2p_err err = prepare(a, sql, name, source, &stmt);

    if (err == P2P_OK)
        err = p2p_sqlite_next(stmt, &row);
    sqlite3_finalize(stmt);
    return err == P2P_OK && row;
}

/* What was held or accepted has happened. */
static enum p2p_err
forget_held(struct p2p_applied *a, const char *name)
{
    return run(a, "DELETE FROM held WHERE name = ?1", name, NULL);
}

/* ---- Files ---- */

static enum p2p_err
read_row(sqlite3_stmt *stmt, struct p2p_applied_file *out)
{
    const char *name = (const char *)sqlite3_column_text(stmt, 0);

    memset(out, 0, sizeof(*out));
    if (name == NULL)
        return P2P_ERR_CORRUPT;
    out->is_put = sqlite3_column_type(stmt, 1) != SQLITE_NULL;
    out->size = (uint64_t)sqlite3_column_int64(stmt, 3);
    out->inode = (uint64_t)sqlite3_column_int64(stmt, 4);
    out->mtime_ns = sqlite3_column_int64(stmt, 5);
    out->is_missing = sqlite3_column_int(stmt, 6) != 0;
    out->is_gone = sqlite3_column_int(stmt, 7) != 0;
    enum p2p_err err = p2p_sqlite_get_blob(stmt, 2, out->seen.b, sizeof(out->seen.b));
    if (err == P2P_OK && out->is_put)
        err = p2p_sqlite_get_blob(stmt, 1, out->put.b, sizeof(out->put.b));
    if (err == P2P_OK && (out->name = strdup(name)) == NULL)
        err = P2P_ERR_NOMEM;
    return err;
}

enum p2p_err
p2p_applied_load(struct p2p_applied *a, struct p2p_applied_list *out)
{
    sqlite3_stmt *stmt = NULL;
    size_t room = 0;
    bool row = true;
    enum p2p_err err =
        p2p_sqlite_prepare(a->db,
                           "SELECT a.name, put, seen, size, inode, mtime_ns,"
                           " m.name IS NOT NULL, g.name IS NOT NULL FROM applied a"
                           " LEFT JOIN missing m ON m.name = a.name"
                           " LEFT JOIN gone g ON g.name = a.name ORDER BY a.name",
                           &stmt);

    *out = (struct p2p_applied_list){.count = 0};
    while (err == P2P_OK && (err = p2p_sqlite_next(stmt, &row)) == P2P_OK && row) {
        struct p2p_applied_file *grown =
            p2p_array_room(out->at, out->count, &room, sizeof(*grown));
        if (grown == NULL) {
            err = P2P_ERR_NOMEM;
            break;
        }
        out->at = grown;
        if ((err = read_row(stmt, &out->at[out->count])) == P2P_OK)
            out->count++;
    }
    sqlite3_finalize(stmt);
    if (err != P2P_OK)
        p2p_applied_list_clear(out);
    return err;
}

void
p2p_applied_list_clear(struct p2p_applied_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->at[i].name);
    free(list->at);
    *list = (struct p2p_applied_list){.count = 0};
}

enum p2p_err
p2p_applied_begin(struct p2p_applied *a)
{
    return p2p_sqlite_run(a->db, "BEGIN IMMEDIATE");
}

enum p2p_err
p2p_applied_end(struct p2p_applied *a, enum p2p_err err)
{
    if (err == P2P_OK)
        err = p2p_sqlite_run(a->db, "COMMIT");
    if (err != P2P_OK)
        sqlite3_exec(a->db, "ROLLBACK", NULL, NULL, NULL);
    return err;
}

enum p2p_err
p2p_applied_put(struct p2p_applied *a, const struct p2p_applied_file *file)
{
    sqlite3_stmt *stmt = NULL;
    enum p2p_err err = p2p_sqlite_prepare(
        a->db, "INSERT OR REPLACE INTO applied VALUES(?1, ?2, ?3, ?4, ?5, ?6)", &stmt);

    if (err == P2P_OK) {
        p2p_sqlite_bind_text(stmt, 1, file->name);
        if (file->is_put)
            sqlite3_bind_blob(stmt, 2, file->put.b, sizeof(file->put.b), SQLITE_STATIC);
        sqlite3_bind_blob(stmt, 3, file->seen.b, sizeof(file->seen.b), SQLITE_STATIC);
        sqlite3_bind_int64(stmt, 4, (int64_t)file->size);
        sqlite3_bind_int64(stmt, 5, (int64_t)file->inode);
        sqlite3_bind_int64(stmt, 6, file->mtime_ns);
        err = p2p_sqlite_done(stmt);
    }
    sqlite3_finalize(stmt);
    return err == P2P_OK ? forget_held(a, file->name) : err;
}

enum p2p_err
p2p_applied_drop(struct p2p_applied *a, const char *name)
{
    enum p2p_err err = run(a, "DELETE FROM applied WHERE name = ?1", name, NULL);

    if (err == P2P_OK)
        err = p2p_applied_set_gone(a, name, false);
    return err == P2P_OK ? forget_held(a, name) : err;
}

/* ---- What is held, and what is missing ---- */

enum p2p_err
p2p_applied_hold(struct p2p_applied *a, const char *name,
                 const struct p2p_digest *source)
{
    return run(a, "INSERT OR REPLACE INTO held VALUES(?1, ?2, 0)", name, source);
}

enum p2p_err
p2p_applied_hold_none(struct p2p_applied *a)
{
    return p2p_sqlite_run(a->db, "DELETE FROM held WHERE accepted = 0");
}

enum p2p_err
p2p_applied_accept(struct p2p_applied *a)
{
    return p2p_sqlite_run(a->db, "UPDATE held SET accepted = 1");
}

enum p2p_err
p2p_applied_held(struct p2p_applied *a, size_t max, p2p_mirror_visit_held *visit,
                 void *arg)
{
    sqlite3_stmt *stmt = NULL;
    bool row = true;
    enum p2p_err err = p2p_sqlite_prepare(
        a->db, "SELECT name, length(source) = 0 FROM held ORDER BY name LIMIT ?1",
        &stmt);

    if (err == P2P_OK)
        sqlite3_bind_int64(stmt, 1, (int64_t)max);
    while (err == P2P_OK && (err = p2p_sqlite_next(stmt, &row)) == P2P_OK && row) {
        const char *name = (const char *)sqlite3_column_text(stmt, 0);
        if (name != NULL)
            visit(arg, name, sqlite3_column_int(stmt, 1) != 0);
    }
    sqlite3_finalize(stmt);
    return err;
}

bool
p2p_applied_is_accepted(struct p2p_applied *a, const char *name,
                        const struct p2p_digest *source)
{
    return has_row(a,
                   "SELECT 1 FROM held WHERE name = ?1 AND source = ?2"
                   " AND accepted = 1",
                   name, source);
}

enum p2p_err
p2p_applied_miss_none(struct p2p_applied *a)
{
    return p2p_sqlite_run(a->db, "DELETE FROM missing");
}

enum p2p_err
p2p_applied_miss(struct p2p_applied *a, const char *name)
{
    return run(a, "INSERT OR IGNORE INTO missing VALUES(?1)", name, NULL);
}

/* ---- The source's list of changes ---- */

enum p2p_err
p2p_applied_set_gone(struct p2p_applied *a, const char *name, bool is_gone)
{
    return run(a,
               is_gone ? "INSERT OR IGNORE INTO gone VALUES(?1)"
                       : "DELETE FROM gone WHERE name = ?1",
               name, NULL);
}

enum p2p_err
p2p_applied_get_place(struct p2p_applied *a, struct p2p_applied_place *out)
{
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    enum p2p_err err =
        p2p_sqlite_prepare(a->db, "SELECT log, after, is_whole FROM place", &stmt);

    *out = (struct p2p_applied_place){.is_whole = false};
    if (err == P2P_OK)
        err = p2p_sqlite_next(stmt, &row);
    if (err == P2P_OK && row) {
        out->at.log = (uint64_t)sqlite3_column_int64(stmt, 0);
        out->at.after = (uint64_t)sqlite3_column_int64(stmt, 1);
        out->is_whole = sqlite3_column_int(stmt, 2) != 0;
    }
    sqlite3_finalize(stmt);
    return err;
}

enum p2p_err
p2p_applied_set_place(struct p2p_applied *a, const struct p2p_applied_place *place)
{
    sqlite3_stmt *stmt = NULL;
    enum p2p_err err = p2p_sqlite_prepare(
        a->db, "INSERT OR REPLACE INTO place VALUES(1, ?1, ?2, ?3)", &stmt);

    if (err == P2P_OK) {
        sqlite3_bind_int64(stmt, 1, (int64_t)place->at.log);
        sqlite3_bind_int64(stmt, 2, (int64_t)place->at.after);
        sqlite3_bind_int64(stmt, 3, place->is_whole);
        err = p2p_sqlite_done(stmt);
    }
    sqlite3_finalize(stmt);
    return err;
}

/* ---- For the brake ---- */

enum p2p_err
p2p_applied_spent(struct p2p_applied *a, uint64_t since_k, uint64_t *out)
{
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    enum p2p_err err = p2p_sqlite_prepare(
        a->db, "SELECT SUM(count) FROM changes WHERE at_k >= ?1", &stmt);

    *out = 0;
    if (err == P2P_OK) {
        sqlite3_bind_int64(stmt, 1, (int64_t)since_k);
        err = p2p_sqlite_next(stmt, &row);
    }
    if (err == P2P_OK && row)
        *out = (uint64_t)sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return err;
}

enum p2p_err
p2p_applied_spend(struct p2p_applied *a, uint64_t now_k, uint64_t count)
{
    sqlite3_stmt *stmt = NULL;
    enum p2p_err err =
        p2p_sqlite_prepare(a->db, "INSERT INTO changes VALUES(?1, ?2)", &stmt);

    if (err == P2P_OK) {
        sqlite3_bind_int64(stmt, 1, (int64_t)now_k);
        sqlite3_bind_int64(stmt, 2, (int64_t)count);
        err = p2p_sqlite_done(stmt);
    }
    sqlite3_finalize(stmt);
    return err;
}
