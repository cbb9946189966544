#include "p2p/grants.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/trust/grants_internal.h"
#include "p2p/links.h"
#include "p2p/name.h"
#include "p2p/sqlite.h"

/* The kinds of `who` and `what`. Numbers are part of the file. */
enum { WHO_EVERYONE = 0, WHO_PEERS = 1 };
enum { WHAT_FOLDER = 1 };

#define IS_RULE                                            \
    " what = 1 AND who IN (0, 1) AND token_sha256 IS NULL" \
    " AND expires_s IS NULL AND uses_left IS NULL AND bytes_left IS NULL"

static const char sql_list[] = "SELECT id, who, folder, peers, created_s FROM grants"
                               " WHERE" IS_RULE " ORDER BY folder";
static const char sql_remove[] = "DELETE FROM grants WHERE id = ?1";
static const char sql_clear[] = "DELETE FROM grants WHERE folder = ?1 AND" IS_RULE;
static const char sql_add[] = "INSERT INTO grants(who, what, folder, peers, created_s)"
                              " VALUES(?1, ?2, ?3, ?4, ?5)";

/* ---- Folders ---- */

enum p2p_err
p2p_grants_folder(const char *text, char out[P2P_NAME_MAX + 2])
{
    size_t len = strlen(text);

    out[0] = '\0';
    while (len > 0 && text[len - 1] == '/')
        len--;
    if (len == 0)
        return text[0] == '/' ? P2P_OK : P2P_ERR_NAME;
    if (p2p_name_check(text, len, true) != P2P_OK)
        return P2P_ERR_NAME;
    snprintf(out, P2P_NAME_MAX + 2, "%.*s/", (int)len, text);
    return P2P_OK;
}

/* ---- The database ---- */

static enum p2p_err
read_row(sqlite3_stmt *stmt, void *row)
{
    struct p2p_grant *out = row;
    const unsigned char *folder = sqlite3_column_text(stmt, 2);
    const void *peers = sqlite3_column_blob(stmt, 3);
    size_t size = (size_t)sqlite3_column_bytes(stmt, 3);

    out->id = (uint64_t)sqlite3_column_int64(stmt, 0);
    out->everyone = sqlite3_column_int(stmt, 1) == WHO_EVERYONE;
    out->created_s = (uint64_t)sqlite3_column_int64(stmt, 4);
    if (folder == NULL || strlen((const char *)folder) >= sizeof(out->folder) ||
        size > sizeof(out->peers) || size % sizeof(out->peers[0]) != 0)
        return P2P_ERR_CORRUPT;
    strcpy(out->folder, (const char *)folder);
    out->peer_count = size / sizeof(out->peers[0]);
    if (size > 0)
        memcpy(out->peers, peers, size);
    return P2P_OK;
}

static enum p2p_err
list(sqlite3 *db, struct p2p_grant **out, size_t *count)
{
    void *rows;
    enum p2p_err err = p2p_sqlite_list(db, sql_list, sizeof(**out),
                                       P2P_ACCESS_RULES_MAX, read_row, &rows, count);

    *out = rows;
    return err;
}

enum p2p_err
p2p_grants_list(const char *keys_dir, struct p2p_grant **out, size_t *count)
{
    sqlite3 *db;
    enum p2p_err err = p2p_grants_open(keys_dir, false, &db);

    *out = NULL;
    *count = 0;
    if (err == P2P_ERR_NOT_FOUND)
        return P2P_OK;
    if (err == P2P_OK)
        err = list(db, out, count);
    p2p_sqlite_close(db);
    return err;
}

static enum p2p_err
add_links(const char *keys_dir, struct p2p_access *access)
{
    struct p2p_links_row *rows;
    size_t count;
    enum p2p_err err = p2p_links_list(keys_dir, &rows, &count);

    for (size_t i = 0; i < count && err == P2P_OK; i++) {
        const struct p2p_access_link link = {rows[i].keys.guest, rows[i].names};

        err = p2p_access_add_link(access, &link);
    }
    if (rows != NULL)
        p2p_wipe(rows, count * sizeof(*rows));
    free(rows);
    return err;
}

enum p2p_err
p2p_grants_read(const char *keys_dir, bool is_public, struct p2p_access **out)
{
    struct p2p_access_rule rules[P2P_ACCESS_RULES_MAX];
    struct p2p_grant *grants;
    size_t count;
    enum p2p_err err = p2p_grants_list(keys_dir, &grants, &count);

    *out = NULL;
    if (err != P2P_OK)
        return err;
    for (size_t i = 0; i < count; i++)
        rules[i] = (struct p2p_access_rule){
            .folder = grants[i].folder,
            .everyone = grants[i].everyone,
            .peers = grants[i].peers,
            .peer_count = grants[i].peer_count,
        };
    err = p2p_access_new(rules, count, is_public, out);
    free(grants);
    if (err == P2P_OK && (err = add_links(keys_dir, *out)) != P2P_OK) {
        p2p_access_put(*out);
        *out = NULL;
    }
    return err;
}

