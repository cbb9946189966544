/* The rows of versions and contents: adding and removing them. */
#include <sys/stat.h>

#include "core/keep/versions_internal.h"
#include "core/share/item.h"

/* ---- Adding ---- */

/* The number is above all that the name ever had; the content began when the one before
 * it ended, or when it was written. */
enum p2p_err
p2p_versions_add_row(struct p2p_versions *v, const struct p2p_mailbox_note *note,
                     const struct p2p_digest *root, const struct stat *st,
                     uint64_t now_k)
{
    sqlite3_stmt *stmt = NULL;
    enum p2p_err err = p2p_sqlite_prepare(
        v->db,
        "INSERT INTO versions(name, version, until_k, since_s, until_s, end, size,"
        " mtime_ns, root) SELECT ?1, MAX(?2, IFNULL(MAX(version), 0) + 1,"
        " IFNULL((SELECT last FROM numbers WHERE name = ?1), 0) + 1), ?3,"
        " MIN(?4, MAX(?8 / 1000000000, IFNULL(MAX(until_s), 0))), ?4, ?5, ?6, ?8, ?7"
        " FROM versions WHERE name = ?1",
        &stmt);

    if (err == P2P_OK) {
        sqlite3_bind_text(stmt, 1, note->name, -1, SQLITE_STATIC);
        sqlite3_bind_int64(stmt, 2, note->version);
        sqlite3_bind_int64(stmt, 3, (int64_t)now_k);
        sqlite3_bind_int64(stmt, 4, (int64_t)note->until_s);
        sqlite3_bind_int(stmt, 5, (int)note->end);
        sqlite3_bind_int64(stmt, 6, st->st_size);
        sqlite3_bind_blob(stmt, 7, root->b, sizeof(root->b), SQLITE_STATIC);
        sqlite3_bind_int64(stmt, 8, p2p_file_state_of(st).mtime_ns);
        err = p2p_sqlite_done(stmt);
    }
    sqlite3_finalize(stmt);
    return err;
}

enum p2p_err
p2p_versions_add_object(struct p2p_versions *v, const struct p2p_digest *root,
                        const struct stat *st, uint64_t now_k, bool is_base)
{
    sqlite3_stmt *stmt = NULL;
    enum p2p_err err = p2p_sqlite_prepare(
        v->db,
        "INSERT INTO objects(root, size, disk, chunk_size, is_base, checked_k)"
        " VALUES(?1, ?2, ?3, 0, ?5, ?4) ON CONFLICT(root) DO UPDATE SET"
        " is_base = is_base AND excluded.is_base, disk = MAX(disk, excluded.disk)",
        &stmt);

    if (err == P2P_OK) {
        sqlite3_bind_blob(stmt, 1, root->b, sizeof(root->b), SQLITE_STATIC);
        sqlite3_bind_int64(stmt, 2, st->st_size);
        sqlite3_bind_int64(stmt, 3, (int64_t)st->st_blocks * 512);
        sqlite3_bind_int64(stmt, 4, (int64_t)now_k);
        sqlite3_bind_int(stmt, 5, is_base);
        err = p2p_sqlite_done(stmt);
    }
    sqlite3_finalize(stmt);
    return err;
}

/* ---- Removing ---- */

static enum p2p_err
run_for_root(struct p2p_versions *v, const char *sql, const struct p2p_digest *root)
    P2P_REQUIRES(p2p_versions_lock)
{
    sqlite3_stmt *stmt = NULL;
    enum p2p_err err = p2p_sqlite_prepare(v->db, sql, &stmt);

    if (err == P2P_OK) {
        sqlite3_bind_blob(stmt, 1, root->b, sizeof(root->b), SQLITE_STATIC);
        err = p2p_sqlite_done(stmt);
    }
    sqlite3_finalize(stmt);
    return err;
}

/* The row goes first: a file without a row is found by nobody, but a row without a file
 * would promise something. */
uint64_t
p2p_versions_evict(struct p2p_versions *v, const struct p2p_digest *root)
{
    int64_t before = 0, after = 0;

    if (p2p_versions_number(v, "SELECT disk FROM state", 0, &before) != P2P_OK ||
        run_for_root(v, "DELETE FROM objects WHERE root = ?1", root) != P2P_OK ||
        p2p_versions_number(v, "SELECT disk FROM state", 0, &after) != P2P_OK)
        return 0;
    p2p_versions_object_remove(v, root);
    return before > after ? (uint64_t)(before - after) : 0;
}

static enum p2p_err
delete_row(struct p2p_versions *v, const char *name, uint32_t version)
    P2P_REQUIRES(p2p_versions_lock)
{
    sqlite3_stmt *stmt = NULL;
    enum p2p_err err = p2p_sqlite_prepare(
        v->db, "DELETE FROM versions WHERE name = ?1 AND version = ?2", &stmt);

    if (err == P2P_OK) {
        sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
        sqlite3_bind_int64(stmt, 2, version);
        err = p2p_sqlite_done(stmt);
    }
    sqlite3_finalize(stmt);
    return err;
}

enum p2p_err
p2p_versions_forget(struct p2p_versions *v, const char *name, uint32_t version,
                    const struct p2p_digest *root)
{
    static const char unused[] =
        "DELETE FROM objects WHERE root = ?1 AND is_base = 0 AND NOT EXISTS"
        " (SELECT 1 FROM versions v WHERE v.root = objects.root)";
    bool is_unused = false;
    enum p2p_err err = p2p_versions_begin(v);

    if (err != P2P_OK)
        return err;
    err = delete_row(v, name, version);
    if (err == P2P_OK && (err = run_for_root(v, unused, root)) == P2P_OK)
        is_unused = sqlite3_changes(v->db) > 0;
    err = p2p_versions_end(v, err);
    if (err == P2P_OK && is_unused)
        p2p_versions_object_remove(v, root);
    return err;
}
