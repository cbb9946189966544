#include "ui/state/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "p2p/bytes.h"
#include "p2p/lock.h"
#include "p2p/log.h"
#include "p2p/net.h"
#include "p2p/sqlite.h"
#include "ui/state/store_sql.h"

#define OLD_NAME  "transfers.db"
#define PLACE_LEN 8 /* bytes of the hash that tells downloads folders apart */
#define LOCK_NAME "transfers.lock"

static const char schema[] =
    "PRAGMA synchronous = NORMAL;"
    "CREATE TABLE IF NOT EXISTS transfers(id TEXT PRIMARY KEY, filename TEXT NOT NULL,"
    " root BLOB, sources TEXT NOT NULL, auto INTEGER NOT NULL, priority INTEGER NOT "
    "NULL,"
    " place INTEGER NOT NULL, limit_rate INTEGER NOT NULL, state INTEGER NOT NULL,"
    " size INTEGER, sha256 BLOB, verified INTEGER NOT NULL, path TEXT NOT NULL,"
    " error INTEGER NOT NULL, message TEXT NOT NULL, created INTEGER NOT NULL,"
    " finished INTEGER NOT NULL, retry_at INTEGER NOT NULL, attempts INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS settings(key TEXT PRIMARY KEY, value TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS notes(kind TEXT NOT NULL, key TEXT NOT NULL,"
    " value TEXT NOT NULL, time INTEGER NOT NULL, PRIMARY KEY(kind, key));";

/* Columns of later versions; each statement fails if the column exists already. */
static const char *const additions[] = {
    "ALTER TABLE transfers ADD COLUMN save_as TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE transfers ADD COLUMN on_conflict INTEGER NOT NULL DEFAULT 1",
    "ALTER TABLE transfers ADD COLUMN works TEXT NOT NULL DEFAULT ''",
};

static const char *const sql[UI_STORE_STATEMENTS] = {
    [UI_STORE_PUT_TRANSFER] =
        "INSERT OR REPLACE INTO transfers VALUES(?1, ?2, ?3, ?4, ?5, ?6, "
        "?7, ?8, ?9, ?10,"
        " ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)",
    [UI_STORE_REMOVE_TRANSFER] = "DELETE FROM transfers WHERE id = ?1",
    [UI_STORE_LOAD_TRANSFERS] = "SELECT * FROM transfers ORDER BY created, rowid",
    [UI_STORE_GET_SETTING] = "SELECT value FROM settings WHERE key = ?1",
    [UI_STORE_PUT_SETTING] = "INSERT OR REPLACE INTO settings VALUES(?1, ?2)",
    [UI_STORE_GET_NOTE] = "SELECT value FROM notes WHERE kind = ?1 AND key = ?2",
    [UI_STORE_PUT_NOTE] = "INSERT OR REPLACE INTO notes VALUES(?1, ?2, ?3, ?4)",
    [UI_STORE_REMOVE_NOTE] = "DELETE FROM notes WHERE kind = ?1 AND key = ?2",
    [UI_STORE_LOAD_NOTES] =
        "SELECT key, value, time FROM notes WHERE kind = ?1 ORDER BY time, key",
};

struct ui_store {
    struct ui_store_lock lock;
    sqlite3 *db P2P_GUARDED_BY(ui_store_lock);
    sqlite3_stmt *stmt[UI_STORE_STATEMENTS] P2P_GUARDED_BY(ui_store_lock);
    int lock_fd;
};

/* ---- opening ---- */

static enum p2p_err
take_lock(struct ui_store *s, const struct p2p_root *downloads)
{
    enum p2p_err err =
        p2p_root_open_private(downloads, LOCK_NAME, O_RDWR | O_CREAT, &s->lock_fd);

    if (err != P2P_OK && !p2p_root_is_in_place(downloads))
        return P2P_OK; /* the folder is away, and opened again when it is back */

    if (err == P2P_OK && flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0)
        err = errno == EWOULDBLOCK ? P2P_ERR_BUSY : p2p_err_from_errno(errno);
    return err;
}

