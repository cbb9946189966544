/* What goes by age, and because the owner says so. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "core/keep/versions_internal.h"

#define NAMES_PER_TURN 256
#define ROWS_MAX       4096 /* of one name that are looked at together */

/* ---- By age ---- */

struct history {
    uint32_t version[ROWS_MAX];
    struct p2p_digest root[ROWS_MAX];
    struct p2p_retention_row row[ROWS_MAX];
    bool drop[ROWS_MAX];
    size_t n;
};

static enum p2p_err
load(struct p2p_versions *v, const char *name, struct history *h)
    P2P_REQUIRES(p2p_versions_lock)
{
    sqlite3_stmt *stmt = NULL;
    bool row = true;
    enum p2p_err err =
        p2p_sqlite_prepare(v->db,
                           "SELECT version, until_k, end, root FROM versions"
                           " WHERE name = ?1 ORDER BY version LIMIT ?2",
                           &stmt);

    h->n = 0;
    if (err == P2P_OK) {
        sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
        sqlite3_bind_int64(stmt, 2, ROWS_MAX);
    }
    while (err == P2P_OK && (err = p2p_sqlite_next(stmt, &row)) == P2P_OK && row) {
        h->version[h->n] = (uint32_t)sqlite3_column_int64(stmt, 0);
        h->row[h->n].until_k = (uint64_t)sqlite3_column_int64(stmt, 1);
        h->row[h->n].is_deletion = sqlite3_column_int(stmt, 2) == P2P_MAILBOX_DELETED;
        err = p2p_sqlite_get_blob(stmt, 3, h->root[h->n].b, sizeof(h->root[h->n].b));
        h->n++;
    }
    sqlite3_finalize(stmt);
    return err;
}

static enum p2p_err
thin_name(struct p2p_versions *v, const char *name, const struct p2p_retention *rules,
          uint64_t now_k, struct history *h) P2P_REQUIRES(p2p_versions_lock)
{
    struct stat st;
    enum p2p_err err = load(v, name, h);
    bool is_gone = p2p_root_stat(v->root, name, &st) == P2P_ERR_NOT_FOUND;

    if (err != P2P_OK)
        return err;
    p2p_retention_decide(rules, h->row, h->n, is_gone, now_k, h->drop);
    for (size_t i = 0; i < h->n && err == P2P_OK; i++)
        if (h->drop[i])
            err = p2p_versions_forget(v, name, h->version[i], &h->root[i]);
    return err;
}

/* The next name after the one that was thinned last; "" at the end. */
static enum p2p_err
next_name(struct p2p_versions *v, char name[P2P_NAME_MAX + 1])
    P2P_REQUIRES(p2p_versions_lock)
{
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    enum p2p_err err = p2p_sqlite_prepare(
        v->db, "SELECT name FROM versions WHERE name > ?1 ORDER BY name LIMIT 1",
        &stmt);

    if (err == P2P_OK) {
        sqlite3_bind_text(stmt, 1, name, -1, SQLITE_TRANSIENT);
        err = p2p_sqlite_next(stmt, &row);
    }
    name[0] = '\0';
    if (err == P2P_OK && row && sqlite3_column_text(stmt, 0) != NULL)
        snprintf(name, P2P_NAME_MAX + 1, "%s",
                 (const char *)sqlite3_column_text(stmt, 0));
    sqlite3_finalize(stmt);
    return err;
}

/* A turn looks at some names; the next one continues behind them. */
static enum p2p_err
thin(struct p2p_versions *v, uint64_t now_k) P2P_REQUIRES(p2p_versions_lock)
{
    struct p2p_versions_limits limits;
    struct history *h = malloc(sizeof(*h));
    enum p2p_err err = h != NULL ? p2p_versions_limits(v, &limits) : P2P_ERR_NOMEM;

    for (int i = 0; i < NAMES_PER_TURN && err == P2P_OK; i++) {
        err = next_name(v, v->thinned);
        if (err != P2P_OK || v->thinned[0] == '\0')
            break;
        err = thin_name(v, v->thinned, &limits.retention, now_k, h);
    }
    free(h);
    return err;
}

static enum p2p_err
tend_alone(struct p2p_versions *v)
{
    uint64_t now_k = 0;
    enum p2p_err err;

    p2p_lock(&v->lock);
    if ((err = p2p_versions_begin(v)) == P2P_OK)
        err = p2p_versions_end(v, p2p_versions_clock(v, &now_k));
    if (err == P2P_OK)
        err = thin(v, now_k);
    if (err == P2P_OK)
        (void)p2p_versions_shrink(v, 0);
    p2p_unlock(&v->lock);
    if (err == P2P_OK)
        p2p_versions_sweep(v, now_k);
    return err;
}

/* p2p-peer and p2p-ui both look after a folder: one at a time removes. */
enum p2p_err
p2p_versions_tend(struct p2p_versions *v)
{
    enum p2p_err err = p2p_versions_settle(v, UINT64_MAX);

    if (err != P2P_OK ||
        (flock(v->dir, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK))
        return err;
    err = tend_alone(v);
    (void)flock(v->dir, LOCK_UN);
    return err;
}

/* ---- For ever ---- */

#define UNUSED_PER_TURN 256

void
p2p_versions_drop_unused(struct p2p_versions *v)
{
    static const char sql[] =
        "SELECT root FROM objects o WHERE is_base = 1 AND ?1 = 0 AND NOT EXISTS"
        " (SELECT 1 FROM bases b WHERE b.root = o.root) AND NOT EXISTS"
        " (SELECT 1 FROM versions w WHERE w.root = o.root) LIMIT 1";
    struct p2p_digest root;

    for (int i = 0; i < UNUSED_PER_TURN && p2p_versions_find_root(v, sql, 0, &root);
         i++)
        (void)p2p_versions_evict(v, &root);
}

/* The last seen state of the name is forgotten, too: otherwise it would be recorded as
 * an old content. */
static enum p2p_err
forget_base(struct p2p_versions *v, const char *name) P2P_REQUIRES(p2p_versions_lock)
{
    sqlite3_stmt *stmt = NULL;
    enum p2p_err err =
        p2p_sqlite_prepare(v->db, "DELETE FROM bases WHERE name = ?1", &stmt);

    if (err == P2P_OK) {
        sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
        err = p2p_sqlite_done(stmt);
    }
    sqlite3_finalize(stmt);
    if (err == P2P_OK)
        p2p_versions_drop_unused(v);
    return err;
}

enum p2p_err
p2p_versions_purge(struct p2p_versions *v, const char *name, uint32_t version)
{
    struct p2p_version found;
    bool any = false;
    enum p2p_err err = p2p_versions_settle(v, UINT64_MAX);

    p2p_lock(&v->lock);
    while (err == P2P_OK &&
           (err = p2p_versions_find_locked(v, name, version, &found)) == P2P_OK) {
        err = p2p_versions_forget(v, name, found.version, &found.root);
        any = true;
        if (version != P2P_VERSIONS_CURRENT)
            break;
    }
    if (err == P2P_ERR_NOT_FOUND && any)
        err = P2P_OK;
    if (err == P2P_OK)
        err = forget_base(v, name);
    p2p_unlock(&v->lock);
    return err;
}
