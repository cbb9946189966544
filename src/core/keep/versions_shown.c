/* What other devices may see and download of the old contents. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/keep/versions_internal.h"
#include "p2p/io.h"
#include "p2p/tree.h"

#define LAYER_MAX 65536 /* hashes that the database keeps; more are made again */

/* Since the name was deleted last. */
#define SHOWN                                                                   \
    " v.version > IFNULL((SELECT MAX(w.version) FROM versions w WHERE w.name =" \
    " v.name AND w.end = 2), 0)"

static bool
is_there(const struct p2p_versions *v, const char *name)
{
    struct stat st;

    return p2p_root_stat(v->root, name, &st) == P2P_OK && S_ISREG(st.st_mode);
}

static enum p2p_err
check_shown(struct p2p_versions *v) P2P_REQUIRES(p2p_versions_lock)
{
    struct p2p_versions_limits limits;
    enum p2p_err err = p2p_versions_limits(v, &limits);

    return err == P2P_OK && !limits.is_shown ? P2P_ERR_NOT_FOUND : err;
}

enum p2p_err
p2p_versions_shown(struct p2p_versions *v, const char *name, uint32_t before,
                   size_t max, p2p_versions_visit *visit, void *arg)
{
    enum p2p_err err;

    p2p_lock(&v->lock);
    err = is_there(v, name) ? check_shown(v) : P2P_ERR_NOT_FOUND;
    if (err == P2P_OK)
        err = p2p_versions_visit_rows(v,
                                      "SELECT " ROW_COLUMNS
                                      " FROM versions v WHERE v.name = ?1"
                                      " AND (?2 = 0 OR v.version < ?2) AND" SHOWN
                                      " ORDER BY v.version DESC LIMIT ?3",
                                      name, before, max, visit, arg);
    p2p_unlock(&v->lock);
    return err;
}

enum p2p_err
p2p_versions_shown_root(struct p2p_versions *v, const struct p2p_digest *root,
                        bool (*allows)(void *arg, const char *name), void *arg,
                        struct p2p_version *out)
{
    struct p2p_versions_reader r;
    sqlite3_stmt *stmt = NULL;
    bool row = true, is_found = false;
    enum p2p_err err;

    p2p_lock(&v->lock);
    err = check_shown(v);
    if (err == P2P_OK)
        err = p2p_versions_reader_init(v, &r);
    if (err == P2P_OK)
        err = p2p_sqlite_prepare(
            v->db,
            "SELECT " ROW_COLUMNS " FROM versions v WHERE v.root = ?1 AND" SHOWN
            " AND EXISTS (SELECT 1 FROM objects o WHERE o.root = v.root)",
            &stmt);
    if (err == P2P_OK)
        sqlite3_bind_blob(stmt, 1, root->b, sizeof(root->b), SQLITE_STATIC);
    while (err == P2P_OK && !is_found &&
           (err = p2p_sqlite_next(stmt, &row)) == P2P_OK && row) {
        err = p2p_versions_read_row(&r, stmt, out);
        is_found = err == P2P_OK && allows(arg, out->name) && is_there(v, out->name);
    }
    sqlite3_finalize(stmt);
    p2p_unlock(&v->lock);
    return err == P2P_OK && !is_found ? P2P_ERR_NOT_FOUND : err;
}

/* ---- With its tree ---- */

/* NOT_FOUND: the database has no layer for it. */
static enum p2p_err
load_layer(struct p2p_versions *v, const struct p2p_digest *root, uint64_t size,
           struct p2p_chunks *g, struct p2p_digest **layer)
    P2P_REQUIRES(p2p_versions_lock)
{
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    enum p2p_err err = p2p_sqlite_prepare(
        v->db,
        "SELECT chunk_size, hashes FROM objects WHERE root = ?1 AND hashes IS NOT NULL",
        &stmt);

    *layer = NULL;
    if (err == P2P_OK) {
        sqlite3_bind_blob(stmt, 1, root->b, sizeof(root->b), SQLITE_STATIC);
        err = p2p_sqlite_next(stmt, &row);
    }
    if (err == P2P_OK &&
        (!row ||
         p2p_chunks_init(g, size, (uint32_t)sqlite3_column_int64(stmt, 0)) != P2P_OK))
        err = P2P_ERR_NOT_FOUND;
    size_t len = err == P2P_OK ? (size_t)g->count * sizeof(**layer) : 0;
    if (err == P2P_OK && (len == 0 || (size_t)sqlite3_column_bytes(stmt, 1) != len))
        err = P2P_ERR_NOT_FOUND;
    if (err == P2P_OK && (*layer = malloc(len)) == NULL)
        err = P2P_ERR_NOMEM;
    if (err == P2P_OK)
        memcpy(*layer, sqlite3_column_blob(stmt, 1), len);
    sqlite3_finalize(stmt);
    if (err == P2P_OK && p2p_tree_check_layer(g, *layer, root) != P2P_OK) {
        free(*layer);
        *layer = NULL;
        err = P2P_ERR_NOT_FOUND;
    }
    return err;
}

/* It can be made again, so an error is none. */
static void
store_layer(struct p2p_versions *v, const struct p2p_digest *root,
            const struct p2p_chunks *g, const struct p2p_digest *layer)
    P2P_REQUIRES(p2p_versions_lock)
{
    sqlite3_stmt *stmt = NULL;

    if (g->count == 0 || g->count > LAYER_MAX ||
        p2p_sqlite_prepare(
            v->db, "UPDATE objects SET chunk_size = ?2, hashes = ?3 WHERE root = ?1",
            &stmt) != P2P_OK)
        return;
    sqlite3_bind_blob(stmt, 1, root->b, sizeof(root->b), SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 2, g->chunk_size);
    sqlite3_bind_blob(stmt, 3, layer, (int)(g->count * sizeof(*layer)), SQLITE_STATIC);
    (void)!p2p_sqlite_done(stmt);
    sqlite3_finalize(stmt);
}

static enum p2p_err
make_layer(struct p2p_versions *v, const struct p2p_digest *root, int fd, uint64_t size,
           struct p2p_chunks *g, struct p2p_digest **layer)
    P2P_EXCLUDES(p2p_versions_lock)
{
    struct p2p_digest found;
    enum p2p_err err = p2p_versions_hash_layer(fd, size, p2p_versions_is_cancelled, v,
                                               g, layer, &found);

    if (err == P2P_OK && memcmp(&found, root, sizeof(found)) != 0) {
        free(*layer);
        *layer = NULL;
        err = P2P_ERR_HASH_MISMATCH;
    }
    if (err == P2P_OK) {
        p2p_lock(&v->lock);
        store_layer(v, root, g, *layer);
        p2p_unlock(&v->lock);
    }
    return err;
}

enum p2p_err
p2p_versions_open_tree(struct p2p_versions *v, const struct p2p_digest *root, int *fd,
                       struct p2p_chunks *geometry, struct p2p_digest **layer)
{
    struct stat st;
    enum p2p_err err;

    *layer = NULL;
    err = p2p_versions_object_open(v, root, fd);
    if (err == P2P_OK && fstat(*fd, &st) != 0)
        err = P2P_ERR_SYS;
    if (err == P2P_OK) {
        p2p_lock(&v->lock);
        err = load_layer(v, root, (uint64_t)st.st_size, geometry, layer);
        p2p_unlock(&v->lock);
    }
    if (err == P2P_ERR_NOT_FOUND)
        err = make_layer(v, root, *fd, (uint64_t)st.st_size, geometry, layer);
    if (err != P2P_OK)
        p2p_fd_close(fd);
    return err;
}
