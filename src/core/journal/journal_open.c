/* Opens a journal: finds existing data and decides how much of it to believe. */
#include "p2p/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/journal/journal_state.h"
#include "p2p/lock.h"
#include "p2p/log.h"

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
    /* Unlinked by a discard between our open and our lock: to the caller that is
     * "busy". */
    if (st.st_nlink == 0)
        return P2P_ERR_BUSY;
    *is_new = st.st_size == 0;
    return P2P_OK;
}

enum p2p_err
p2p_journal_replace(const struct p2p_root *downloads, const struct p2p_digest *root,
                    const struct p2p_digest *successor)
{
    struct p2p_journal old = {.info.root = *root}, new = {.info.root = {{0}}};
    enum p2p_err err;

    p2p_journal_name_files(&old);
    err = p2p_root_open_private(downloads, old.part_name, O_RDWR, &old.fd);
    if (err != P2P_OK)
        return err;
    if (flock(old.fd, LOCK_EX | LOCK_NB) < 0)
        err = errno == EWOULDBLOCK ? P2P_ERR_BUSY : p2p_err_from_errno(errno);
    if (err != P2P_OK)
        goto out;
    (void)!p2p_root_unlink_private(downloads, old.journal_name); /* need not be there */
    if (successor != NULL) {
        new.info.root = *successor;
        p2p_journal_name_files(&new);
        err = p2p_root_move_private(downloads, old.part_name, new.part_name);
    }
    if (successor == NULL || err == P2P_ERR_EXISTS)
        err = p2p_root_unlink_private(downloads, old.part_name);
out:
    close(old.fd);
    return err;
}

/* ---- Room ---- */

/* How much space is reserved ahead of the verified data: the same amount as was
 * verified, within these limits. So a wrong size that a peer states never uses more
 * space than the first step. */
#define STEP_MIN (64 * P2P_MIB)
#define STEP_MAX (256 * P2P_MIB)
/* At most this percentage of the disk is kept free. */
#define KEEP_FREE_PERCENT 5

/* A disk may be enlarged while a download waits, but not by this factor. */
#define DISK_GROWTH_MAX 64

/* P2P_OK when `bytes` more fit on the disk of `fd`; DISK_TOO_SMALL when they never
 * will. A file system that does not know its size (some in user space) takes what it
 * takes. */
static enum p2p_err
check_room(int fd, uint64_t bytes, uint64_t keep_free)
{
    struct statvfs fs;

    if (fstatvfs(fd, &fs) < 0)
        return p2p_err_from_errno(errno);
    uint64_t available = (uint64_t)fs.f_bavail * fs.f_frsize;
    uint64_t most = (uint64_t)fs.f_blocks / 100 * fs.f_frsize * KEEP_FREE_PERCENT;
    uint64_t keep = keep_free < most ? keep_free : most;
    if (fs.f_blocks == 0)
        return P2P_OK;
    if (bytes / DISK_GROWTH_MAX > (uint64_t)fs.f_blocks * fs.f_frsize)
        return P2P_ERR_DISK_TOO_SMALL;
    return available >= keep && available - keep >= bytes ? P2P_OK : P2P_ERR_DISK_FULL;
}

/* Bytes that the data still needs from the disk. */
static uint64_t
missing(const struct stat *part, uint64_t size)
{
    uint64_t held = (uint64_t)part->st_blocks * 512;

    return held < size ? size - held : 0;
}

enum p2p_err
p2p_journal_check_room(const struct p2p_root *downloads,
                       const struct p2p_journal_info *info)
{
    struct p2p_journal j = {.info.root = info->root};
    struct stat st = {.st_blocks = 0};
    int fd = -1;

    p2p_journal_name_files(&j);
    if (p2p_root_open_private(downloads, j.part_name, O_RDONLY, &fd) == P2P_OK &&
        fstat(fd, &st) < 0)
        st.st_blocks = 0;
    if (fd >= 0)
        close(fd);
    uint64_t bytes = missing(&st, info->geometry.size - info->zero_bytes);
    return bytes == 0 ? P2P_OK
                      : check_room(p2p_root_fd(downloads), bytes, info->keep_free);
}

