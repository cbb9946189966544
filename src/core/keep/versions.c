/* The database of versions: opening, and transactions. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/disk/beneath.h"
#include "core/keep/versions_internal.h"
#include "p2p/clock.h"
#include "p2p/io.h"
#include "p2p/log.h"

#define FILE_NAME     "versions.db"
#define DAMAGED       VERSIONS_DAMAGED
#define RESTORE_END   ".restore" /* of a content that is being copied */
#define RESTORE_AGE_S (24 * 3600)

/* The triggers keep the totals, so that reading them costs nothing. */
static const char schema[] =
    "CREATE TABLE versions(name TEXT NOT NULL, version INTEGER NOT NULL,"
    " until_k INTEGER NOT NULL, since_s INTEGER NOT NULL, until_s INTEGER NOT NULL,"
    " end INTEGER NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,"
    " root BLOB NOT NULL, sha256 BLOB, renamed_to TEXT,"
    " PRIMARY KEY(name, version)) WITHOUT ROWID;"
    "CREATE INDEX versions_by_age ON versions(until_k);"
    "CREATE INDEX versions_deleted ON versions(until_s) WHERE end = 2;"
    "CREATE INDEX versions_by_root ON versions(root);"
    "CREATE TABLE objects(root BLOB PRIMARY KEY, size INTEGER NOT NULL,"
    " disk INTEGER NOT NULL, chunk_size INTEGER NOT NULL, hashes BLOB,"
    " is_base INTEGER NOT NULL, checked_k INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE state(id INTEGER PRIMARY KEY CHECK (id = 1),"
    " clock_k INTEGER NOT NULL, boot BLOB, boot_s INTEGER NOT NULL,"
    " rows INTEGER NOT NULL, objects INTEGER NOT NULL, disk INTEGER NOT NULL,"
    " base_disk INTEGER NOT NULL);"
    "CREATE TABLE settings(key TEXT PRIMARY KEY, value TEXT NOT NULL);"
    "INSERT INTO state VALUES(1, 0, NULL, 0, 0, 0, 0, 0);"
    "CREATE TRIGGER row_in AFTER INSERT ON versions BEGIN"
    " UPDATE state SET rows = rows + 1; END;"
    "CREATE TRIGGER row_out AFTER DELETE ON versions BEGIN"
    " UPDATE state SET rows = rows - 1; END;"
    "CREATE TRIGGER object_in AFTER INSERT ON objects BEGIN"
    " UPDATE state SET objects = objects + 1, disk = disk + NEW.disk; END;"
    "CREATE TRIGGER object_out AFTER DELETE ON objects BEGIN"
    " UPDATE state SET objects = objects - 1, disk = disk - OLD.disk; END;";

/* Newer than the first database of this version. `numbers` has the largest number of a
 * name whose newest row was removed. */
static const char additions[] =
    "CREATE TABLE IF NOT EXISTS bases(name TEXT PRIMARY KEY, root BLOB NOT NULL,"
    " size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, last INTEGER NOT NULL)"
    " WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS bases_by_root ON bases(root);"
    "CREATE TRIGGER IF NOT EXISTS object_change AFTER UPDATE OF disk ON objects BEGIN"
    " UPDATE state SET disk = disk + NEW.disk - OLD.disk; END;"
    "CREATE INDEX IF NOT EXISTS objects_base ON objects(disk) WHERE is_base = 1;"
    "CREATE TABLE IF NOT EXISTS numbers(name TEXT PRIMARY KEY, last INTEGER NOT NULL)"
    " WITHOUT ROWID;"
    "CREATE TRIGGER IF NOT EXISTS row_was_last BEFORE DELETE ON versions WHEN NOT "
    "EXISTS"
    " (SELECT 1 FROM versions v WHERE v.name = OLD.name AND v.version > OLD.version)"
    " BEGIN INSERT OR REPLACE INTO numbers SELECT OLD.name, MAX(OLD.version, IFNULL("
    " (SELECT last FROM numbers WHERE name = OLD.name), 0)); END;";

