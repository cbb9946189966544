#include "p2p/devices.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "p2p/bytes.h"
#include "p2p/crypto.h"
#include "p2p/lock.h"
#include "p2p/net.h"
#include "p2p/sqlite.h"

#define SEEN_EVERY_S 60 /* one write per minute and device, not one per request */

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS devices(id TEXT PRIMARY KEY, hash BLOB UNIQUE NOT NULL,"
    " kind INTEGER NOT NULL, name TEXT NOT NULL, created INTEGER NOT NULL,"
    " last_seen INTEGER NOT NULL, address TEXT NOT NULL) WITHOUT ROWID;";

#define COLUMNS "id, kind, name, created, last_seen, address"

/* How an administrator is stored. A program that does not know the number takes the
 * device for an ordinary one. */
enum { BROWSER = P2P_DEVICE_BROWSER, ADMIN = P2P_DEVICE_KINDS };

enum { ADD, FIND, SEEN, LIST, SET_ADMIN, REMOVE, COUNT, STATEMENTS };
static const char *const sql[STATEMENTS] = {
    [ADD] = "INSERT INTO devices(id, hash, kind, name, created, last_seen, address)"
            " VALUES(?1, ?2, ?3, ?4, ?5, 0, ?6)",
    [FIND] = "SELECT " COLUMNS " FROM devices WHERE hash = ?1",
    [SEEN] = "UPDATE devices SET last_seen = ?2, address = ?3 WHERE id = ?1",
    [LIST] = "SELECT " COLUMNS " FROM devices ORDER BY created, id",
    [SET_ADMIN] = "UPDATE devices SET kind = ?2 WHERE id = ?1 AND kind IN (?3, ?4)",
    [REMOVE] = "DELETE FROM devices WHERE id = ?1",
    [COUNT] = "SELECT count(*) FROM devices",
};

P2P_MUTEX_KIND(p2p_devices_lock);
struct p2p_devices {
    struct p2p_devices_lock lock;
    sqlite3 *db P2P_GUARDED_BY(p2p_devices_lock);
    sqlite3_stmt *stmt[STATEMENTS] P2P_GUARDED_BY(p2p_devices_lock);
};

const char *
p2p_device_kind_name(enum p2p_device_kind kind)
{
    static const char *const names[P2P_DEVICE_KINDS] = {[P2P_DEVICE_BROWSER] =
                                                            "browser",
                                                        [P2P_DEVICE_TOKEN] = "token",
                                                        [P2P_DEVICE_OWNER] = "owner"};

    return names[kind];
}

static enum p2p_err
from_sqlite(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return P2P_OK;
    case SQLITE_FULL:
        return P2P_ERR_DISK_FULL;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return P2P_ERR_CORRUPT;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
        return P2P_ERR_PERMISSION;
    case SQLITE_NOMEM:
        return P2P_ERR_NOMEM;
    default:
        return P2P_ERR_SYS;
    }
}

/* Creates the file before SQLite does, so that other users can never read it, whatever
 * the umask. */
static enum p2p_err
make_private(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return P2P_ERR_PERMISSION;
    close(fd);
    return P2P_OK;
}

static enum p2p_err
open_database(struct p2p_devices *d, const char *path) P2P_REQUIRES(p2p_devices_lock)
{
    int code = sqlite3_open_v2(path, &d->db, SQLITE_OPEN_READWRITE, NULL);

    if (code != SQLITE_OK)
        return from_sqlite(code);
    sqlite3_busy_timeout(d->db, 2000);
    code = sqlite3_exec(d->db, schema, NULL, NULL, NULL);
    for (int i = 0; i < STATEMENTS && code == SQLITE_OK; i++)
        code = sqlite3_prepare_v3(d->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                                  &d->stmt[i], NULL);
    return from_sqlite(code);
}

enum p2p_err
p2p_devices_open(const char *keys_dir, struct p2p_devices **out)
{
    struct p2p_devices *d = calloc(1, sizeof(*d));
    char path[PATH_MAX];
    enum p2p_err err = P2P_ERR_NAME;

    *out = NULL;
    if (d == NULL)
        return P2P_ERR_NOMEM;
    p2p_mutex_init(&d->lock);
    if (snprintf(path, sizeof(path), "%s/devices.db", keys_dir) < (int)sizeof(path) &&
        (err = make_private(path)) == P2P_OK)
        err = open_database(d, path);
    if (err != P2P_OK) {
        p2p_devices_close(d);
        return err;
    }
    *out = d;
    return P2P_OK;
}

