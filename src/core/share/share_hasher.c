/*
 * The threads that read and hash.
 *
 * A thread always works on the job with the least data left, and on the trees of files
 * before their whole-file hashes, because a file can be shared as soon as its tree is
 * known. A tree is cut into spans: a thread claims one span, hashes it, and then
 * chooses again. So a small file waits at most for one span of a large file, and all
 * threads can work on the same large file. The hash of a whole file is one stream, so
 * only one thread at a time works on it; after FLAT_SLICE_BYTES it gives way to other
 * work and continues later. The thread that finishes the last span also finishes the
 * job.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/share/share_internal.h"
#include "p2p/io.h"
#include "p2p/lock.h"
#include "p2p/log.h"
#include "p2p/tree.h"

#define BUFFER_MIN (1 * P2P_MIB)
/* After this many bytes, the hash of a whole file waits while there is other work. */
#define FLAT_SLICE_BYTES (64 * P2P_MIB)

P2P_MUTEX_KIND(p2p_hasher_lock);
struct p2p_hasher {
    const struct p2p_root *root;
    int wake_fd;
    struct p2p_hasher_lock lock;
    pthread_cond_t work;
    /* unfinished jobs, in any order */
    struct p2p_hash_job *jobs P2P_GUARDED_BY(p2p_hasher_lock);
    struct p2p_hash_job *done P2P_GUARDED_BY(p2p_hasher_lock);
    struct p2p_hash_job **done_last P2P_GUARDED_BY(p2p_hasher_lock);
    atomic_bool stop;
    unsigned started;
    pthread_t threads[];
};

/* ---- Reading ---- */

static bool
is_cancelled(const struct p2p_hasher *h, const struct p2p_hash_job *job)
{
    return atomic_load_explicit(&h->stop, memory_order_relaxed) ||
           atomic_load_explicit(&job->is_cancelled, memory_order_relaxed);
}

/* Hashes the chunks of one span into the layer. `buf` holds a chunk at least. */
static enum p2p_err
hash_span(const struct p2p_hasher *h, struct p2p_hash_job *job, uint64_t first,
          uint64_t end, uint8_t *buf)
{
    const struct p2p_chunks *g = &job->geometry;
    uint64_t data = 0; /* the part of this span before it has no data */
    enum p2p_err err = P2P_OK;

    for (uint64_t i = first; i < end && !err; i++) {
        uint64_t offset = p2p_chunk_offset(g, i);
        uint32_t len = p2p_chunk_length(g, i);
        if (is_cancelled(h, job))
            return P2P_ERR_CANCELLED;
        if (data <= offset)
            data = p2p_hash_job_data(job, offset);
        if (len == job->chunk_size && data >= offset + len) {
            job->layer[i] = job->zeros;
            continue;
        }
        err = p2p_hash_job_read(job, buf, len, offset);
        if (!err)
            err = p2p_tree_chunk(g, buf, len, &job->layer[i]);
    }
    return err;
}

/* So that the hash can resume from here. */
static enum p2p_err
note_flat(struct p2p_hasher *h, struct p2p_hash_job *job, const struct p2p_sha256 *sha)
{
    struct p2p_sha256_state state;
    enum p2p_err err = p2p_sha256_save(sha, &state);

    p2p_lock(&h->lock);
    if (!err)
        job->flat_state = state;
    p2p_unlock(&h->lock);
    return err;
}

static enum p2p_err
read_flat(const struct p2p_hash_job *job, uint8_t *buf, size_t len, uint64_t at)
{
    if (p2p_hash_job_data(job, at) < at + len)
        return p2p_hash_job_read(job, buf, len, at);
    memset(buf, 0, len);
    return P2P_OK;
}

