#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mirror/mirror_internal.h"
#include "p2p/bytes.h"
#include "p2p/clock.h"

#define FILE_NAME "keep.db"

/* `wishes` counts what the user asked for while the keeper may have been busy. */
static const char schema[] =
    "CREATE TABLE jobs(id TEXT PRIMARY KEY, peer BLOB NOT NULL, address TEXT NOT NULL,"
    " folder TEXT NOT NULL, base TEXT NOT NULL, prefix TEXT NOT NULL,"
    " deletes INTEGER NOT NULL, once INTEGER NOT NULL, paused INTEGER NOT NULL,"
    " quota INTEGER NOT NULL, created_s INTEGER NOT NULL, wishes INTEGER NOT NULL,"
    " state INTEGER NOT NULL, error INTEGER NOT NULL, message TEXT NOT NULL,"
    " files INTEGER NOT NULL, bytes INTEGER NOT NULL, todo INTEGER NOT NULL,"
    " held_changes INTEGER NOT NULL, held_removals INTEGER NOT NULL,"
    " in_step_s INTEGER NOT NULL, checked_s INTEGER NOT NULL);";

static const char sql_list[] =
    "SELECT id, peer, address, folder, base, prefix, deletes, once, paused, quota,"
    " created_s, state, error, message, files, bytes, todo, held_changes,"
    " held_removals, in_step_s, checked_s FROM jobs ORDER BY rowid";
static const char sql_add[] =
    "INSERT INTO jobs VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, ?9, ?10, 1, 0, 0, '',"
    " 0, 0, 0, 0, 0, 0, 0)";
static const char sql_store[] =
    "UPDATE jobs SET state = ?2, error = ?3, message = ?4, files = ?5, bytes = ?6,"
    " todo = ?7, held_changes = ?8, held_removals = ?9, in_step_s = ?10,"
    " checked_s = ?11 WHERE id = ?1";

const char *
p2p_mirror_state_name(enum p2p_mirror_state state)
{
    static const char *const names[] = {
        [P2P_MIRROR_NEW] = "new",         [P2P_MIRROR_WORKING] = "working",
        [P2P_MIRROR_IN_STEP] = "in_step", [P2P_MIRROR_WAITING] = "waiting",
        [P2P_MIRROR_AWAY] = "away",       [P2P_MIRROR_FAILED] = "failed",
    };
    return (size_t)state < sizeof(names) / sizeof(names[0]) ? names[state] : "failed";
}

static enum p2p_err
open_database(const char *keys_dir, bool create, sqlite3 **db)
{
    return p2p_sqlite_open_own(keys_dir, FILE_NAME, create, schema, db);
}

static bool
take_text(sqlite3_stmt *stmt, int column, char *out, size_t cap)
{
    const char *text = (const char *)sqlite3_column_text(stmt, column);

    return text != NULL && (size_t)snprintf(out, cap, "%s", text) < cap;
}

static uint64_t
take_number(sqlite3_stmt *stmt, int column)
{
    return (uint64_t)sqlite3_column_int64(stmt, column);
}

static enum p2p_err
read_row(sqlite3_stmt *stmt, void *row)
{
    struct p2p_mirror *out = row;

    if (!take_text(stmt, 0, out->id, sizeof(out->id)) ||
        !take_text(stmt, 2, out->address, sizeof(out->address)) ||
        !take_text(stmt, 3, out->folder, sizeof(out->folder)) ||
        !take_text(stmt, 4, out->base, sizeof(out->base)) ||
        !take_text(stmt, 5, out->prefix, sizeof(out->prefix)) ||
        !take_text(stmt, 13, out->message, sizeof(out->message)))
        return P2P_ERR_CORRUPT;
    out->deletes = sqlite3_column_int(stmt, 6) != 0;
    out->once = sqlite3_column_int(stmt, 7) != 0;
    out->is_paused = sqlite3_column_int(stmt, 8) != 0;
    out->quota = take_number(stmt, 9);
    out->created_s = take_number(stmt, 10);
    out->state = (enum p2p_mirror_state)sqlite3_column_int(stmt, 11);
    out->error = (enum p2p_err)sqlite3_column_int(stmt, 12);
    out->files = take_number(stmt, 14);
    out->bytes = take_number(stmt, 15);
    out->todo = take_number(stmt, 16);
    out->held_changes = take_number(stmt, 17);
    out->held_removals = take_number(stmt, 18);
    out->in_step_s = take_number(stmt, 19);
    out->checked_s = take_number(stmt, 20);
    return p2p_sqlite_get_blob(stmt, 1, out->peer.b, sizeof(out->peer.b));
}

static enum p2p_err
list(sqlite3 *db, struct p2p_mirror **out, size_t *count)
{
    void *rows;
    enum p2p_err err = p2p_sqlite_list(db, sql_list, sizeof(**out), P2P_MIRRORS_MAX,
                                       read_row, &rows, count);

    *out = rows;
    return err;
}

