/*
 * Contents and rows that do not agree, and contents that have rotted.
 *
 * A program that is killed can leave a content whose row is gone, because the row goes
 * first. Somebody who cleans up by hand can leave a row without a content. Both are
 * looked for a few folders at a time. Besides, each content is read again once in 30
 * days, so that a failing disk is noticed before the content is needed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/disk/beneath.h"
#include "core/keep/versions_internal.h"
#include "p2p/bytes.h"
#include "p2p/clock.h"
#include "p2p/io.h"
#include "p2p/log.h"

#define FOLDERS          256
#define FOLDERS_PER_TURN 4
#define ROWS_PER_TURN    256
#define ORPHAN_AGE_S     (24 * 3600) /* before a content of no version is removed */
#define PUT_S            600         /* a row may wait this long for its content */
#define CHECK_EVERY_S    (30 * 86400)
#define READ_PER_TURN    (256 * P2P_MIB)
#define ASIDE_END        ".damaged"

/* ---- Rows ---- */

static bool
has_row(struct p2p_versions *v, const char *sql, const struct p2p_digest *root)
    P2P_REQUIRES(p2p_versions_lock)
{
    sqlite3_stmt *stmt = NULL;
    bool row = true; /* in doubt, nothing is removed */

    if (p2p_sqlite_prepare(v->db, sql, &stmt) == P2P_OK) {
        sqlite3_bind_blob(stmt, 1, root->b, sizeof(root->b), SQLITE_STATIC);
        if (p2p_sqlite_next(stmt, &row) != P2P_OK)
            row = true;
    }
    sqlite3_finalize(stmt);
    return row;
}

static enum p2p_err
run_for(struct p2p_versions *v, const char *sql, const struct p2p_digest *root,
        int64_t number) P2P_REQUIRES(p2p_versions_lock)
{
    sqlite3_stmt *stmt = NULL;
    enum p2p_err err = p2p_sqlite_prepare(v->db, sql, &stmt);

    if (err == P2P_OK) {
        sqlite3_bind_blob(stmt, 1, root->b, sizeof(root->b), SQLITE_STATIC);
        sqlite3_bind_int64(stmt, 2, number);
        err = p2p_sqlite_done(stmt);
    }
    sqlite3_finalize(stmt);
    return err;
}

/* The first root that a query with a number and a root finds. */
static bool
next_root(struct p2p_versions *v, const char *sql, uint64_t number,
          const struct p2p_digest *after, struct p2p_digest *root)
    P2P_REQUIRES(p2p_versions_lock)
{
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    enum p2p_err err = p2p_sqlite_prepare(v->db, sql, &stmt);

    if (err == P2P_OK) {
        sqlite3_bind_int64(stmt, 1, (int64_t)number);
        sqlite3_bind_blob(stmt, 2, after->b, sizeof(after->b), SQLITE_STATIC);
        err = p2p_sqlite_next(stmt, &row);
    }
    if (err == P2P_OK && row)
        err = p2p_sqlite_get_blob(stmt, 0, root->b, sizeof(root->b));
    sqlite3_finalize(stmt);
    return err == P2P_OK && row;
}

/* ---- Contents without a row ---- */

static void
put_aside(struct p2p_versions *v, const struct p2p_digest *root)
{
    char path[OBJECT_PATH], aside[OBJECT_PATH + sizeof(ASIDE_END)];

    p2p_versions_object_path(root, path);
    snprintf(aside, sizeof(aside), "%s" ASIDE_END, path);
    p2p_log_error("the kept content of an old version is damaged; it is set aside "
                  "folder=%s file=.p2p/versions/%s",
                  p2p_root_path(v->root), aside);
    if (renameat(v->dir, path, v->dir, aside) != 0 && errno != ENOENT)
        p2p_log_warn("cannot set a damaged content aside error=%s",
                     p2p_err_name(p2p_err_from_errno(errno)));
}

/* Hashes a content. GONE, HASH_MISMATCH; `st` is its state. */
static enum p2p_err
check_content(struct p2p_versions *v, const struct p2p_digest *root, struct stat *st)
{
    struct p2p_digest found;
    int fd = -1;
    enum p2p_err err = p2p_versions_object_open(v, root, &fd);

    if (err == P2P_OK && fstat(fd, st) != 0)
        err = p2p_err_from_errno(errno);
    if (err == P2P_OK)
        err = p2p_versions_hash(fd, (uint64_t)st->st_size, p2p_versions_is_cancelled, v,
                                &found);
    if (err == P2P_OK && memcmp(&found, root, sizeof(found)) != 0)
        err = P2P_ERR_HASH_MISMATCH;
    p2p_fd_close(&fd);
    return err;
}

/* Its versions lost their content when it was about to be removed. */
static void
adopt(struct p2p_versions *v, const struct p2p_digest *root, uint64_t now_k)
    P2P_EXCLUDES(p2p_versions_lock)
{
    struct stat st;
    enum p2p_err err = check_content(v, root, &st);

    if (err == P2P_ERR_HASH_MISMATCH)
        put_aside(v, root);
    if (err != P2P_OK)
        return;
    p2p_lock(&v->lock);
    if (p2p_versions_object_is_there(v, root) &&
        p2p_versions_add_object(v, root, &st, now_k, false) != P2P_OK)
        p2p_log_debug("cannot record a content of an old version");
    p2p_unlock(&v->lock);
}