static void
close_database(struct ui_store *s) P2P_REQUIRES(ui_store_lock)
{
    for (int i = 0; i < UI_STORE_STATEMENTS; i++) {
        sqlite3_finalize(s->stmt[i]);
        s->stmt[i] = NULL;
    }
    sqlite3_close(s->db);
    s->db = NULL;
}

static int
open_database(struct ui_store *s, const char *path) P2P_REQUIRES(ui_store_lock)
{
    int code =
        sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);

    if (code == SQLITE_OK && p2p_sqlite_choose_journal(s->db, path) != P2P_OK)
        code = sqlite3_errcode(s->db);
    if (code == SQLITE_OK)
        code = sqlite3_exec(s->db, schema, NULL, NULL, NULL);
    for (size_t i = 0;
         i < sizeof(additions) / sizeof(additions[0]) && code == SQLITE_OK; i++) {
        code = sqlite3_exec(s->db, additions[i], NULL, NULL, NULL);
        if (code == SQLITE_ERROR)
            code = SQLITE_OK;
    }
    for (int i = 0; i < UI_STORE_STATEMENTS && code == SQLITE_OK; i++)
        code = sqlite3_prepare_v3(s->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                                  &s->stmt[i], NULL);
    if (code != SQLITE_OK)
        close_database(s);
    return code;
}

static bool
is_damage(int code)
{
    /* SQLITE_ERROR: tables of another shape than ours. */
    return code == SQLITE_CORRUPT || code == SQLITE_NOTADB || code == SQLITE_ERROR;
}

/* Otherwise the old journal would be replayed into the new file. */
static bool
set_aside(const char *path)
{
    static const char *const parts[] = {"", "-wal", "-shm", "-journal"};
    char from[PATH_MAX + 8], to[PATH_MAX + 32];

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        snprintf(from, sizeof(from), "%s%s", path, parts[i]);
        snprintf(to, sizeof(to), "%s.damaged%s", path, parts[i]);
        if (rename(from, to) != 0 && errno != ENOENT)
            return false;
    }
    return true;
}

static enum p2p_err
open_or_begin_anew(struct ui_store *s, const char *path) P2P_REQUIRES(ui_store_lock)
{
    int code = open_database(s, path);

    if (is_damage(code)) {
        p2p_log_error("the list of transfers is damaged; it was renamed to %s.damaged "
                      "and a new list was created",
                      path);
        if (!set_aside(path))
            return p2p_err_from_errno(errno);
        code = open_database(s, path);
    }
    if (code == SQLITE_OK)
        return P2P_OK;
    return code == SQLITE_FULL ? P2P_ERR_DISK_FULL : P2P_ERR_CORRUPT;
}

/* ---- the place ---- */

static enum p2p_err
find_path(const char *downloads, const char *keys_dir, char out[PATH_MAX])
{
    char folder[PATH_MAX], keys[PATH_MAX], hex[2 * PLACE_LEN + 1];
    struct p2p_digest digest;
    enum p2p_err err;
    int len;

    if (!realpath(keys_dir, keys))
        return p2p_err_from_errno(errno);
    err = p2p_root_resolve(downloads, folder);
    if (err != P2P_OK)
        return err;
    err = p2p_sha256(folder, strlen(folder), &digest);
    if (err != P2P_OK)
        return err;
    p2p_hex_format(digest.b, PLACE_LEN, hex);
    len = snprintf(out, PATH_MAX, "%s/transfers-%s.db", keys, hex);
    return len < PATH_MAX ? P2P_OK : P2P_ERR_TOO_LARGE;
}

bool
ui_downloads_are_missing(const char *keys_dir, const char *downloads)
{
    char path[PATH_MAX];

    return p2p_root_is_missing(downloads) &&
           find_path(downloads, keys_dir, path) == P2P_OK && access(path, F_OK) == 0;
}

