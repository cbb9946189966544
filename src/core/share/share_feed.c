#include "core/share/feed.h"

#include <string.h>
#include <time.h>

#include "core/journal/journal_file.h"
#include "p2p/crypto.h"
#include "p2p/sqlite.h"

#define DAY_S        (24 * 3600)
#define KEPT_DAYS    90
#define REMOVED_MAX  1000000 /* deletions that are remembered */
#define AFTER_A_BOOT 1000000

/* `epoch` is the one that this program has written last: an older program that owned
 * the index since then has written another one, and does not keep the list. `clock_s`
 * counts the seconds that the machine ran; see versions_clock.c. */
static const char schema[] =
    "CREATE TABLE IF NOT EXISTS feed(id INTEGER PRIMARY KEY CHECK (id = 1),"
    " log INTEGER NOT NULL, last INTEGER NOT NULL, cut INTEGER NOT NULL,"
    " epoch INTEGER NOT NULL, clock_s INTEGER NOT NULL, boot BLOB NOT NULL,"
    " boot_s INTEGER NOT NULL);"
    /* The number of the last change when this day of the clock began. */
    "CREATE TABLE IF NOT EXISTS feed_days(day INTEGER PRIMARY KEY,"
    " last INTEGER NOT NULL);";

struct row {
    uint32_t log;
    int64_t last, cut, epoch, clock_s, boot_s;
    struct p2p_boot_id boot;
};

/* ---- The row ---- */

static int64_t
running_s(void)
{
    struct timespec now;

    return clock_gettime(CLOCK_BOOTTIME, &now) == 0 ? (int64_t)now.tv_sec : 0;
}

/* One number; 0 if there is none. */
static enum p2p_err
number(sqlite3 *db, const char *sql, int64_t argument, int64_t *out)
{
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    enum p2p_err err = p2p_sqlite_prepare(db, sql, &stmt);

    *out = 0;
    if (err == P2P_OK && sqlite3_bind_parameter_count(stmt) > 0)
        sqlite3_bind_int64(stmt, 1, argument);
    if (err == P2P_OK)
        err = p2p_sqlite_next(stmt, &row);
    if (err == P2P_OK && row)
        *out = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return err;
}

/* Zeros if there is none yet. */
static enum p2p_err
load(sqlite3 *db, struct row *out)
{
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    enum p2p_err err = p2p_sqlite_prepare(
        db, "SELECT log, last, cut, epoch, clock_s, boot_s, boot FROM feed", &stmt);

    memset(out, 0, sizeof(*out));
    if (err == P2P_OK)
        err = p2p_sqlite_next(stmt, &row);
    if (err == P2P_OK && row) {
        out->log = (uint32_t)sqlite3_column_int64(stmt, 0);
        out->last = sqlite3_column_int64(stmt, 1);
        out->cut = sqlite3_column_int64(stmt, 2);
        out->epoch = sqlite3_column_int64(stmt, 3);
        out->clock_s = sqlite3_column_int64(stmt, 4);
        out->boot_s = sqlite3_column_int64(stmt, 5);
        if (sqlite3_column_bytes(stmt, 6) == (int)sizeof(out->boot.b))
            memcpy(out->boot.b, sqlite3_column_blob(stmt, 6), sizeof(out->boot.b));
    }
    sqlite3_finalize(stmt);
    return err;
}

static enum p2p_err
store(sqlite3 *db, const struct row *row)
{
    sqlite3_stmt *stmt = NULL;
    enum p2p_err err = p2p_sqlite_prepare(
        db, "INSERT OR REPLACE INTO feed VALUES(1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)", &stmt);

    if (err == P2P_OK) {
        sqlite3_bind_int64(stmt, 1, row->log);
        sqlite3_bind_int64(stmt, 2, row->last);
        sqlite3_bind_int64(stmt, 3, row->cut);
        sqlite3_bind_int64(stmt, 4, row->epoch);
        sqlite3_bind_int64(stmt, 5, row->clock_s);
        sqlite3_bind_blob(stmt, 6, row->boot.b, sizeof(row->boot.b), SQLITE_STATIC);
        sqlite3_bind_int64(stmt, 7, row->boot_s);
        err = p2p_sqlite_done(stmt);
    }
    sqlite3_finalize(stmt);
    return err;
}

/* Moves the clock; false: the machine has started again since it was stored, or nobody
 * can say. */
static bool
move_clock(struct row *row)
{
    int64_t now_s = running_s();
    bool is_same = p2p_boot_id_is_current(&row->boot);

    if (is_same && now_s > row->boot_s)
        row->clock_s += now_s - row->boot_s;
    row->boot_s = now_s;
    p2p_boot_id_get(&row->boot);
    return is_same;
}

/* ---- Beginning ---- */

enum p2p_err
p2p_feed_prepare(sqlite3 *db)
{
    return p2p_sqlite_run(db, schema);
}

static enum p2p_err
start_anew(sqlite3 *db, int64_t newest, struct row *row)
{
    enum p2p_err err = P2P_OK;

    row->log = 0;
    while (row->log == 0 && err == P2P_OK)
        err = p2p_random(&row->log, sizeof(row->log));
    row->last = row->cut = newest;
    return err == P2P_OK ? p2p_sqlite_run(db, "DELETE FROM feed_days") : err;
}

