#include "p2p/links.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/trust/grants_internal.h"
#include "p2p/clock.h"
#include "p2p/name.h"

/* A table of its own: programs that do not know it leave it alone. */
static const char sql_table[] =
    "CREATE TABLE IF NOT EXISTS links(id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " title TEXT NOT NULL, names TEXT NOT NULL, box BLOB NOT NULL, mac BLOB NOT NULL,"
    " guest BLOB NOT NULL, pin BLOB, created_s INTEGER NOT NULL,"
    " expires_s INTEGER NOT NULL, uses_left INTEGER, bytes_left INTEGER, folder TEXT)";
/* Earlier versions made the table without its last column. */
static const char sql_has_folder[] =
    "SELECT 1 FROM pragma_table_info('links') WHERE name = 'folder'";
static const char sql_add_folder[] = "ALTER TABLE links ADD COLUMN folder TEXT";
#define SQL_LIST(folder)                                                              \
    "SELECT id, title, names, box, mac, guest, pin, created_s, expires_s, uses_left," \
    " bytes_left, " folder " FROM links WHERE expires_s > ?1 ORDER BY id"
static const char sql_tidy[] = "DELETE FROM links WHERE expires_s <= ?1";
static const char sql_add[] =
    "INSERT INTO links(title, names, box, mac, guest, pin, created_s, expires_s,"
    " uses_left, bytes_left, folder)"
    " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
static const char sql_revoke[] = "DELETE FROM links WHERE id = ?1";
static const char sql_spend[] =
    "UPDATE links SET uses_left = ?2, bytes_left = ?3 WHERE id = ?1";

/* ---- names ---- */

enum p2p_err
p2p_links_name(struct p2p_links_row *row, const char *name)
{
    size_t len = strlen(name), used = strlen(row->names);
    bool is_folder = len > 0 && name[len - 1] == '/';

    if (p2p_name_check(name, is_folder ? len - 1 : len, true) != P2P_OK)
        return P2P_ERR_NAME;
    if (used + len + 2 > sizeof(row->names))
        return P2P_ERR_TOO_LARGE;
    snprintf(row->names + used, sizeof(row->names) - used, "%s\n", name);
    return P2P_OK;
}

/* ---- rows ---- */

/* NULL is "no limit". */
static uint64_t
limit_of(sqlite3_stmt *stmt, int column)
{
    return sqlite3_column_type(stmt, column) == SQLITE_NULL
               ? P2P_LINKS_NO_LIMIT
               : (uint64_t)sqlite3_column_int64(stmt, column);
}

static void
bind_limit(sqlite3_stmt *stmt, int at, uint64_t value)
{
    if (value == P2P_LINKS_NO_LIMIT)
        sqlite3_bind_null(stmt, at);
    else
        sqlite3_bind_int64(stmt, at, (sqlite3_int64)value);
}

static bool
copy_text(sqlite3_stmt *stmt, int column, char *out, size_t cap)
{
    const char *text = (const char *)sqlite3_column_text(stmt, column);
    size_t len = text != NULL ? strlen(text) : cap;

    if (len >= cap)
        return false;
    memcpy(out, text, len + 1);
    return true;
}

static enum p2p_err
read_row(sqlite3_stmt *stmt, struct p2p_links_row *out)
{
    enum p2p_err err = P2P_OK;

    memset(out, 0, sizeof(*out));
    out->id = (uint64_t)sqlite3_column_int64(stmt, 0);
    if (!copy_text(stmt, 1, out->title, sizeof(out->title)) ||
        !copy_text(stmt, 2, out->names, sizeof(out->names)))
        return P2P_ERR_CORRUPT;
    err = p2p_sqlite_get_blob(stmt, 3, out->keys.box.b, sizeof(out->keys.box.b));
    if (err == P2P_OK)
        err = p2p_sqlite_get_blob(stmt, 4, out->keys.mac.b, sizeof(out->keys.mac.b));
    if (err == P2P_OK)
        err =
            p2p_sqlite_get_blob(stmt, 5, out->keys.guest.b, sizeof(out->keys.guest.b));
    out->has_pin = sqlite3_column_type(stmt, 6) != SQLITE_NULL;
    if (err == P2P_OK && out->has_pin)
        err = p2p_sqlite_get_blob(stmt, 6, out->pin.b, sizeof(out->pin.b));
    out->created_s = (uint64_t)sqlite3_column_int64(stmt, 7);
    out->expires_s = (uint64_t)sqlite3_column_int64(stmt, 8);
    out->uses_left = limit_of(stmt, 9);
    out->bytes_left = limit_of(stmt, 10);
    if (sqlite3_column_type(stmt, 11) != SQLITE_NULL &&
        !copy_text(stmt, 11, out->folder, sizeof(out->folder)))
        return P2P_ERR_CORRUPT;
    return err;
}

