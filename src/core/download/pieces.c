/* The chunks of a file while it arrives: which device sent them, and readers that do
 * not wait for the end. */
#include "core/download/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "p2p/bytes.h"
#include "p2p/io.h"

/* Chunks of a cell that are looked at, so that the lock is held for a bounded time. */
#define LOOKS 64

/* ---- Senders ---- */

#define NOT_HERE 0
#define NOBODY   UINT8_MAX /* here, but not sent in this run */

/* Who sent the chunk; NOT_HERE: it is missing (again). */
static void
note(struct dl_senders *s, uint64_t chunk, unsigned number)
{
    uint8_t before = s->of[chunk];

    if (before != NOT_HERE && before != NOBODY)
        s->at[before - 1].pieces--;
    if (number != NOT_HERE && number != NOBODY)
        s->at[number - 1].pieces++;
    s->of[chunk] = (uint8_t)number;
}

enum p2p_err
p2p_dl_senders_begin(struct p2p_download *dl)
{
    struct dl_senders *s = &dl->file->senders;
    uint64_t count = dl->file->meta.geometry.count;

    if (s->of == NULL || s->count_of != count ||
        memcmp(&s->root, &dl->file->meta.root, sizeof(s->root)) != 0) {
        p2p_dl_senders_clear(dl);
        s->of = calloc((size_t)count + 1, 1);
        s->count_of = count;
        s->root = dl->file->meta.root;
    }
    if (s->of == NULL)
        return P2P_ERR_NOMEM;
    for (uint64_t i = 0; i < count; i++) {
        bool is_here = p2p_plan_is_done(&dl->file->plan, i);
        if (is_here != (s->of[i] != NOT_HERE))
            note(s, i, is_here ? NOBODY : NOT_HERE);
    }
    return P2P_OK;
}

void
p2p_dl_senders_clear(struct p2p_download *dl)
{
    free(dl->file->senders.of);
    dl->file->senders = (struct dl_senders){0};
}

int
p2p_download_sender(struct p2p_download_sender senders[P2P_DOWNLOAD_SENDERS_MAX],
                    unsigned *count, const struct p2p_id *id)
{
    unsigned i = 0;

    while (i < *count && !p2p_id_equal(&senders[i].id, id))
        i++;
    if (i == P2P_DOWNLOAD_SENDERS_MAX)
        return -1;
    if (i == *count)
        senders[(*count)++] = (struct p2p_download_sender){.id = *id};
    return (int)i;
}

/* The number of a device, from 1; NOBODY: there is no room for another one. */
static unsigned
number_of(struct dl_senders *s, const struct p2p_id *id)
{
    int at = p2p_download_sender(s->at, &s->count, id);

    return at >= 0 ? (unsigned)at + 1 : NOBODY;
}

void
p2p_dl_note_sender(struct p2p_download *dl, unsigned source, uint64_t chunk)
{
    const struct dl_source *from = &dl->swarm.sources[source];
    struct dl_senders *s = &dl->file->senders;

    if (s->of != NULL)
        note(s, chunk, from->id_known ? number_of(s, &from->id) : NOBODY);
}

void
p2p_dl_note_found(struct p2p_download *dl, uint64_t chunk)
{
    if (dl->file->senders.of != NULL)
        note(&dl->file->senders, chunk, NOBODY);
}

/* What the pieces from `first` to before `end` have in common. */
static void
fill_cell(const struct dl_senders *s, uint64_t first, uint64_t end,
          struct p2p_download_cell *out)
{
    uint64_t step = (end - first + LOOKS - 1) / LOOKS, looked = 0, here = 0;
    unsigned of[UINT8_MAX + 1] = {0}, best = 0;

    for (uint64_t i = first; i < end; i += step) {
        looked++;
        here += s->of[i] != NOT_HERE;
        of[s->of[i]]++;
    }
    of[0] = 0;
    for (unsigned i = 1; i <= s->count; i++)
        if (of[i] > of[best])
            best = i;
    if (looked > 0)
        out->done = (uint8_t)(here * 100 / looked);
    out->sender = (int8_t)((int)best - 1);
}

