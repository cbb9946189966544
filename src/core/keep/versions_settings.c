/* What the owner has set, and what follows from it for this file system. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "core/keep/versions_internal.h"
#include "p2p/options.h"

#define FLOOR_MIN ((uint64_t)1000 * 1000 * 1000)

static const struct key {
    const char *name, *value, *meaning;
} keys[] = {
    {"on", "yes", "keep what is replaced or deleted: yes or no"},
    {"keep", "1h:30s 1d:1h 30d:1d 1y:1w",
     "AGE:STEP ...: until this age, at most one version per step"},
    {"deleted", "30d", "how long versions of deleted files are kept"},
    {"space", "10%",
     "largest size of all versions: a part of the free space, or bytes"},
    {"free", "5%", "space that versions leave free: a part of the disk, or bytes"},
    {"min-age", "24h", "versions younger than this are not removed for space"},
    {"copy-max", "4M", "largest file that is copied while it is current"},
    {"history", "owner", "who sees old versions: owner, or readers of the file"},
};
#define KEYS (sizeof(keys) / sizeof(keys[0]))

const char *
p2p_versions_key(size_t i, const char **meaning)
{
    if (i >= KEYS)
        return NULL;
    *meaning = keys[i].meaning;
    return keys[i].name;
}

static const struct key *
find_key(const char *name)
{
    for (size_t i = 0; i < KEYS; i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

static enum p2p_err
get(struct p2p_versions *v, const struct key *key, char *out, size_t cap)
    P2P_REQUIRES(p2p_versions_lock)
{
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    enum p2p_err err =
        p2p_sqlite_prepare(v->db, "SELECT value FROM settings WHERE key = ?1", &stmt);

    snprintf(out, cap, "%s", key->value);
    if (err == P2P_OK) {
        sqlite3_bind_text(stmt, 1, key->name, -1, SQLITE_STATIC);
        err = p2p_sqlite_next(stmt, &row);
    }
    if (err == P2P_OK && row && sqlite3_column_text(stmt, 0) != NULL)
        snprintf(out, cap, "%s", (const char *)sqlite3_column_text(stmt, 0));
    sqlite3_finalize(stmt);
    return err;
}

/* Bytes, or a percentage of `whole`. */
static bool
parse_space(const char *text, uint64_t whole, uint64_t *out)
{
    size_t len = strlen(text);
    char *end;

    if (len < 2 || text[len - 1] != '%')
        return p2p_size_parse(text, out) == P2P_OK;
    unsigned long percent = strtoul(text, &end, 10);
    *out = whole / 100 * percent;
    return end == text + len - 1 && percent <= 100 && text[0] >= '0' && text[0] <= '9';
}

static bool
is_valid(const struct key *key, const char *value)
{
    struct p2p_retention rules;
    uint64_t n;

    switch (key - keys) {
    case 0:
        return strcmp(value, "yes") == 0 || strcmp(value, "no") == 0;
    case 1:
        return p2p_retention_parse(value, &rules) == P2P_OK;
    case 3:
    case 4:
        return parse_space(value, 0, &n);
    case 6:
        return p2p_size_parse(value, &n) == P2P_OK;
    case 7:
        return strcmp(value, "owner") == 0 || strcmp(value, "readers") == 0;
    default:
        return p2p_retention_parse_age(value, &n) == P2P_OK;
    }
}

enum p2p_err
p2p_versions_get(struct p2p_versions *v, const char *key, char *out, size_t cap)
{
    const struct key *found = find_key(key);

    if (found == NULL)
        return P2P_ERR_NOT_FOUND;
    p2p_lock(&v->lock);
    enum p2p_err err = get(v, found, out, cap);
    p2p_unlock(&v->lock);
    return err;
}

enum p2p_err
p2p_versions_check(const char *key, const char *value)
{
    const struct key *found = find_key(key);

    if (found == NULL)
        return P2P_ERR_NOT_FOUND;
    return strlen(value) <= 200 && is_valid(found, value) ? P2P_OK : P2P_ERR_USAGE;
}