enum p2p_err
p2p_mirrors_list(const char *keys_dir, struct p2p_mirror **out, size_t *count)
{
    sqlite3 *db = NULL;
    enum p2p_err err = open_database(keys_dir, false, &db);

    *out = NULL;
    *count = 0;
    if (err == P2P_OK)
        err = list(db, out, count);
    p2p_sqlite_close(db);
    return err == P2P_ERR_NOT_FOUND ? P2P_OK : err;
}

enum p2p_err
p2p_mirrors_find(const char *keys_dir, const char *id, struct p2p_mirror *out)
{
    struct p2p_mirror *all;
    size_t count;
    enum p2p_err err = p2p_mirrors_list(keys_dir, &all, &count);

    if (err != P2P_OK)
        return err;
    err = P2P_ERR_NOT_FOUND;
    for (size_t i = 0; i < count && err != P2P_OK; i++)
        if (strcmp(all[i].id, id) == 0) {
            *out = all[i];
            err = P2P_OK;
        }
    free(all);
    return err;
}

/* ---- Adding ---- */

static void
whole_target(const struct p2p_mirror *job, char out[PATH_MAX + P2P_NAME_MAX + 2])
{
    snprintf(out, PATH_MAX + P2P_NAME_MAX + 2, "%s%s%s", job->base,
             job->prefix[0] != '\0' ? "/" : "", job->prefix);
}

static bool
is_within(const char *outer, const char *inner)
{
    size_t len = strlen(outer);

    return strncmp(outer, inner, len) == 0 &&
           (inner[len] == '/' || inner[len] == '\0' ||
            (len > 0 && outer[len - 1] == '/'));
}

/* Two mirrors that write into one folder would undo each other's work. */
static bool
is_taken(const struct p2p_mirror *all, size_t count, const struct p2p_mirror *job)
{
    char target[PATH_MAX + P2P_NAME_MAX + 2], other[PATH_MAX + P2P_NAME_MAX + 2];

    whole_target(job, target);
    for (size_t i = 0; i < count; i++) {
        whole_target(&all[i], other);
        if (is_within(target, other) || is_within(other, target))
            return true;
    }
    return false;
}

static enum p2p_err
insert(sqlite3 *db, const struct p2p_mirror *job)
{
    sqlite3_stmt *stmt = NULL;
    enum p2p_err err = p2p_sqlite_prepare(db, sql_add, &stmt);

    if (err == P2P_OK) {
        p2p_sqlite_bind_text(stmt, 1, job->id);
        sqlite3_bind_blob(stmt, 2, job->peer.b, sizeof(job->peer.b), SQLITE_STATIC);
        p2p_sqlite_bind_text(stmt, 3, job->address);
        p2p_sqlite_bind_text(stmt, 4, job->folder);
        p2p_sqlite_bind_text(stmt, 5, job->base);
        p2p_sqlite_bind_text(stmt, 6, job->prefix);
        sqlite3_bind_int(stmt, 7, job->deletes);
        sqlite3_bind_int(stmt, 8, job->once);
        sqlite3_bind_int64(stmt, 9, (int64_t)job->quota);
        sqlite3_bind_int64(stmt, 10, (int64_t)job->created_s);
        err = p2p_sqlite_done(stmt);
    }
    sqlite3_finalize(stmt);
    return err;
}

static enum p2p_err
make_folder(const struct p2p_mirror *job)
{
    struct p2p_root *root = NULL;
    struct p2p_applied *applied = NULL;
    enum p2p_err err = p2p_root_open(job->base, true, 0755, &root);

    if (err == P2P_OK && job->prefix[0] != '\0')
        err = p2p_root_make_folder(root, job->prefix);
    if (err == P2P_OK)
        err = p2p_applied_open(root, job->id, true, &applied);
    p2p_applied_close(applied);
    p2p_root_close(root);
    return err;
}

enum p2p_err
p2p_mirrors_add(const char *keys_dir, struct p2p_mirror *job)
{
    uint8_t random[P2P_MIRROR_ID_LEN / 2];
    struct p2p_mirror *all = NULL;
    size_t count = 0;
    sqlite3 *db = NULL;
    enum p2p_err err = open_database(keys_dir, true, &db);

    if (err == P2P_OK)
        err = p2p_sqlite_run(db, "BEGIN IMMEDIATE");
    if (err == P2P_OK)
        err = list(db, &all, &count);
    if (err == P2P_OK && count == P2P_MIRRORS_MAX)
        err = P2P_ERR_TOO_LARGE;
    if (err == P2P_OK && is_taken(all, count, job))
        err = P2P_ERR_EXISTS;
    if (err == P2P_OK && (err = p2p_random(random, sizeof(random))) == P2P_OK) {
        p2p_hex_format(random, sizeof(random), job->id);
        job->created_s = p2p_time_s();
        err = make_folder(job);
    }
    if (err == P2P_OK)
        err = insert(db, job);
    if (err == P2P_OK)
        err = p2p_sqlite_run(db, "COMMIT");
    free(all);
    p2p_sqlite_close(db); /* rolls back what was not committed */
    return err;
}