/* Adds at most `max` bytes to the SHA-256 of the whole file. */
static enum p2p_err
hash_flat(struct p2p_hasher *h, struct p2p_hash_job *job, uint8_t *buf, uint64_t max)
{
    struct p2p_sha256 *sha;
    uint64_t at = job->flat_state.length;
    uint64_t end = job->state.size - at < max ? job->state.size : at + max;
    enum p2p_err err = p2p_sha256_new(&sha);

    if (!err && at > 0)
        err = p2p_sha256_restore(sha, &job->flat_state);
    while (at < end && !err) {
        uint64_t left = end - at;
        size_t len = left < BUFFER_MIN ? (size_t)left : BUFFER_MIN;
        err = is_cancelled(h, job) ? P2P_ERR_CANCELLED : read_flat(job, buf, len, at);
        if (!err)
            err = p2p_sha256_update(sha, buf, len);
        if (!err && len == BUFFER_MIN)
            err = note_flat(h, job, sha);
        at += len;
    }
    if (!err && at == job->state.size) {
        err = p2p_sha256_peek(sha, &job->sha256);
        job->sha256_known = !err;
    }
    p2p_sha256_free(sha);
    return err;
}

/* ---- Jobs ---- */

static void
report(struct p2p_hasher *h, struct p2p_hash_job *job)
{
    const uint64_t one = 1;

    p2p_lock(&h->lock);
    for (struct p2p_hash_job **at = &h->jobs; *at; at = &(*at)->next)
        if (*at == job) {
            *at = job->next;
            break;
        }
    bool is_first = h->done == NULL;
    job->next = NULL;
    *h->done_last = job;
    h->done_last = &job->next;
    p2p_unlock(&h->lock);
    if (is_first && write(h->wake_fd, &one, sizeof(one)) < 0)
        p2p_log_debug("cannot write to an eventfd"); /* full: it wakes anyway */
}

/* The last step of a job: computes the root, and checks that the file did not change.
 * No other thread works on the job any longer. */
static void
finish(struct p2p_hasher *h, struct p2p_hash_job *job, uint8_t *buf)
{
    if (!job->err && !job->flat)
        job->err = p2p_tree_root(&job->geometry, job->layer, &job->root);
    if (!job->err && !job->flat && job->state.size <= P2P_HASH_TOGETHER_MAX)
        job->err = hash_flat(h, job, buf, P2P_HASH_TOGETHER_MAX);
    if (!job->err)
        job->err = p2p_hash_job_check(job);
    p2p_fd_close(&job->fd);
    if (job->geometry.count <= 1) { /* its root is enough */
        free(job->layer);
        job->layer = NULL;
    }
    report(h, job);
}

/* The hash of a chunk of zeros, for the holes of a sparse file. */
static enum p2p_err
hash_zeros(struct p2p_hash_job *job, uint8_t *buf)
{
    if (!job->is_sparse || job->flat || job->geometry.count < 2)
        return P2P_OK;
    memset(buf, 0, job->chunk_size);
    return p2p_tree_chunk(&job->geometry, buf, job->chunk_size, &job->zeros);
}

/* Returns without the lock. */
static void
open_and_unlock(struct p2p_hasher *h, struct p2p_hash_job *job, uint8_t *buf)
    P2P_RELEASES(p2p_hasher_lock)
{
    job->is_busy = true;
    p2p_unlock(&h->lock);
    enum p2p_err err =
        is_cancelled(h, job) ? P2P_ERR_CANCELLED : p2p_hash_job_open(job, h->root);
    if (!err)
        err = hash_zeros(job, buf);
    if (err || (!job->flat && job->geometry.count == 0)) {
        job->err = err;
        finish(h, job, buf);
        return;
    }
    p2p_lock(&h->lock);
    job->is_begun = true;
    job->is_busy = false;
    if (job->state.size > P2P_HASH_SPAN_BYTES)
        pthread_cond_broadcast(&h->work);
    p2p_unlock(&h->lock);
}

/* True if no thread works on the job any longer and none starts to. */
static void
leave(struct p2p_hash_job *job) P2P_REQUIRES(p2p_hasher_lock)
{
    job->is_begun = false;
    job->is_busy = true;
}