enum p2p_err
p2p_versions_set(struct p2p_versions *v, const char *key, const char *value)
{
    const struct key *found = find_key(key);
    sqlite3_stmt *stmt = NULL;
    enum p2p_err err = value != NULL || found == NULL
                           ? p2p_versions_check(key, value != NULL ? value : "")
                           : P2P_OK;

    if (err != P2P_OK)
        return err;
    p2p_lock(&v->lock);
    err = p2p_sqlite_prepare(v->db,
                             value != NULL
                                 ? "INSERT OR REPLACE INTO settings VALUES(?1, ?2)"
                                 : "DELETE FROM settings WHERE key = ?1",
                             &stmt);
    if (err == P2P_OK) {
        sqlite3_bind_text(stmt, 1, found->name, -1, SQLITE_STATIC);
        if (value != NULL)
            sqlite3_bind_text(stmt, 2, value, -1, SQLITE_STATIC);
        err = p2p_sqlite_done(stmt);
    }
    sqlite3_finalize(stmt);
    p2p_unlock(&v->lock);
    return err;
}

/* Of what is free now and what versions take: so the cap does not fall while they
 * grow. */
static enum p2p_err
measure(struct p2p_versions *v, const char *space, const char *floor,
        struct p2p_versions_limits *out) P2P_REQUIRES(p2p_versions_lock)
{
    struct statvfs fs;
    int64_t used = 0;
    enum p2p_err err = p2p_versions_number(v, "SELECT disk FROM state", 0, &used);
    uint64_t whole;

    if (err != P2P_OK || fstatvfs(v->dir, &fs) != 0)
        return err != P2P_OK ? err : P2P_ERR_SYS;
    out->used = used > 0 ? (uint64_t)used : 0;
    out->free = (uint64_t)fs.f_bavail * fs.f_frsize;
    whole = (uint64_t)fs.f_blocks * fs.f_frsize;
    if (!parse_space(space, out->free + out->used, &out->cap) ||
        !parse_space(floor, whole, &out->floor))
        return P2P_ERR_CORRUPT;
    /* The default floor leaves a gibibyte, but not more than a tenth of a small disk.
     */
    if (strcmp(floor, keys[4].value) == 0 && out->floor < FLOOR_MIN)
        out->floor = FLOOR_MIN < whole / 10 ? FLOOR_MIN : whole / 10;
    return P2P_OK;
}

enum p2p_err
p2p_versions_limits(struct p2p_versions *v, struct p2p_versions_limits *out)
{
    char value[KEYS][256];
    enum p2p_err err = P2P_OK;

    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < KEYS && err == P2P_OK; i++)
        err = get(v, &keys[i], value[i], sizeof(value[i]));
    if (err != P2P_OK)
        return err;
    out->is_on = strcmp(value[0], "no") != 0;
    out->is_shown = strcmp(value[7], "readers") == 0;
    if (p2p_retention_parse(value[1], &out->retention) != P2P_OK ||
        p2p_retention_parse_age(value[2], &out->retention.deleted_s) != P2P_OK ||
        p2p_retention_parse_age(value[5], &out->retention.min_age_s) != P2P_OK ||
        p2p_size_parse(value[6], &out->copy_max) != P2P_OK)
        return P2P_ERR_CORRUPT;
    return measure(v, value[3], value[4], out);
}

enum p2p_err
p2p_versions_status(struct p2p_versions *v, struct p2p_versions_status *out)
{
    struct p2p_versions_limits limits;
    int64_t rows = 0, objects = 0, oldest = 0, base = 0;
    enum p2p_err err;

    memset(out, 0, sizeof(*out));
    p2p_lock(&v->lock);
    err = p2p_versions_limits(v, &limits);
    if (err == P2P_OK)
        err = p2p_versions_number(v, "SELECT rows FROM state", 0, &rows);
    if (err == P2P_OK)
        err = p2p_versions_number(v, "SELECT objects FROM state", 0, &objects);
    if (err == P2P_OK)
        err = p2p_versions_number(
            v, "SELECT until_s FROM versions ORDER BY until_k LIMIT 1", 0, &oldest);
    if (err == P2P_OK)
        err = p2p_versions_number(v, "SELECT SUM(disk) FROM objects WHERE is_base = 1",
                                  0, &base);
    out->is_on = limits.is_on;
    out->base = (uint64_t)base;
    out->rows = (uint64_t)rows;
    out->objects = (uint64_t)objects;
    out->used = limits.used;
    out->cap = limits.cap;
    out->floor = limits.floor;
    out->deleted_s = limits.retention.deleted_s;
    out->oldest_s = (uint64_t)oldest;
    out->is_stopped = v->is_stopped;
    p2p_unlock(&v->lock);
    return err;
}
