/*
 * What other programs change. They do not ask, so the old content must be copied while
 * it is current: a base copy, which shares its blocks with the file where the file
 * system can do that (btrfs, XFS), and is a copy of a small file elsewhere.
 *
 * `bases` has a row for each file as it was last seen. Where the catalogue of the share
 * differs, the content that was seen has ended: it gets its row as a version, unless
 * the mailbox has recorded it already.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/disk/beneath.h"
#include "core/keep/versions_internal.h"
#include "core/share/item.h"
#include "p2p/bytes.h"
#include "p2p/clock.h"
#include "p2p/io.h"
#include "p2p/log.h"

#define PAGE       64
#define BASE_PART  4          /* base copies take at most this part of the cap */
#define COPY_END   ".restore" /* is swept like the copies of a restore */
#define COPY_PIECE P2P_MIB

/* A file as it was last seen. */
struct base {
    char name[P2P_NAME_MAX + 1];
    struct p2p_digest root;
    uint64_t size;
    int64_t mtime_ns;
    uint32_t last; /* the newest version of the name at that time */
    bool is_there;
};

struct copy {
    char name[40];
    struct p2p_digest root;
    struct stat st;
};

struct follow {
    struct p2p_versions *v;
    struct p2p_share *share;
    uint64_t now_k, room;
    uint64_t copy_max; /* of files whose blocks cannot be shared */
    bool cannot_share; /* blocks */
    bool has_copies;   /* that are not flushed */
};

/* ---- Rows ---- */

static enum p2p_err
next_base(struct p2p_versions *v, const char *after, struct base *out)
    P2P_REQUIRES(p2p_versions_lock)
{
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    enum p2p_err err = p2p_sqlite_prepare(
        v->db,
        "SELECT name, root, size, mtime_ns, last FROM bases WHERE name > ?1"
        " ORDER BY name LIMIT 1",
        &stmt);

    out->is_there = false;
    if (err == P2P_OK) {
        sqlite3_bind_text(stmt, 1, after, -1, SQLITE_STATIC);
        err = p2p_sqlite_next(stmt, &row);
    }
    if (err == P2P_OK && row) {
        const char *name = (const char *)sqlite3_column_text(stmt, 0);
        snprintf(out->name, sizeof(out->name), "%s", name != NULL ? name : "");
        out->size = (uint64_t)sqlite3_column_int64(stmt, 2);
        out->mtime_ns = sqlite3_column_int64(stmt, 3);
        out->last = (uint32_t)sqlite3_column_int64(stmt, 4);
        out->is_there = true;
        err = p2p_sqlite_get_blob(stmt, 1, out->root.b, sizeof(out->root.b));
    }
    sqlite3_finalize(stmt);
    return err;
}

static enum p2p_err
put_base(struct p2p_versions *v, const char *name, const struct p2p_digest *root,
         uint64_t size, int64_t mtime_ns) P2P_REQUIRES(p2p_versions_lock)
{
    sqlite3_stmt *stmt = NULL;
    enum p2p_err err = p2p_sqlite_prepare(
        v->db,
        "INSERT OR REPLACE INTO bases SELECT ?1, ?2, ?3, ?4, IFNULL(MAX(version), 0)"
        " FROM versions WHERE name = ?1",
        &stmt);

    if (err == P2P_OK) {
        sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
        sqlite3_bind_blob(stmt, 2, root->b, sizeof(root->b), SQLITE_STATIC);
        sqlite3_bind_int64(stmt, 3, (int64_t)size);
        sqlite3_bind_int64(stmt, 4, mtime_ns);
        err = p2p_sqlite_done(stmt);
    }
    sqlite3_finalize(stmt);
    return err;
}

/* Runs SQL with a name, a root and a number, as far as it has places for them. */
static enum p2p_err
run(struct p2p_versions *v, const char *sql, const char *name,
    const struct p2p_digest *root, int64_t number, bool *row)
    P2P_REQUIRES(p2p_versions_lock)
{
    sqlite3_stmt *stmt = NULL;
    enum p2p_err err = p2p_sqlite_prepare(v->db, sql, &stmt);

    if (err == P2P_OK) {
        sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
        sqlite3_bind_blob(stmt, 2, root->b, sizeof(root->b), SQLITE_STATIC);
        if (sqlite3_bind_parameter_count(stmt) > 2)
            sqlite3_bind_int64(stmt, 3, number);
        err = row != NULL ? p2p_sqlite_next(stmt, row) : p2p_sqlite_done(stmt);
    }
    sqlite3_finalize(stmt);
    return err;
}