/* Claims the next span of a tree and hashes it. Returns without the lock. */
static void
hash_span_and_unlock(struct p2p_hasher *h, struct p2p_hash_job *job, uint8_t *buf)
    P2P_RELEASES(p2p_hasher_lock)
{
    uint64_t count = job->geometry.count, first = job->claimed;
    uint64_t end = first + p2p_hash_job_span(job);

    if (end > count)
        end = count;
    job->claimed = end;
    p2p_unlock(&h->lock);
    enum p2p_err err = hash_span(h, job, first, end, buf);
    p2p_lock(&h->lock);
    job->done += end - first;
    if (!err)
        p2p_hash_job_settle(job, first);
    if (err && !job->err) { /* the rest is not worth reading */
        job->err = err;
        job->done += count - job->claimed;
        job->claimed = count;
    }
    bool is_last = job->done == count;
    if (is_last)
        leave(job);
    p2p_unlock(&h->lock);
    if (is_last)
        finish(h, job, buf);
}

/* Returns without the lock. */
static void
hash_slice_and_unlock(struct p2p_hasher *h, struct p2p_hash_job *job, uint8_t *buf)
    P2P_RELEASES(p2p_hasher_lock)
{
    job->is_busy = true;
    p2p_unlock(&h->lock);
    enum p2p_err err = hash_flat(h, job, buf, FLAT_SLICE_BYTES);
    p2p_lock(&h->lock);
    job->err = err;
    job->is_busy = false;
    bool is_last = err || job->sha256_known;
    if (is_last)
        leave(job);
    p2p_unlock(&h->lock);
    if (is_last)
        finish(h, job, buf);
}

/* True if a thread can work on this job now. */
static bool
has_work(const struct p2p_hash_job *job) P2P_REQUIRES(p2p_hasher_lock)
{
    if (job->is_busy)
        return false;
    return job->flat || !job->is_begun || job->claimed < job->geometry.count;
}

/* The order of work: cancelled jobs (which only have to be returned), trees, the job
 * with less remaining data. */
static bool
goes_before(const struct p2p_hash_job *a, const struct p2p_hash_job *b)
{
    bool a_ends = atomic_load(&a->is_cancelled), b_ends = atomic_load(&b->is_cancelled);

    if (a_ends != b_ends)
        return a_ends;
    if (a->flat != b->flat)
        return !a->flat;
    return p2p_hash_job_rest(a) < p2p_hash_job_rest(b);
}

/* The job to work on next; NULL when there is none. */
static struct p2p_hash_job *
choose(const struct p2p_hasher *h) P2P_REQUIRES(p2p_hasher_lock)
{
    struct p2p_hash_job *best = NULL;

    for (struct p2p_hash_job *job = h->jobs; job; job = job->next)
        if (has_work(job) && (!best || goes_before(job, best)))
            best = job;
    return best;
}

/* ---- Threads ---- */

/* Lowers the priority for the processor and the disk, so that transfers come first. */
static void
become_idle(void)
{
    const struct sched_param param = {.sched_priority = 0};
    const int io_class_idle = 3 << 13, this_thread = 1;

    if (sched_setscheduler(0, SCHED_IDLE, &param) != 0 ||
        syscall(SYS_ioprio_set, this_thread, 0, io_class_idle) != 0)
        p2p_log_debug("cannot lower the priority of hashing");
}

/* Waits for work and does some of it. False: stop. */
static bool
work_once(struct p2p_hasher *h, uint8_t *buf)
{
    struct p2p_hash_job *job = NULL;

    p2p_lock(&h->lock);
    while (!atomic_load(&h->stop) && !(job = choose(h))) {
        /* An idle thread gives its memory back; the pages come back empty when they are
         * used again. */
        madvise(buf, P2P_CHUNK_SIZE_MAX, MADV_DONTNEED);
        p2p_wait(&h->work, &h->lock);
    }
    if (atomic_load(&h->stop)) {
        p2p_unlock(&h->lock);
        return false;
    }
    if (!job->is_begun)
        open_and_unlock(h, job, buf);
    else if (job->flat)
        hash_slice_and_unlock(h, job, buf);
    else
        hash_span_and_unlock(h, job, buf);
    return true;
}