static enum p2p_err
open_database(const struct p2p_root *root, sqlite3 **db)
{
    char path[PATH_MAX];
    struct p2p_sqlite_options opt = {.path = path, .schema = schema, .version = 1};
    enum p2p_err err = p2p_root_private_path(root, FILE_NAME, path, sizeof(path));

    if (err == P2P_OK)
        err = p2p_sqlite_open(&opt, db);
    if (err == P2P_OK)
        err = p2p_sqlite_run(*db, "PRAGMA synchronous = FULL");
    if (err == P2P_OK)
        err = p2p_sqlite_run(*db, additions);
    if (err == P2P_OK)
        (void)chmod(path, 0600);
    return err;
}

/* The contents stay where they are. */
static void
put_aside(const struct p2p_root *root)
{
    p2p_log_error("the list of versions is damaged and becomes %s; a new one begins",
                  DAMAGED);
    (void)!p2p_root_unlink_private(root, DAMAGED);
    (void)!p2p_root_move_private(root, FILE_NAME, DAMAGED);
    (void)!p2p_root_unlink_private(root, FILE_NAME "-wal");
    (void)!p2p_root_unlink_private(root, FILE_NAME "-shm");
}

static enum p2p_err
open_directory(const struct p2p_root *root, int *dir)
{
    int at = -1;
    enum p2p_err err = p2p_path_private_dir(root, &at);

    if (err != P2P_OK)
        return err;
    if (mkdirat(at, "versions", 0700) != 0 && errno != EEXIST)
        err = p2p_err_from_errno(errno);
    else if ((*dir = p2p_path_open_beneath(at, "versions", O_RDONLY | O_DIRECTORY, 0)) <
             0)
        err = p2p_err_from_errno(errno);
    close(at);
    return err;
}

enum p2p_err
p2p_versions_open(const struct p2p_root *root, struct p2p_versions **out)
{
    struct p2p_versions *v = calloc(1, sizeof(*v));
    enum p2p_err err;

    *out = NULL;
    if (v == NULL)
        return P2P_ERR_NOMEM;
    p2p_mutex_init(&v->lock);
    v->root = root;
    v->dir = -1;
    err = open_database(root, &v->db);
    if (err == P2P_ERR_CORRUPT) {
        put_aside(root);
        err = open_database(root, &v->db);
    }
    if (err == P2P_OK)
        err = open_directory(root, &v->dir);
    if (err != P2P_OK) {
        p2p_versions_close(v);
        return err;
    }
    p2p_root_sweep_private(root, RESTORE_END, (time_t)(p2p_time_s() - RESTORE_AGE_S));
    *out = v;
    return P2P_OK;
}

enum p2p_err
p2p_versions_open_existing(const struct p2p_root *root, struct p2p_versions **out)
{
    struct stat st;

    *out = NULL;
    if (fstatat(p2p_root_fd(root), ".p2p/versions", &st, AT_SYMLINK_NOFOLLOW) != 0)
        return P2P_ERR_NOT_FOUND;
    return p2p_versions_open(root, out);
}

void
p2p_versions_cancel(struct p2p_versions *v)
{
    v->is_cancelled = true;
}

bool
p2p_versions_is_cancelled(void *versions)
{
    const struct p2p_versions *v = versions;

    return v->is_cancelled;
}

void
p2p_versions_close(struct p2p_versions *v)
{
    if (v == NULL)
        return;
    p2p_mutex_unshared(&v->lock);
    p2p_sqlite_close(v->db);
    p2p_fd_close(&v->dir);
    p2p_mutex_clear(&v->lock);
    free(v);
}

enum p2p_err
p2p_versions_begin(struct p2p_versions *v)
{
    return p2p_sqlite_run(v->db, "BEGIN IMMEDIATE");
}

enum p2p_err
p2p_versions_end(struct p2p_versions *v, enum p2p_err err)
{
    if (err == P2P_OK)
        err = p2p_sqlite_run(v->db, "COMMIT");
    if (err != P2P_OK)
        sqlite3_exec(v->db, "ROLLBACK", NULL, NULL, NULL);
    return err;
}

enum p2p_err
p2p_versions_number(struct p2p_versions *v, const char *sql, int64_t missing,
                    int64_t *out)
{
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    enum p2p_err err = p2p_sqlite_prepare(v->db, sql, &stmt);

    *out = missing;
    if (err == P2P_OK)
        err = p2p_sqlite_next(stmt, &row);
    if (err == P2P_OK && row && sqlite3_column_type(stmt, 0) != SQLITE_NULL)
        *out = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return err;
}
