#include "p2p/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "journal_file.h"
#include "p2p/bytes.h"
#include "p2p/log.h"

#define FILE_NAME_MAX (2 * P2P_DIGEST_LEN + 16)

struct p2p_journal {
    pthread_mutex_t lock;
    const struct p2p_root *downloads;
    struct p2p_journal_info info;
    struct p2p_digest *layer; /* NULL: protocol 1 */
    char part_name[FILE_NAME_MAX], journal_name[FILE_NAME_MAX];
    int fd, journal_fd;
    struct journal_stamp stamp;
    struct journal_page *pages;
    uint8_t *doubt; /* a bit per chunk: neither there nor given up */
    uint64_t doubted, done_count, done_bytes;
    bool unflushed; /* chunks are written that are not durable */
    bool closed;    /* finished or discarded: the files are gone */
};

static bool
bit_get(const uint8_t *bits, uint64_t i)
{
    return (bits[i / 8] >> (i % 8) & 1) != 0;
}

static void
bit_put(uint8_t *bits, uint64_t i, bool on)
{
    uint8_t mask = (uint8_t)(1u << (i % 8));

    bits[i / 8] = on ? (uint8_t)(bits[i / 8] | mask) : (uint8_t)(bits[i / 8] & ~mask);
}

static struct journal_page *
page_of(const struct p2p_journal *j, uint64_t chunk)
{
    return &j->pages[chunk / JOURNAL_PAGE_CHUNKS];
}

static bool
is_written(const struct p2p_journal *j, uint64_t chunk)
{
    return bit_get(page_of(j, chunk)->written, chunk % JOURNAL_PAGE_CHUNKS);
}

static void
set_written(struct p2p_journal *j, uint64_t chunk, bool on)
{
    struct journal_page *page = page_of(j, chunk);
    uint64_t bit = chunk % JOURNAL_PAGE_CHUNKS;
    uint32_t length = p2p_chunk_length(&j->info.geometry, chunk);

    if (bit_get(page->written, bit) == on)
        return;
    bit_put(page->written, bit, on);
    if (!on)
        bit_put(page->durable, bit, false);
    j->done_count += on ? 1 : (uint64_t)-1;
    j->done_bytes += on ? length : -(uint64_t)length;
}

static void
set_doubt(struct p2p_journal *j, uint64_t chunk, bool on)
{
    if (bit_get(j->doubt, chunk) == on)
        return;
    bit_put(j->doubt, chunk, on);
    j->doubted += on ? 1 : (uint64_t)-1;
}

/* What the page says on disk: doubted chunks stay written there, so that a kill before the
 * recheck does not forget them. */
static enum p2p_err
write_page(const struct p2p_journal *j, uint64_t index)
{
    struct journal_page page = j->pages[index];
    uint64_t first = index * JOURNAL_PAGE_CHUNKS;

    for (uint64_t i = 0; j->doubted > 0 && i < JOURNAL_PAGE_CHUNKS; i++)
        if (first + i < j->info.geometry.count && bit_get(j->doubt, first + i))
            bit_put(page.written, i, true);
    return journal_page_write(j->journal_fd, &j->stamp, index, &page);
}

static void
doubt_from(struct p2p_journal *j, uint64_t first, uint64_t end)
{
    if (end > j->info.geometry.count)
        end = j->info.geometry.count;
    for (uint64_t i = first; i < end; i++) {
        set_written(j, i, false);
        set_doubt(j, i, true);
    }
}

/* ---- Opening ---- */