static void *
hash_forever(void *arg)
{
    struct p2p_hasher *h = arg;
    uint8_t *buf = mmap(NULL, P2P_CHUNK_SIZE_MAX, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (buf == MAP_FAILED)
        return NULL;
    become_idle();
    while (work_once(h, buf))
        ;
    munmap(buf, P2P_CHUNK_SIZE_MAX);
    return NULL;
}

enum p2p_err
p2p_hasher_new(const struct p2p_root *root, unsigned threads, int wake_fd,
               struct p2p_hasher **out)
{
    struct p2p_hasher *h;
    sigset_t all, old;

    *out = NULL;
    h = calloc(1, sizeof(*h) + threads * sizeof(h->threads[0]));
    if (!h)
        return P2P_ERR_NOMEM;
    h->root = root;
    h->wake_fd = wake_fd;
    p2p_mutex_init(&h->lock);
    pthread_cond_init(&h->work, NULL);
    h->done_last = &h->done;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    while (h->started < threads &&
           pthread_create(&h->threads[h->started], NULL, hash_forever, h) == 0)
        h->started++;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (h->started == 0) {
        p2p_hasher_free(h);
        return P2P_ERR_NOMEM;
    }
    *out = h;
    return P2P_OK;
}

static void
free_jobs(struct p2p_hash_job *jobs)
{
    for (struct p2p_hash_job *next; jobs; jobs = next) {
        next = jobs->next;
        p2p_hash_job_free(jobs);
    }
}

void
p2p_hasher_free(struct p2p_hasher *h)
{
    if (!h)
        return;
    p2p_lock(&h->lock);
    atomic_store(&h->stop, true);
    pthread_cond_broadcast(&h->work);
    p2p_unlock(&h->lock);
    for (unsigned i = 0; i < h->started; i++)
        pthread_join(h->threads[i], NULL);
    p2p_mutex_unshared(&h->lock);
    free_jobs(h->jobs);
    free_jobs(h->done);
    pthread_cond_destroy(&h->work);
    p2p_mutex_clear(&h->lock);
    free(h);
}

void
p2p_hasher_add(struct p2p_hasher *h, struct p2p_hash_job *job)
{
    p2p_lock(&h->lock);
    job->next = h->jobs;
    h->jobs = job;
    pthread_cond_signal(&h->work);
    p2p_unlock(&h->lock);
}

void
p2p_hasher_cancel(struct p2p_hasher *h, struct p2p_hash_job *job)
{
    p2p_lock(&h->lock);
    atomic_store(&job->is_cancelled, true);
    pthread_cond_signal(&h->work);
    p2p_unlock(&h->lock);
}

struct p2p_hash_job *
p2p_hasher_take(struct p2p_hasher *h)
{
    p2p_lock(&h->lock);
    struct p2p_hash_job *jobs = h->done;
    h->done = NULL;
    h->done_last = &h->done;
    p2p_unlock(&h->lock);
    return jobs;
}

size_t
p2p_hasher_progress(struct p2p_hasher *h, struct p2p_hash_progress *out, size_t max)
{
    size_t count = 0;

    p2p_lock(&h->lock);
    for (struct p2p_hash_job *job = h->jobs; job && count < max; job = job->next)
        if (job->is_begun && !job->err && job->state.size >= P2P_HASH_SAVED_MIN)
            out[count++] = (struct p2p_hash_progress){
                .job = job, .settled = job->settled, .flat_state = job->flat_state};
    p2p_unlock(&h->lock);
    return count;
}
