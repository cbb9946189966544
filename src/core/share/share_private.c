/* Where a share keeps its index: in `.p2p` of the folder or, if nothing can be written
 * there, in a folder of its own beneath the keys folder. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/disk/beneath.h"
#include "core/share/share_internal.h"
#include "p2p/bytes.h"
#include "p2p/crypto.h"
#include "p2p/io.h"

#define FOLDERS_DIR "folders"
#define ID_BYTES    16

/* Only a lack of permission counts: a folder that is away, or on a full disk, keeps its
 * own index later. */
static bool
can_keep_its_own(const struct p2p_root *root)
{
    int dir;
    enum p2p_err err = p2p_path_private_dir(root, &dir);
    bool is_writable;

    if (err)
        return err != P2P_ERR_READ_ONLY && err != P2P_ERR_PERMISSION;
    is_writable =
        faccessat(dir, ".", W_OK | X_OK, 0) == 0 || (errno != EROFS && errno != EACCES);
    close(dir);
    return is_writable;
}

/* Creates nothing. */
static bool
has_index(const struct p2p_root *root)
{
    int fd =
        p2p_path_open_beneath(p2p_root_fd(root), ".p2p/" P2P_INDEX_FILE, O_PATH, 0);
    bool is_there = fd >= 0;

    p2p_fd_close(&fd);
    return is_there;
}

/* The folder in the keys folder is named by a hash of the shared folder's path. */
static enum p2p_err
put_path(const struct p2p_root *root, const char *keys_dir, char out[PATH_MAX])
{
    char path[PATH_MAX], id[2 * ID_BYTES + 1];
    struct p2p_digest digest;
    enum p2p_err err = p2p_root_resolve(p2p_root_path(root), path);
    int n;

    if (!err)
        err = p2p_sha256(path, strlen(path), &digest);
    if (err)
        return err;
    p2p_hex_format(digest.b, ID_BYTES, id);
    n = snprintf(out, PATH_MAX, "%s/" FOLDERS_DIR "/%s", keys_dir, id);
    return n > 0 && n < PATH_MAX ? P2P_OK : P2P_ERR_TOO_LARGE;
}

/* Opens the folder in the keys folder. */
static enum p2p_err
open_in_keys(const struct p2p_root *root, const char *keys_dir, bool create,
             struct p2p_root **out)
{
    char path[PATH_MAX];
    enum p2p_err err = put_path(root, keys_dir, path);

    *out = NULL;
    return err ? err : p2p_root_open(path, create, 0700, out);
}

enum p2p_err
p2p_share_open_private(const struct p2p_root *root, const char *keys_dir,
                       struct p2p_root **out)
{
    *out = NULL;
    if (!keys_dir || can_keep_its_own(root))
        return P2P_OK;
    return open_in_keys(root, keys_dir, true, out);
}

enum p2p_err
p2p_share_find_private(const struct p2p_root *root, const char *keys_dir,
                       struct p2p_root **out)
{
    enum p2p_err err;

    *out = NULL;
    if (!keys_dir || (has_index(root) && can_keep_its_own(root)))
        return P2P_OK;
    err = open_in_keys(root, keys_dir, false, out);
    return err == P2P_ERR_NOT_FOUND ? P2P_OK : err;
}

/* ---- of an open share ---- */

const struct p2p_root *
p2p_share_private(const struct p2p_share *s)
{
    return s->aside ? s->aside : s->root;
}

enum p2p_err
p2p_share_open_index(struct p2p_share *s)
{
    struct p2p_index *index, *old;
    enum p2p_err err = p2p_index_open(p2p_share_private(s), s->is_owner, &index);

    p2p_write_lock(&s->index_lock);
    old = s->index;
    s->index = index;
    p2p_rw_unlock(&s->index_lock);
    p2p_index_close(old);
    return err;
}