static enum p2p_err
open_and_lock(struct p2p_journal *j, bool *is_new)
{
    struct stat st;
    enum p2p_err err =
        p2p_root_open_private(j->downloads, j->part_name, O_RDWR | O_CREAT, &j->fd);

    if (err != P2P_OK)
        return err;
    if (flock(j->fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? P2P_ERR_BUSY : p2p_err_from_errno(errno);
    if (fstat(j->fd, &st) < 0)
        return p2p_err_from_errno(errno);
    /* Unlinked by a discard between our open and our lock: to the caller that is "busy". */
    if (st.st_nlink == 0)
        return P2P_ERR_BUSY;
    *is_new = st.st_size == 0;
    return P2P_OK;
}

/* Space first, so that a full disk shows before hours of work. */
static enum p2p_err
reserve(const struct p2p_journal *j)
{
    uint64_t size = j->info.geometry.size;
    struct statvfs fs;
    struct stat st;

    if (size == 0)
        return P2P_OK;
    if (fstat(j->fd, &st) < 0 || fstatvfs(j->fd, &fs) < 0)
        return p2p_err_from_errno(errno);
    uint64_t held = (uint64_t)st.st_blocks * 512;
    uint64_t available = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (held < size && available < size - held)
        return P2P_ERR_DISK_FULL;
    if ((uint64_t)st.st_size > size && ftruncate(j->fd, (off_t)size) < 0)
        return p2p_err_from_errno(errno);
    if (fallocate(j->fd, 0, 0, (off_t)size) == 0)
        return P2P_OK;
    if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINTR)
        return p2p_err_from_errno(errno);
    return ftruncate(j->fd, (off_t)size) == 0 ? P2P_OK : p2p_err_from_errno(errno);
}

static bool
same_layer(const struct p2p_journal *j, const struct p2p_journal_info *info,
           const struct p2p_digest *layer)
{
    const struct p2p_chunks *a = &info->geometry, *b = &j->info.geometry;

    if (memcmp(&info->root, &j->info.root, sizeof(info->root)) != 0 ||
        a->size != b->size || a->chunk_size != b->chunk_size)
        return false;
    return a->count == 0 || (layer != NULL && memcmp(layer, j->layer,
                                                     (size_t)a->count * sizeof(*layer)) == 0);
}

static void
load_pages(struct p2p_journal *j, bool same_boot)
{
    uint64_t count = j->info.geometry.count;

    for (uint64_t p = 0; p < journal_page_count(&j->info.geometry); p++) {
        struct journal_page page;
        uint64_t first = p * JOURNAL_PAGE_CHUNKS;
        if (journal_page_read(j->journal_fd, &j->stamp, p, &page) != P2P_OK) {
            doubt_from(j, first, first + JOURNAL_PAGE_CHUNKS);
            continue;
        }
        for (uint64_t i = 0; i < JOURNAL_PAGE_CHUNKS && first + i < count; i++) {
            bool durable = bit_get(page.durable, i), written = bit_get(page.written, i);
            if (durable || (written && same_boot))
                set_written(j, first + i, true);
            else if (written)
                set_doubt(j, first + i, true);
            bit_put(j->pages[p].durable, i, durable);
            j->unflushed |= written && !durable;
        }
    }
}

/* P2P_OK when the journal that is there belongs to this data file and this layer. */
static enum p2p_err
load(struct p2p_journal *j, const struct stat *part)
{
    struct p2p_journal_info info;
    struct p2p_digest *layer = NULL;
    enum p2p_err err =
        p2p_root_open_private(j->downloads, j->journal_name, O_RDWR, &j->journal_fd);

    if (err == P2P_OK)
        err = journal_stamp_read(j->journal_fd, &j->stamp);
    if (err == P2P_OK)
        err = journal_head_read(j->journal_fd, &j->stamp, &info, &layer);
    if (err == P2P_OK && (!same_layer(j, &info, layer) || j->stamp.inode != part->st_ino ||
                          (uint64_t)part->st_size != j->info.geometry.size))
        err = P2P_ERR_CORRUPT;
    free(layer);
    if (err != P2P_OK)
        return err;
    load_pages(j, p2p_boot_id_is_current(&j->stamp.boot));
    return P2P_OK;
}

/* A new journal beside the data. `doubtful`: bytes are there of which nothing is known. */
static enum p2p_err
create(struct p2p_journal *j, const struct stat *part, bool doubtful)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    enum p2p_err err;

    if (j->journal_fd >= 0)
        close(j->journal_fd);
    j->journal_fd = -1;
    j->stamp = (struct journal_stamp){.inode = part->st_ino};
    if (!doubtful)
        p2p_boot_id_get(&j->stamp.boot);
    err = journal_format_new(&j->info, j->layer, &j->stamp, &bytes, &len);
    if (err == P2P_OK)
        err = p2p_root_replace_private(j->downloads, j->journal_name, bytes, len);
    if (err == P2P_OK)
        err = p2p_root_open_private(j->downloads, j->journal_name, O_RDWR, &j->journal_fd);
    if (err == P2P_OK && doubtful) {
        doubt_from(j, 0, j->info.geometry.count);
        for (uint64_t p = 0; p < journal_page_count(&j->info.geometry); p++)
            if (err == P2P_OK)
                err = write_page(j, p);
    }
    free(bytes);
    return err;
}