void
p2p_devices_close(struct p2p_devices *d)
{
    if (d == NULL)
        return;
    p2p_mutex_unshared(&d->lock);
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(d->stmt[i]);
    sqlite3_close(d->db);
    p2p_mutex_clear(&d->lock);
    free(d);
}

/* ---- one statement at a time: begin (locks), bind, step, end (unlocks) ---- */

static sqlite3_stmt *
begin(struct p2p_devices *d, int which) P2P_ACQUIRES(p2p_devices_lock)
{
    p2p_lock(&d->lock);
    return d->stmt[which];
}

static void
end(struct p2p_devices *d, sqlite3_stmt *stmt) P2P_RELEASES(p2p_devices_lock)
{
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    p2p_unlock(&d->lock);
}

static void
column_text(sqlite3_stmt *stmt, int at, char *out, size_t cap)
{
    const unsigned char *text = sqlite3_column_text(stmt, at);

    snprintf(out, cap, "%s", text != NULL ? (const char *)text : "");
}

static void
read_row(sqlite3_stmt *stmt, struct p2p_device *out)
{
    int kind = sqlite3_column_int(stmt, 1);

    memset(out, 0, sizeof(*out));
    column_text(stmt, 0, out->id, sizeof(out->id));
    /* An unknown kind, from a later version, gets the least rights. */
    out->kind = kind == P2P_DEVICE_TOKEN || kind == P2P_DEVICE_OWNER
                    ? (enum p2p_device_kind)kind
                    : P2P_DEVICE_BROWSER;
    out->is_admin = kind == ADMIN;
    column_text(stmt, 2, out->name, sizeof(out->name));
    out->created_s = (uint64_t)sqlite3_column_int64(stmt, 3);
    out->last_seen_s = (uint64_t)sqlite3_column_int64(stmt, 4);
    column_text(stmt, 5, out->address, sizeof(out->address));
}

/* ---- adding ---- */

static bool
shows(uint32_t cp)
{
    return cp >= 0x20 && !(cp >= 0x7f && cp < 0xa0) && !p2p_utf8_is_invisible(cp);
}

/* Names come from a User-Agent header or from a person: keeps only printable
 * characters, as many as fit. */
static void
clean_name(const char *name, char *out, size_t cap)
{
    const uint8_t *at = (const uint8_t *)name;
    size_t left = strlen(name), used = 0;

    while (left > 0) {
        uint32_t cp;
        size_t n = p2p_utf8_next(at, left, &cp);
        size_t step = n > 0 ? n : 1;

        if (n > 0 && shows(cp)) {
            if (used + n >= cap)
                break;
            memcpy(out + used, at, n);
            used += n;
        }
        at += step;
        left -= step;
    }
    out[used] = '\0';
}

static bool
is_full(struct p2p_devices *d)
{
    sqlite3_stmt *stmt = begin(d, COUNT);
    bool full = sqlite3_step(stmt) == SQLITE_ROW &&
                sqlite3_column_int64(stmt, 0) >= P2P_DEVICES_MAX;

    end(d, stmt);
    return full;
}

static enum p2p_err
insert(struct p2p_devices *d, const struct p2p_device *dev,
       const struct p2p_digest *hash)
{
    sqlite3_stmt *stmt = begin(d, ADD);
    int code;

    p2p_sqlite_bind_text(stmt, 1, dev->id);
    sqlite3_bind_blob(stmt, 2, hash->b, sizeof(hash->b), SQLITE_TRANSIENT);
    sqlite3_bind_int(stmt, 3, (int)dev->kind);
    p2p_sqlite_bind_text(stmt, 4, dev->name);
    sqlite3_bind_int64(stmt, 5, (sqlite3_int64)dev->created_s);
    p2p_sqlite_bind_text(stmt, 6, dev->address);
    code = sqlite3_step(stmt);
    end(d, stmt);
    return from_sqlite(code);
}

enum p2p_err
p2p_devices_add(struct p2p_devices *d, enum p2p_device_kind kind, const char *name,
                const char *address, struct p2p_device *out,
                char token[P2P_DEVICE_TOKEN_LEN + 1])
{
    uint8_t secret[P2P_DEVICE_TOKEN_LEN / 2], id[P2P_DEVICE_ID_LEN / 2];
    struct p2p_digest hash;
    enum p2p_err err;

    memset(out, 0, sizeof(*out));
    memset(token, 0, P2P_DEVICE_TOKEN_LEN + 1);
    if (is_full(d))
        return P2P_ERR_TOO_LARGE;
    if ((err = p2p_random(secret, sizeof(secret))) != P2P_OK ||
        (err = p2p_random(id, sizeof(id))) != P2P_OK ||
        (err = p2p_sha256(secret, sizeof(secret), &hash)) != P2P_OK)
        goto out;
    out->kind = kind;
    out->created_s = p2p_time_s();
    p2p_hex_format(id, sizeof(id), out->id);
    clean_name(name, out->name, sizeof(out->name));
    snprintf(out->address, sizeof(out->address), "%s", address);
    if ((err = insert(d, out, &hash)) == P2P_OK)
        p2p_hex_format(secret, sizeof(secret), token);
out:
    p2p_wipe(secret, sizeof(secret));
    return err;
}

