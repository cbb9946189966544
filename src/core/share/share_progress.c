/*
 * Progress of hashing large files, kept in the index, so that it continues after a
 * restart. A row is used only for exactly the file that it was made of (size, times,
 * inode), and only if its checksum is right: a root cannot show that one of its hashes
 * is wrong.
 */
#include <stdlib.h>
#include <string.h>

#include "core/share/share_internal.h"
#include "p2p/bytes.h"
#include "p2p/sqlite.h"

#define SAVE_EVERY_MS 1000
#define STATE_LEN     40 /* size of a stored struct p2p_sha256_state */

/* In the same file as the tables of the index; `at`: the first chunk of the hashes, or
 * FLAT. */
static const char schema[] =
    "CREATE TABLE IF NOT EXISTS progress(name TEXT NOT NULL, at INTEGER NOT NULL,"
    " size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,"
    " inode INTEGER NOT NULL, chunk_size INTEGER NOT NULL, bytes BLOB NOT NULL,"
    " sum BLOB NOT NULL, PRIMARY KEY(name, at))";
#define FLAT (-1)

enum statement { GET, PUT, CLEAR, STATEMENTS };
static const char *const sql[STATEMENTS] = {
    [GET] = "SELECT at, bytes, sum FROM progress WHERE name = ?1 AND size = ?2"
            " AND mtime_ns = ?3 AND ctime_ns = ?4 AND inode = ?5 AND chunk_size = ?6"
            " AND (at < 0) = ?7 ORDER BY at",
    [PUT] =
        "INSERT OR REPLACE INTO progress VALUES(?1, ?7, ?2, ?3, ?4, ?5, ?6, ?8, ?9)",
    [CLEAR] = "DELETE FROM progress",
};

struct p2p_progress {
    sqlite3_stmt *stmt[STATEMENTS];
    uint64_t next_save_ms;
    bool is_empty;
};

void
p2p_progress_close(struct p2p_progress *p)
{
    if (!p)
        return;
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(p->stmt[i]);
    free(p);
}

enum p2p_err
p2p_progress_open(struct p2p_index *index, struct p2p_progress **out)
{
    sqlite3 *db = p2p_index_db(index);
    struct p2p_progress *p = calloc(1, sizeof(*p));
    enum p2p_err err = p ? p2p_sqlite_run(db, schema) : P2P_ERR_NOMEM;

    *out = NULL;
    for (int i = 0; i < STATEMENTS && !err; i++)
        err = p2p_sqlite_prepare(db, sql[i], &p->stmt[i]);
    if (err)
        p2p_progress_close(p);
    else
        *out = p;
    return err;
}

/* ---- Going on ---- */

/* Binds the file's state, which both statements use. */
static void
bind_file(sqlite3_stmt *stmt, const struct p2p_hash_job *job)
{
    sqlite3_bind_text(stmt, 1, job->name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 2, (int64_t)job->state.size);
    sqlite3_bind_int64(stmt, 3, job->state.mtime_ns);
    sqlite3_bind_int64(stmt, 4, job->state.ctime_ns);
    sqlite3_bind_int64(stmt, 5, (int64_t)job->state.inode);
    sqlite3_bind_int64(stmt, 6, job->chunk_size);
}

/* The bytes of the row if their checksum is right; NULL otherwise. */
static const uint8_t *
bytes_of_row(sqlite3_stmt *stmt, size_t *len)
{
    const void *bytes = sqlite3_column_blob(stmt, 1);
    struct p2p_digest sum, right;

    *len = (size_t)sqlite3_column_bytes(stmt, 1);
    if (!bytes || p2p_sqlite_get_blob(stmt, 2, sum.b, sizeof(sum.b)) != P2P_OK ||
        p2p_sha256(bytes, *len, &right) != P2P_OK ||
        memcmp(sum.b, right.b, sizeof(sum.b)) != 0)
        return NULL;
    return bytes;
}

/* Appends hashes that continue the ones before them. */
static void
take_hashes(struct p2p_hash_job *job, uint64_t count, sqlite3_stmt *stmt)
{
    uint64_t at = (uint64_t)sqlite3_column_int64(stmt, 0);
    size_t len;
    const uint8_t *bytes = bytes_of_row(stmt, &len);
    uint64_t hashes = len / sizeof(*job->layer);

    if (!bytes || at != job->begin || hashes > count - at)
        return;
    memcpy(job->layer + at, bytes, (size_t)hashes * sizeof(*job->layer));
    job->begin += hashes;
}

