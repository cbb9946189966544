/* The files that hold contents: `.p2p/versions/ab/ab12...`. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/disk/beneath.h"
#include "core/keep/versions_internal.h"
#include "p2p/bytes.h"
#include "p2p/chunk.h"
#include "p2p/io.h"
#include "p2p/log.h"
#include "p2p/tree.h"

#define FOLDER_LEN 2

void
p2p_versions_object_path(const struct p2p_digest *root, char out[OBJECT_PATH])
{
    char hex[2 * P2P_DIGEST_LEN + 1];

    p2p_hex_format(root->b, sizeof(root->b), hex);
    snprintf(out, OBJECT_PATH, "%.*s/%s", FOLDER_LEN, hex, hex);
}

static enum p2p_err
open_folder(struct p2p_versions *v, const char *path, int *dir)
{
    char folder[FOLDER_LEN + 1];

    snprintf(folder, sizeof(folder), "%.*s", FOLDER_LEN, path);
    if (mkdirat(v->dir, folder, 0700) == 0) {
        if (!p2p_path_flush(v->dir))
            return p2p_err_from_errno(errno);
    } else if (errno != EEXIST)
        return p2p_err_from_errno(errno);
    *dir = p2p_path_open_beneath(v->dir, folder, O_RDONLY | O_DIRECTORY, 0);
    return *dir >= 0 ? P2P_OK : p2p_err_from_errno(errno);
}

static enum p2p_err
put(struct p2p_versions *v, int in, const char *id, const struct p2p_digest *root,
    bool flush)
{
    char path[OBJECT_PATH];
    int dir = -1;
    enum p2p_err err;

    p2p_versions_object_path(root, path);
    err = open_folder(v, path, &dir);
    if (err != P2P_OK)
        return err;
    /* One that is there already has the same content; this one was hashed last. */
    if (renameat(in, id, dir, path + FOLDER_LEN + 1) != 0)
        err = p2p_err_from_errno(errno);
    else if (flush)
        err = p2p_path_flush_both(dir, in);
    close(dir);
    return err;
}

enum p2p_err
p2p_versions_object_put(struct p2p_versions *v, int in, const char *id,
                        const struct p2p_digest *root)
{
    return put(v, in, id, root, true);
}

enum p2p_err
p2p_versions_object_place(struct p2p_versions *v, int in, const char *id,
                          const struct p2p_digest *root)
{
    return put(v, in, id, root, false);
}

enum p2p_err
p2p_versions_object_open(struct p2p_versions *v, const struct p2p_digest *root, int *fd)
{
    char path[OBJECT_PATH];

    p2p_versions_object_path(root, path);
    *fd = p2p_path_open_beneath(v->dir, path, O_RDONLY, 0);
    if (*fd >= 0)
        return P2P_OK;
    return errno == ENOENT ? P2P_ERR_GONE : p2p_err_from_errno(errno);
}

void
p2p_versions_object_remove(struct p2p_versions *v, const struct p2p_digest *root)
{
    char path[OBJECT_PATH];

    p2p_versions_object_path(root, path);
    if (unlinkat(v->dir, path, 0) != 0 && errno != ENOENT)
        p2p_log_warn("cannot remove an old version file=%s error=%s", path,
                     p2p_err_name(p2p_err_from_errno(errno)));
}

bool
p2p_versions_object_is_there(struct p2p_versions *v, const struct p2p_digest *root)
{
    char path[OBJECT_PATH];
    struct stat st;

    p2p_versions_object_path(root, path);
    return fstatat(v->dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

enum p2p_err
p2p_versions_hash_layer(int fd, uint64_t size, bool (*stop)(void *arg), void *arg,
                        struct p2p_chunks *g, struct p2p_digest **layer,
                        struct p2p_digest *root)
{
    uint8_t *buf = malloc(P2P_CHUNK_SIZE_DEFAULT);
    struct p2p_digest *hashes = NULL;
    enum p2p_err err = p2p_chunks_init(g, size, P2P_CHUNK_SIZE_DEFAULT);

    *layer = NULL;
    if (err == P2P_OK && (buf == NULL || (hashes = calloc((size_t)g->count + 1,
                                                          sizeof(*hashes))) == NULL))
        err = P2P_ERR_NOMEM;
    for (uint64_t i = 0; err == P2P_OK && i < g->count; i++) {
        uint32_t len = p2p_chunk_length(g, i);
        if (stop != NULL && stop(arg))
            err = P2P_ERR_CANCELLED;
        if (err == P2P_OK)
            err = p2p_pread_full(fd, buf, len, p2p_chunk_offset(g, i));
        if (err == P2P_OK)
            err = p2p_tree_chunk(g, buf, len, &hashes[i]);
    }
    if (err == P2P_OK)
        err = p2p_tree_root(g, hashes, root);
    free(buf);
    if (err == P2P_OK)
        *layer = hashes;
    else
        free(hashes);
    return err;
}

enum p2p_err
p2p_versions_hash(int fd, uint64_t size, bool (*stop)(void *arg), void *arg,
                  struct p2p_digest *root)
{
    struct p2p_chunks g;
    struct p2p_digest *layer;
    enum p2p_err err = p2p_versions_hash_layer(fd, size, stop, arg, &g, &layer, root);

    free(layer);
    return err;
}