/* Once nothing is doubted, "written" refers to the running system. */
static enum p2p_err
refresh_stamp(struct p2p_journal *j)
{
    if (j->doubted > 0 || p2p_boot_id_is_current(&j->stamp.boot))
        return P2P_OK;
    for (uint64_t p = 0; p < journal_page_count(&j->info.geometry); p++) {
        enum p2p_err err = write_page(j, p);
        if (err != P2P_OK)
            return err;
    }
    p2p_boot_id_get(&j->stamp.boot);
    return journal_stamp_write(j->journal_fd, &j->stamp);
}

static enum p2p_err
open_files(struct p2p_journal *j)
{
    bool is_new = false;
    struct stat st;
    enum p2p_err err = open_and_lock(j, &is_new);

    if (err != P2P_OK)
        return err;
    if (fstat(j->fd, &st) < 0)
        return p2p_err_from_errno(errno);
    err = j->layer == NULL && j->info.geometry.count > 0 ? P2P_ERR_NOT_FOUND : load(j, &st);
    if (err == P2P_ERR_CORRUPT)
        p2p_log_warn("journal does not fit its data, checking chunks file=%s", j->part_name);
    bool loaded = err == P2P_OK;
    err = reserve(j);
    if (err != P2P_OK && is_new) /* nothing is left behind that was not there */
        (void)p2p_root_unlink_private(j->downloads, j->part_name);
    if (err == P2P_OK && !loaded)
        err = create(j, &st, !is_new && j->layer != NULL);
    return err == P2P_OK ? refresh_stamp(j) : err;
}

static enum p2p_err
allocate(struct p2p_journal *j, const struct p2p_digest *layer)
{
    uint64_t count = j->info.geometry.count;

    j->pages = calloc((size_t)journal_page_count(&j->info.geometry) + 1, sizeof(*j->pages));
    j->doubt = calloc((size_t)count / 8 + 1, 1);
    if (j->pages == NULL || j->doubt == NULL)
        return P2P_ERR_NOMEM;
    if (layer == NULL || count == 0)
        return P2P_OK;
    j->layer = malloc((size_t)count * sizeof(*layer));
    if (j->layer == NULL)
        return P2P_ERR_NOMEM;
    memcpy(j->layer, layer, (size_t)count * sizeof(*layer));
    return P2P_OK;
}

static void
name_files(struct p2p_journal *j)
{
    char hex[2 * P2P_DIGEST_LEN + 1];

    p2p_hex_format(j->info.root.b, sizeof(j->info.root.b), hex);
    snprintf(j->part_name, sizeof(j->part_name), "%s.part", hex);
    snprintf(j->journal_name, sizeof(j->journal_name), "%s.journal", hex);
}

static void
journal_free(struct p2p_journal *j)
{
    if (j->journal_fd >= 0)
        close(j->journal_fd);
    if (j->fd >= 0)
        close(j->fd); /* gives the lock up */
    pthread_mutex_destroy(&j->lock);
    free(j->layer);
    free(j->pages);
    free(j->doubt);
    free(j);
}