/* Makes a complete copy, including changes that are only in the write-ahead log. */
static int
copy_database(const char *from, const char *to)
{
    sqlite3_stmt *stmt = NULL;
    sqlite3 *db = NULL;
    int code = sqlite3_open_v2(from, &db, SQLITE_OPEN_READWRITE, NULL);

    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(db, "VACUUM INTO ?1", -1, &stmt, NULL);
    if (code == SQLITE_OK) {
        p2p_sqlite_bind_text(stmt, 1, to);
        code = sqlite3_step(stmt);
    }
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* Moves the list of an older version. False: it stays where it is. */
static bool
take_over(const char *old, const char *path)
{
    char copy[PATH_MAX + 8], kept[PATH_MAX + 8];
    int code;

    if (access(path, F_OK) == 0 || access(old, F_OK) != 0)
        return true;
    snprintf(copy, sizeof(copy), "%s.new", path);
    unlink(copy);
    code = copy_database(old, copy);
    if (is_damage(code)) {
        p2p_log_error("the list of transfers is damaged; it was renamed to %s.damaged "
                      "and a new list was created",
                      old);
        return set_aside(old);
    }
    if (code != SQLITE_OK || rename(copy, path) != 0) {
        unlink(copy);
        p2p_log_warn("cannot move the list of transfers from %s; it stays there for "
                     "now reason=\"%s\"",
                     old, code != SQLITE_OK ? sqlite3_errstr(code) : strerror(errno));
        return false;
    }
    snprintf(kept, sizeof(kept), "%s.moved", old);
    (void)rename(old, kept);
    p2p_log_info("moved the list of transfers to %s", path);
    return true;
}

static enum p2p_err
place(const struct p2p_root *downloads, const char *keys_dir, char path[PATH_MAX])
{
    char old[PATH_MAX];
    enum p2p_err err = find_path(p2p_root_path(downloads), keys_dir, path);

    if (err != P2P_OK || !p2p_root_is_in_place(downloads))
        return err;
    err = p2p_root_private_path(downloads, OLD_NAME, old, sizeof(old));
    if (err == P2P_OK && !take_over(old, path))
        memcpy(path, old, sizeof(old));
    return err;
}

enum p2p_err
ui_store_open(const struct p2p_root *downloads, const char *keys_dir,
              struct ui_store **out)
{
    struct ui_store *s = calloc(1, sizeof(*s));
    char path[PATH_MAX];
    enum p2p_err err;

    *out = NULL;
    if (s == NULL)
        return P2P_ERR_NOMEM;
    s->lock_fd = -1;
    p2p_mutex_init(&s->lock);
    if ((err = take_lock(s, downloads)) == P2P_OK &&
        (err = place(downloads, keys_dir, path)) == P2P_OK)
        err = open_or_begin_anew(s, path);
    if (err != P2P_OK) {
        ui_store_close(s);
        return err;
    }
    *out = s;
    return P2P_OK;
}

void
ui_store_close(struct ui_store *s)
{
    if (s == NULL)
        return;
    p2p_mutex_unshared(&s->lock);
    close_database(s);
    p2p_fd_close(&s->lock_fd);
    p2p_mutex_clear(&s->lock);
    free(s);
}

/* ---- one statement at a time: begin (locks), bind, step, end (unlocks) ---- */

sqlite3_stmt *
ui_store_begin(struct ui_store *s, enum ui_store_statement which)
{
    p2p_lock(&s->lock);
    return s->stmt[which];
}

void
ui_store_end(struct ui_store *s, sqlite3_stmt *stmt)
{
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    p2p_unlock(&s->lock);
}

void
ui_store_write_and_end(struct ui_store *s, sqlite3_stmt *stmt)
{
    if (sqlite3_step(stmt) != SQLITE_DONE)
        p2p_log_error("cannot save the list of transfers reason=\"%s\"",
                      sqlite3_errmsg(s->db));
    ui_store_end(s, stmt);
}

void
ui_store_bind_u64(sqlite3_stmt *stmt, int at, uint64_t value)
{
    sqlite3_bind_int64(stmt, at, (sqlite3_int64)value);
}

void
ui_store_bind_digest(sqlite3_stmt *stmt, int at, bool is_known,
                     const struct p2p_digest *d)
{
    if (is_known)
        sqlite3_bind_blob(stmt, at, d->b, sizeof(d->b), SQLITE_TRANSIENT);
}

const char *
ui_store_text_at(sqlite3_stmt *stmt, int at)
{
    const unsigned char *text = sqlite3_column_text(stmt, at);

    return text != NULL ? (const char *)text : "";
}

uint64_t
ui_store_u64_at(sqlite3_stmt *stmt, int at)
{
    sqlite3_int64 value = sqlite3_column_int64(stmt, at);

    return value > 0 ? (uint64_t)value : 0;
}

bool
ui_store_digest_at(sqlite3_stmt *stmt, int at, struct p2p_digest *out)
{
    const void *blob = sqlite3_column_blob(stmt, at);

    if (blob == NULL || sqlite3_column_bytes(stmt, at) != (int)sizeof(out->b))
        return false;
    memcpy(out->b, blob, sizeof(out->b));
    return true;
}

void
ui_store_copy_at(sqlite3_stmt *stmt, int at, char *out, size_t cap)
{
    snprintf(out, cap, "%s", ui_store_text_at(stmt, at));
}

/* ---- settings and notes ---- */

void
ui_store_get_setting(struct ui_store *s, const char *key, char *out, size_t cap)
{
    sqlite3_stmt *stmt = ui_store_begin(s, UI_STORE_GET_SETTING);

    *out = '\0';
    p2p_sqlite_bind_text(stmt, 1, key);
    if (sqlite3_step(stmt) == SQLITE_ROW)
        ui_store_copy_at(stmt, 0, out, cap);
    ui_store_end(s, stmt);
}

void
ui_store_get_note(struct ui_store *s, const char *kind, const char *key, char *out,
                  size_t cap)
{
    sqlite3_stmt *stmt = ui_store_begin(s, UI_STORE_GET_NOTE);

    *out = '\0';
    p2p_sqlite_bind_text(stmt, 1, kind);
    p2p_sqlite_bind_text(stmt, 2, key);
    if (sqlite3_step(stmt) == SQLITE_ROW)
        ui_store_copy_at(stmt, 0, out, cap);
    ui_store_end(s, stmt);
}

void
ui_store_put_setting(struct ui_store *s, const char *key, const char *value)
{
    sqlite3_stmt *stmt = ui_store_begin(s, UI_STORE_PUT_SETTING);

    p2p_sqlite_bind_text(stmt, 1, key);
    p2p_sqlite_bind_text(stmt, 2, value);
    ui_store_write_and_end(s, stmt);
}

void
ui_store_put_note(struct ui_store *s, const struct ui_note *note)
{
    sqlite3_stmt *stmt = ui_store_begin(s, UI_STORE_PUT_NOTE);

    p2p_sqlite_bind_text(stmt, 1, note->kind);
    p2p_sqlite_bind_text(stmt, 2, note->key);
    p2p_sqlite_bind_text(stmt, 3, note->value);
    ui_store_bind_u64(stmt, 4, note->time_s);
    ui_store_write_and_end(s, stmt);
}

void
ui_store_remove_note(struct ui_store *s, const char *kind, const char *key)
{
    sqlite3_stmt *stmt = ui_store_begin(s, UI_STORE_REMOVE_NOTE);

    p2p_sqlite_bind_text(stmt, 1, kind);
    p2p_sqlite_bind_text(stmt, 2, key);
    ui_store_write_and_end(s, stmt);
}

void
ui_store_load_notes(struct ui_store *s, const char *kind,
                    void (*visit)(void *, const struct ui_note *), void *arg)
{
    sqlite3_stmt *stmt = ui_store_begin(s, UI_STORE_LOAD_NOTES);

    p2p_sqlite_bind_text(stmt, 1, kind);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        struct ui_note note = {.kind = kind,
                               .key = ui_store_text_at(stmt, 0),
                               .value = ui_store_text_at(stmt, 1),
                               .time_s = ui_store_u64_at(stmt, 2)};
        visit(arg, &note);
    }
    ui_store_end(s, stmt);
}
