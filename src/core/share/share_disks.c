/* The disks beneath the shared folder: a short list, which the index stores. */
#include "core/share/disks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/share/mounts.h"
#include "p2p/sqlite.h"

static const char schema[] = "CREATE TABLE IF NOT EXISTS disks(place TEXT PRIMARY KEY,"
                             " is_mounted INTEGER NOT NULL, files INTEGER NOT NULL)";
static const char insert[] = "INSERT OR REPLACE INTO disks VALUES(?1, ?2, ?3)";
static const char load[] = "SELECT place, is_mounted, files FROM disks";
static const char absent[] = "SELECT place, files FROM disks WHERE files > 0"
                             " ORDER BY place";

#define NEVER (-1) /* no missing file was seen before */

/* Bits of `is_mounted` in the index. */
#define MOUNTED 1
#define CLOSED  2

void
p2p_disks_clear(struct p2p_disks *disks)
{
    for (size_t i = 0; i < disks->count; i++)
        free(disks->list[i].place);
    memset(disks, 0, sizeof(*disks));
}

static struct p2p_disk *
find(struct p2p_disks *disks, const char *place)
{
    for (size_t i = 0; i < disks->count; i++)
        if (strcmp(disks->list[i].place, place) == 0)
            return &disks->list[i];
    return NULL;
}

static struct p2p_disk *
add(struct p2p_disks *disks, const char *place)
{
    char *copy = disks->count < P2P_DISKS_MAX ? strdup(place) : NULL;

    if (!copy)
        return NULL;
    disks->list[disks->count] = (struct p2p_disk){.place = copy, .since = NEVER};
    return &disks->list[disks->count++];
}

/* ---- What is mounted ---- */

struct look {
    struct p2p_disks *disks;
    bool is_there[P2P_DISKS_MAX];
};

static void
see(void *arg, const char *place)
{
    struct look *look = arg;
    struct p2p_disk *disk = find(look->disks, place);

    if (!disk)
        disk = add(look->disks, place);
    if (disk)
        look->is_there[disk - look->disks->list] = true;
}

bool
p2p_disks_look(struct p2p_disks *disks, int folder, int64_t scan)
{
    struct look look = {.disks = disks};
    bool is_changed = false;

    if (!p2p_mounts_each(folder, see, &look))
        return false;
    for (size_t i = 0; i < disks->count; i++) {
        struct p2p_disk *disk = &disks->list[i];
        if (disk->is_mounted == look.is_there[i])
            continue;
        disk->is_mounted = look.is_there[i];
        /* Files that a mounted disk covered can be read again; files of a failed disk
         * cannot. */
        disk->is_back = disk->is_mounted || !disk->is_closed;
        disk->is_closed = false;
        disk->since = scan;
        is_changed = true;
    }
    disks->is_changed |= is_changed;
    return is_changed;
}

/* ---- What cannot be read ---- */

static bool
is_at(const char *name, const char *place)
{
    size_t len = strlen(place);

    return strncmp(name, place, len) == 0 && (name[len] == '/' || name[len] == '\0');
}

void
p2p_disks_close(struct p2p_disks *disks, const char *place, int64_t scan)
{
    struct p2p_disk *disk = find(disks, place);

    if (!disk)
        disk = add(disks, place);
    if (!disk)
        return;
    disk->met = scan;
    disk->since = scan - 1; /* it may have been open for a moment */
    disk->is_back = false;
    disks->is_changed |= !disk->is_closed && disk->files > 0;
    disk->is_closed = true;
}

static bool
was_met_at(const struct p2p_disks *disks, const char *place, int64_t scan)
{
    for (size_t i = 0; i < disks->count; i++)
        if (disks->list[i].is_closed && disks->list[i].met == scan &&
            is_at(place, disks->list[i].place))
            return true;
    return false;
}

bool
p2p_disks_reopen(struct p2p_disks *disks, int64_t scan)
{
    bool is_changed = false;

    for (size_t i = 0; i < disks->count; i++) {
        struct p2p_disk *disk = &disks->list[i];
        if (!disk->is_closed || was_met_at(disks, disk->place, scan))
            continue;
        disk->is_closed = false;
        disk->is_back = true;
        disk->since = scan - 1;
        is_changed = true;
    }
    disks->is_changed |= is_changed;
    return is_changed;
}

bool
p2p_disks_is_closed(const struct p2p_disks *disks, const char *place)
{
    for (size_t i = 0; i < disks->count; i++)
        if (disks->list[i].is_closed && strcmp(disks->list[i].place, place) == 0)
            return true;
    return false;
}

/* ---- Absent files ---- */

struct p2p_disk *
p2p_disks_of(struct p2p_disks *disks, const struct p2p_item *item)
{
    for (size_t i = 0; i < disks->count; i++)
        if ((int64_t)item->seen <= disks->list[i].since &&
            is_at(item->name, disks->list[i].place))
            return &disks->list[i];
    return NULL;
}

bool
p2p_disks_may_return(const struct p2p_disks *disks, const char *name, int64_t scan)
{
    for (size_t i = 0; i < disks->count; i++)
        if (disks->list[i].is_back && disks->list[i].since == scan &&
            is_at(name, disks->list[i].place))
            return true;
    return false;
}