/* Does this query have a row? */
static bool
has_row(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    bool row = false;

    if (p2p_sqlite_prepare(db, sql, &stmt) == P2P_OK &&
        p2p_sqlite_next(stmt, &row) != P2P_OK)
        row = false;
    sqlite3_finalize(stmt);
    return row;
}

static enum p2p_err
list(sqlite3 *db, struct p2p_links_row **out, size_t *count)
{
    sqlite3_stmt *stmt = NULL;
    bool row = true;
    const char *sql =
        has_row(db, sql_has_folder) ? SQL_LIST("folder") : SQL_LIST("NULL");
    enum p2p_err err = p2p_sqlite_prepare(db, sql, &stmt);

    if (err == P2P_OK && (*out = calloc(P2P_LINKS_MAX, sizeof(**out))) == NULL)
        err = P2P_ERR_NOMEM;
    if (err == P2P_OK)
        sqlite3_bind_int64(stmt, 1, (sqlite3_int64)p2p_time_s());
    while (err == P2P_OK && *count < P2P_LINKS_MAX &&
           (err = p2p_sqlite_next(stmt, &row)) == P2P_OK && row)
        err = read_row(stmt, &(*out)[(*count)++]);
    sqlite3_finalize(stmt);
    if (err != P2P_OK) {
        free(*out);
        *out = NULL;
        *count = 0;
    }
    return err;
}

static bool
has_table(sqlite3 *db)
{
    return has_row(
        db, "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'links'");
}

enum p2p_err
p2p_links_list(const char *keys_dir, struct p2p_links_row **out, size_t *count)
{
    sqlite3 *db;
    enum p2p_err err = p2p_grants_open(keys_dir, false, &db);

    *out = NULL;
    *count = 0;
    if (err == P2P_ERR_NOT_FOUND)
        return P2P_OK;
    if (err == P2P_OK && has_table(db))
        err = list(db, out, count);
    p2p_sqlite_close(db);
    return err;
}

/* ---- changes: each is one transaction ---- */

typedef enum p2p_err change_fn(sqlite3 *db, struct p2p_links_row *row);

static enum p2p_err
tidy(sqlite3 *db)
{
    sqlite3_stmt *stmt = NULL;
    enum p2p_err err = p2p_sqlite_prepare(db, sql_tidy, &stmt);

    if (err == P2P_OK) {
        sqlite3_bind_int64(stmt, 1, (sqlite3_int64)p2p_time_s());
        err = p2p_sqlite_done(stmt);
    }
    sqlite3_finalize(stmt);
    return err;
}

static void
bind_row(sqlite3_stmt *stmt, const struct p2p_links_row *row)
{
    const struct p2p_link_keys *keys = &row->keys;

    sqlite3_bind_text(stmt, 1, row->title, -1, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 2, row->names, -1, SQLITE_STATIC);
    sqlite3_bind_blob(stmt, 3, keys->box.b, sizeof(keys->box.b), SQLITE_STATIC);
    sqlite3_bind_blob(stmt, 4, keys->mac.b, sizeof(keys->mac.b), SQLITE_STATIC);
    sqlite3_bind_blob(stmt, 5, keys->guest.b, sizeof(keys->guest.b), SQLITE_STATIC);
    if (row->has_pin)
        sqlite3_bind_blob(stmt, 6, row->pin.b, sizeof(row->pin.b), SQLITE_STATIC);
    else
        sqlite3_bind_null(stmt, 6);
    sqlite3_bind_int64(stmt, 7, (sqlite3_int64)row->created_s);
    sqlite3_bind_int64(stmt, 8, (sqlite3_int64)row->expires_s);
    bind_limit(stmt, 9, row->uses_left);
    bind_limit(stmt, 10, row->bytes_left);
    if (row->folder[0] != '\0')
        sqlite3_bind_text(stmt, 11, row->folder, -1, SQLITE_STATIC);
    else
        sqlite3_bind_null(stmt, 11);
}