/* A list that was lost knew what its contents were: then they stay for people. */
static bool
is_list_complete(const struct p2p_versions *v)
{
    struct stat st;

    return fstatat(v->dir, "../" VERSIONS_DAMAGED, &st, AT_SYMLINK_NOFOLLOW) != 0 &&
           errno == ENOENT;
}

static void
look_at(struct p2p_versions *v, const struct p2p_digest *root, const struct stat *st,
        uint64_t now_k, uint64_t *budget)
{
    p2p_lock(&v->lock);
    bool is_known = has_row(v, "SELECT 1 FROM objects WHERE root = ?1", root);
    bool is_wanted = has_row(v, "SELECT 1 FROM versions WHERE root = ?1", root);
    p2p_unlock(&v->lock);
    if (is_known)
        return;
    if (is_wanted && *budget >= (uint64_t)st->st_size) {
        *budget -= (uint64_t)st->st_size;
        adopt(v, root, now_k);
    } else if (!is_wanted && (uint64_t)st->st_ctime + ORPHAN_AGE_S < p2p_time_s() &&
               is_list_complete(v))
        p2p_versions_object_remove(v, root);
}

static void
sweep_folder(struct p2p_versions *v, unsigned number, uint64_t now_k, uint64_t *budget)
{
    const struct dirent *entry;
    struct p2p_digest root;
    char folder[3];
    struct stat st;
    int fd;
    DIR *dir;

    snprintf(folder, sizeof(folder), "%02x", number % FOLDERS);
    fd = p2p_path_open_beneath(v->dir, folder, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0 || (dir = fdopendir(fd)) == NULL) {
        p2p_fd_close(&fd);
        return;
    }
    while (!v->is_cancelled && (entry = readdir(dir)) != NULL)
        if (p2p_hex_parse(entry->d_name, root.b, sizeof(root.b)) == P2P_OK &&
            root.b[0] == number % FOLDERS &&
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode))
            look_at(v, &root, &st, now_k, budget);
    closedir(dir);
}

/* ---- Rows without a content, and contents that have rotted ---- */

static void
sweep_rows(struct p2p_versions *v, uint64_t now_k) P2P_REQUIRES(p2p_versions_lock)
{
    static const char next[] = "SELECT root FROM objects WHERE checked_k <= ?1"
                               " AND root > ?2 ORDER BY root LIMIT 1";
    static const struct p2p_digest none;
    uint64_t before_k = now_k > PUT_S ? now_k - PUT_S : 0;

    for (int i = 0; i < ROWS_PER_TURN; i++) {
        struct p2p_digest root;
        if (before_k == 0 || !next_root(v, next, before_k, &v->swept_row, &root)) {
            v->swept_row = none;
            return;
        }
        v->swept_row = root;
        if (!p2p_versions_object_is_there(v, &root))
            (void)p2p_versions_evict(v, &root);
    }
}

static void
note_check(struct p2p_versions *v, const struct p2p_digest *root, enum p2p_err found,
           uint64_t now_k) P2P_REQUIRES(p2p_versions_lock)
{
    if (found == P2P_ERR_HASH_MISMATCH)
        put_aside(v, root);
    if (found == P2P_ERR_HASH_MISMATCH || found == P2P_ERR_GONE)
        (void)p2p_versions_evict(v, root);
    else if (run_for(v, "UPDATE objects SET checked_k = ?2 WHERE root = ?1", root,
                     (int64_t)now_k) != P2P_OK)
        p2p_log_debug("cannot note that an old content was read");
}

static void
scrub(struct p2p_versions *v, uint64_t now_k, uint64_t budget)
    P2P_EXCLUDES(p2p_versions_lock)
{
    static const char oldest[] = "SELECT root FROM objects WHERE checked_k <= ?1"
                                 " AND root <> ?2 ORDER BY checked_k LIMIT 1";
    static const struct p2p_digest none;

    while (now_k > CHECK_EVERY_S) {
        struct p2p_digest root;
        struct stat st = {0};
        p2p_lock(&v->lock);
        bool is_due = next_root(v, oldest, now_k - CHECK_EVERY_S, &none, &root);
        p2p_unlock(&v->lock);
        if (!is_due)
            return;
        enum p2p_err err = check_content(v, &root, &st);
        if (err == P2P_ERR_CANCELLED)
            return;
        p2p_lock(&v->lock);
        note_check(v, &root, err, now_k);
        p2p_unlock(&v->lock);
        if ((uint64_t)st.st_size >= budget)
            return;
        budget -= (uint64_t)st.st_size;
    }
}

void
p2p_versions_sweep(struct p2p_versions *v, uint64_t now_k)
{
    uint64_t budget = READ_PER_TURN;

    p2p_lock(&v->lock);
    unsigned from = v->swept, turn = v->was_swept ? FOLDERS_PER_TURN : FOLDERS;
    v->swept = (from + turn) % FOLDERS;
    v->was_swept = true;
    p2p_unlock(&v->lock);
    for (unsigned i = 0; i < turn; i++)
        sweep_folder(v, from + i, now_k, &budget);
    p2p_lock(&v->lock);
    sweep_rows(v, now_k);
    p2p_unlock(&v->lock);
    scrub(v, now_k, budget);
}