enum p2p_err
p2p_journal_reserve_ahead(struct p2p_journal *j)
{
    uint64_t size = j->info.geometry.size, done = j->done_bytes, step = done;
    enum p2p_err err;

    if (j->hole_bytes > 0) /* space that is reserved would fill the holes */
        return check_room(j->fd, size - done < STEP_MIN ? size - done : STEP_MIN,
                          j->info.keep_free);

    if (step < STEP_MIN)
        step = STEP_MIN;
    if (step > STEP_MAX)
        step = STEP_MAX;
    if (j->reserved >= size || (j->reserved > 0 && done + step / 2 < j->reserved))
        return P2P_OK;
    uint64_t to = size - done < step ? size : done + step;
    if (to <= j->reserved)
        return P2P_OK;
    if ((err = check_room(j->fd, to - j->reserved, j->info.keep_free)) != P2P_OK)
        return err;
    /* Not from the start again: that would look at all that has been written. */
    if (fallocate(j->fd, 0, (off_t)j->reserved, (off_t)(to - j->reserved)) < 0 &&
        errno != EOPNOTSUPP && errno != ENOSYS && errno != EINTR && errno != EINVAL)
        return p2p_err_from_errno(errno);
    j->reserved = to;
    return P2P_OK;
}

/* Checks for room for the whole file first, so that a full disk is noticed before hours
 * of work. */
static enum p2p_err
reserve(struct p2p_journal *j) P2P_REQUIRES(p2p_journal_lock)
{
    uint64_t size = j->info.geometry.size;
    struct stat st;
    enum p2p_err err;

    if (size == 0)
        return P2P_OK;
    if (fstat(j->fd, &st) < 0)
        return p2p_err_from_errno(errno);
    uint64_t needed = missing(&st, size - j->hole_bytes);
    if (needed == 0)
        j->reserved = size;
    else if ((err = check_room(j->fd, needed, j->info.keep_free)) != P2P_OK)
        return err;
    if ((uint64_t)st.st_size != size && ftruncate(j->fd, (off_t)size) < 0)
        return p2p_err_from_errno(errno);
    return j->hole_bytes > 0 ? P2P_OK : p2p_journal_reserve_ahead(j);
}

/* ---- What is there ---- */

static bool
same_layer(const struct p2p_journal *j, const struct p2p_journal_info *info,
           const struct p2p_digest *layer)
{
    const struct p2p_chunks *a = &info->geometry, *b = &j->info.geometry;

    if (memcmp(&info->root, &j->info.root, sizeof(info->root)) != 0 ||
        a->size != b->size || a->chunk_size != b->chunk_size)
        return false;
    return a->count == 0 ||
           (layer != NULL &&
            memcmp(layer, j->layer, (size_t)a->count * sizeof(*layer)) == 0);
}

static void
load_pages(struct p2p_journal *j, bool same_boot) P2P_REQUIRES(p2p_journal_lock)
{
    uint64_t count = j->info.geometry.count;

    for (uint64_t p = 0; p < p2p_journal_page_count(&j->info.geometry); p++) {
        struct journal_page page;
        uint64_t first = p * JOURNAL_PAGE_CHUNKS;
        if (p2p_journal_page_read(j->journal_fd, &j->stamp, p, &page) != P2P_OK) {
            p2p_journal_doubt(j, first, first + JOURNAL_PAGE_CHUNKS);
            continue;
        }
        for (uint64_t i = 0; i < JOURNAL_PAGE_CHUNKS && first + i < count; i++) {
            bool durable = p2p_journal_bit(page.durable, i),
                 written = p2p_journal_bit(page.written, i);
            if (durable || (written && same_boot))
                p2p_journal_set_written(j, first + i, true);
            else if (written)
                p2p_journal_set_doubt(j, first + i, true);
            p2p_journal_bit_put(j->pages[p].durable, i, durable);
            j->unflushed |= written && !durable;
        }
    }
}

