/* Making an old content current again. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/disk/beneath.h"
#include "core/keep/versions_internal.h"
#include "p2p/bytes.h"
#include "p2p/io.h"

#define COPY_PIECE   P2P_MIB
#define RESTORE_END  ".restore"
#define QUICK_READ   (64 * P2P_MIB)
#define PRIVATE_NAME 32

/* ---- A deletion is taken back ---- */

/* True if the content is the last of a name that is gone, and no other version needs
 * it: then the file itself can return. */
static bool
can_move(struct p2p_versions *v, const struct p2p_version *version)
    P2P_REQUIRES(p2p_versions_lock)
{
    sqlite3_stmt *stmt = NULL;
    struct stat st;
    bool row = true;
    enum p2p_err err;

    if (version->end != P2P_MAILBOX_DELETED ||
        p2p_root_stat(v->root, version->name, &st) != P2P_ERR_NOT_FOUND)
        return false;
    err = p2p_sqlite_prepare(v->db,
                             "SELECT 1 FROM versions WHERE root = ?1 AND"
                             " (name <> ?2 OR version <> ?3) UNION ALL"
                             " SELECT 1 FROM versions WHERE name = ?2 AND version > ?3",
                             &stmt);
    if (err == P2P_OK) {
        sqlite3_bind_blob(stmt, 1, version->root.b, sizeof(version->root.b),
                          SQLITE_STATIC);
        sqlite3_bind_text(stmt, 2, version->name, -1, SQLITE_STATIC);
        sqlite3_bind_int64(stmt, 3, version->version);
        err = p2p_sqlite_next(stmt, &row);
    }
    sqlite3_finalize(stmt);
    return err == P2P_OK && !row;
}

static enum p2p_err
move_back(struct p2p_versions *v, const struct p2p_version *version)
    P2P_REQUIRES(p2p_versions_lock)
{
    char path[OBJECT_PATH];
    struct p2p_path_place place;
    int fd = -1;
    enum p2p_err err = p2p_versions_object_open(v, &version->root, &fd);

    if (err != P2P_OK)
        return err;
    (void)fchmod(fd, p2p_path_public_mode(v->root));
    p2p_fd_close(&fd);
    p2p_versions_object_path(&version->root, path);
    err = p2p_path_place_open(v->root, version->name, true, &place);
    if (err == P2P_OK && p2p_path_move_new(v->dir, path, place.dir, place.leaf) != 0)
        err = p2p_err_from_errno(errno);
    if (err == P2P_OK)
        err = p2p_path_flush_both(place.dir, v->dir);
    p2p_path_place_close(&place);
    if (err == P2P_OK) /* the version is the present content again */
        err = p2p_versions_forget(v, version->name, version->version, &version->root);
    return err;
}

/* ---- A copy ---- */

static enum p2p_err
copy(int from, int to, uint64_t size)
{
    uint8_t *buf = NULL;
    enum p2p_err err = P2P_OK;

    if (ioctl(to, FICLONE, from) == 0)
        return P2P_OK;
    if ((buf = malloc(COPY_PIECE)) == NULL)
        return P2P_ERR_NOMEM;
    for (uint64_t at = 0; at < size && err == P2P_OK;) {
        size_t len = size - at < COPY_PIECE ? (size_t)(size - at) : COPY_PIECE;
        err = p2p_pread_full(from, buf, len, at);
        if (err == P2P_OK)
            err = p2p_pwrite_full(to, buf, len, at);
        at += len;
    }
    free(buf);
    return err;
}

/* The bytes that were written are checked, not those that were read. */
static enum p2p_err
fill(int from, int to, const struct p2p_version *version)
{
    const struct timespec times[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = (time_t)(version->mtime_ns / 1000000000),
         .tv_nsec = (long)(version->mtime_ns % 1000000000)}};
    struct p2p_digest root;
    enum p2p_err err = copy(from, to, version->size);

    if (err == P2P_OK)
        err = p2p_versions_hash(to, version->size, NULL, NULL, &root);
    if (err == P2P_ERR_CORRUPT ||
        (err == P2P_OK && memcmp(&root, &version->root, sizeof(root)) != 0))
        return P2P_ERR_HASH_MISMATCH;
    if (err != P2P_OK)
        return err;
    if (version->mtime_ns >= 0)
        (void)futimens(to, times);
    return fsync(to) == 0 ? P2P_OK : p2p_err_from_errno(errno);
}

static enum p2p_err
make_private_name(char out[PRIVATE_NAME])
{
    uint8_t random[8];
    char hex[2 * sizeof(random) + 1];
    enum p2p_err err = p2p_random(random, sizeof(random));

    if (err == P2P_OK) {
        p2p_hex_format(random, sizeof(random), hex);
        snprintf(out, PRIVATE_NAME, "%s" RESTORE_END, hex);
    }
    return err;
}

static enum p2p_err
publish_copy(struct p2p_versions *v, int from, const struct p2p_version *version,
             const struct p2p_versions_restore *how, char *stored)
{
    char name[PRIVATE_NAME];
    int to = -1;
    enum p2p_err err = make_private_name(name);

    if (err == P2P_OK)
        err = p2p_root_open_private(v->root, name, O_RDWR | O_CREAT | O_EXCL, &to);
    if (err != P2P_OK)
        return err;
    err = fill(from, to, version);
    p2p_fd_close(&to);
    if (err == P2P_OK)
        err = how->save_as != NULL && strcmp(how->save_as, how->name) != 0
                  ? p2p_root_publish(v->root, name, how->save_as, P2P_CONFLICT_FAIL,
                                     stored)
                  : p2p_mailbox_publish(v->root, name, how->name, how->old, stored);
    if (err != P2P_OK)
        (void)!p2p_root_unlink_private(v->root, name);
    return err;
}

/* ---- Either ---- */

static bool
keeps_its_name(const struct p2p_versions_restore *how)
{
    return how->save_as == NULL || strcmp(how->save_as, how->name) == 0;
}

enum p2p_err
p2p_versions_restore(struct p2p_versions *v, const struct p2p_versions_restore *how,
                     char *stored)
{
    struct p2p_version version;
    int fd = -1;
    bool is_back = false;
    enum p2p_err err = p2p_versions_settle(v, UINT64_MAX);

    stored[0] = '\0';
    if (err != P2P_OK)
        return err;
    p2p_lock(&v->lock);
    err = p2p_versions_find_locked(v, how->name, how->version, &version);
    if (err == P2P_OK && !version.is_kept)
        err = P2P_ERR_GONE;
    if (err == P2P_OK && keeps_its_name(how) && can_move(v, &version)) {
        err = move_back(v, &version);
        is_back = true;
    } else if (err == P2P_OK)
        err = p2p_versions_object_open(v, &version.root, &fd);
    p2p_unlock(&v->lock);
    if (err == P2P_OK && is_back)
        snprintf(stored, P2P_NAME_MAX + 1, "%s", how->name);
    else if (err == P2P_OK)
        err = publish_copy(v, fd, &version, how, stored);
    p2p_fd_close(&fd);
    if (err == P2P_OK && !is_back)
        (void)!p2p_versions_settle(v, QUICK_READ);
    return err;
}
