#include "p2p/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "p2p/io.h"

#define BUSY_TIMEOUT_MS 5000

enum p2p_err
p2p_sqlite_error(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return P2P_OK;
    case SQLITE_NOMEM:
        return P2P_ERR_NOMEM;
    case SQLITE_FULL:
        return P2P_ERR_DISK_FULL;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
        return P2P_ERR_PERMISSION;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return P2P_ERR_BUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR: /* a table or column that is not there */
        return P2P_ERR_CORRUPT;
    case SQLITE_TOOBIG:
        return P2P_ERR_TOO_LARGE;
    default:
        return P2P_ERR_SYS;
    }
}

/* The same, with reasons that SQLite does not distinguish. */
static enum p2p_err
error_in(sqlite3 *db, int rc)
{
    enum p2p_err err = P2P_OK;

    if ((rc & 0xff) == SQLITE_IOERR)
        err = p2p_err_from_errno(sqlite3_system_errno(db));
    return p2p_err_is_space(err) || err == P2P_ERR_READ_ONLY ? err
                                                             : p2p_sqlite_error(rc);
}

enum p2p_err
p2p_sqlite_run(sqlite3 *db, const char *sql)
{
    return error_in(db, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

enum p2p_err
p2p_sqlite_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **stmt)
{
    return p2p_sqlite_error(
        sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, stmt, NULL));
}

enum p2p_err
p2p_sqlite_done(sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);

    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    return rc == SQLITE_ROW ? P2P_ERR_CORRUPT : error_in(sqlite3_db_handle(stmt), rc);
}

enum p2p_err
p2p_sqlite_next(sqlite3_stmt *stmt, bool *row)
{
    int rc = sqlite3_step(stmt);

    *row = rc == SQLITE_ROW;
    if (*row)
        return P2P_OK;
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    return error_in(sqlite3_db_handle(stmt), rc);
}

enum p2p_err
p2p_sqlite_open_own(const char *directory, const char *name, bool create,
                    const char *schema, sqlite3 **db)
{
    char path[PATH_MAX];
    const struct p2p_sqlite_options options = {
        .path = path, .schema = schema, .version = 1, .is_rare = true};
    int fd;

    *db = NULL;
    if (snprintf(path, sizeof(path), "%s/%s", directory, name) >= (int)sizeof(path))
        return P2P_ERR_NAME;
    fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT : 0), 0600);
    if (fd < 0)
        return p2p_err_from_errno(errno);
    close(fd);
    return p2p_sqlite_open(&options, db);
}

enum p2p_err
p2p_sqlite_list(sqlite3 *db, const char *sql, size_t size, size_t max,
                p2p_sqlite_read *read, void **rows, size_t *count)
{
    sqlite3_stmt *stmt = NULL;
    char *all = calloc(max, size);
    bool row = true;
    enum p2p_err err = all == NULL ? P2P_ERR_NOMEM : p2p_sqlite_prepare(db, sql, &stmt);

    *count = 0;
    while (err == P2P_OK && (err = p2p_sqlite_next(stmt, &row)) == P2P_OK && row)
        err = *count == max ? P2P_ERR_TOO_LARGE : read(stmt, all + size * (*count)++);
    sqlite3_finalize(stmt);
    if (err != P2P_OK) {
        free(all);
        all = NULL;
        *count = 0;
    }
    *rows = all;
    return err;
}

void
p2p_sqlite_bind_text(sqlite3_stmt *stmt, int place, const char *text)
{
    sqlite3_bind_text(stmt, place, text, -1, SQLITE_TRANSIENT);
}

enum p2p_err
p2p_sqlite_get_blob(sqlite3_stmt *stmt, int column, void *out, size_t len)
{
    const void *blob = sqlite3_column_blob(stmt, column);

    memset(out, 0, len);
    if (!blob || (size_t)sqlite3_column_bytes(stmt, column) != len)
        return P2P_ERR_CORRUPT;
    memcpy(out, blob, len);
    return P2P_OK;
}

