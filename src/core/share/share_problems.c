/* The files that are not shared, and the reasons. */
#include "core/share/problems.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/share/disks.h"
#include "p2p/log.h"
#include "p2p/sqlite.h"

/* A name of 255 bytes may need four characters for each when it is shown. */
#define SHOWN_MAX (4 * P2P_NAME_MAX + 1)

static const char schema[] = "CREATE TABLE IF NOT EXISTS problems("
                             "name TEXT PRIMARY KEY, reason TEXT NOT NULL)";
static const char insert[] = "INSERT OR REPLACE INTO problems VALUES(?1, ?2)";

struct problem {
    char *name;
    const char *reason; /* in the same block as the name */
};

struct p2p_problems {
    struct problem list[P2P_PROBLEMS_MAX];
    size_t count, total;
};

enum p2p_err
p2p_problems_new(struct p2p_problems **out)
{
    *out = calloc(1, sizeof(**out));
    return *out ? P2P_OK : P2P_ERR_NOMEM;
}

void
p2p_problems_restart(struct p2p_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++)
        free(problems->list[i].name);
    problems->count = problems->total = 0;
}

void
p2p_problems_free(struct p2p_problems *problems)
{
    if (!problems)
        return;
    p2p_problems_restart(problems);
    free(problems);
}

size_t
p2p_problems_count(const struct p2p_problems *problems)
{
    return problems->total;
}

void
p2p_problems_add(struct p2p_problems *problems, const char *name, const char *reason)
{
    char shown[SHOWN_MAX];

    problems->total++;
    if (problems->count == P2P_PROBLEMS_MAX)
        return;
    p2p_log_escape(name, strlen(name), shown, sizeof(shown));
    size_t name_len = strlen(shown) + 1, reason_len = strlen(reason) + 1;
    char *block = malloc(name_len + reason_len);
    if (!block)
        return; /* it is counted */
    memcpy(block, shown, name_len);
    memcpy(block + name_len, reason, reason_len);
    problems->list[problems->count++] =
        (struct problem){.name = block, .reason = block + name_len};
}

/* ---- Writing ---- */

struct writer {
    sqlite3_stmt *stmt;
    size_t written, total;
    enum p2p_err err;
};

static void
put(struct writer *w, const char *name, const char *reason)
{
    w->total++;
    if (w->err || w->written == P2P_PROBLEMS_MAX)
        return;
    w->written++;
    sqlite3_bind_text(w->stmt, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_text(w->stmt, 2, reason, -1, SQLITE_STATIC);
    w->err = p2p_sqlite_done(w->stmt);
}

static void
put_refused(struct p2p_item *item, void *arg)
{
    char reason[128];

    if (item->state != P2P_ITEM_REFUSED)
        return;
    if (item->problem == P2P_ERR_TOO_LARGE)
        snprintf(reason, sizeof(reason), "it is too large");
    else
        snprintf(reason, sizeof(reason), "it cannot be read: %s",
                 p2p_err_text(item->problem));
    put(arg, item->name, reason);
}

static void
put_disk(struct writer *w, const struct p2p_disk *disk)
{
    char shown[SHOWN_MAX], reason[256];

    if (disk->files == 0)
        return;
    p2p_log_escape(disk->place, strlen(disk->place), shown, sizeof(shown));
    p2p_disks_explain(disk, reason, sizeof(reason));
    put(w, shown, reason);
}

/* The last row has no name and tells how many more there are. */
static void
put_rest(struct writer *w, size_t more)
{
    char text[64];

    if (more == 0 || w->err)
        return;
    snprintf(text, sizeof(text), "%zu more", more);
    w->written = 0;
    put(w, "", text);
}

enum p2p_err
p2p_problems_store(const struct p2p_problems *problems, struct p2p_catalogue *catalogue,
                   const struct p2p_disks *disks, struct p2p_index *index)
{
    sqlite3 *db = p2p_index_db(index);
    struct writer w = {.err = p2p_sqlite_run(db, schema)};

    if (!w.err)
        w.err = p2p_sqlite_run(db, "DELETE FROM problems");
    if (!w.err)
        w.err = p2p_sqlite_prepare(db, insert, &w.stmt);
    if (w.err)
        return w.err;
    for (size_t i = 0; i < disks->count; i++)
        put_disk(&w, &disks->list[i]);
    for (size_t i = 0; i < problems->count; i++)
        put(&w, problems->list[i].name, problems->list[i].reason);
    p2p_catalogue_each(catalogue, put_refused, &w);
    put_rest(&w, w.total - w.written + problems->total - problems->count);
    sqlite3_finalize(w.stmt);
    return w.err;
}

/* ---- Reading ---- */

struct reading {
    p2p_share_visit_problem *visit;
    void *arg;
};

static void
read_row(void *arg, sqlite3_stmt *row)
{
    const struct reading *r = arg;

    r->visit(r->arg, (const char *)sqlite3_column_text(row, 0),
             (const char *)sqlite3_column_text(row, 1));
}

/* An owner that has found no problem has created no table. */
enum p2p_err
p2p_problems_read(struct p2p_index *index, p2p_share_visit_problem *visit, void *arg)
{
    struct reading r = {visit, arg};

    return p2p_index_each_row(
        index, "SELECT name, reason FROM problems ORDER BY name = '', name", read_row,
        &r);
}