/* ---- Changes: each is one transaction ---- */

struct change {
    const char *folder;
    const struct p2p_id *peers;
    size_t count;
    uint64_t id;
};

static enum p2p_err
clear_folder(sqlite3 *db, const char *folder)
{
    sqlite3_stmt *stmt = NULL;
    enum p2p_err err = p2p_sqlite_prepare(db, sql_clear, &stmt);

    if (err == P2P_OK) {
        sqlite3_bind_text(stmt, 1, folder, -1, SQLITE_STATIC);
        err = p2p_sqlite_done(stmt);
    }
    sqlite3_finalize(stmt);
    return err;
}

static enum p2p_err
add(sqlite3 *db, int who, const struct change *change)
{
    sqlite3_stmt *stmt = NULL;
    struct p2p_grant *grants = NULL;
    size_t count = 0;
    enum p2p_err err = list(db, &grants, &count);

    free(grants);
    if (err == P2P_OK && count == P2P_ACCESS_RULES_MAX)
        err = P2P_ERR_TOO_LARGE;
    if (err == P2P_OK)
        err = p2p_sqlite_prepare(db, sql_add, &stmt);
    if (err == P2P_OK) {
        sqlite3_bind_int(stmt, 1, who);
        sqlite3_bind_int(stmt, 2, WHAT_FOLDER);
        sqlite3_bind_text(stmt, 3, change->folder, -1, SQLITE_STATIC);
        sqlite3_bind_blob(stmt, 4, change->count > 0 ? change->peers : NULL,
                          (int)(change->count * sizeof(change->peers[0])),
                          SQLITE_STATIC);
        sqlite3_bind_int64(stmt, 5, (sqlite3_int64)time(NULL));
        err = p2p_sqlite_done(stmt);
    }
    sqlite3_finalize(stmt);
    return err;
}

static enum p2p_err
make_private(sqlite3 *db, const struct change *change)
{
    enum p2p_err err = clear_folder(db, change->folder);

    return err == P2P_OK ? add(db, WHO_PEERS, change) : err;
}

/* Without a rule of its own, the folder follows the one around it. */
static enum p2p_err
make_public(sqlite3 *db, const struct change *change)
{
    struct p2p_grant *grants = NULL;
    size_t count = 0;
    bool is_inside = false;
    enum p2p_err err = clear_folder(db, change->folder);

    if (err == P2P_OK)
        err = list(db, &grants, &count);
    for (size_t i = 0; i < count; i++) /* the longest one is the last one */
        if (strncmp(change->folder, grants[i].folder, strlen(grants[i].folder)) == 0)
            is_inside = !grants[i].everyone;
    free(grants);
    return err == P2P_OK && is_inside ? add(db, WHO_EVERYONE, change) : err;
}

static enum p2p_err
remove_one(sqlite3 *db, const struct change *change)
{
    sqlite3_stmt *stmt = NULL;
    enum p2p_err err = p2p_sqlite_prepare(db, sql_remove, &stmt);

    if (err == P2P_OK) {
        sqlite3_bind_int64(stmt, 1, (sqlite3_int64)change->id);
        err = p2p_sqlite_done(stmt);
    }
    if (err == P2P_OK && sqlite3_changes(db) == 0)
        err = P2P_ERR_NOT_FOUND;
    sqlite3_finalize(stmt);
    return err;
}

static enum p2p_err
apply(const char *keys_dir,
      enum p2p_err (*run)(sqlite3 *db, const struct change *change),
      const struct change *change)
{
    sqlite3 *db;
    enum p2p_err err = p2p_grants_open(keys_dir, true, &db);

    if (err == P2P_OK)
        err = p2p_sqlite_run(db, "BEGIN IMMEDIATE");
    if (err == P2P_OK)
        err = run(db, change);
    if (err == P2P_OK)
        err = p2p_sqlite_run(db, "COMMIT");
    p2p_sqlite_close(db); /* what was not committed is undone */
    return err;
}

enum p2p_err
p2p_grants_set_private(const char *keys_dir, const char *folder,
                       const struct p2p_id *peers, size_t count)
{
    const struct change change = {.folder = folder, .peers = peers, .count = count};

    return count > P2P_ACCESS_PEERS_MAX ? P2P_ERR_TOO_LARGE
                                        : apply(keys_dir, make_private, &change);
}

enum p2p_err
p2p_grants_set_public(const char *keys_dir, const char *folder)
{
    const struct change change = {.folder = folder};

    return apply(keys_dir, make_public, &change);
}

enum p2p_err
p2p_grants_remove(const char *keys_dir, uint64_t id)
{
    const struct change change = {.id = id};

    return apply(keys_dir, remove_one, &change);
}
