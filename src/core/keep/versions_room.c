/* What goes for space. */
#include "core/keep/versions_internal.h"
#include "p2p/log.h"

bool
p2p_versions_find_root(struct p2p_versions *v, const char *sql, uint64_t number,
                       struct p2p_digest *root)
{
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    enum p2p_err err = p2p_sqlite_prepare(v->db, sql, &stmt);

    if (err == P2P_OK) {
        sqlite3_bind_int64(stmt, 1, (int64_t)number);
        err = p2p_sqlite_next(stmt, &row);
    }
    if (err == P2P_OK && row)
        err = p2p_sqlite_get_blob(stmt, 0, root->b, sizeof(root->b));
    sqlite3_finalize(stmt);
    return err == P2P_OK && row;
}

/* The content that ended first; none of its versions is younger than min-age. */
static bool
find_old(struct p2p_versions *v, uint64_t min_age_s, struct p2p_digest *root)
    P2P_REQUIRES(p2p_versions_lock)
{
    static const char sql[] =
        "SELECT v.root FROM versions v WHERE v.until_k <= ?1 AND EXISTS"
        " (SELECT 1 FROM objects o WHERE o.root = v.root) AND NOT EXISTS"
        " (SELECT 1 FROM versions w WHERE w.root = v.root AND w.until_k > ?1)"
        " ORDER BY v.until_k LIMIT 1";
    uint64_t now_k = p2p_versions_clock_peek(v);

    return now_k >= min_age_s &&
           p2p_versions_find_root(v, sql, now_k - min_age_s, root);
}

/* A base copy: the content is still there as a file. */
static bool
find_base(struct p2p_versions *v, struct p2p_digest *root)
    P2P_REQUIRES(p2p_versions_lock)
{
    static const char sql[] =
        "SELECT root FROM objects o WHERE is_base = 1 AND disk > ?1 AND NOT EXISTS"
        " (SELECT 1 FROM versions w WHERE w.root = o.root) LIMIT 1";

    return p2p_versions_find_root(v, sql, 0, root);
}

/* A content of which every version was ended by the owner's deletion. */
static bool
find_deleted(struct p2p_versions *v, struct p2p_digest *root)
    P2P_REQUIRES(p2p_versions_lock)
{
    static const char sql[] =
        "SELECT v.root FROM versions v WHERE v.end = 2 AND ?1 = 0 AND EXISTS"
        " (SELECT 1 FROM objects o WHERE o.root = v.root) AND NOT EXISTS"
        " (SELECT 1 FROM versions w WHERE w.root = v.root AND w.end <> 2)"
        " ORDER BY v.until_k LIMIT 1";

    return p2p_versions_find_root(v, sql, 0, root);
}

bool
p2p_versions_shrink(struct p2p_versions *v, uint64_t more)
{
    struct p2p_versions_limits limits;
    struct p2p_digest root;
    bool fits = false;

    while (p2p_versions_limits(v, &limits) == P2P_OK) {
        fits = more <= limits.cap && limits.used <= limits.cap - more;
        if ((fits && limits.free >= limits.floor) ||
            (!find_base(v, &root) && !find_old(v, limits.retention.min_age_s, &root)))
            break;
        (void)p2p_versions_evict(v, &root);
    }
    if (!fits && !v->was_warned)
        p2p_log_warn("versions have reached their size limit: nothing older than "
                     "min-age is left to remove, so new ones are not kept (p2p "
                     "versions show) folder=%s",
                     p2p_root_path(v->root));
    v->was_warned = !fits;
    if (more > 0)
        v->is_stopped = !fits;
    return fits;
}

bool
p2p_versions_has_room(struct p2p_versions *v, uint64_t bytes)
{
    struct p2p_versions_limits limits;
    bool fits;

    p2p_lock(&v->lock);
    fits = p2p_versions_limits(v, &limits) == P2P_OK && limits.is_on &&
           p2p_versions_shrink(v, bytes);
    p2p_unlock(&v->lock);
    return fits;
}

uint64_t
p2p_versions_make_room(struct p2p_versions *v, uint64_t bytes)
{
    struct p2p_versions_limits limits;
    struct p2p_digest root;
    uint64_t freed = 0;

    p2p_lock(&v->lock);
    if (p2p_versions_limits(v, &limits) == P2P_OK)
        while (freed < bytes && (find_base(v, &root) || find_deleted(v, &root) ||
                                 find_old(v, limits.retention.min_age_s, &root)))
            freed += p2p_versions_evict(v, &root);
    p2p_unlock(&v->lock);
    return freed;
}

uint64_t
p2p_versions_spare(struct p2p_versions *v)
{
    struct p2p_versions_limits limits;
    uint64_t spare = 0, now_k;
    sqlite3_stmt *stmt = NULL;
    bool row = false;

    p2p_lock(&v->lock);
    now_k = p2p_versions_clock_peek(v);
    if (p2p_versions_limits(v, &limits) == P2P_OK &&
        p2p_sqlite_prepare(v->db,
                           "SELECT SUM(o.disk) FROM objects o WHERE NOT EXISTS"
                           " (SELECT 1 FROM versions w WHERE w.root = o.root"
                           " AND w.end <> 2) OR NOT EXISTS (SELECT 1 FROM versions w"
                           " WHERE w.root = o.root AND w.until_k + ?1 > ?2)",
                           &stmt) == P2P_OK) {
        sqlite3_bind_int64(stmt, 1, (int64_t)limits.retention.min_age_s);
        sqlite3_bind_int64(stmt, 2, (int64_t)now_k);
        if (p2p_sqlite_next(stmt, &row) == P2P_OK && row)
            spare = (uint64_t)sqlite3_column_int64(stmt, 0);
    }
    sqlite3_finalize(stmt);
    p2p_unlock(&v->lock);
    return spare;
}
