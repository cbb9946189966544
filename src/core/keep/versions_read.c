/* Finding and listing versions. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/keep/versions_internal.h"
#include "p2p/clock.h"

enum p2p_err
p2p_versions_reader_init(struct p2p_versions *v, struct p2p_versions_reader *r)
{
    struct p2p_versions_limits limits;
    enum p2p_err err = p2p_versions_limits(v, &limits);

    *r = (struct p2p_versions_reader){.now_k = p2p_versions_clock_peek(v),
                                      .now_s = p2p_time_s(),
                                      .deleted_s = limits.retention.deleted_s};
    return err;
}

enum p2p_err
p2p_versions_read_row(const struct p2p_versions_reader *r, sqlite3_stmt *stmt,
                      struct p2p_version *out)
{
    uint64_t until_k = (uint64_t)sqlite3_column_int64(stmt, 8);
    uint64_t age_s = r->now_k > until_k ? r->now_k - until_k : 0;
    const unsigned char *name = sqlite3_column_text(stmt, 0);

    memset(out, 0, sizeof(*out));
    snprintf(out->name, sizeof(out->name), "%s",
             name != NULL ? (const char *)name : "");
    out->version = (uint32_t)sqlite3_column_int64(stmt, 1);
    out->end = (enum p2p_mailbox_end)sqlite3_column_int(stmt, 2);
    out->size = (uint64_t)sqlite3_column_int64(stmt, 3);
    out->mtime_ns = sqlite3_column_int64(stmt, 4);
    out->since_s = (uint64_t)sqlite3_column_int64(stmt, 5);
    out->until_s = (uint64_t)sqlite3_column_int64(stmt, 6);
    out->is_kept = sqlite3_column_int(stmt, 9) != 0;
    if (out->is_kept && out->end == P2P_MAILBOX_DELETED)
        out->stays_until_s =
            r->now_s + (r->deleted_s > age_s ? r->deleted_s - age_s : 0);
    return p2p_sqlite_get_blob(stmt, 7, out->root.b, sizeof(out->root.b));
}

/* ---- Of one name ---- */

enum p2p_err
p2p_versions_visit_rows(struct p2p_versions *v, const char *sql, const char *name,
                        uint32_t before, size_t max, p2p_versions_visit *visit,
                        void *arg)
{
    struct p2p_version version;
    struct p2p_versions_reader r;
    sqlite3_stmt *stmt = NULL;
    bool row = true;
    enum p2p_err err = p2p_versions_reader_init(v, &r);

    if (err == P2P_OK)
        err = p2p_sqlite_prepare(v->db, sql, &stmt);
    if (err == P2P_OK) {
        sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
        sqlite3_bind_int64(stmt, 2, before);
        sqlite3_bind_int64(stmt, 3, (int64_t)max);
    }
    while (err == P2P_OK && (err = p2p_sqlite_next(stmt, &row)) == P2P_OK && row)
        if ((err = p2p_versions_read_row(&r, stmt, &version)) == P2P_OK)
            visit(arg, &version);
    sqlite3_finalize(stmt);
    return err;
}

enum p2p_err
p2p_versions_of(struct p2p_versions *v, const char *name, uint32_t before, size_t max,
                p2p_versions_visit *visit, void *arg)
{
    enum p2p_err err;

    p2p_lock(&v->lock);
    err = p2p_versions_visit_rows(v,
                                  "SELECT " ROW_COLUMNS
                                  " FROM versions v WHERE v.name = ?1"
                                  " AND (?2 = 0 OR v.version < ?2)"
                                  " ORDER BY v.version DESC LIMIT ?3",
                                  name, before, max, visit, arg);
    p2p_unlock(&v->lock);
    return err;
}

/* The first row of a query with a name and a number. */
static enum p2p_err
find(struct p2p_versions *v, const char *sql, const char *name, int64_t number,
     struct p2p_version *out) P2P_REQUIRES(p2p_versions_lock)
{
    struct p2p_versions_reader r;
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    enum p2p_err err = p2p_versions_reader_init(v, &r);

    if (err == P2P_OK)
        err = p2p_sqlite_prepare(v->db, sql, &stmt);
    if (err == P2P_OK) {
        sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
        sqlite3_bind_int64(stmt, 2, number);
        err = p2p_sqlite_next(stmt, &row);
    }
    if (err == P2P_OK)
        err = row ? p2p_versions_read_row(&r, stmt, out) : P2P_ERR_NOT_FOUND;
    sqlite3_finalize(stmt);
    return err;
}