/* P2P_OK if the existing journal belongs to this data file and this layer. */
static enum p2p_err
load(struct p2p_journal *j, const struct stat *part) P2P_REQUIRES(p2p_journal_lock)
{
    struct p2p_journal_info info;
    struct p2p_digest *layer = NULL;
    enum p2p_err err =
        p2p_root_open_private(j->downloads, j->journal_name, O_RDWR, &j->journal_fd);

    if (err == P2P_OK)
        err = p2p_journal_stamp_read(j->journal_fd, &j->stamp);
    if (err == P2P_OK)
        err = p2p_journal_head_read(j->journal_fd, &j->stamp, &info, &layer);
    if (err == P2P_OK &&
        (!same_layer(j, &info, layer) || j->stamp.inode != part->st_ino ||
         (uint64_t)part->st_size != j->info.geometry.size))
        err = P2P_ERR_CORRUPT;
    free(layer);
    if (err != P2P_OK)
        return err;
    load_pages(j, p2p_boot_id_is_current(&j->stamp.boot));
    return P2P_OK;
}

/* Creates a new journal for the data. `doubtful`: the data file has bytes of unknown
 * origin. */
static enum p2p_err
create(struct p2p_journal *j, const struct stat *part, bool doubtful)
    P2P_REQUIRES(p2p_journal_lock)
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
    err = p2p_journal_format_new(&j->info, j->layer, &j->stamp, &bytes, &len);
    if (err == P2P_OK)
        err = p2p_root_replace_private(j->downloads, j->journal_name, bytes, len);
    if (err == P2P_OK)
        err = p2p_root_open_private(j->downloads, j->journal_name, O_RDWR,
                                    &j->journal_fd);
    if (err == P2P_OK && doubtful) {
        p2p_journal_doubt(j, 0, j->info.geometry.count);
        for (uint64_t p = 0; p < p2p_journal_page_count(&j->info.geometry); p++)
            if (err == P2P_OK)
                err = p2p_journal_write_page(j, p);
    }
    free(bytes);
    return err;
}

static enum p2p_err
open_files(struct p2p_journal *j) P2P_REQUIRES(p2p_journal_lock)
{
    bool is_new = false;
    struct stat st;
    enum p2p_err err = open_and_lock(j, &is_new);

    if (err != P2P_OK)
        return err;
    if (fstat(j->fd, &st) < 0)
        return p2p_err_from_errno(errno);
    p2p_root_sweep_aside(j->downloads, j->journal_name);
    err = j->layer == NULL && j->info.geometry.count > 0 ? P2P_ERR_NOT_FOUND
                                                         : load(j, &st);
    if (err == P2P_ERR_CORRUPT)
        p2p_log_warn("a journal does not match its data; checking the chunks file=%s",
                     j->part_name);
    bool loaded = err == P2P_OK;
    err = reserve(j);
    if (err != P2P_OK && is_new && /* remove everything that was created here */
        p2p_root_unlink_private(j->downloads, j->part_name) != P2P_OK)
        p2p_log_warn("cannot remove an empty download file=%s", j->part_name);
    if (err == P2P_OK && !loaded)
        err = create(j, &st, !is_new && j->layer != NULL);
    if (err == P2P_OK)
        err = p2p_journal_mark_holes(j, is_new);
    return err == P2P_OK ? p2p_journal_refresh_stamp(j) : err;
}

static enum p2p_err
allocate(struct p2p_journal *j, const struct p2p_digest *layer)
    P2P_REQUIRES(p2p_journal_lock)
{
    uint64_t count = j->info.geometry.count;

    j->pages = calloc((size_t)p2p_journal_page_count(&j->info.geometry) + 1,
                      sizeof(*j->pages));
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

enum p2p_err
p2p_journal_open(const struct p2p_root *downloads, const struct p2p_journal_info *info,
                 const struct p2p_digest *layer, struct p2p_journal **out)
{
    struct p2p_journal *j = calloc(1, sizeof(*j));
    enum p2p_err err;

    *out = NULL;
    if (j == NULL)
        return P2P_ERR_NOMEM;
    p2p_mutex_init(&j->lock);
    j->fd = j->journal_fd = -1;
    j->downloads = downloads;
    j->info = *info;
    p2p_journal_name_files(j);
    err = allocate(j, layer);
    if (err == P2P_OK)
        err = p2p_journal_find_holes(j);
    if (err == P2P_OK)
        err = open_files(j);
    if (err == P2P_OK)
        *out = j;
    else
        p2p_journal_release(j);
    return err;
}
