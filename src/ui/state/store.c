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
#include "ui/transfers/transfer.h"

#define OLD_NAME  "transfers.db"
#define PLACE_LEN 8 /* bytes of the hash that tells downloads folders apart */
#define LOCK_NAME "transfers.lock"

static const char schema[] =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
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

enum {
    PUT_TRANSFER,
    REMOVE_TRANSFER,
    LOAD_TRANSFERS,
    GET_SETTING,
    PUT_SETTING,
    PUT_NOTE,
    REMOVE_NOTE,
    LOAD_NOTES,
    STATEMENTS
};
static const char *const sql[STATEMENTS] = {
    [PUT_TRANSFER] = "INSERT OR REPLACE INTO transfers VALUES(?1, ?2, ?3, ?4, ?5, ?6, "
                     "?7, ?8, ?9, ?10,"
                     " ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)",
    [REMOVE_TRANSFER] = "DELETE FROM transfers WHERE id = ?1",
    [LOAD_TRANSFERS] = "SELECT * FROM transfers ORDER BY created, rowid",
    [GET_SETTING] = "SELECT value FROM settings WHERE key = ?1",
    [PUT_SETTING] = "INSERT OR REPLACE INTO settings VALUES(?1, ?2)",
    [PUT_NOTE] = "INSERT OR REPLACE INTO notes VALUES(?1, ?2, ?3, ?4)",
    [REMOVE_NOTE] = "DELETE FROM notes WHERE kind = ?1 AND key = ?2",
    [LOAD_NOTES] =
        "SELECT key, value, time FROM notes WHERE kind = ?1 ORDER BY time, key",
};

P2P_MUTEX_KIND(ui_store_lock);
struct ui_store {
    struct ui_store_lock lock;
    sqlite3 *db;
    sqlite3_stmt *stmt[STATEMENTS];
    int lock_fd;
};

/* ---- opening ---- */

static enum p2p_err
take_lock(struct ui_store *s, const struct p2p_root *downloads)
{
    enum p2p_err err =
        p2p_root_open_private(downloads, LOCK_NAME, O_RDWR | O_CREAT, &s->lock_fd);

    if (err == P2P_OK && flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0)
        err = errno == EWOULDBLOCK ? P2P_ERR_BUSY : p2p_err_from_errno(errno);
    return err;
}

static void
close_database(struct ui_store *s)
{
    for (int i = 0; i < STATEMENTS; i++) {
        sqlite3_finalize(s->stmt[i]);
        s->stmt[i] = NULL;
    }
    sqlite3_close(s->db);
    s->db = NULL;
}

static int
open_database(struct ui_store *s, const char *path)
{
    int code =
        sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);

    if (code == SQLITE_OK)
        code = sqlite3_exec(s->db, schema, NULL, NULL, NULL);
    for (size_t i = 0;
         i < sizeof(additions) / sizeof(additions[0]) && code == SQLITE_OK; i++) {
        code = sqlite3_exec(s->db, additions[i], NULL, NULL, NULL);
        if (code == SQLITE_ERROR)
            code = SQLITE_OK;
    }
    for (int i = 0; i < STATEMENTS && code == SQLITE_OK; i++)
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

/* Otherwise the old write-ahead log would be replayed into the new file. */
static bool
set_aside(const char *path)
{
    static const char *const parts[] = {"", "-wal", "-shm"};
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
open_or_begin_anew(struct ui_store *s, const char *path)
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

static void
bind_text(sqlite3_stmt *stmt, int at, const char *text)
{
    sqlite3_bind_text(stmt, at, text, -1, SQLITE_TRANSIENT);
}

/* ---- the place ---- */

static enum p2p_err
find_path(const struct p2p_root *downloads, const char *keys_dir, char out[PATH_MAX])
{
    char folder[PATH_MAX], keys[PATH_MAX], hex[2 * PLACE_LEN + 1];
    struct p2p_digest digest;
    enum p2p_err err;
    int len;

    if (!realpath(p2p_root_path(downloads), folder) || !realpath(keys_dir, keys))
        return p2p_err_from_errno(errno);
    err = p2p_sha256(folder, strlen(folder), &digest);
    if (err != P2P_OK)
        return err;
    p2p_hex_format(digest.b, PLACE_LEN, hex);
    len = snprintf(out, PATH_MAX, "%s/transfers-%s.db", keys, hex);
    return len < PATH_MAX ? P2P_OK : P2P_ERR_TOO_LARGE;
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
        bind_text(stmt, 1, to);
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
        p2p_log_error(
            "the list of transfers is damaged; it is kept as %s.damaged and a "
            "new one is begun",
            old);
        return set_aside(old);
    }
    if (code != SQLITE_OK || rename(copy, path) != 0) {
        unlink(copy);
        p2p_log_warn("the list of transfers stays at %s for now reason=\"%s\"", old,
                     code != SQLITE_OK ? sqlite3_errstr(code) : strerror(errno));
        return false;
    }
    snprintf(kept, sizeof(kept), "%s.moved", old);
    (void)rename(old, kept);
    p2p_log_info("the list of transfers is kept at %s from now on", path);
    return true;
}

