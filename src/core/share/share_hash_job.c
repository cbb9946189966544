/* One file that is being hashed: opening, reading, and its progress. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/share/share_internal.h"
#include "p2p/io.h"

struct p2p_hash_job *
p2p_hash_job_new(const char *name)
{
    size_t len = strlen(name) + 1;
    struct p2p_hash_job *job = calloc(1, sizeof(*job) + len);

    if (!job)
        return NULL;
    job->fd = -1;
    memcpy(job->name, name, len);
    return job;
}

void
p2p_hash_job_free(struct p2p_hash_job *job)
{
    if (!job)
        return;
    if (job->fd >= 0)
        close(job->fd);
    free(job->layer);
    free(job->settled_spans);
    free(job);
}

enum p2p_err
p2p_hash_job_read(const struct p2p_hash_job *job, uint8_t *buf, size_t len,
                  uint64_t offset)
{
    enum p2p_err err = p2p_pread_full(job->fd, buf, len, offset);

    return err == P2P_ERR_CORRUPT ? P2P_ERR_FILE_CHANGED : err; /* it got shorter */
}

enum p2p_err
p2p_hash_job_check(const struct p2p_hash_job *job)
{
    struct stat st;

    if (fstat(job->fd, &st) != 0)
        return p2p_err_from_errno(errno);
    struct p2p_file_state now = p2p_file_state_of(&st);
    return p2p_file_state_compare(&now, &job->state) == P2P_FILE_CHANGED
               ? P2P_ERR_FILE_CHANGED
               : P2P_OK;
}

uint64_t
p2p_hash_job_rest(const struct p2p_hash_job *job)
{
    uint64_t done = job->flat       ? job->flat_state.length
                    : job->is_begun ? job->claimed * job->chunk_size
                                    : 0;

    return done < job->state.size ? job->state.size - done : 0;
}

uint64_t
p2p_hash_job_data(const struct p2p_hash_job *job, uint64_t offset)
{
    off_t at;

    if (!job->is_sparse)
        return offset;
    at = lseek(job->fd, (off_t)offset, SEEK_DATA);
    if (at < 0)
        return errno == ENXIO ? job->state.size : offset;
    return (uint64_t)at;
}

uint64_t
p2p_hash_job_span(const struct p2p_hash_job *job)
{
    return job->chunk_size < P2P_HASH_SPAN_BYTES ? P2P_HASH_SPAN_BYTES / job->chunk_size
                                                 : 1;
}

/* Allocates the layer and the spans. Hashes from before an interruption are reused,
 * except for the last span, so that a thread always finishes a span and with it the
 * job. */
static enum p2p_err
make_room(struct p2p_hash_job *job)
{
    uint64_t count = job->geometry.count, span = p2p_hash_job_span(job);

    if (!job->layer)
        job->layer = calloc((size_t)count, sizeof(*job->layer));
    job->settled_spans =
        calloc((size_t)((count - 1) / span + 1), sizeof(*job->settled_spans));
    if (!job->layer || !job->settled_spans)
        return P2P_ERR_NOMEM;
    if (job->begin >= count)
        job->begin = count - 1;
    job->begin -= job->begin % span;
    job->claimed = job->done = job->settled = job->begin;
    return P2P_OK;
}

enum p2p_err
p2p_hash_job_open(struct p2p_hash_job *job, const struct p2p_root *root)
{
    struct stat st;
    enum p2p_err err = p2p_root_open_file(root, job->name, &job->fd, &st);

    if (err)
        return err == P2P_ERR_NOT_FOUND ? P2P_ERR_FILE_CHANGED : err;
    job->has_links = st.st_nlink > 1;
    job->is_sparse = (uint64_t)st.st_blocks * 512 < job->state.size;
    err = p2p_hash_job_check(job);
    if (!err)
        err = p2p_chunks_init(&job->geometry, job->state.size, job->chunk_size);
    if (!err && !job->flat && job->geometry.count > 0) {
        posix_fadvise(job->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
        err = make_room(job);
    }
    return err;
}

void
p2p_hash_job_settle(struct p2p_hash_job *job, uint64_t first)
{
    uint64_t span = p2p_hash_job_span(job);

    job->settled_spans[first / span] = true;
    while (job->settled < job->geometry.count &&
           job->settled_spans[job->settled / span])
        job->settled += span;
    if (job->settled > job->geometry.count)
        job->settled = job->geometry.count;
}