void
p2p_disks_prune(struct p2p_disks *disks)
{
    size_t kept = 0;

    for (size_t i = 0; i < disks->count; i++) {
        struct p2p_disk *disk = &disks->list[i];
        if (disk->is_mounted || disk->files > 0) {
            disks->list[kept++] = *disk;
            continue;
        }
        disks->is_changed |= !disk->is_closed; /* the next scan closes it again */
        free(disk->place);
    }
    disks->count = kept;
}

uint64_t
p2p_disks_files(const struct p2p_disks *disks)
{
    uint64_t files = 0;

    for (size_t i = 0; i < disks->count; i++)
        files += disks->list[i].files;
    return files;
}

void
p2p_disks_explain(const struct p2p_disk *disk, char *out, size_t cap)
{
    const char *ending = disk->files == 1 ? "" : "s";

    snprintf(
        out, cap,
        disk->is_closed
            ? "it cannot be read: its %llu file%s are away until it can be; if they "
              "were deleted, run: p2p share confirm"
        : disk->is_mounted
            ? "a disk is mounted over %llu file%s: unmount it to share them; if "
              "they were deleted, run: p2p share confirm"
            : "the disk with %llu file%s is not mounted here: mount it to share "
              "them; if they were deleted, run: p2p share confirm",
        (unsigned long long)disk->files, ending);
}

/* ---- In the index ---- */

static enum p2p_err
put_rows(const struct p2p_disks *disks, sqlite3_stmt *stmt)
{
    enum p2p_err err = P2P_OK;

    for (size_t i = 0; i < disks->count && !err; i++) {
        const struct p2p_disk *disk = &disks->list[i];
        sqlite3_bind_text(stmt, 1, disk->place, -1, SQLITE_STATIC);
        sqlite3_bind_int(
            stmt, 2, (disk->is_mounted ? MOUNTED : 0) | (disk->is_closed ? CLOSED : 0));
        sqlite3_bind_int64(stmt, 3, (int64_t)disk->files);
        err = p2p_sqlite_done(stmt);
    }
    return err;
}

enum p2p_err
p2p_disks_store(struct p2p_disks *disks, struct p2p_index *index)
{
    sqlite3 *db = p2p_index_db(index);
    sqlite3_stmt *stmt = NULL;
    enum p2p_err err = p2p_sqlite_run(db, schema);

    if (!err)
        err = p2p_sqlite_run(db, "DELETE FROM disks");
    if (!err)
        err = p2p_sqlite_prepare(db, insert, &stmt);
    if (!err)
        err = put_rows(disks, stmt);
    sqlite3_finalize(stmt);
    return err;
}

static void
load_row(struct p2p_disks *disks, sqlite3_stmt *stmt)
{
    const char *place = (const char *)sqlite3_column_text(stmt, 0);
    struct p2p_disk *disk = place ? add(disks, place) : NULL;

    if (!disk)
        return;
    disk->is_mounted = (sqlite3_column_int(stmt, 1) & MOUNTED) != 0;
    disk->is_closed = (sqlite3_column_int(stmt, 1) & CLOSED) != 0;
    disk->files = (uint64_t)sqlite3_column_int64(stmt, 2);
}

static enum p2p_err
load_rows(struct p2p_disks *disks, struct p2p_index *index, bool *is_known)
{
    sqlite3_stmt *stmt;
    bool row = true;
    enum p2p_err err;

    *is_known = p2p_sqlite_prepare(p2p_index_db(index), load, &stmt) == P2P_OK;
    if (!*is_known)
        return P2P_OK; /* an older program has left no list */
    err = p2p_sqlite_next(stmt, &row);
    while (!err && row) {
        load_row(disks, stmt);
        err = p2p_sqlite_next(stmt, &row);
    }
    sqlite3_finalize(stmt);
    return err;
}

/* Files that the first scan does not find are absent if their disk is not mounted, or
 * if one is mounted that was not, or that was mounted over files already. The scan
 * itself finds out whether a place can be read now. */
static int64_t
since_at_start(const struct p2p_disk *disk, bool was_listed, bool was_mounted,
               int64_t scan)
{
    if (disk->is_closed && was_mounted == disk->is_mounted)
        return NEVER;
    bool is_suspicious =
        !disk->is_mounted || !was_listed || (was_mounted && disk->files > 0);

    return is_suspicious ? scan : NEVER;
}

enum p2p_err
p2p_disks_load(struct p2p_disks *disks, struct p2p_index *index, int folder,
               int64_t scan)
{
    bool is_known, was_mounted[P2P_DISKS_MAX] = {false};
    enum p2p_err err;

    p2p_disks_clear(disks);
    err = load_rows(disks, index, &is_known);
    size_t listed = disks->count;
    for (size_t i = 0; i < listed; i++)
        was_mounted[i] = disks->list[i].is_mounted;
    (void)!p2p_disks_look(disks, folder, NEVER);
    for (size_t i = 0; i < disks->count && is_known; i++)
        disks->list[i].since =
            since_at_start(&disks->list[i], i < listed, was_mounted[i], scan);
    disks->is_changed |= !is_known;
    return err;
}

struct reading {
    p2p_share_visit_disk *visit;
    void *arg;
};

static void
read_row(void *arg, sqlite3_stmt *row)
{
    const struct reading *r = arg;

    r->visit(r->arg, (const char *)sqlite3_column_text(row, 0),
             (uint64_t)sqlite3_column_int64(row, 1));
}

enum p2p_err
p2p_disks_read(struct p2p_index *index, p2p_share_visit_disk *visit, void *arg)
{
    struct reading r = {visit, arg};

    return p2p_index_each_row(index, absent, read_row, &r);
}