/* ---- A content has ended ---- */

static enum p2p_err
record_end(struct follow *f, const struct base *b, enum p2p_mailbox_end end)
    P2P_REQUIRES(p2p_versions_lock)
{
    static const char recorded[] = "SELECT 1 FROM versions WHERE name = ?1"
                                   " AND root = ?2 AND version > ?3";
    static const char keep[] = "UPDATE objects SET is_base = 0,"
                               " disk = MAX(disk, size) WHERE ?1 <> '' AND root = ?2";
    struct p2p_mailbox_note note = {.end = end, .until_s = p2p_time_s()};
    const struct stat st = {.st_size = (off_t)b->size,
                            .st_mtim = {.tv_sec = (time_t)(b->mtime_ns / 1000000000),
                                        .tv_nsec = (long)(b->mtime_ns % 1000000000)}};
    bool is_recorded = false;
    enum p2p_err err = run(f->v, recorded, b->name, &b->root, b->last, &is_recorded);

    if (err != P2P_OK || is_recorded)
        return err;
    memcpy(note.name, b->name, sizeof(note.name));
    err = p2p_versions_add_row(f->v, &note, &b->root, &st, f->now_k);
    return err == P2P_OK ? run(f->v, keep, b->name, &b->root, 0, NULL) : err;
}

/* True if nothing has the name any longer; a file that is being hashed is there. */
static bool
is_gone(const struct follow *f, const char *name)
{
    struct stat st;

    return p2p_root_stat(f->v->root, name, &st) == P2P_ERR_NOT_FOUND;
}

static enum p2p_err
end_name(struct follow *f, const struct base *b) P2P_REQUIRES(p2p_versions_lock)
{
    static const char drop[] = "DELETE FROM bases WHERE name = ?1 AND root = ?2";
    struct p2p_share_entry entry;
    enum p2p_err err = P2P_OK;

    if (!is_gone(f, b->name))
        return P2P_OK;
    /* After a rename the content is still there, under its new name. */
    if (p2p_share_find_root(f->share, &b->root, &entry) != P2P_OK ||
        strcmp(entry.name, b->name) == 0)
        err = record_end(f, b, P2P_MAILBOX_DELETED);
    return err == P2P_OK ? run(f->v, drop, b->name, &b->root, 0, NULL) : err;
}

/* ---- Copies ---- */

static enum p2p_err
copy_bytes(int from, int to, uint64_t size)
{
    uint8_t *buf = malloc(size < COPY_PIECE ? (size_t)size + 1 : COPY_PIECE);
    enum p2p_err err = buf != NULL ? P2P_OK : P2P_ERR_NOMEM;

    for (uint64_t at = 0; at < size && err == P2P_OK; at += COPY_PIECE) {
        size_t len = size - at < COPY_PIECE ? (size_t)(size - at) : COPY_PIECE;
        err = p2p_pread_full(from, buf, len, at);
        if (err == P2P_OK)
            err = p2p_pwrite_full(to, buf, len, at);
    }
    free(buf);
    return err;
}

static bool
is_described(const struct p2p_mailbox_old *old, const struct stat *st)
{
    const struct p2p_file_state state = p2p_file_state_of(st);

    return old->root_known && old->size == state.size && old->inode == state.inode &&
           old->mtime_ns == state.mtime_ns;
}

/* The blocks are shared, or a small file is copied while there is room. BUSY: neither.
 */
static enum p2p_err
fill(struct follow *f, int from, int to, const struct stat *st, bool *is_shared)
{
    uint64_t size = (uint64_t)st->st_size;

    *is_shared = !f->cannot_share && ioctl(to, FICLONE, from) == 0;
    if (*is_shared)
        return P2P_OK;
    f->cannot_share |= errno == EOPNOTSUPP || errno == ENOTTY || errno == EXDEV;
    if (size > f->copy_max || size > f->room)
        return P2P_ERR_BUSY;
    f->room -= size;
    return copy_bytes(from, to, size);
}