static enum p2p_err
place(const struct p2p_root *downloads, const char *keys_dir, char path[PATH_MAX])
{
    char old[PATH_MAX];
    enum p2p_err err = find_path(downloads, keys_dir, path);

    if (err == P2P_OK)
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
    close_database(s);
    p2p_fd_close(&s->lock_fd);
    p2p_mutex_clear(&s->lock);
    free(s);
}

/* ---- one statement at a time: begin (locks), bind, step, end (unlocks) ---- */

static sqlite3_stmt *
begin(struct ui_store *s, int which)
{
    p2p_lock(&s->lock);
    return s->stmt[which];
}

static void
end(struct ui_store *s, sqlite3_stmt *stmt)
{
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    p2p_unlock(&s->lock);
}

static void
write_and_end(struct ui_store *s, sqlite3_stmt *stmt)
{
    if (sqlite3_step(stmt) != SQLITE_DONE)
        p2p_log_error("cannot save the list of transfers reason=\"%s\"",
                      sqlite3_errmsg(s->db));
    end(s, stmt);
}

static void
bind_u64(sqlite3_stmt *stmt, int at, uint64_t value)
{
    sqlite3_bind_int64(stmt, at, (sqlite3_int64)value);
}

static void
bind_digest(sqlite3_stmt *stmt, int at, bool is_known, const struct p2p_digest *d)
{
    if (is_known)
        sqlite3_bind_blob(stmt, at, d->b, sizeof(d->b), SQLITE_TRANSIENT);
}

static const char *
text_at(sqlite3_stmt *stmt, int at)
{
    const unsigned char *text = sqlite3_column_text(stmt, at);

    return text != NULL ? (const char *)text : "";
}

static uint64_t
u64_at(sqlite3_stmt *stmt, int at)
{
    sqlite3_int64 value = sqlite3_column_int64(stmt, at);

    return value > 0 ? (uint64_t)value : 0;
}

static bool
digest_at(sqlite3_stmt *stmt, int at, struct p2p_digest *out)
{
    const void *blob = sqlite3_column_blob(stmt, at);

    if (blob == NULL || sqlite3_column_bytes(stmt, at) != (int)sizeof(out->b))
        return false;
    memcpy(out->b, blob, sizeof(out->b));
    return true;
}

static void
copy_at(sqlite3_stmt *stmt, int at, char *out, size_t cap)
{
    snprintf(out, cap, "%s", text_at(stmt, at));
}

/* ---- transfers; sources are lines "<id or -> <host:port>" ---- */

static char *
format_sources(const struct ui_transfer *t)
{
    const size_t line = 2 * P2P_DIGEST_LEN + P2P_HOST_MAX + 16;
    char *text = calloc(t->source_count + 1, line), *at = text;

    for (size_t i = 0; i < t->source_count && text != NULL; i++) {
        char id[P2P_ID_HEX_LEN + 1] = "-", address[P2P_HOST_MAX + 16];

        if (t->sources[i].id_known)
            p2p_hex_format(t->sources[i].id.b, sizeof(t->sources[i].id.b), id);
        p2p_addr_format(&t->sources[i].addr, address, sizeof(address));
        at += snprintf(at, line, "%s %s\n", id, address);
    }
    return text;
}

