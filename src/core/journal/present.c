/* Finds content that exists already under the wanted name, or under a numbered one. */
#include "core/journal/present.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/journal/journal_file.h"
#include "p2p/tree.h"

/* The highest number of a name that is checked, because each file may have to be
 * read. */
#define COPIES_MAX 1000

static bool
is_stopped(const struct p2p_present *wanted)
{
    return wanted->stop != NULL && wanted->stop(wanted->stop_arg);
}

static enum p2p_err
hash_blocks(int fd, const struct p2p_chunks *g, const struct p2p_present *wanted,
            struct p2p_digest *layer)
{
    uint8_t *buf = malloc(P2P_CHUNK_SIZE_DEFAULT);
    enum p2p_err err = buf != NULL ? P2P_OK : P2P_ERR_NOMEM;

    for (uint64_t i = 0; i < g->count && err == P2P_OK; i++) {
        uint32_t len = p2p_chunk_length(g, i);
        err = is_stopped(wanted) ? P2P_ERR_CANCELLED
                                 : p2p_pread_full(fd, buf, len, p2p_chunk_offset(g, i));
        if (err == P2P_OK)
            err = p2p_tree_chunk(g, buf, len, &layer[i]);
    }
    free(buf);
    return err;
}

static bool
has_root(int fd, const struct p2p_present *wanted)
{
    struct p2p_chunks g;
    struct p2p_digest *layer = NULL, root = {0};
    enum p2p_err err = p2p_chunks_init(&g, wanted->size, P2P_CHUNK_SIZE_DEFAULT);

    if (err == P2P_OK && (layer = malloc((size_t)g.count * sizeof(*layer) + 1)) == NULL)
        err = P2P_ERR_NOMEM;
    if (err == P2P_OK)
        err = hash_blocks(fd, &g, wanted, layer);
    if (err == P2P_OK)
        err = p2p_tree_root(&g, layer, &root);
    free(layer);
    return err == P2P_OK && memcmp(&root, wanted->root, sizeof(root)) == 0;
}

static bool
has_content(const struct p2p_root *downloads, const char *name,
            const struct p2p_present *wanted)
{
    struct stat st;
    int fd = -1;

    if (p2p_root_open_file(downloads, name, &fd, &st) != P2P_OK)
        return false;
    bool same = (uint64_t)st.st_size == wanted->size && has_root(fd, wanted);
    close(fd);
    return same;
}

/* True if anything has the name: a file, a folder, a link. */
static bool
is_taken(const struct p2p_root *downloads, const char *name)
{
    return faccessat(p2p_root_fd(downloads), name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

bool
p2p_present_find(const struct p2p_root *downloads, const char *name,
                 const struct p2p_present *wanted, enum p2p_on_conflict conflict,
                 char *found)
{
    memmove(found, name, strlen(name) + 1);
    if (p2p_name_check(found, strlen(found), true) != P2P_OK ||
        !is_taken(downloads, found))
        return false;
    if (conflict == P2P_CONFLICT_SKIP || has_content(downloads, found, wanted))
        return true;
    for (unsigned i = 1; conflict == P2P_CONFLICT_RENAME && i <= COPIES_MAX; i++) {
        if (is_stopped(wanted) || p2p_name_numbered(name, i, found) != P2P_OK ||
            !is_taken(downloads, found))
            break;
        if (has_content(downloads, found, wanted))
            return true;
    }
    return false;
}