/* The file must be the one that was hashed, before and after. */
static enum p2p_err
copy_file(struct follow *f, const char *name, const struct p2p_mailbox_old *old,
          struct copy *c)
{
    uint8_t random[8];
    char hex[2 * sizeof(random) + 1];
    struct stat before, after;
    bool is_shared = false;
    int from = -1, to = -1;
    enum p2p_err err = p2p_root_open_file(f->v->root, name, &from, &before);

    if (err == P2P_OK && !is_described(old, &before))
        err = P2P_ERR_FILE_CHANGED;
    if (err == P2P_OK)
        err = p2p_random(random, sizeof(random));
    if (err == P2P_OK) {
        p2p_hex_format(random, sizeof(random), hex);
        snprintf(c->name, sizeof(c->name), "%s" COPY_END, hex);
        err =
            p2p_root_open_private(f->v->root, c->name, O_RDWR | O_CREAT | O_EXCL, &to);
    }
    if (err == P2P_OK) {
        err = fill(f, from, to, &before, &is_shared);
        if (err == P2P_OK && (fstat(from, &after) != 0 || !is_described(old, &after)))
            err = P2P_ERR_FILE_CHANGED;
        if (err == P2P_OK && fstat(to, &c->st) != 0)
            err = p2p_err_from_errno(errno);
        if (is_shared) /* they count when the file has other blocks */
            c->st.st_blocks = 0;
        if (err != P2P_OK)
            (void)!p2p_root_unlink_private(f->v->root, c->name);
    }
    c->root = old->root;
    p2p_fd_close(&to);
    p2p_fd_close(&from);
    return err;
}

static bool
has_object(struct p2p_versions *v, const struct p2p_digest *root)
    P2P_REQUIRES(p2p_versions_lock)
{
    bool row = false;

    return run(v, "SELECT 1 FROM objects WHERE ?1 = '' AND root = ?2", "", root, 0,
               &row) == P2P_OK &&
           row;
}

/* A file without a copy is not an error: its end will be known, its content not. */
static void
keep_copy(struct follow *f, const char *name, const struct p2p_mailbox_old *old)
    P2P_REQUIRES(p2p_versions_lock)
{
    struct copy c;
    int private_dir = -1;

    if (has_object(f->v, &old->root) || copy_file(f, name, old, &c) != P2P_OK)
        return;
    if (p2p_path_private_dir(f->v->root, &private_dir) != P2P_OK ||
        p2p_versions_add_object(f->v, &c.root, &c.st, f->now_k, true) != P2P_OK ||
        p2p_versions_object_place(f->v, private_dir, c.name, &c.root) != P2P_OK)
        (void)!p2p_root_unlink_private(f->v->root, c.name);
    else
        f->has_copies = true;
    p2p_fd_close(&private_dir);
}

/* ---- Following ---- */

static enum p2p_err
see(struct follow *f, const struct p2p_share_entry *entry, const struct base *before)
    P2P_REQUIRES(p2p_versions_lock)
{
    struct p2p_mailbox_old old;
    struct stat st;
    bool is_same = before != NULL &&
                   memcmp(&before->root, &entry->root, sizeof(before->root)) == 0;
    enum p2p_err err = P2P_OK;

    if (is_same)
        return P2P_OK;
    if (before != NULL)
        err = record_end(f, before, P2P_MAILBOX_REPLACED);
    p2p_share_describe(f->share, entry->name, &old);
    /* The page may be older than a deletion. */
    if (err != P2P_OK || p2p_root_stat(f->v->root, entry->name, &st) != P2P_OK ||
        !is_described(&old, &st))
        return err;
    err = put_base(f->v, entry->name, &old.root, old.size, old.mtime_ns);
    if (err == P2P_OK)
        keep_copy(f, entry->name, &old);
    return err;
}

/* Rows promise contents, so these are on the disk first: all of a page at once, because
 * a flush for each of many small files costs more than everything else. */
static enum p2p_err
end_page(struct follow *f, enum p2p_err err) P2P_REQUIRES(p2p_versions_lock)
{
    if (err == P2P_OK && f->has_copies && syncfs(f->v->dir) != 0)
        err = p2p_err_from_errno(errno);
    f->has_copies = false;
    return p2p_versions_end(f->v, err);
}

/* The rows and the page are in the same order. The rows are read anew for each page:
 * others may have removed some meanwhile. */