enum p2p_err
p2p_journal_open(const struct p2p_root *downloads, const struct p2p_journal_info *info,
                 const struct p2p_digest *layer, struct p2p_journal **out)
{
    struct p2p_journal *j = calloc(1, sizeof(*j));
    enum p2p_err err;

    *out = NULL;
    if (j == NULL)
        return P2P_ERR_NOMEM;
    pthread_mutex_init(&j->lock, NULL);
    j->fd = j->journal_fd = -1;
    j->downloads = downloads;
    j->info = *info;
    name_files(j);
    err = allocate(j, layer);
    if (err == P2P_OK)
        err = open_files(j);
    if (err == P2P_OK)
        *out = j;
    else
        journal_free(j);
    return err;
}

void
p2p_journal_close(struct p2p_journal *journal)
{
    if (journal == NULL)
        return;
    if (!journal->closed && p2p_journal_checkpoint(journal) != P2P_OK)
        p2p_log_warn("journal could not be flushed file=%s", journal->part_name);
    journal_free(journal);
}

/* ---- Looking and marking ---- */

int
p2p_journal_fd(const struct p2p_journal *journal)
{
    return journal->fd;
}

bool
p2p_journal_has(struct p2p_journal *journal, uint64_t chunk)
{
    pthread_mutex_lock(&journal->lock);
    bool has = is_written(journal, chunk);
    pthread_mutex_unlock(&journal->lock);
    return has;
}

static uint64_t
read_counter(struct p2p_journal *journal, const uint64_t *counter)
{
    pthread_mutex_lock(&journal->lock);
    uint64_t value = *counter;
    pthread_mutex_unlock(&journal->lock);
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

    pthread_mutex_lock(&journal->lock);
    set_doubt(journal, chunk, false);
    set_written(journal, chunk, true);
    journal->unflushed = true;
    err = write_page(journal, chunk / JOURNAL_PAGE_CHUNKS);
    pthread_mutex_unlock(&journal->lock);
    return err;
}

void
p2p_journal_unmark(struct p2p_journal *journal, uint64_t chunk)
{
    pthread_mutex_lock(&journal->lock);
    set_doubt(journal, chunk, false);
    set_written(journal, chunk, false);
    /* On failure the page keeps a promise that is checked against the layer in the end. */
    if (write_page(journal, chunk / JOURNAL_PAGE_CHUNKS) != P2P_OK)
        p2p_log_warn("journal could not be written file=%s", journal->journal_name);
    pthread_mutex_unlock(&journal->lock);
}

/* Bits that were written before the flush began; those set meanwhile wait for the next. */
static enum p2p_err
promise(struct p2p_journal *j, const struct journal_page *before)
{
    for (uint64_t p = 0; p < journal_page_count(&j->info.geometry); p++) {
        struct journal_page *page = &j->pages[p];
        bool changed = false;
        for (size_t i = 0; i < JOURNAL_PAGE_BITS; i++) {
            uint8_t durable = before[p].written[i] & page->written[i];
            changed |= (durable & ~page->durable[i]) != 0;
            page->durable[i] |= durable;
        }
        enum p2p_err err = changed ? write_page(j, p) : P2P_OK;
        if (err != P2P_OK)
            return err;
    }
    return P2P_OK;
}

enum p2p_err
p2p_journal_checkpoint(struct p2p_journal *journal)
{
    size_t len = (size_t)journal_page_count(&journal->info.geometry) *
                 sizeof(struct journal_page);
    struct journal_page *before = malloc(len + 1);
    enum p2p_err err = P2P_OK;

    if (before == NULL)
        return P2P_ERR_NOMEM;
    pthread_mutex_lock(&journal->lock);
    bool unflushed = journal->unflushed;
    journal->unflushed = false;
    memcpy(before, journal->pages, len);
    pthread_mutex_unlock(&journal->lock);
    if (!unflushed)
        goto out;
    if (fdatasync(journal->fd) < 0)
        err = p2p_err_from_errno(errno);
    pthread_mutex_lock(&journal->lock);
    if (err == P2P_OK)
        err = promise(journal, before);
    if (err != P2P_OK)
        journal->unflushed = true;
    pthread_mutex_unlock(&journal->lock);
    if (err == P2P_OK && fdatasync(journal->journal_fd) < 0)
        err = p2p_err_from_errno(errno);
out:
    free(before);
    return err;
}

