/* Files that are being served: opens them by root, and tells what has happened to them
 * since. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/share/served.h"
#include "core/share/share_internal.h"
#include "p2p/lock.h"

/* How many files of equal content are tried when some of them have changed. */
#define CANDIDATES_MAX 4
/* How long a touched file that the catalogue does not list yet is still served. */
#define DOUBT_MS 1000

struct p2p_share_file {
    struct p2p_share *share; /* NULL: it is in none */
    struct p2p_chunks geometry;
    struct p2p_file_state state;
    struct p2p_digest root;
    uint64_t doubt_ends_ms; /* touched, and not in the catalogue: see is_still_shared */
    int fd;
    char *name; /* owned */
};

struct candidate {
    char name[P2P_NAME_MAX + 1];
    struct p2p_file_state state;
    uint32_t chunk_size;
};

static size_t
find_candidates(struct p2p_share *share, const struct p2p_digest *root,
                struct candidate out[CANDIDATES_MAX])
{
    const struct p2p_item *item = NULL;
    size_t count = 0;

    p2p_read_lock(&share->catalogue.lock);
    while (count < CANDIDATES_MAX &&
           (item = p2p_catalogue_by_root(&share->catalogue, root, item))) {
        strcpy(out[count].name, item->name);
        out[count].state = item->facts.state;
        out[count++].chunk_size = item->facts.chunk_size;
    }
    p2p_rw_unlock(&share->catalogue.lock);
    return count;
}

static enum p2p_err
open_candidate(struct p2p_share *share, const struct candidate *c,
               struct p2p_share_file *file)
{
    struct stat st;
    enum p2p_err err = p2p_chunks_init(&file->geometry, c->state.size, c->chunk_size);

    if (!err)
        err = p2p_root_open_file(share->root, c->name, &file->fd, &st);
    if (err == P2P_ERR_NOT_FOUND)
        err = P2P_ERR_FILE_CHANGED;
    if (err) {
        p2p_share_tell(share, share->mail.suspect, c->name);
        return err;
    }
    struct p2p_file_state now = p2p_file_state_of(&st);
    if (p2p_file_state_compare(&now, &c->state) == P2P_FILE_TOUCHED)
        p2p_share_tell(share, share->mail.unchecked, c->name);
    file->state = c->state;
    file->name = strdup(c->name);
    err = file->name ? p2p_share_file_verify(file) : P2P_ERR_NOMEM;
    if (err) {
        close(file->fd);
        free(file->name);
    }
    return err;
}

enum p2p_err
p2p_share_file_open(struct p2p_share *share, const struct p2p_digest *root,
                    struct p2p_share_file **out)
{
    struct candidate candidates[CANDIDATES_MAX];
    size_t count = find_candidates(share, root, candidates);
    enum p2p_err err = P2P_ERR_NOT_FOUND;

    *out = NULL;
    if (count == 0 || p2p_share_is_away(share))
        return err;
    struct p2p_share_file *file = calloc(1, sizeof(*file));
    if (!file)
        return P2P_ERR_NOMEM;
    file->share = share;
    file->root = *root;
    for (size_t i = 0; i < count && err; i++)
        err = open_candidate(share, &candidates[i], file);
    if (err)
        free(file);
    else
        *out = file;
    return err;
}

enum p2p_err
p2p_share_file_adopt(int fd, const struct stat *hashed,
                     const struct p2p_share_entry *entry, struct p2p_share_file **out)
{
    struct p2p_share_file *file = calloc(1, sizeof(*file));
    enum p2p_err err = P2P_ERR_NOMEM;

    *out = NULL;
    if (file && (file->name = strdup(entry->name))) {
        file->geometry = entry->geometry;
        file->root = entry->root;
        file->state = p2p_file_state_of(hashed);
        file->fd = fd;
        err = p2p_share_file_verify(file);
    }
    if (err) {
        if (file)
            free(file->name);
        free(file);
        return err;
    }
    *out = file;
    return P2P_OK;
}

void
p2p_share_file_close(struct p2p_share_file *file)
{
    if (!file)
        return;
    close(file->fd);
    free(file->name);
    free(file);
}

const struct p2p_chunks *
p2p_share_file_geometry(const struct p2p_share_file *file)
{
    return &file->geometry;
}

const struct p2p_share *
p2p_share_file_share(const struct p2p_share_file *file)
{
    return file->share;
}

const char *
p2p_share_file_name(const struct p2p_share_file *file)
{
    return file->name;
}

const struct p2p_digest *
p2p_share_file_root(const struct p2p_share_file *file)
{
    return &file->root;
}

int
p2p_share_file_fd(const struct p2p_share_file *file)
{
    return file->fd;
}

/* True if the name has other bytes by now, or is being written. */
static bool
has_other_bytes(struct p2p_share *share, const char *name,
                const struct p2p_digest *root)
{
    p2p_read_lock(&share->catalogue.lock);
    const struct p2p_item *item = p2p_catalogue_find(&share->catalogue, name);
    bool is_other =
        item && (item->state == P2P_ITEM_PENDING ||
                 (item->state == P2P_ITEM_READY &&
                  memcmp(item->facts.root.b, root->b, sizeof(root->b)) != 0));
    p2p_rw_unlock(&share->catalogue.lock);
    return is_other;
}

/* The inode changed: it was renamed, linked or got other permissions, or it left the
 * folder. It is still shared when the catalogue has it under some name; a moment passes
 * before it has the new one. */
static bool
is_still_shared(struct p2p_share_file *file, const struct stat *st,
                const struct p2p_file_state *now)
{
    if (st->st_nlink == 0 || has_other_bytes(file->share, file->name, &file->root))
        return false;
    if (p2p_catalogue_has_file(&file->share->catalogue, &file->root, now)) {
        file->state.ctime_ns = now->ctime_ns;
        file->doubt_ends_ms = 0;
        return true;
    }
    if (file->doubt_ends_ms == 0)
        file->doubt_ends_ms = p2p_now_ms() + DOUBT_MS;
    return p2p_now_ms() < file->doubt_ends_ms;
}

enum p2p_err
p2p_share_file_verify(struct p2p_share_file *file)
{
    struct stat st;
    enum p2p_file_change change;

    if (file->share && p2p_share_is_away(file->share))
        return P2P_ERR_FILE_CHANGED;
    if (fstat(file->fd, &st) != 0)
        return p2p_err_from_errno(errno);
    struct p2p_file_state now = p2p_file_state_of(&st);
    change = p2p_file_state_compare(&now, &file->state);
    if (change == P2P_FILE_SAME)
        return P2P_OK;
    /* Outside of a share, a file that was renamed or deleted is served to the end. */
    if (change == P2P_FILE_TOUCHED &&
        (!file->share || is_still_shared(file, &st, &now)))
        return P2P_OK;
    if (file->share)
        p2p_share_tell(file->share, file->share->mail.suspect, file->name);
    return P2P_ERR_FILE_CHANGED;
}

enum p2p_err
p2p_share_file_read(struct p2p_share_file *file, uint64_t offset, void *out, size_t len)
{
    uint8_t *at = out;

    if (!p2p_chunks_has_range(&file->geometry, offset, len))
        return P2P_ERR_RANGE;
    while (len > 0) {
        ssize_t n = pread(file->fd, at, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return p2p_err_from_errno(errno);
        if (n == 0) /* shorter than it was */
            break;
        at += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    /* Checked after the read: a change before the read is still visible then, and a
     * later one does no harm. */
    enum p2p_err err = p2p_share_file_verify(file);
    return err || len == 0 ? err : P2P_ERR_FILE_CHANGED;
}