static void
take_state(struct p2p_hash_job *job, sqlite3_stmt *stmt)
{
    struct p2p_sha256_state state;
    struct p2p_rd rd;
    size_t len;
    const uint8_t *bytes = bytes_of_row(stmt, &len);

    if (!bytes)
        return;
    p2p_rd_init(&rd, bytes, len);
    state.length = p2p_rd_get_u64(&rd);
    for (int i = 0; i < 8; i++)
        state.words[i] = p2p_rd_get_u32(&rd);
    if (p2p_rd_end(&rd) == P2P_OK && state.length <= job->state.size)
        job->flat_state = state;
}

void
p2p_progress_load(struct p2p_progress *p, struct p2p_hash_job *job)
{
    struct p2p_chunks g;
    bool row = true;

    if (!p || job->state.size < P2P_HASH_SAVED_MIN ||
        p2p_chunks_init(&g, job->state.size, job->chunk_size) != P2P_OK)
        return;
    if (!job->flat && !(job->layer = calloc((size_t)g.count, sizeof(*job->layer))))
        return; /* the hasher says so */
    bind_file(p->stmt[GET], job);
    sqlite3_bind_int(p->stmt[GET], 7, job->flat);
    while (p2p_sqlite_next(p->stmt[GET], &row) == P2P_OK && row)
        if (job->flat)
            take_state(job, p->stmt[GET]);
        else
            take_hashes(job, g.count, p->stmt[GET]);
    job->saved = job->flat ? job->flat_state.length : job->begin;
}

/* ---- Saving ---- */

static enum p2p_err
put(struct p2p_progress *p, const struct p2p_hash_job *job, int64_t at,
    const void *bytes, size_t len)
{
    sqlite3_stmt *stmt = p->stmt[PUT];
    struct p2p_digest sum;
    enum p2p_err err = p2p_sha256(bytes, len, &sum);

    if (err)
        return err;
    bind_file(stmt, job);
    sqlite3_bind_int64(stmt, 7, at);
    sqlite3_bind_blob64(stmt, 8, bytes, len, SQLITE_STATIC);
    sqlite3_bind_blob(stmt, 9, sum.b, sizeof(sum.b), SQLITE_STATIC);
    p->is_empty = false;
    return p2p_sqlite_done(stmt);
}

static enum p2p_err
put_state(struct p2p_progress *p, const struct p2p_hash_job *job,
          const struct p2p_sha256_state *state)
{
    uint8_t bytes[STATE_LEN];
    struct p2p_wr wr;

    p2p_wr_init(&wr, bytes, sizeof(bytes));
    p2p_wr_put_u64(&wr, state->length);
    for (int i = 0; i < 8; i++)
        p2p_wr_put_u32(&wr, state->words[i]);
    return put(p, job, FLAT, bytes, sizeof(bytes));
}

enum p2p_err
p2p_progress_put(struct p2p_progress *p, const struct p2p_hash_progress *now)
{
    struct p2p_hash_job *job = now->job;
    uint64_t settled = job->flat ? now->flat_state.length : now->settled;
    enum p2p_err err;

    if (settled <= job->saved)
        return P2P_OK;
    if (job->flat)
        err = put_state(p, job, &now->flat_state);
    else
        err = put(p, job, (int64_t)job->saved, job->layer + job->saved,
                  (size_t)(settled - job->saved) * sizeof(*job->layer));
    if (!err)
        job->saved = settled;
    return err;
}

bool
p2p_progress_is_due(struct p2p_progress *p, uint64_t now_ms)
{
    if (!p || now_ms < p->next_save_ms)
        return false;
    p->next_save_ms = now_ms + SAVE_EVERY_MS;
    return true;
}

uint64_t
p2p_progress_due_ms(const struct p2p_progress *p)
{
    return p ? p->next_save_ms : UINT64_MAX;
}

bool
p2p_progress_is_empty(const struct p2p_progress *p)
{
    return !p || p->is_empty;
}

enum p2p_err
p2p_progress_clear(struct p2p_progress *p)
{
    if (p2p_progress_is_empty(p))
        return P2P_OK;
    p->is_empty = true;
    return p2p_sqlite_done(p->stmt[CLEAR]);
}
