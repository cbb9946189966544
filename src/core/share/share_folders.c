/* The empty folders: a sorted list of names, and the folders to examine. */
#include "core/share/folders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/path.h"
#include "p2p/sqlite.h"

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS folders(id INTEGER PRIMARY KEY CHECK (id = 1),"
    " version INTEGER NOT NULL, names BLOB NOT NULL)";
static const char store[] = "INSERT OR REPLACE INTO folders VALUES(1, ?1, ?2)";
static const char load[] = "SELECT version, names FROM folders WHERE id = 1";

struct empty_folder {
    char *name; /* owned; ends in '/' */
    uint32_t seen;
};

struct p2p_folders {
    struct empty_folder list[P2P_EMPTY_FOLDERS_MAX]; /* sorted */
    size_t count;
    bool is_changed;
    char *doubtful[P2P_DOUBTFUL_FOLDERS_MAX]; /* without '/' at their ends; owned */
    size_t doubtful_count;
};

enum p2p_err
p2p_folders_new(struct p2p_folders **out)
{
    *out = calloc(1, sizeof(**out));
    return *out ? P2P_OK : P2P_ERR_NOMEM;
}

void
p2p_folders_free(struct p2p_folders *folders)
{
    if (!folders)
        return;
    for (size_t i = 0; i < folders->count; i++)
        free(folders->list[i].name);
    for (size_t i = 0; i < folders->doubtful_count; i++)
        free(folders->doubtful[i]);
    free(folders);
}

/* ---- The list ---- */

/* The first place with a name that is not below `key`. */
static size_t
place_of(const struct p2p_folders *folders, const char *key, bool *found)
{
    size_t low = 0, high = folders->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(folders->list[middle].name, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *found = low < folders->count && strcmp(folders->list[low].name, key) == 0;
    return low;
}

/* False: the name is too long for a list. */
static bool
make_key(const char *name, char key[P2P_NAME_MAX + 1])
{
    int n = snprintf(key, P2P_NAME_MAX + 1, "%s/", name);

    return n > 1 && n <= P2P_NAME_MAX;
}

enum p2p_err
p2p_folders_add(struct p2p_folders *folders, const char *name, uint32_t scan)
{
    char key[P2P_NAME_MAX + 1];
    bool found;

    if (!make_key(name, key))
        return P2P_ERR_NAME;
    size_t at = place_of(folders, key, &found);
    if (found) {
        folders->list[at].seen = scan;
        return P2P_OK;
    }
    if (folders->count == P2P_EMPTY_FOLDERS_MAX)
        return P2P_ERR_TOO_LARGE;
    char *copy = strdup(key);
    if (!copy)
        return P2P_ERR_NOMEM;
    memmove(&folders->list[at + 1], &folders->list[at],
            (folders->count - at) * sizeof(folders->list[0]));
    folders->list[at] = (struct empty_folder){copy, scan};
    folders->count++;
    folders->is_changed = true;
    return P2P_OK;
}

void
p2p_folders_remove(struct p2p_folders *folders, const char *name)
{
    char key[P2P_NAME_MAX + 1];
    bool found;

    if (!make_key(name, key))
        return;
    size_t at = place_of(folders, key, &found);
    if (!found)
        return;
    free(folders->list[at].name);
    folders->count--;
    memmove(&folders->list[at], &folders->list[at + 1],
            (folders->count - at) * sizeof(folders->list[0]));
    folders->is_changed = true;
}

void
p2p_folders_lose_unseen(struct p2p_folders *folders, uint32_t scan)
{
    size_t kept = 0;

    for (size_t i = 0; i < folders->count; i++)
        if (folders->list[i].seen == scan)
            folders->list[kept++] = folders->list[i];
        else
            free(folders->list[i].name);
    folders->is_changed |= kept != folders->count;
    folders->count = kept;
}

/* ---- Folders to examine ---- */

/* Many events for one folder come one after the other. */
static bool
is_doubtful(const struct p2p_folders *folders, const char *folder, size_t len)
{
    for (size_t i = folders->doubtful_count; i-- > 0;)
        if (strncmp(folders->doubtful[i], folder, len) == 0 &&
            folders->doubtful[i][len] == '\0')
            return true;
    return false;
}

bool
p2p_folders_doubt_above(struct p2p_folders *folders, const char *entry)
{
    const char *slash = strrchr(entry, '/');
    size_t len = slash ? (size_t)(slash - entry) : 0;

    if (len == 0 || is_doubtful(folders, entry, len))
        return true;
    if (folders->doubtful_count == P2P_DOUBTFUL_FOLDERS_MAX)
        return false;
    char *copy = strndup(entry, len);
    if (!copy)
        return false;
    folders->doubtful[folders->doubtful_count++] = copy;
    return true;
}

void
p2p_folders_examine(struct p2p_folders *folders, const struct p2p_root *root,
                    uint32_t scan)
{
    for (size_t i = 0; i < folders->doubtful_count; i++) {
        if (p2p_root_is_empty_folder(root, folders->doubtful[i]))
            /* A full list tells of it at the next scan. */
            (void)!p2p_folders_add(folders, folders->doubtful[i], scan);
        else
            p2p_folders_remove(folders, folders->doubtful[i]);
        free(folders->doubtful[i]);
    }
    folders->doubtful_count = 0;
}

bool
p2p_folders_take_changed(struct p2p_folders *folders)
{
    bool is_changed = folders->is_changed;

    folders->is_changed = false;
    return is_changed;
}

/* ---- For readers ---- */

/* All names in order, each with its NUL: `*len` bytes. NULL: out of memory. */
static char *
pack_names(const struct p2p_folders *folders, size_t *len)
{
    size_t size = 0;
    char *text;

    for (size_t i = 0; i < folders->count; i++)
        size += strlen(folders->list[i].name) + 1;
    *len = 0;
    if ((text = malloc(size + 1)) == NULL)
        return NULL;
    for (size_t i = 0; i < folders->count; i++) {
        size_t more = strlen(folders->list[i].name) + 1;
        memcpy(text + *len, folders->list[i].name, more);
        *len += more;
    }
    return text;
}

enum p2p_err
p2p_folders_show(const struct p2p_folders *folders, struct p2p_catalogue *catalogue)
{
    struct p2p_names names = {0};
    size_t len;

    names.text = pack_names(folders, &len);
    names.at = malloc((folders->count + 1) * sizeof(*names.at));
    if (!names.text || !names.at) {
        free(names.text);
        free(names.at);
        return P2P_ERR_NOMEM;
    }
    for (const char *at = names.text; names.count < folders->count;
         at += strlen(at) + 1)
        names.at[names.count++] = at;
    p2p_catalogue_set_folders(catalogue, &names);
    return P2P_OK;
}

/* ---- In the index ---- */

enum p2p_err
p2p_folders_store(const struct p2p_folders *folders, struct p2p_index *index)
{
    sqlite3 *db = p2p_index_db(index);
    sqlite3_stmt *stmt = NULL;
    size_t len;
    int64_t version;
    char *names = pack_names(folders, &len);
    enum p2p_err err;

    if (!names)
        return P2P_ERR_NOMEM;
    err = p2p_random(&version, sizeof(version));
    if (!err)
        err = p2p_sqlite_run(db, schema);
    if (!err)
        err = p2p_sqlite_prepare(db, store, &stmt);
    if (!err) {
        sqlite3_bind_int64(stmt, 1, version);
        sqlite3_bind_blob64(stmt, 2, names, len, SQLITE_STATIC);
        err = p2p_sqlite_done(stmt);
    }
    sqlite3_finalize(stmt);
    free(names);
    return err;
}

/* Adds the names in `text`, each with its NUL; wrong ones are left out. */
static void
take_names(struct p2p_folders *folders, const char *text, size_t len)
{
    const char *end = text + len, *nul;

    for (; text < end && (nul = memchr(text, 0, (size_t)(end - text)));
         text = nul + 1) {
        char name[P2P_NAME_MAX + 1];
        size_t n = (size_t)(nul - text);
        if (n < 2 || n > P2P_NAME_MAX || text[n - 1] != '/' ||
            p2p_name_check(text, n - 1, true) != P2P_OK)
            continue;
        memcpy(name, text, n - 1);
        name[n - 1] = '\0';
        (void)!p2p_folders_add(folders, name, 0);
    }
}

static enum p2p_err
load_row(sqlite3_stmt *stmt, struct p2p_catalogue *catalogue)
{
    const void *text = sqlite3_column_blob(stmt, 1);
    size_t len = (size_t)sqlite3_column_bytes(stmt, 1);
    struct p2p_folders *folders;
    enum p2p_err err = p2p_folders_new(&folders);

    if (err)
        return err;
    if (text)
        take_names(folders, text, len);
    err = p2p_folders_show(folders, catalogue);
    p2p_folders_free(folders);
    return err;
}

enum p2p_err
p2p_folders_load(struct p2p_index *index, struct p2p_catalogue *catalogue,
                 int64_t *version)
{
    sqlite3_stmt *stmt;
    bool row;
    enum p2p_err err;

    /* An older owner writes no such table. */
    if (p2p_sqlite_prepare(p2p_index_db(index), load, &stmt) != P2P_OK)
        return P2P_OK;
    err = p2p_sqlite_next(stmt, &row);
    if (!err && row && sqlite3_column_int64(stmt, 0) != *version) {
        err = load_row(stmt, catalogue);
        if (!err)
            *version = sqlite3_column_int64(stmt, 0);
    }
    sqlite3_finalize(stmt);
    return err;
}