/* ---- checking ---- */

static void
note_seen(struct p2p_devices *d, struct p2p_device *dev, const char *address)
{
    uint64_t now = p2p_time_s();
    sqlite3_stmt *stmt;

    if (now < dev->last_seen_s + SEEN_EVERY_S && strcmp(dev->address, address) == 0)
        return;
    dev->last_seen_s = now;
    snprintf(dev->address, sizeof(dev->address), "%s", address);
    stmt = begin(d, SEEN);
    p2p_sqlite_bind_text(stmt, 1, dev->id);
    sqlite3_bind_int64(stmt, 2, (sqlite3_int64)now);
    p2p_sqlite_bind_text(stmt, 3, address);
    sqlite3_step(stmt); /* a note only: a full disk must not lock users out */
    end(d, stmt);
}

enum p2p_err
p2p_devices_check(struct p2p_devices *d, const char *token, const char *address,
                  struct p2p_device *out)
{
    uint8_t secret[P2P_DEVICE_TOKEN_LEN / 2];
    struct p2p_digest hash;
    sqlite3_stmt *stmt;
    bool found = false;

    memset(out, 0, sizeof(*out));
    if (p2p_hex_parse(token, secret, sizeof(secret)) != P2P_OK ||
        p2p_sha256(secret, sizeof(secret), &hash) != P2P_OK)
        return P2P_ERR_NOT_ALLOWED;
    p2p_wipe(secret, sizeof(secret));
    stmt = begin(d, FIND);
    sqlite3_bind_blob(stmt, 1, hash.b, sizeof(hash.b), SQLITE_TRANSIENT);
    if (sqlite3_step(stmt) == SQLITE_ROW) {
        read_row(stmt, out);
        found = true;
    }
    end(d, stmt);
    if (!found)
        return P2P_ERR_NOT_ALLOWED;
    note_seen(d, out, address);
    return P2P_OK;
}

/* ---- listing and removing ---- */

enum p2p_err
p2p_devices_list(struct p2p_devices *d, struct p2p_device **out, size_t *count)
{
    struct p2p_device *list = calloc(P2P_DEVICES_MAX, sizeof(*list));
    sqlite3_stmt *stmt;
    int code = SQLITE_DONE;

    *out = NULL;
    *count = 0;
    if (list == NULL)
        return P2P_ERR_NOMEM;
    stmt = begin(d, LIST);
    while (*count < P2P_DEVICES_MAX && (code = sqlite3_step(stmt)) == SQLITE_ROW)
        read_row(stmt, &list[(*count)++]);
    end(d, stmt);
    if (from_sqlite(code) != P2P_OK) {
        free(list);
        *count = 0;
        return from_sqlite(code);
    }
    *out = list;
    return P2P_OK;
}

enum p2p_err
p2p_devices_set_admin(struct p2p_devices *d, const char *id, bool is_admin)
{
    sqlite3_stmt *stmt = begin(d, SET_ADMIN);
    int changed, code;

    p2p_sqlite_bind_text(stmt, 1, id);
    sqlite3_bind_int(stmt, 2, is_admin ? ADMIN : BROWSER);
    sqlite3_bind_int(stmt, 3, BROWSER);
    sqlite3_bind_int(stmt, 4, ADMIN);
    code = sqlite3_step(stmt);
    changed = sqlite3_changes(d->db);
    end(d, stmt);
    if (from_sqlite(code) != P2P_OK)
        return from_sqlite(code);
    return changed > 0 ? P2P_OK : P2P_ERR_NOT_FOUND;
}

enum p2p_err
p2p_devices_remove(struct p2p_devices *d, const char *id)
{
    sqlite3_stmt *stmt = begin(d, REMOVE);
    int changed, code;

    p2p_sqlite_bind_text(stmt, 1, id);
    code = sqlite3_step(stmt);
    changed = sqlite3_changes(d->db);
    end(d, stmt);
    if (from_sqlite(code) != P2P_OK)
        return from_sqlite(code);
    return changed > 0 ? P2P_OK : P2P_ERR_NOT_FOUND;
}