/* ---- Checking ---- */

void
p2p_journal_doubt_all(struct p2p_journal *journal)
{
    pthread_mutex_lock(&journal->lock);
    for (uint64_t i = 0; i < journal->info.geometry.count; i++)
        if (is_written(journal, i)) {
            set_written(journal, i, false);
            set_doubt(journal, i, true);
        }
    pthread_mutex_unlock(&journal->lock);
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
    pthread_mutex_lock(&j->lock);
    set_doubt(j, chunk, false);
    pthread_mutex_unlock(&j->lock);
    return P2P_OK;
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
        pthread_mutex_lock(&journal->lock);
        bool doubt = bit_get(journal->doubt, i);
        pthread_mutex_unlock(&journal->lock);
        if (!doubt)
            continue;
        err = stop != NULL && stop(arg) ? P2P_ERR_CANCELLED : recheck_chunk(journal, i, buf);
    }
    free(buf);
    if (err != P2P_OK)
        return err;
    pthread_mutex_lock(&journal->lock);
    err = refresh_stamp(journal);
    pthread_mutex_unlock(&journal->lock);
    return err;
}

/* ---- The end ---- */

enum p2p_err
p2p_journal_finish(struct p2p_journal *journal, enum p2p_on_conflict conflict,
                   char *stored)
{
    enum p2p_err err = P2P_OK;

    if (p2p_journal_done_count(journal) != journal->info.geometry.count)
        return P2P_ERR_CORRUPT; /* the caller's mistake must not become a wrong file */
    if (fsync(journal->fd) < 0)
        err = p2p_err_from_errno(errno);
    if (err == P2P_OK)
        err = p2p_root_publish(journal->downloads, journal->part_name,
                               journal->info.name, conflict, stored);
    if (err != P2P_OK)
        return err;
    journal->closed = true;
    if (p2p_root_unlink_private(journal->downloads, journal->journal_name) != P2P_OK)
        p2p_log_warn("journal could not be removed file=%s", journal->journal_name);
    return P2P_OK;
}

void
p2p_journal_discard(struct p2p_journal *journal)
{
    journal->closed = true;
    if (p2p_root_unlink_private(journal->downloads, journal->journal_name) != P2P_OK ||
        p2p_root_unlink_private(journal->downloads, journal->part_name) != P2P_OK)
        p2p_log_warn("download could not be removed file=%s", journal->part_name);
}

static uint64_t
written_bytes(int fd, const struct journal_stamp *stamp, const struct p2p_chunks *g)
{
    uint64_t sum = 0;

    for (uint64_t p = 0; p < journal_page_count(g); p++) {
        struct journal_page page;
        if (journal_page_read(fd, stamp, p, &page) != P2P_OK)
            continue;
        uint64_t first = p * JOURNAL_PAGE_CHUNKS;
        for (uint64_t i = 0; i < JOURNAL_PAGE_CHUNKS && first + i < g->count; i++)
            if (bit_get(page.written, i))
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
    name_files(&names);
    err = p2p_root_open_private(downloads, names.journal_name, O_RDONLY, &fd);
    if (err == P2P_OK)
        err = journal_stamp_read(fd, &stamp);
    if (err == P2P_OK)
        err = journal_head_read(fd, &stamp, info, &layer);
    if (err == P2P_OK)
        *done_bytes = written_bytes(fd, &stamp, &info->geometry);
    free(layer);
    if (fd >= 0)
        close(fd);
    return err;
}