static enum p2p_err
add(sqlite3 *db, struct p2p_links_row *row)
{
    struct p2p_links_row *others = NULL;
    sqlite3_stmt *stmt = NULL;
    size_t count = 0;
    enum p2p_err err = tidy(db);

    if (err == P2P_OK)
        err = list(db, &others, &count);
    free(others);
    if (err == P2P_OK && count >= P2P_LINKS_MAX)
        err = P2P_ERR_TOO_LARGE;
    if (err == P2P_OK)
        err = p2p_sqlite_prepare(db, sql_add, &stmt);
    if (err == P2P_OK) {
        bind_row(stmt, row);
        err = p2p_sqlite_done(stmt);
    }
    sqlite3_finalize(stmt);
    row->id = (uint64_t)sqlite3_last_insert_rowid(db);
    return err;
}

static enum p2p_err
revoke(sqlite3 *db, struct p2p_links_row *row)
{
    sqlite3_stmt *stmt = NULL;
    enum p2p_err err = p2p_sqlite_prepare(db, sql_revoke, &stmt);

    if (err == P2P_OK) {
        sqlite3_bind_int64(stmt, 1, (sqlite3_int64)row->id);
        err = p2p_sqlite_done(stmt);
    }
    sqlite3_finalize(stmt);
    return err == P2P_OK && sqlite3_changes(db) == 0 ? P2P_ERR_NOT_FOUND : err;
}

static enum p2p_err
spend(sqlite3 *db, struct p2p_links_row *row)
{
    sqlite3_stmt *stmt = NULL;
    enum p2p_err err = p2p_sqlite_prepare(db, sql_spend, &stmt);

    if (err == P2P_OK) {
        sqlite3_bind_int64(stmt, 1, (sqlite3_int64)row->id);
        bind_limit(stmt, 2, row->uses_left);
        bind_limit(stmt, 3, row->bytes_left);
        err = p2p_sqlite_done(stmt);
    }
    sqlite3_finalize(stmt);
    return err;
}

static enum p2p_err
apply(const char *keys_dir, change_fn *run, struct p2p_links_row *row)
{
    sqlite3 *db;
    enum p2p_err err = p2p_grants_open(keys_dir, true, &db);

    if (err == P2P_OK)
        err = p2p_sqlite_run(db, "BEGIN IMMEDIATE");
    if (err == P2P_OK)
        err = p2p_sqlite_run(db, sql_table);
    if (err == P2P_OK && !has_row(db, sql_has_folder))
        err = p2p_sqlite_run(db, sql_add_folder);
    if (err == P2P_OK)
        err = run(db, row);
    if (err == P2P_OK)
        err = p2p_sqlite_run(db, "COMMIT");
    p2p_sqlite_close(db); /* what was not committed is undone */
    return err;
}

enum p2p_err
p2p_links_add(const char *keys_dir, struct p2p_links_row *row)
{
    return apply(keys_dir, add, row);
}

enum p2p_err
p2p_links_revoke(const char *keys_dir, uint64_t id)
{
    struct p2p_links_row row = {.id = id};

    return apply(keys_dir, revoke, &row);
}

enum p2p_err
p2p_links_spend(const char *keys_dir, uint64_t id, uint64_t uses_left,
                uint64_t bytes_left)
{
    struct p2p_links_row row = {
        .id = id, .uses_left = uses_left, .bytes_left = bytes_left};

    return apply(keys_dir, spend, &row);
}
