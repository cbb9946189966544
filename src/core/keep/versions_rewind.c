/* A whole folder as it was at a time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/keep/versions_internal.h"
#include "p2p/array.h"
#include "p2p/io.h"

struct names {
    char **at;
    size_t count, room;
};

static enum p2p_err
add_name(struct names *names, const char *name)
{
    char **grown =
        p2p_array_room(names->at, names->count, &names->room, sizeof(*grown));
    if (grown == NULL)
        return P2P_ERR_NOMEM;
    names->at = grown;
    names->at[names->count] = strdup(name != NULL ? name : "");
    return names->at[names->count++] != NULL ? P2P_OK : P2P_ERR_NOMEM;
}

/* The names that have versions, so that restoring can change the list meanwhile. */
static enum p2p_err
find_names(struct p2p_versions *v, const char *folder, struct names *names)
{
    char prefix[P2P_VERSIONS_PREFIX];
    sqlite3_stmt *stmt = NULL;
    bool row = true;
    enum p2p_err err;

    if ((err = p2p_versions_prefix(folder, prefix)) != P2P_OK)
        return err;
    p2p_lock(&v->lock);
    err = p2p_sqlite_prepare(v->db,
                             "SELECT DISTINCT name FROM versions"
                             " WHERE substr(name, 1, length(?1)) = ?1 ORDER BY name",
                             &stmt);
    if (err == P2P_OK)
        sqlite3_bind_text(stmt, 1, prefix, -1, SQLITE_STATIC);
    while (err == P2P_OK && (err = p2p_sqlite_next(stmt, &row)) == P2P_OK && row)
        err = add_name(names, (const char *)sqlite3_column_text(stmt, 0));
    sqlite3_finalize(stmt);
    p2p_unlock(&v->lock);
    return err;
}

/* True if the present file has this content. */
static bool
is_current(struct p2p_versions *v, const struct p2p_version *version)
{
    struct p2p_digest root;
    struct stat st;
    int fd = -1;
    bool is_same = p2p_root_open_file(v->root, version->name, &fd, &st) == P2P_OK &&
                   (uint64_t)st.st_size == version->size &&
                   p2p_versions_hash(fd, version->size, NULL, NULL, &root) == P2P_OK &&
                   memcmp(&root, &version->root, sizeof(root)) == 0;

    p2p_fd_close(&fd);
    return is_same;
}

/* A name that did not change since then, or did not exist then, stays as it is. */
static enum p2p_err
rewind_name(struct p2p_versions *v, const struct p2p_versions_rewind *how,
            const char *name)
{
    char stored[P2P_NAME_MAX + 1];
    struct p2p_version version;
    struct p2p_versions_restore restore = {.name = name};
    enum p2p_err err = p2p_versions_at(v, name, how->time_s, &version);

    if (err != P2P_OK || is_current(v, &version))
        return err == P2P_ERR_NOT_FOUND ? P2P_OK : err;
    restore.version = version.version;
    if (!version.is_kept)
        err = P2P_ERR_GONE;
    else if (!how->is_trial)
        err = p2p_versions_restore(v, &restore, stored);
    how->visit(how->arg, &version, err);
    return P2P_OK;
}

enum p2p_err
p2p_versions_rewind(struct p2p_versions *v, const struct p2p_versions_rewind *how)
{
    struct names names = {.count = 0};
    enum p2p_err err = p2p_versions_settle(v, UINT64_MAX);

    if (err == P2P_OK)
        err = find_names(v, how->folder, &names);
    for (size_t i = 0; i < names.count && err == P2P_OK; i++)
        err = rewind_name(v, how, names.at[i]);
    for (size_t i = 0; i < names.count; i++)
        free(names.at[i]);
    free(names.at);
    return err;
}
