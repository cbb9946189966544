/*
 * The kept clock: seconds that the machine ran since the first version. It follows
 * CLOCK_BOOTTIME, which nobody can set, and stands still while the machine is off. So
 * versions may age slower than the wall clock, but never faster.
 */
#include <string.h>
#include <time.h>

#include "core/journal/journal_file.h"
#include "core/keep/versions_internal.h"

static uint64_t
running_s(void)
{
    struct timespec now;

    return clock_gettime(CLOCK_BOOTTIME, &now) == 0 ? (uint64_t)now.tv_sec : 0;
}

uint64_t
p2p_versions_clock_step(bool same_boot, uint64_t before_s, uint64_t now_s)
{
    return same_boot && now_s > before_s ? now_s - before_s : 0;
}

static enum p2p_err
store(struct p2p_versions *v, uint64_t clock_k, const struct p2p_boot_id *boot,
      uint64_t boot_s) P2P_REQUIRES(p2p_versions_lock)
{
    sqlite3_stmt *stmt = NULL;
    enum p2p_err err = p2p_sqlite_prepare(
        v->db, "UPDATE state SET clock_k = ?1, boot = ?2, boot_s = ?3", &stmt);

    if (err == P2P_OK) {
        sqlite3_bind_int64(stmt, 1, (int64_t)clock_k);
        sqlite3_bind_blob(stmt, 2, boot->b, sizeof(boot->b), SQLITE_STATIC);
        sqlite3_bind_int64(stmt, 3, (int64_t)boot_s);
        err = p2p_sqlite_done(stmt);
    }
    sqlite3_finalize(stmt);
    return err;
}

/* What the clock shows, and what to store with it. */
struct reading {
    uint64_t now_k, boot_s;
    struct p2p_boot_id boot;
};

static enum p2p_err
read_clock(struct p2p_versions *v, struct reading *r) P2P_REQUIRES(p2p_versions_lock)
{
    static const struct p2p_boot_id none;
    struct p2p_boot_id saved = {0};
    uint64_t before_s = 0, clock_k = 0;
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    enum p2p_err err =
        p2p_sqlite_prepare(v->db, "SELECT clock_k, boot_s, boot FROM state", &stmt);

    p2p_boot_id_get(&r->boot);
    r->boot_s = running_s();
    if (err == P2P_OK)
        err = p2p_sqlite_next(stmt, &row);
    if (err == P2P_OK && row) {
        clock_k = (uint64_t)sqlite3_column_int64(stmt, 0);
        before_s = (uint64_t)sqlite3_column_int64(stmt, 1);
        if (sqlite3_column_bytes(stmt, 2) == (int)sizeof(saved.b))
            memcpy(saved.b, sqlite3_column_blob(stmt, 2), sizeof(saved.b));
    }
    sqlite3_finalize(stmt);
    bool same_boot = memcmp(&r->boot, &none, sizeof(none)) != 0 &&
                     memcmp(&r->boot, &saved, sizeof(saved)) == 0;
    r->now_k = clock_k + p2p_versions_clock_step(same_boot, before_s, r->boot_s);
    return err;
}

enum p2p_err
p2p_versions_clock(struct p2p_versions *v, uint64_t *now_k)
{
    struct reading r;
    enum p2p_err err = read_clock(v, &r);

    *now_k = r.now_k;
    return err == P2P_OK ? store(v, r.now_k, &r.boot, r.boot_s) : err;
}

uint64_t
p2p_versions_clock_peek(struct p2p_versions *v)
{
    struct reading r;

    return read_clock(v, &r) == P2P_OK ? r.now_k : 0;
}

uint64_t
p2p_versions_now(struct p2p_versions *v)
{
    p2p_lock(&v->lock);
    uint64_t now_k = p2p_versions_clock_peek(v);
    p2p_unlock(&v->lock);
    return now_k;
}
