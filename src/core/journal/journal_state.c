#include "core/journal/journal_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "p2p/bytes.h"
#include "p2p/lock.h"

bool
p2p_journal_bit(const uint8_t *bits, uint64_t i)
{
    return (bits[i / 8] >> (i % 8) & 1) != 0;
}

void
p2p_journal_bit_put(uint8_t *bits, uint64_t i, bool on)
{
    uint8_t mask = (uint8_t)(1u << (i % 8));

    bits[i / 8] = on ? (uint8_t)(bits[i / 8] | mask) : (uint8_t)(bits[i / 8] & ~mask);
}

static struct journal_page *
page_of(const struct p2p_journal *j, uint64_t chunk) P2P_REQUIRES(p2p_journal_lock)
{
    return &j->pages[chunk / JOURNAL_PAGE_CHUNKS];
}

bool
p2p_journal_is_written(const struct p2p_journal *j, uint64_t chunk)
{
    return p2p_journal_bit(page_of(j, chunk)->written, chunk % JOURNAL_PAGE_CHUNKS);
}

void
p2p_journal_set_written(struct p2p_journal *j, uint64_t chunk, bool on)
{
    struct journal_page *page = page_of(j, chunk);
    uint64_t bit = chunk % JOURNAL_PAGE_CHUNKS;
    uint32_t length = p2p_chunk_length(&j->info.geometry, chunk);

    if (p2p_journal_bit(page->written, bit) == on)
        return;
    p2p_journal_bit_put(page->written, bit, on);
    if (!on)
        p2p_journal_bit_put(page->durable, bit, false);
    j->done_count += on ? 1 : (uint64_t)-1;
    j->done_bytes += on ? length : -(uint64_t)length;
}

void
p2p_journal_set_doubt(struct p2p_journal *j, uint64_t chunk, bool on)
{
    if (p2p_journal_bit(j->doubt, chunk) == on)
        return;
    p2p_journal_bit_put(j->doubt, chunk, on);
    j->doubted += on ? 1 : (uint64_t)-1;
}

/* Writes a page. On disk, doubted chunks stay marked as written, so that they are not
 * forgotten if the program is killed before the recheck. */
enum p2p_err
p2p_journal_write_page(const struct p2p_journal *j, uint64_t index)
{
    struct journal_page page = j->pages[index];
    uint64_t first = index * JOURNAL_PAGE_CHUNKS;

    for (uint64_t i = 0; j->doubted > 0 && i < JOURNAL_PAGE_CHUNKS; i++)
        if (first + i < j->info.geometry.count && p2p_journal_bit(j->doubt, first + i))
            p2p_journal_bit_put(page.written, i, true);
    return p2p_journal_page_write(j->journal_fd, &j->stamp, index, &page);
}

void
p2p_journal_doubt(struct p2p_journal *j, uint64_t first, uint64_t end)
{
    if (end > j->info.geometry.count)
        end = j->info.geometry.count;
    for (uint64_t i = first; i < end; i++) {
        p2p_journal_set_written(j, i, false);
        p2p_journal_set_doubt(j, i, true);
    }
}

enum p2p_err
p2p_journal_refresh_stamp(struct p2p_journal *j)
{
    if (j->doubted > 0 || p2p_boot_id_is_current(&j->stamp.boot))
        return P2P_OK;
    for (uint64_t p = 0; p < p2p_journal_page_count(&j->info.geometry); p++) {
        enum p2p_err err = p2p_journal_write_page(j, p);
        if (err != P2P_OK)
            return err;
    }
    p2p_boot_id_get(&j->stamp.boot);
    return p2p_journal_stamp_write(j->journal_fd, &j->stamp);
}

void
p2p_journal_name_files(struct p2p_journal *j)
{
    char hex[2 * P2P_DIGEST_LEN + 1];

    p2p_hex_format(j->info.root.b, sizeof(j->info.root.b), hex);
    snprintf(j->part_name, sizeof(j->part_name), "%s.part", hex);
    snprintf(j->journal_name, sizeof(j->journal_name), "%s.journal", hex);
}

void
p2p_journal_release(struct p2p_journal *j)
{
    p2p_mutex_unshared(&j->lock);
    if (j->journal_fd >= 0)
        close(j->journal_fd);
    if (j->fd >= 0)
        close(j->fd); /* gives the lock up */
    p2p_mutex_clear(&j->lock);
    free(j->layer);
    free(j->holes);
    free(j->pages);
    free(j->doubt);
    free(j);
}
