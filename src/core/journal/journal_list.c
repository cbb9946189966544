/* Lists interrupted downloads. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/disk/beneath.h"
#include "core/journal/journal_state.h"
#include "p2p/bytes.h"

/* "<root>.part" */
static bool
is_part(const char *name, struct p2p_digest *root)
{
    char hex[2 * P2P_DIGEST_LEN + 1] = "";

    if (strlen(name) != 2 * P2P_DIGEST_LEN + 5 ||
        strcmp(name + 2 * P2P_DIGEST_LEN, ".part") != 0)
        return false;
    memcpy(hex, name, 2 * P2P_DIGEST_LEN);
    return p2p_hex_parse(hex, root->b, sizeof(root->b)) == P2P_OK;
}

/* False if it has been removed meanwhile. */
static bool
look_at_data(int dir, const char *part, struct p2p_unfinished *u)
{
    int fd = p2p_path_open_beneath(dir, part, O_RDONLY | O_NONBLOCK, 0);
    struct stat st;
    bool is_there = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);

    if (is_there) {
        u->disk_bytes = (uint64_t)st.st_blocks * 512;
        u->used_s = st.st_mtime > 0 ? (uint64_t)st.st_mtime : 0;
        u->is_running = flock(fd, LOCK_EX | LOCK_NB) != 0;
    }
    if (fd >= 0)
        close(fd);
    return is_there;
}

enum p2p_err
p2p_journal_each(const struct p2p_root *downloads, p2p_journal_visit *visit, void *arg)
{
    int fd;
    enum p2p_err err = p2p_path_private_dir(downloads, &fd);
    DIR *dir = err == P2P_OK ? fdopendir(fd) : NULL;

    if (err == P2P_OK && dir == NULL) {
        close(fd);
        err = P2P_ERR_NOMEM;
    }
    for (struct dirent *entry; err == P2P_OK && (entry = readdir(dir)) != NULL;) {
        struct p2p_unfinished u = {.is_running = false};
        if (!is_part(entry->d_name, &u.info.root) ||
            !look_at_data(fd, entry->d_name, &u))
            continue;
        struct p2p_digest root = u.info.root;
        u.is_known =
            p2p_journal_peek(downloads, &root, &u.info, &u.done_bytes) == P2P_OK;
        u.info.root = root;
        visit(arg, &u);
    }
    if (dir != NULL)
        closedir(dir);
    return err;
}
