/* The place of a public name: the folder that has it, held open. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/disk/path_internal.h"
#include "p2p/limits.h"

/* Enters one folder. A new folder is flushed into its parent; otherwise a crash could
 * lose it together with the file in it. */
static enum p2p_err
enter_folder(int at, const char *part, bool make, int *next)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

    *next = openat(at, part, flags);
    if (*next < 0 && errno == ENOENT && make) {
        if (mkdirat(at, part, 0777) == 0 ? !p2p_path_flush(at) : errno != EEXIST)
            return p2p_err_from_errno(errno);
        *next = openat(at, part, flags);
    }
    if (*next >= 0)
        return P2P_OK;
    if (make && (errno == ENOTDIR || errno == ELOOP))
        return P2P_ERR_IN_THE_WAY;
    return p2p_path_error(errno);
}

/* Each part is opened in the directory before it, and links are refused. So the place
 * is beneath the root even if other programs rename folders meanwhile. */
enum p2p_err
p2p_path_place_open(const struct p2p_root *root, const char *name, bool make,
                    struct p2p_path_place *place)
{
    enum p2p_err err = p2p_name_check(name, strlen(name), true);
    char part[P2P_NAME_PART_MAX + 1];

    place->dir = -1;
    place->leaf = name;
    if (err)
        return err;
    int at = openat(root->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at < 0)
        return p2p_err_from_errno(errno);
    for (const char *slash; (slash = strchr(place->leaf, '/'));) {
        int next;
        snprintf(part, sizeof(part), "%.*s", (int)(slash - place->leaf), place->leaf);
        err = enter_folder(at, part, make, &next);
        close(at);
        if (err)
            return err;
        at = next;
        place->leaf = slash + 1;
    }
    place->dir = at;
    return P2P_OK;
}

void
p2p_path_place_close(struct p2p_path_place *place)
{
    if (place->dir >= 0)
        close(place->dir);
}

enum p2p_err
p2p_root_make_folder(const struct p2p_root *root, const char *name)
{
    struct p2p_path_place place;
    enum p2p_err err = p2p_path_place_open(root, name, true, &place);
    int fd = -1;

    if (!err)
        err = enter_folder(place.dir, place.leaf, true, &fd);
    if (fd >= 0)
        close(fd);
    p2p_path_place_close(&place);
    return err;
}

void
p2p_path_remove_empty_folders(const struct p2p_root *root, const char *name)
{
    char folder[P2P_NAME_MAX + 1];
    char *slash;

    snprintf(folder, sizeof(folder), "%s", name);
    while ((slash = strrchr(folder, '/'))) {
        struct p2p_path_place place;
        *slash = '\0';
        if (p2p_path_place_open(root, folder, false, &place) != P2P_OK)
            return;
        int failed = unlinkat(place.dir, place.leaf, AT_REMOVEDIR);
        p2p_path_place_close(&place);
        if (failed)
            return;
    }
}

enum p2p_err
p2p_path_flush_both(int a, int b)
{
    if (!p2p_path_flush(a) || !p2p_path_flush(b))
        return p2p_err_from_errno(errno);
    return P2P_OK;
}