static enum p2p_err
get_version(sqlite3 *db, int *version)
{
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    enum p2p_err err = p2p_sqlite_prepare(db, "PRAGMA user_version", &stmt);

    *version = 0;
    if (!err)
        err = p2p_sqlite_next(stmt, &row);
    if (!err && row)
        *version = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    return err;
}

/* Runs under the write lock: if two programs find the database empty, only one creates
 * the tables. */
static enum p2p_err
make_tables(sqlite3 *db, const struct p2p_sqlite_options *opt)
{
    char pragma[64];
    int version;
    enum p2p_err err = p2p_sqlite_run(db, "BEGIN IMMEDIATE");

    if (err)
        return err;
    snprintf(pragma, sizeof(pragma), "PRAGMA user_version = %d", opt->version);
    err = get_version(db, &version);
    if (!err && version == 0) {
        err = p2p_sqlite_run(db, opt->schema);
        if (!err)
            err = p2p_sqlite_run(db, pragma);
    }
    if (!err)
        return p2p_sqlite_run(db, "COMMIT");
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return err;
}

/*
 * True if the file system stores each change of a file in a new place. It needs space
 * for that even if the file does not grow. WAL changes a file through mapped memory,
 * and a full disk or quota then ends the process with SIGBUS.
 */
static bool
copies_on_write(const char *path)
{
    static const uint32_t kinds[] = {
        0x9123683e, /* btrfs */
        0xca451a4e, /* bcachefs */
        0x2fc12fc1, /* ZFS */
        0x3434,     /* NILFS2 */
    };
    struct statfs fs = {.f_type = 0};
    int fd = open(path, O_PATH | O_CLOEXEC); /* keeps the locks of SQLite */
    bool is_known = fd >= 0 && fstatfs(fd, &fs) == 0;

    p2p_fd_close(&fd);
    for (size_t i = 0; is_known && i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if ((uint32_t)fs.f_type == kinds[i])
            return true;
    return false;
}

enum p2p_err
p2p_sqlite_choose_journal(sqlite3 *db, const char *path)
{
    enum p2p_err err;

    if (!copies_on_write(path))
        return p2p_sqlite_run(db, "PRAGMA journal_mode = WAL");
    err = p2p_sqlite_run(db, "PRAGMA journal_mode = TRUNCATE");
    return err == P2P_ERR_BUSY ? P2P_OK : err;
}

static enum p2p_err
set_up(sqlite3 *db, const struct p2p_sqlite_options *opt)
{
    int version;
    enum p2p_err err;

    sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
    sqlite3_extended_result_codes(db, 1);
    err = p2p_sqlite_run(db, "PRAGMA trusted_schema = OFF");
    if (!err && !opt->is_rare)
        err = p2p_sqlite_choose_journal(db, opt->path);
    if (!err)
        err = p2p_sqlite_run(db, opt->is_rare ? "PRAGMA synchronous = FULL"
                                              : "PRAGMA synchronous = NORMAL");
    if (!err)
        err = get_version(db, &version);
    if (!err && version == 0)
        err = make_tables(db, opt);
    if (!err)
        err = get_version(db, &version);
    if (!err && version != opt->version)
        err = P2P_ERR_UNSUPPORTED;
    return err;
}

enum p2p_err
p2p_sqlite_open(const struct p2p_sqlite_options *opt, sqlite3 **db)
{
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                      SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_PRIVATECACHE;
    sqlite3 *opened = NULL;
    enum p2p_err err =
        p2p_sqlite_error(sqlite3_open_v2(opt->path, &opened, flags, NULL));

    *db = NULL;
    if (!err)
        err = set_up(opened, opt);
    if (err) {
        p2p_sqlite_close(opened);
        return err;
    }
    *db = opened;
    return P2P_OK;
}

void
p2p_sqlite_close(sqlite3 *db)
{
    sqlite3_close_v2(db);
}