/* ---- Changing ---- */

/* Runs SQL with the id of a job and a number. */
static enum p2p_err
change(const char *keys_dir, const char *sql, const char *id, int number)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    enum p2p_err err = open_database(keys_dir, false, &db);

    if (err == P2P_OK)
        err = p2p_sqlite_prepare(db, sql, &stmt);
    if (err == P2P_OK) {
        p2p_sqlite_bind_text(stmt, 1, id);
        if (sqlite3_bind_parameter_count(stmt) > 1)
            sqlite3_bind_int(stmt, 2, number);
        err = p2p_sqlite_done(stmt);
    }
    if (err == P2P_OK && sqlite3_changes(db) == 0)
        err = P2P_ERR_NOT_FOUND;
    sqlite3_finalize(stmt);
    p2p_sqlite_close(db);
    return err;
}

enum p2p_err
p2p_mirrors_remove(const char *keys_dir, const char *id)
{
    return change(keys_dir, "DELETE FROM jobs WHERE id = ?1", id, 0);
}

enum p2p_err
p2p_mirrors_pause(const char *keys_dir, const char *id, bool is_paused)
{
    return change(keys_dir,
                  "UPDATE jobs SET paused = ?2, wishes = wishes + 1 WHERE id = ?1", id,
                  is_paused);
}

enum p2p_err
p2p_mirrors_check(const char *keys_dir, const char *id)
{
    return change(keys_dir, "UPDATE jobs SET wishes = wishes + 1 WHERE id = ?1", id, 0);
}

/* The record of a job in its folder. */
static enum p2p_err
open_record(const struct p2p_mirror *job, struct p2p_root **root,
            struct p2p_applied **applied)
{
    enum p2p_err err = p2p_root_open(job->base, false, 0755, root);

    return err == P2P_OK ? p2p_applied_open(*root, job->id, false, applied) : err;
}

enum p2p_err
p2p_mirror_held(const struct p2p_mirror *job, size_t max, p2p_mirror_visit_held *visit,
                void *arg)
{
    struct p2p_root *root = NULL;
    struct p2p_applied *applied = NULL;
    enum p2p_err err = open_record(job, &root, &applied);

    if (err == P2P_OK)
        err = p2p_applied_held(applied, max, visit, arg);
    p2p_applied_close(applied);
    p2p_root_close(root);
    return err;
}

enum p2p_err
p2p_mirrors_accept(const char *keys_dir, const char *id)
{
    struct p2p_mirror job;
    struct p2p_root *root = NULL;
    struct p2p_applied *applied = NULL;
    enum p2p_err err = p2p_mirrors_find(keys_dir, id, &job);

    if (err == P2P_OK)
        err = open_record(&job, &root, &applied);
    if (err == P2P_OK)
        err = p2p_applied_accept(applied);
    p2p_applied_close(applied);
    p2p_root_close(root);
    return err == P2P_OK ? p2p_mirrors_check(keys_dir, id) : err;
}

enum p2p_err
p2p_mirrors_store(const char *keys_dir, const struct p2p_mirror *job)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    enum p2p_err err = open_database(keys_dir, false, &db);
    const uint64_t numbers[] = {job->files,        job->bytes,         job->todo,
                                job->held_changes, job->held_removals, job->in_step_s,
                                job->checked_s};

    if (err == P2P_OK)
        err = p2p_sqlite_prepare(db, sql_store, &stmt);
    if (err == P2P_OK) {
        p2p_sqlite_bind_text(stmt, 1, job->id);
        sqlite3_bind_int(stmt, 2, (int)job->state);
        sqlite3_bind_int(stmt, 3, (int)job->error);
        p2p_sqlite_bind_text(stmt, 4, job->message);
        for (int i = 0; i < 7; i++)
            sqlite3_bind_int64(stmt, 5 + i, (int64_t)numbers[i]);
        err = p2p_sqlite_done(stmt);
    }
    sqlite3_finalize(stmt);
    p2p_sqlite_close(db);
    return err;
}

uint64_t
p2p_mirrors_wishes(const char *keys_dir, const char *id, bool *is_paused)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    uint64_t wishes = 0;
    bool row = false;
    enum p2p_err err = open_database(keys_dir, false, &db);

    *is_paused = false;
    if (err == P2P_OK)
        err = p2p_sqlite_prepare(db, "SELECT wishes, paused FROM jobs WHERE id = ?1",
                                 &stmt);
    if (err == P2P_OK) {
        p2p_sqlite_bind_text(stmt, 1, id);
        err = p2p_sqlite_next(stmt, &row);
    }
    if (err == P2P_OK && row) {
        wishes = take_number(stmt, 0);
        *is_paused = sqlite3_column_int(stmt, 1) != 0;
    }
    sqlite3_finalize(stmt);
    p2p_sqlite_close(db);
    return wishes;
}
