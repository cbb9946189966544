/* Reads doubtful chunks again and compares them with the layer. */
#include "p2p/journal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/journal/journal_state.h"
#include "p2p/lock.h"
#include "p2p/tree.h"

void
p2p_journal_doubt_all(struct p2p_journal *journal)
{
    p2p_lock(&journal->lock);
    for (uint64_t i = 0; i < journal->info.geometry.count; i++)
        if (p2p_journal_is_written(journal, i)) {
            p2p_journal_set_written(journal, i, false);
            p2p_journal_set_doubt(journal, i, true);
        }
    p2p_unlock(&journal->lock);
}

/* True when nothing was ever written there: such a chunk need not be read. */
static bool
is_hole(int fd, uint64_t offset, uint32_t length)
{
    off_t data = lseek(fd, (off_t)offset, SEEK_DATA);

    return data < 0 ? errno == ENXIO : (uint64_t)data >= offset + length;
}

static enum p2p_err
chunk_fits(struct p2p_journal *j, uint64_t chunk, uint8_t *buf, bool *fits)
{
    const struct p2p_chunks *g = &j->info.geometry;
    uint64_t offset = p2p_chunk_offset(g, chunk);
    uint32_t length = p2p_chunk_length(g, chunk);
    struct p2p_digest hash;
    enum p2p_err err;

    *fits = false;
    if (j->layer == NULL || is_hole(j->fd, offset, length))
        return P2P_OK;
    err = p2p_pread_full(j->fd, buf, length, offset);
    if (err == P2P_ERR_CORRUPT) /* the file ends before */
        return P2P_OK;
    if (err == P2P_OK)
        err = p2p_tree_chunk(g, buf, length, &hash);
    if (err == P2P_OK)
        *fits = memcmp(&hash, &j->layer[chunk], sizeof(hash)) == 0;
    return err;
}

static enum p2p_err
recheck_chunk(struct p2p_journal *j, uint64_t chunk, uint8_t *buf)
{
    bool fits;
    enum p2p_err err = chunk_fits(j, chunk, buf, &fits);

    if (err != P2P_OK)
        return err;
    if (fits)
        return p2p_journal_mark(j, chunk);
    p2p_lock(&j->lock);
    p2p_journal_set_doubt(j, chunk, false);
    p2p_unlock(&j->lock);
    return P2P_OK;
}

/* Writes all pages: chunks that failed the check must be unmarked on disk before new
 * data is written in their place. */
static enum p2p_err
write_pages(struct p2p_journal *j) P2P_REQUIRES(p2p_journal_lock)
{
    enum p2p_err err = P2P_OK;

    for (uint64_t p = 0; p < p2p_journal_page_count(&j->info.geometry) && !err; p++)
        err = p2p_journal_write_page(j, p);
    if (err == P2P_OK && fdatasync(j->journal_fd) < 0)
        err = p2p_err_from_errno(errno);
    return err;
}

enum p2p_err
p2p_journal_recheck(struct p2p_journal *journal, p2p_journal_stop *stop, void *arg)
{
    uint8_t *buf = NULL;
    enum p2p_err err = P2P_OK;

    if (p2p_journal_doubted(journal) == 0)
        return P2P_OK;
    buf = malloc(journal->info.geometry.chunk_size);
    if (buf == NULL)
        return P2P_ERR_NOMEM;
    for (uint64_t i = 0; i < journal->info.geometry.count && err == P2P_OK; i++) {
        p2p_lock(&journal->lock);
        bool doubt = p2p_journal_bit(journal->doubt, i);
        p2p_unlock(&journal->lock);
        if (!doubt)
            continue;
        err = stop != NULL && stop(arg) ? P2P_ERR_CANCELLED
                                        : recheck_chunk(journal, i, buf);
    }
    free(buf);
    if (err != P2P_OK)
        return err;
    p2p_lock(&journal->lock);
    err = write_pages(journal);
    if (err == P2P_OK)
        err = p2p_journal_refresh_stamp(journal);
    p2p_unlock(&journal->lock);
    return err;
}