static enum p2p_err
see_page(struct follow *f, const char *after, const struct p2p_share_entry *page,
         size_t count, struct base *b) P2P_REQUIRES(p2p_versions_lock)
{
    enum p2p_err err = p2p_versions_begin(f->v);

    if (err != P2P_OK)
        return err;
    err = p2p_versions_clock(f->v, &f->now_k);
    if (err == P2P_OK)
        err = next_base(f->v, after, b);
    for (size_t i = 0; i < count && err == P2P_OK; i++) {
        int order = 1;
        while (err == P2P_OK && b->is_there &&
               (order = strcmp(b->name, page[i].name)) < 0) {
            err = end_name(f, b);
            if (err == P2P_OK)
                err = next_base(f->v, b->name, b);
        }
        if (err == P2P_OK)
            err = see(f, &page[i], b->is_there && order == 0 ? b : NULL);
        if (err == P2P_OK && b->is_there && order == 0)
            err = next_base(f->v, b->name, b);
    }
    while (count == 0 && err == P2P_OK && b->is_there) {
        err = end_name(f, b);
        if (err == P2P_OK)
            err = next_base(f->v, b->name, b);
    }
    return end_page(f, err);
}

static enum p2p_err
prepare(struct follow *f, bool *is_on) P2P_REQUIRES(p2p_versions_lock)
{
    struct p2p_versions_limits limits;
    int64_t used = 0;
    enum p2p_err err = p2p_versions_limits(f->v, &limits);

    *is_on = err == P2P_OK && limits.is_on;
    f->copy_max = limits.copy_max;
    if (err == P2P_OK)
        err = p2p_versions_number(
            f->v, "SELECT SUM(disk) FROM objects WHERE is_base = 1", 0, &used);
    uint64_t most = limits.cap / BASE_PART;
    if (limits.used + most > limits.cap) /* versions come first */
        most = limits.cap > limits.used ? limits.cap - limits.used : 0;
    f->room = most > (uint64_t)used ? most - (uint64_t)used : 0;
    if (limits.free < limits.floor)
        f->room = 0;
    return err;
}

static enum p2p_err
follow_all(struct follow *f, struct p2p_share_entry *page)
{
    char after[P2P_NAME_MAX + 1] = "";
    struct base *next = calloc(1, sizeof(*next));
    struct p2p_share_totals totals;
    size_t count = 1;
    bool is_on = false;
    enum p2p_err err = next != NULL ? P2P_OK : P2P_ERR_NOMEM;

    p2p_lock(&f->v->lock);
    if (err == P2P_OK)
        err = prepare(f, &is_on);
    p2p_unlock(&f->v->lock);
    while (err == P2P_OK && is_on && count > 0) {
        p2p_share_totals(f->share, &totals);
        if (totals.is_away || !p2p_root_is_in_place(f->v->root))
            break; /* nothing was deleted */
        if (f->v->is_cancelled)
            err = P2P_ERR_CANCELLED;
        else
            err = p2p_share_list(f->share, after, page, PAGE, &count);
        p2p_lock(&f->v->lock);
        if (err == P2P_OK)
            err = see_page(f, after, page, count, next);
        p2p_unlock(&f->v->lock);
        if (err == P2P_OK && count > 0)
            memcpy(after, page[count - 1].name, sizeof(after));
    }
    p2p_lock(&f->v->lock);
    if (err == P2P_OK && is_on && count == 0)
        p2p_versions_drop_unused(f->v);
    p2p_unlock(&f->v->lock);
    free(next);
    return err;
}

enum p2p_err
p2p_versions_follow(struct p2p_versions *v, struct p2p_share *share)
{
    struct follow *f = calloc(1, sizeof(*f));
    struct p2p_share_entry *page = calloc(PAGE, sizeof(*page));
    enum p2p_err err = P2P_ERR_NOMEM;

    if (f != NULL && page != NULL) {
        f->v = v;
        f->share = share;
        err = p2p_versions_settle(v, UINT64_MAX);
    }
    if (err == P2P_OK && flock(v->dir, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        err = P2P_ERR_BUSY;
    else if (err == P2P_OK) {
        err = follow_all(f, page);
        (void)flock(v->dir, LOCK_UN);
    }
    free(page);
    free(f);
    return err;
}