enum p2p_err
p2p_versions_find_locked(struct p2p_versions *v, const char *name, uint32_t version,
                         struct p2p_version *out)
{
    static const char numbered[] = "SELECT " ROW_COLUMNS " FROM versions v"
                                   " WHERE v.name = ?1 AND v.version = ?2";
    static const char newest[] = "SELECT " ROW_COLUMNS " FROM versions v"
                                 " WHERE v.name = ?1 AND ?2 = 0"
                                 " ORDER BY 10 DESC, v.version DESC LIMIT 1";

    return find(v, version == P2P_VERSIONS_CURRENT ? newest : numbered, name, version,
                out);
}

enum p2p_err
p2p_versions_find(struct p2p_versions *v, const char *name, uint32_t version,
                  struct p2p_version *out)
{
    p2p_lock(&v->lock);
    enum p2p_err err = p2p_versions_find_locked(v, name, version, out);
    p2p_unlock(&v->lock);
    return err;
}

enum p2p_err
p2p_versions_at(struct p2p_versions *v, const char *name, uint64_t time_s,
                struct p2p_version *out)
{
    static const char sql[] = "SELECT " ROW_COLUMNS " FROM versions v"
                              " WHERE v.name = ?1 AND v.until_s > ?2"
                              " ORDER BY v.until_s, v.version LIMIT 1";

    p2p_lock(&v->lock);
    enum p2p_err err = find(v, sql, name, (int64_t)time_s, out);
    p2p_unlock(&v->lock);
    if (err == P2P_OK && out->since_s > time_s)
        err = P2P_ERR_NOT_FOUND;
    return err;
}

enum p2p_err
p2p_versions_open_content(struct p2p_versions *v, const char *name, uint32_t version,
                          int *fd, struct p2p_version *out)
{
    enum p2p_err err;

    *fd = -1;
    p2p_lock(&v->lock);
    err = p2p_versions_find_locked(v, name, version, out);
    if (err == P2P_OK)
        err = out->is_kept ? p2p_versions_object_open(v, &out->root, fd) : P2P_ERR_GONE;
    p2p_unlock(&v->lock);
    return err;
}

/* ---- Deleted files ---- */

enum p2p_err
p2p_versions_prefix(const char *folder, char out[P2P_VERSIONS_PREFIX])
{
    size_t len = strlen(folder);

    if (len > P2P_NAME_MAX)
        return P2P_ERR_NAME;
    snprintf(out, P2P_VERSIONS_PREFIX, "%s%s", folder,
             len == 0 || folder[len - 1] == '/' ? "" : "/");
    return P2P_OK;
}

static bool
is_gone(const struct p2p_versions *v, const char *name)
{
    struct stat st;

    return p2p_root_stat(v->root, name, &st) != P2P_OK;
}

enum p2p_err
p2p_versions_deleted(struct p2p_versions *v, const char *folder, size_t skip,
                     size_t max, p2p_versions_visit *visit, void *arg)
{
    char prefix[P2P_VERSIONS_PREFIX];
    struct p2p_version version;
    struct p2p_versions_reader r;
    sqlite3_stmt *stmt = NULL;
    size_t seen = 0;
    bool row = true;
    enum p2p_err err;

    if ((err = p2p_versions_prefix(folder, prefix)) != P2P_OK)
        return err;
    p2p_lock(&v->lock);
    err = p2p_versions_reader_init(v, &r);
    if (err == P2P_OK)
        err = p2p_sqlite_prepare(
            v->db,
            "SELECT " ROW_COLUMNS " FROM versions v WHERE v.end = 2"
            " AND substr(v.name, 1, length(?1)) = ?1 AND v.version ="
            " (SELECT MAX(w.version) FROM versions w WHERE w.name = v.name)"
            " ORDER BY v.until_s DESC, v.name",
            &stmt);
    if (err == P2P_OK)
        sqlite3_bind_text(stmt, 1, prefix, -1, SQLITE_STATIC);
    while (err == P2P_OK && seen < skip + max &&
           (err = p2p_sqlite_next(stmt, &row)) == P2P_OK && row)
        if ((err = p2p_versions_read_row(&r, stmt, &version)) == P2P_OK &&
            is_gone(v, version.name) && ++seen > skip)
            visit(arg, &version);
    sqlite3_finalize(stmt);
    p2p_unlock(&v->lock);
    return err;
}
