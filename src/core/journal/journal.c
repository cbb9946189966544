#include "p2p/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/journal/journal_state.h"
#include "p2p/lock.h"
#include "p2p/log.h"

int
p2p_journal_fd(const struct p2p_journal *journal)
{
    return journal->fd;
}

bool
p2p_journal_has(struct p2p_journal *journal, uint64_t chunk)
{
    p2p_lock(&journal->lock);
    bool has = p2p_journal_is_written(journal, chunk);
    p2p_unlock(&journal->lock);
    return has;
}

static uint64_t
read_counter(struct p2p_journal *journal, const uint64_t *counter)
{
    p2p_lock(&journal->lock);
    uint64_t value = *counter;
    p2p_unlock(&journal->lock);
    return value;
}

uint64_t
p2p_journal_done_count(struct p2p_journal *journal)
{
    return read_counter(journal, &journal->done_count);
}

uint64_t
p2p_journal_done_bytes(struct p2p_journal *journal)
{
    return read_counter(journal, &journal->done_bytes);
}

uint64_t
p2p_journal_doubted(struct p2p_journal *journal)
{
    return read_counter(journal, &journal->doubted);
}

enum p2p_err
p2p_journal_mark(struct p2p_journal *journal, uint64_t chunk)
{
    enum p2p_err err;

    p2p_lock(&journal->lock);
    p2p_journal_set_doubt(journal, chunk, false);
    p2p_journal_set_written(journal, chunk, true);
    journal->unflushed = true;
    err = p2p_journal_write_page(journal, chunk / JOURNAL_PAGE_CHUNKS);
    if (err == P2P_OK)
        err = p2p_journal_reserve_ahead(journal);
    p2p_unlock(&journal->lock);
    return err;
}

/* Sets the durable bits of chunks that were written before the flush began. Chunks
 * written meanwhile wait for the next flush. */
static enum p2p_err
promise(struct p2p_journal *j, const struct journal_page *before)
    P2P_REQUIRES(p2p_journal_lock)
{
    for (uint64_t p = 0; p < p2p_journal_page_count(&j->info.geometry); p++) {
        struct journal_page *page = &j->pages[p];
        bool changed = false;
        for (size_t i = 0; i < JOURNAL_PAGE_BITS; i++) {
            uint8_t durable = before[p].written[i] & page->written[i];
            changed |= (durable & ~page->durable[i]) != 0;
            page->durable[i] |= durable;
        }
        enum p2p_err err = changed ? p2p_journal_write_page(j, p) : P2P_OK;
        if (err != P2P_OK)
            return err;
    }
    return P2P_OK;
}

enum p2p_err
p2p_journal_checkpoint(struct p2p_journal *journal)
{
    size_t len = (size_t)p2p_journal_page_count(&journal->info.geometry) *
                 sizeof(struct journal_page);
    struct journal_page *before = malloc(len + 1);
    enum p2p_err err = P2P_OK;

    if (before == NULL)
        return P2P_ERR_NOMEM;
    p2p_lock(&journal->lock);
    bool unflushed = journal->unflushed;
    journal->unflushed = false;
    memcpy(before, journal->pages, len);
    p2p_unlock(&journal->lock);
    if (!unflushed)
        goto out;
    if (fdatasync(journal->fd) < 0)
        err = p2p_err_from_errno(errno);
    p2p_lock(&journal->lock);
    if (err == P2P_OK)
        err = promise(journal, before);
    if (err != P2P_OK)
        journal->unflushed = true;
    p2p_unlock(&journal->lock);
    if (err == P2P_OK && fdatasync(journal->journal_fd) < 0)
        err = p2p_err_from_errno(errno);
out:
    free(before);
    return err;
}

enum p2p_err
p2p_journal_finish(struct p2p_journal *journal, enum p2p_on_conflict conflict,
                   char *stored)
{
    enum p2p_err err = P2P_OK;

    if (p2p_journal_done_count(journal) != journal->info.geometry.count)
        return P2P_ERR_CORRUPT; /* a mistake of the caller must not result in a wrong
                                 * file */
    if (fsync(journal->fd) < 0)
        err = p2p_err_from_errno(errno);
    if (err == P2P_OK)
        err = p2p_root_publish(journal->downloads, journal->part_name,
                               journal->info.name, conflict, stored);
    if (err != P2P_OK)
        return err;
    journal->closed = true;
    if (p2p_root_unlink_private(journal->downloads, journal->journal_name) != P2P_OK)
        p2p_log_warn("cannot remove a download journal file=%s", journal->journal_name);
    return P2P_OK;
}

void
p2p_journal_discard(struct p2p_journal *journal)
{
    journal->closed = true;
    if (p2p_root_unlink_private(journal->downloads, journal->journal_name) != P2P_OK ||
        p2p_root_unlink_private(journal->downloads, journal->part_name) != P2P_OK)
        p2p_log_warn("cannot remove an unfinished download file=%s",
                     journal->part_name);
}

static uint64_t
written_bytes(int fd, const struct journal_stamp *stamp, const struct p2p_chunks *g)
{
    uint64_t sum = 0;

    for (uint64_t p = 0; p < p2p_journal_page_count(g); p++) {
        struct journal_page page;
        if (p2p_journal_page_read(fd, stamp, p, &page) != P2P_OK)
            continue;
        uint64_t first = p * JOURNAL_PAGE_CHUNKS;
        for (uint64_t i = 0; i < JOURNAL_PAGE_CHUNKS && first + i < g->count; i++)
            if (p2p_journal_bit(page.written, i))
                sum += p2p_chunk_length(g, first + i);
    }
    return sum;
}

enum p2p_err
p2p_journal_peek(const struct p2p_root *downloads, const struct p2p_digest *root,
                 struct p2p_journal_info *info, uint64_t *done_bytes)
{
    struct p2p_journal names = {.info.root = *root};
    struct journal_stamp stamp;
    struct p2p_digest *layer = NULL;
    int fd = -1;
    enum p2p_err err;

    *info = (struct p2p_journal_info){0};
    *done_bytes = 0;
    p2p_journal_name_files(&names);
    err = p2p_root_open_private(downloads, names.journal_name, O_RDONLY, &fd);
    if (err == P2P_OK)
        err = p2p_journal_stamp_read(fd, &stamp);
    if (err == P2P_OK)
        err = p2p_journal_head_read(fd, &stamp, info, &layer);
    if (err == P2P_OK)
        *done_bytes = written_bytes(fd, &stamp, &info->geometry);
    free(layer);
    if (fd >= 0)
        close(fd);
    return err;
}

void
p2p_journal_close(struct p2p_journal *journal)
{
    if (journal == NULL)
        return;
    if (!journal->closed && p2p_journal_checkpoint(journal) != P2P_OK)
        p2p_log_warn("cannot flush a download journal to disk file=%s",
                     journal->part_name);
    p2p_journal_release(journal);
}