static void
parse_sources(const char *text, struct ui_transfer *t)
{
    struct ui_source found[UI_TRANSFER_SOURCES_MAX];
    size_t count = 0;

    memset(found, 0, sizeof(found));
    while (*text != '\0' && count < UI_TRANSFER_SOURCES_MAX) {
        char id[P2P_ID_HEX_LEN + 1], address[P2P_HOST_MAX + 16];
        struct ui_source *s = &found[count];

        if (sscanf(text, "%64s %269s", id, address) == 2 &&
            p2p_addr_parse(address, 0, &s->addr) == P2P_OK) {
            s->id_known = p2p_hex_parse(id, s->id.b, sizeof(s->id.b)) == P2P_OK;
            count++;
        }
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
    if (ui_transfer_set_sources(t, found, count) != P2P_OK)
        p2p_log_error("out of memory while reading the list of transfers");
}

void
ui_store_put_transfer(struct ui_store *s, const struct ui_transfer *t)
{
    char *sources = format_sources(t);
    sqlite3_stmt *stmt = begin(s, PUT_TRANSFER);

    bind_text(stmt, 1, t->id);
    bind_text(stmt, 2, t->filename);
    bind_digest(stmt, 3, t->root_known, &t->root);
    bind_text(stmt, 4, sources != NULL ? sources : "");
    bind_u64(stmt, 5, t->is_auto);
    bind_u64(stmt, 6, t->priority);
    bind_u64(stmt, 7, t->place);
    bind_u64(stmt, 8, t->limit_rate);
    bind_u64(stmt, 9, t->state);
    if (t->size_known)
        bind_u64(stmt, 10, t->size);
    bind_digest(stmt, 11, t->sha256_known, &t->sha256);
    bind_u64(stmt, 12, t->verified);
    bind_text(stmt, 13, t->path);
    bind_u64(stmt, 14, t->error);
    bind_text(stmt, 15, t->message);
    bind_u64(stmt, 16, t->created_s);
    bind_u64(stmt, 17, t->finished_s);
    bind_u64(stmt, 18, t->retry_at_s);
    bind_u64(stmt, 19, t->attempts);
    bind_text(stmt, 20, t->save_as);
    bind_u64(stmt, 21, t->conflict);
    bind_text(stmt, 22, t->works);
    write_and_end(s, stmt);
    free(sources);
}

static struct ui_transfer *
read_transfer(sqlite3_stmt *stmt)
{
    struct ui_transfer *t = ui_transfer_new();

    if (t == NULL)
        return NULL;
    copy_at(stmt, 0, t->id, sizeof(t->id));
    copy_at(stmt, 1, t->filename, sizeof(t->filename));
    t->root_known = digest_at(stmt, 2, &t->root);
    parse_sources(text_at(stmt, 3), t);
    t->is_auto = u64_at(stmt, 4) != 0;
    t->priority =
        u64_at(stmt, 5) <= UI_HIGH ? (enum ui_priority)u64_at(stmt, 5) : UI_NORMAL;
    t->place = u64_at(stmt, 6);
    t->limit_rate = u64_at(stmt, 7);
    t->state = u64_at(stmt, 8) < UI_STATES ? (enum ui_state)u64_at(stmt, 8) : UI_FAILED;
    t->size_known = sqlite3_column_type(stmt, 9) != SQLITE_NULL;
    t->size = u64_at(stmt, 9);
    t->sha256_known = digest_at(stmt, 10, &t->sha256);
    t->verified = u64_at(stmt, 11);
    copy_at(stmt, 12, t->path, sizeof(t->path));
    t->error = (enum p2p_err)u64_at(stmt, 13);
    copy_at(stmt, 14, t->message, sizeof(t->message));
    t->created_s = u64_at(stmt, 15);
    t->finished_s = u64_at(stmt, 16);
    t->retry_at_s = u64_at(stmt, 17);
    t->attempts = (unsigned)u64_at(stmt, 18);
    copy_at(stmt, 19, t->save_as, sizeof(t->save_as));
    if (u64_at(stmt, 20) >= P2P_CONFLICT_RENAME &&
        u64_at(stmt, 20) <= P2P_CONFLICT_SKIP)
        t->conflict = (enum p2p_on_conflict)u64_at(stmt, 20);
    copy_at(stmt, 21, t->works, sizeof(t->works));
    return t;
}

void
ui_store_load_transfers(struct ui_store *s, void (*visit)(void *, struct ui_transfer *),
                        void *arg)
{
    sqlite3_stmt *stmt = begin(s, LOAD_TRANSFERS);

    while (sqlite3_step(stmt) == SQLITE_ROW) {
        struct ui_transfer *t = read_transfer(stmt);
        if (t != NULL)
            visit(arg, t);
    }
    end(s, stmt);
}

void
ui_store_remove_transfer(struct ui_store *s, const char *id)
{
    sqlite3_stmt *stmt = begin(s, REMOVE_TRANSFER);

    bind_text(stmt, 1, id);
    write_and_end(s, stmt);
}

/* ---- settings and notes ---- */

void
ui_store_get_setting(struct ui_store *s, const char *key, char *out, size_t cap)
{
    sqlite3_stmt *stmt = begin(s, GET_SETTING);

    *out = '\0';
    bind_text(stmt, 1, key);
    if (sqlite3_step(stmt) == SQLITE_ROW)
        copy_at(stmt, 0, out, cap);
    end(s, stmt);
}

void
ui_store_put_setting(struct ui_store *s, const char *key, const char *value)
{
    sqlite3_stmt *stmt = begin(s, PUT_SETTING);

    bind_text(stmt, 1, key);
    bind_text(stmt, 2, value);
    write_and_end(s, stmt);
}

void
ui_store_put_note(struct ui_store *s, const struct ui_note *note)
{
    sqlite3_stmt *stmt = begin(s, PUT_NOTE);

    bind_text(stmt, 1, note->kind);
    bind_text(stmt, 2, note->key);
    bind_text(stmt, 3, note->value);
    bind_u64(stmt, 4, note->time_s);
    write_and_end(s, stmt);
}

void
ui_store_remove_note(struct ui_store *s, const char *kind, const char *key)
{
    sqlite3_stmt *stmt = begin(s, REMOVE_NOTE);

    bind_text(stmt, 1, kind);
    bind_text(stmt, 2, key);
    write_and_end(s, stmt);
}

void
ui_store_load_notes(struct ui_store *s, const char *kind,
                    void (*visit)(void *, const struct ui_note *), void *arg)
{
    sqlite3_stmt *stmt = begin(s, LOAD_NOTES);

    bind_text(stmt, 1, kind);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        struct ui_note note = {.kind = kind,
                               .key = text_at(stmt, 0),
                               .value = text_at(stmt, 1),
                               .time_s = u64_at(stmt, 2)};
        visit(arg, &note);
    }
    end(s, stmt);
}
