#include "peer/inbox/inbox_file.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "p2p/log.h"
#include "p2p/sqlite.h"

enum { ADD, CHANGE, REMOVE, ALWAYS, NEVER, STATEMENTS };

struct inbox_file {
    sqlite3 *db;
    sqlite3_stmt *made[STATEMENTS];
    bool has_failed;
};

static const char schema[] =
    "CREATE TABLE offers (id BLOB NOT NULL, peer BLOB NOT NULL, name TEXT NOT NULL,"
    " known INTEGER NOT NULL, state INTEGER NOT NULL, taken INTEGER NOT NULL,"
    " count INTEGER NOT NULL, size INTEGER NOT NULL, received INTEGER NOT NULL,"
    " expires INTEGER NOT NULL, items BLOB NOT NULL, text TEXT NOT NULL,"
    " PRIMARY KEY (id, peer)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE always (peer BLOB PRIMARY KEY) STRICT, WITHOUT ROWID;";

static const char *const statements[STATEMENTS] = {
    [ADD] = "INSERT OR REPLACE INTO offers VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
    [CHANGE] = "UPDATE offers SET state = ?3, taken = ?4 WHERE id = ?1 AND peer = ?2",
    [REMOVE] = "DELETE FROM offers WHERE id = ?1 AND peer = ?2",
    [ALWAYS] = "INSERT OR IGNORE INTO always VALUES (?1)",
    [NEVER] = "DELETE FROM always WHERE peer = ?1",
};

/* ---- reading ---- */

static enum p2p_err
read_offer(sqlite3_stmt *s, const struct inbox_reader *reader)
{
    struct inbox_record r = {.is_known = sqlite3_column_int(s, 3) != 0};
    int state = sqlite3_column_int(s, 4);
    const unsigned char *name = sqlite3_column_text(s, 2);
    enum p2p_err err = p2p_sqlite_get_blob(s, 0, r.row.id, sizeof(r.row.id));

    if (err == P2P_OK)
        err = p2p_sqlite_get_blob(s, 1, r.row.peer.b, sizeof(r.row.peer.b));
    if (err != P2P_OK || state < P2P_OFFER_SHOWN || state > P2P_OFFER_DECLINED)
        return P2P_ERR_CORRUPT;
    snprintf(r.row.name, sizeof(r.row.name), "%s",
             name != NULL ? (const char *)name : "");
    r.row.state = (enum p2p_offer_state)state;
    r.row.is_taken = sqlite3_column_int(s, 5) != 0;
    r.row.count = (uint32_t)sqlite3_column_int(s, 6);
    r.row.size = (uint64_t)sqlite3_column_int64(s, 7);
    r.row.received_s = (uint64_t)sqlite3_column_int64(s, 8);
    r.row.expires_s = (uint64_t)sqlite3_column_int64(s, 9);
    r.items = sqlite3_column_blob(s, 10);
    r.items_len = (size_t)sqlite3_column_bytes(s, 10);
    r.text = (const char *)sqlite3_column_text(s, 11);
    reader->offer(reader->arg, &r);
    return P2P_OK;
}

static enum p2p_err
read_always(sqlite3_stmt *s, const struct inbox_reader *reader)
{
    struct p2p_id peer;
    enum p2p_err err = p2p_sqlite_get_blob(s, 0, peer.b, sizeof(peer.b));

    if (err == P2P_OK)
        reader->always(reader->arg, &peer);
    return err;
}

static enum p2p_err
read_rows(sqlite3 *db, const char *sql, const struct inbox_reader *reader,
          enum p2p_err (*read)(sqlite3_stmt *, const struct inbox_reader *))
{
    sqlite3_stmt *s;
    enum p2p_err err = p2p_sqlite_prepare(db, sql, &s);
    bool row = false;

    if (err != P2P_OK)
        return err;
    while ((err = p2p_sqlite_next(s, &row)) == P2P_OK && row)
        if ((err = read(s, reader)) != P2P_OK)
            break;
    sqlite3_finalize(s);
    return err;
}

static enum p2p_err
open_db(struct inbox_file *file, const char *path)
{
    const struct p2p_sqlite_options opt = {
        .path = path, .schema = schema, .version = 1};
    enum p2p_err err = p2p_sqlite_open(&opt, &file->db);

    for (int i = 0; i < STATEMENTS && err == P2P_OK; i++)
        err = p2p_sqlite_prepare(file->db, statements[i], &file->made[i]);
    return err;
}