/* Forgets the deletions up to this change. */
static enum p2p_err
forget(sqlite3 *db, int64_t change, struct row *row)
{
    sqlite3_stmt *stmt = NULL;
    enum p2p_err err = P2P_OK;

    if (change <= 0)
        return P2P_OK;
    err = p2p_sqlite_prepare(
        db, "DELETE FROM files WHERE root IS NULL AND change <= ?1", &stmt);
    if (err == P2P_OK) {
        sqlite3_bind_int64(stmt, 1, change);
        err = p2p_sqlite_done(stmt);
    }
    if (err == P2P_OK && sqlite3_changes(db) > 0 && change > row->cut)
        row->cut = change;
    sqlite3_finalize(stmt);
    return err;
}

static enum p2p_err
forget_old(sqlite3 *db, struct row *row)
{
    int64_t day = row->clock_s / DAY_S - KEPT_DAYS, old, many;
    enum p2p_err err =
        number(db, "SELECT max(last) FROM feed_days WHERE day <= ?1", day, &old);

    if (err == P2P_OK)
        err = number(db,
                     "SELECT change FROM files WHERE root IS NULL"
                     " ORDER BY change DESC LIMIT 1 OFFSET ?1",
                     REMOVED_MAX, &many);
    if (err == P2P_OK)
        err = forget(db, old > many ? old : many, row);
    return err;
}

enum p2p_err
p2p_feed_begin(sqlite3 *db, int64_t epoch, int64_t *last)
{
    struct row row;
    int64_t newest, written;
    enum p2p_err err = load(db, &row);

    if (err == P2P_OK)
        err = number(db, "SELECT max(change) FROM files", 0, &newest);
    if (err == P2P_OK)
        err = number(db, "SELECT epoch FROM status", 0, &written);
    if (err != P2P_OK)
        return err;
    bool is_same_boot = move_clock(&row);
    if (row.log == 0 || row.epoch != written || newest > row.last)
        err = start_anew(db, newest, &row);
    else if (!is_same_boot)
        /* A power cut may have undone the last commits, but others know their numbers:
         * what is found again gets larger ones. */
        row.last += AFTER_A_BOOT;
    row.epoch = epoch;
    if (err == P2P_OK)
        err = forget_old(db, &row);
    if (err == P2P_OK)
        err = store(db, &row);
    *last = row.last;
    return err;
}

enum p2p_err
p2p_feed_note(sqlite3 *db, int64_t last)
{
    struct row row;
    sqlite3_stmt *stmt = NULL;
    enum p2p_err err = load(db, &row);

    if (err != P2P_OK)
        return err;
    (void)move_clock(&row);
    err =
        p2p_sqlite_prepare(db, "INSERT OR IGNORE INTO feed_days VALUES(?1, ?2)", &stmt);
    if (err == P2P_OK) {
        sqlite3_bind_int64(stmt, 1, row.clock_s / DAY_S);
        sqlite3_bind_int64(stmt, 2, row.last);
        err = p2p_sqlite_done(stmt);
    }
    sqlite3_finalize(stmt);
    row.last = last;
    return err == P2P_OK ? store(db, &row) : err;
}

/* ---- Reading ---- */

static enum p2p_share_change_kind
kind_of(sqlite3_stmt *stmt)
{
    if (sqlite3_column_int(stmt, 2) != 0)
        return P2P_SHARE_CHANGE_GONE;
    return sqlite3_column_int(stmt, 3) != 0 ? P2P_SHARE_CHANGE_AWAY
                                            : P2P_SHARE_CHANGE_HERE;
}

static enum p2p_err
visit_rows(sqlite3 *db, uint64_t after, size_t max, p2p_share_visit_change *visit,
           void *arg, struct p2p_share_feed *feed)
{
    sqlite3_stmt *stmt = NULL;
    bool row = true;
    size_t looked = 0;
    enum p2p_err err = p2p_sqlite_prepare(
        db,
        "SELECT f.name, change, root IS NULL, m.name IS NOT NULL FROM files f"
        " LEFT JOIN missing m ON m.name = f.name WHERE change > ?1 ORDER BY change",
        &stmt);

    if (err == P2P_OK)
        sqlite3_bind_int64(stmt, 1, (int64_t)after);
    while (err == P2P_OK && (err = p2p_sqlite_next(stmt, &row)) == P2P_OK && row) {
        const char *name = (const char *)sqlite3_column_text(stmt, 0);
        uint64_t change = (uint64_t)sqlite3_column_int64(stmt, 1);
        feed->is_whole =
            looked++ < max && (name == NULL || visit(arg, change, name, kind_of(stmt)));
        if (!feed->is_whole)
            break;
        feed->seen = change;
    }
    sqlite3_finalize(stmt);
    return err;
}

enum p2p_err
p2p_feed_read(sqlite3 *db, uint64_t after, size_t max, p2p_share_visit_change *visit,
              void *arg, struct p2p_share_feed *out)
{
    struct row row;
    int64_t written;
    enum p2p_err err = load(db, &row);

    memset(out, 0, sizeof(*out));
    if (err == P2P_OK)
        err = number(db, "SELECT epoch FROM status", 0, &written);
    if (err != P2P_OK)
        return err;
    /* The owner is an older program, which keeps no list. */
    if (row.log == 0 || row.epoch != written)
        return P2P_OK;
    out->log = row.log;
    out->last = (uint64_t)row.last;
    out->cut = (uint64_t)row.cut;
    out->seen = after;
    out->is_whole = true;
    if (visit == NULL || after >= out->last)
        return P2P_OK;
    return visit_rows(db, after, max, visit, arg, out);
}
