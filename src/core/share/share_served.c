/* Files that are served: opened by root, and told from what has become of them since.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/share/share_internal.h"

/* How many files of equal content are tried when some of them have changed. */
#define CANDIDATES_MAX 4

struct p2p_share_file {
    struct p2p_share *share;
    struct p2p_chunks geometry;
    struct p2p_file_state state;
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

    pthread_rwlock_rdlock(&share->catalogue.lock);
    while (count < CANDIDATES_MAX &&
           (item = p2p_catalogue_by_root(&share->catalogue, root, item))) {
        strcpy(out[count].name, item->name);
        out[count].state = item->facts.state;
        out[count++].chunk_size = item->facts.chunk_size;
    }
    pthread_rwlock_unlock(&share->catalogue.lock);
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
    if (count == 0)
        return err;
    struct p2p_share_file *file = calloc(1, sizeof(*file));
    if (!file)
        return P2P_ERR_NOMEM;
    file->share = share;
    for (size_t i = 0; i < count && err; i++)
        err = open_candidate(share, &candidates[i], file);
    if (err)
        free(file);
    else
        *out = file;
    return err;
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

int
p2p_share_file_fd(const struct p2p_share_file *file)
{
    return file->fd;
}

enum p2p_err
p2p_share_file_verify(struct p2p_share_file *file)
{
    struct stat st;

    if (fstat(file->fd, &st) != 0)
        return p2p_err_from_errno(errno);
    struct p2p_file_state now = p2p_file_state_of(&st);
    if (p2p_file_state_equal(&now, &file->state))
        return P2P_OK;
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
    /* Afterwards: a change before the read still shows, one after it does no harm. */
    enum p2p_err err = p2p_share_file_verify(file);
    return err || len == 0 ? err : P2P_ERR_FILE_CHANGED;
}