static enum p2p_err
open_and_read(struct inbox_file *file, const char *path,
              const struct inbox_reader *reader)
{
    enum p2p_err err = open_db(file, path);

    if (err == P2P_OK)
        err = read_rows(file->db, "SELECT * FROM offers ORDER BY received", reader,
                        read_offer);
    if (err == P2P_OK)
        err = read_rows(file->db, "SELECT peer FROM always", reader, read_always);
    return err;
}

void
inbox_file_open(const char *keys_dir, const struct inbox_reader *reader,
                struct inbox_file **out)
{
    char path[PATH_MAX], aside[PATH_MAX + 8];
    struct inbox_file *file = calloc(1, sizeof(*file));
    enum p2p_err err = P2P_ERR_NOMEM;

    *out = NULL;
    if (file != NULL) {
        snprintf(path, sizeof(path), "%s/" INBOX_FILE, keys_dir);
        err = open_and_read(file, path, reader);
    }
    if (err == P2P_ERR_CORRUPT) {
        inbox_file_close(file);
        snprintf(aside, sizeof(aside), "%s.damaged", path);
        (void)rename(path, aside);
        p2p_log_warn("%s is damaged and was renamed to %s.damaged: offers that waited "
                     "are lost",
                     path, INBOX_FILE);
        if ((file = calloc(1, sizeof(*file))) != NULL)
            err = open_db(file, path);
    }
    if (err != P2P_OK) {
        p2p_log_warn("offers of other devices are not kept over a restart: %s",
                     p2p_err_text(err));
        inbox_file_close(file);
        return;
    }
    *out = file;
}

void
inbox_file_close(struct inbox_file *file)
{
    if (file == NULL)
        return;
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(file->made[i]);
    p2p_sqlite_close(file->db);
    free(file);
}

/* ---- writing ---- */

static void
write_row(struct inbox_file *file, int which)
{
    enum p2p_err err = p2p_sqlite_done(file->made[which]);

    if (err != P2P_OK && !file->has_failed)
        p2p_log_warn("cannot write " INBOX_FILE " in the keys folder: %s",
                     p2p_err_text(err));
    file->has_failed = err != P2P_OK;
}

static void
bind_key(sqlite3_stmt *s, const uint8_t id[P2P_OFFER_ID_LEN], const struct p2p_id *peer)
{
    (void)sqlite3_bind_blob(s, 1, id, P2P_OFFER_ID_LEN, SQLITE_STATIC);
    (void)sqlite3_bind_blob(s, 2, peer->b, sizeof(peer->b), SQLITE_STATIC);
}

void
inbox_file_add(struct inbox_file *file, const struct inbox_record *r)
{
    if (file == NULL)
        return;
    sqlite3_stmt *s = file->made[ADD];
    bind_key(s, r->row.id, &r->row.peer);
    (void)sqlite3_bind_text(s, 3, r->row.name, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int(s, 4, r->is_known);
    (void)sqlite3_bind_int(s, 5, (int)r->row.state);
    (void)sqlite3_bind_int(s, 6, r->row.is_taken);
    (void)sqlite3_bind_int64(s, 7, r->row.count);
    (void)sqlite3_bind_int64(s, 8, (sqlite3_int64)r->row.size);
    (void)sqlite3_bind_int64(s, 9, (sqlite3_int64)r->row.received_s);
    (void)sqlite3_bind_int64(s, 10, (sqlite3_int64)r->row.expires_s);
    /* Never NULL: an empty blob is one. */
    (void)sqlite3_bind_blob(s, 11, r->items_len > 0 ? (const void *)r->items : "",
                            (int)r->items_len, SQLITE_STATIC);
    (void)sqlite3_bind_text(s, 12, r->text != NULL ? r->text : "", -1, SQLITE_STATIC);
    write_row(file, ADD);
}

void
inbox_file_change(struct inbox_file *file, const struct inbox_row *row)
{
    if (file == NULL)
        return;
    bind_key(file->made[CHANGE], row->id, &row->peer);
    (void)sqlite3_bind_int(file->made[CHANGE], 3, (int)row->state);
    (void)sqlite3_bind_int(file->made[CHANGE], 4, row->is_taken);
    write_row(file, CHANGE);
}

void
inbox_file_remove(struct inbox_file *file, const uint8_t id[P2P_OFFER_ID_LEN],
                  const struct p2p_id *peer)
{
    if (file == NULL)
        return;
    bind_key(file->made[REMOVE], id, peer);
    write_row(file, REMOVE);
}

void
inbox_file_always(struct inbox_file *file, const struct p2p_id *peer, bool always)
{
    if (file == NULL)
        return;
    int which = always ? ALWAYS : NEVER;
    (void)sqlite3_bind_blob(file->made[which], 1, peer->b, sizeof(peer->b),
                            SQLITE_STATIC);
    write_row(file, which);
}