void
p2p_download_pieces(struct p2p_download *dl, struct p2p_download_pieces *out)
{
    memset(out, 0, sizeof(*out));
    if (dl->file == NULL)
        return;
    p2p_lock(&dl->lock);
    const struct dl_senders *s = &dl->file->senders;
    if (s->of != NULL) {
        out->count = s->count_of;
        out->size = dl->file->meta.geometry.chunk_size;
        out->cell_count = s->count_of < P2P_DOWNLOAD_CELLS_MAX ? (unsigned)s->count_of
                                                               : P2P_DOWNLOAD_CELLS_MAX;
        for (unsigned i = 0; i < out->cell_count; i++)
            fill_cell(s, s->count_of * i / out->cell_count,
                      s->count_of * (i + 1) / out->cell_count, &out->cells[i]);
        out->sender_count = s->count;
        memcpy(out->senders, s->at, sizeof(out->senders));
    }
    p2p_unlock(&dl->lock);
}

/* ---- Readers ---- */

void
p2p_dl_readers_begin(struct p2p_download *dl)
{
    struct dl_file *file = dl->file;

    for (unsigned i = 0; i < P2P_DOWNLOAD_READERS_MAX; i++)
        if (file->read_at[i] > 0)
            p2p_plan_read_from(&file->plan, i,
                               (file->read_at[i] - 1) / file->meta.geometry.chunk_size);
}

/* Where the reader stands. The plan follows, or will when it is made. */
static void
stand_at(struct p2p_download *dl, unsigned reader, uint64_t offset)
    P2P_REQUIRES(p2p_dl_lock)
{
    struct dl_file *file = dl->file;
    uint64_t chunk;

    file->read_at[reader] = offset + 1;
    if (!file->ready)
        return;
    chunk = offset / file->meta.geometry.chunk_size;
    if (file->plan.readers[reader].at == chunk)
        return;
    p2p_plan_read_from(&file->plan, reader, chunk);
    p2p_dl_wake_waiters(dl);
}

/* How many verified bytes follow `offset` in its chunk, at most `max`. */
static size_t
verified_at(const struct p2p_download *dl, uint64_t offset, size_t max)
    P2P_REQUIRES(p2p_dl_lock)
{
    const struct p2p_chunks *g = &dl->file->meta.geometry;
    uint64_t chunk, left;

    if (dl->file->journal == NULL || offset >= g->size)
        return 0;
    chunk = offset / g->chunk_size;
    if (!p2p_journal_has(dl->file->journal, chunk))
        return 0;
    left = p2p_chunk_offset(g, chunk) + p2p_chunk_length(g, chunk) - offset;
    return left < max ? (size_t)left : max;
}

/* Decides what can be read. `*fd` is a descriptor of its own, because the data may be
 * closed, and replaced, while it is read. */
static enum p2p_err
open_bytes(struct p2p_download *dl, unsigned reader, uint64_t offset, size_t max,
           struct p2p_download_bytes *got, int *fd) P2P_REQUIRES(p2p_dl_lock)
{
    const struct dl_file *file = dl->file;

    if (!file->layer_known) {
        stand_at(dl, reader, offset);
        return P2P_ERR_BUSY;
    }
    got->size = file->meta.geometry.size;
    got->root = file->meta.root;
    got->count = verified_at(dl, offset, max);
    if (got->count == 0) {
        stand_at(dl, reader, offset);
        return offset < got->size ? P2P_ERR_BUSY : P2P_ERR_RANGE;
    }
    stand_at(dl, reader, offset + got->count);
    *fd = fcntl(p2p_journal_fd(file->journal), F_DUPFD_CLOEXEC, 0);
    return *fd >= 0 ? P2P_OK : p2p_err_from_errno(errno);
}

enum p2p_err
p2p_download_read(struct p2p_download *dl, unsigned reader, uint64_t offset, void *out,
                  size_t max, struct p2p_download_bytes *got)
{
    int fd = -1;
    enum p2p_err err;

    memset(got, 0, sizeof(*got));
    if (dl->file == NULL || dl->opt.protocol == 1 || reader >= P2P_DOWNLOAD_READERS_MAX)
        return P2P_ERR_USAGE;
    p2p_lock(&dl->lock);
    err = open_bytes(dl, reader, offset, max, got, &fd);
    p2p_unlock(&dl->lock);
    if (err != P2P_OK)
        return err;
    err = p2p_pread_full(fd, out, got->count, offset);
    close(fd);
    return err;
}

void
p2p_download_stop_reading(struct p2p_download *dl, unsigned reader)
{
    if (dl->file == NULL || reader >= P2P_DOWNLOAD_READERS_MAX)
        return;
    p2p_lock(&dl->lock);
    dl->file->read_at[reader] = 0;
    if (dl->file->ready)
        p2p_plan_read_from(&dl->file->plan, reader, PLAN_NOWHERE);
    p2p_unlock(&dl->lock);
}
