/*
 * The threads that read and hash. A large file is cut into spans that any thread may
 * claim; trees go before whole-file hashes, since a tree is what makes a file
 * shareable.
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
#include "p2p/log.h"
#include "p2p/tree.h"

#define BUFFER_MIN (1 * P2P_MIB)

struct list {
    struct p2p_hash_job *first, **last;
};

struct p2p_hasher {
    const struct p2p_root *root;
    int wake_fd;
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct list trees, flats;      /* not begun */
    struct p2p_hash_job *open;     /* begun, with chunks that nobody has claimed */
    struct p2p_hash_job **running; /* begun and not done: `slots` places, or NULL */
    struct list done;
    atomic_bool stop;
    unsigned slots, started;
    pthread_t threads[];
};

static void
list_init(struct list *list)
{
    list->first = NULL;
    list->last = &list->first;
}

static void
list_put(struct list *list, struct p2p_hash_job *job)
{
    job->next = NULL;
    *list->last = job;
    list->last = &job->next;
}

static struct p2p_hash_job *
list_take(struct list *list)
{
    struct p2p_hash_job *job = list->first;

    if (job) {
        list->first = job->next;
        if (!list->first)
            list->last = &list->first;
        job->next = NULL;
    }
    return job;
}

/* ---- Reading ---- */

/* Hashes the chunks of one span into the layer. `buf` holds `cap` bytes, a chunk at
 * least. */
static enum p2p_err
hash_span(const struct p2p_hasher *h, struct p2p_hash_job *job, uint64_t first,
          uint64_t end, uint8_t *buf)
{
    const struct p2p_chunks *g = &job->geometry;
    enum p2p_err err = P2P_OK;

    for (uint64_t i = first; i < end && !err; i++) {
        uint32_t len = p2p_chunk_length(g, i);
        if (atomic_load_explicit(&h->stop, memory_order_relaxed))
            return P2P_ERR_CANCELLED;
        err = p2p_hash_job_read(job, buf, len, p2p_chunk_offset(g, i));
        if (!err)
            err = p2p_tree_chunk(g, buf, len, &job->layer[i]);
    }
    return err;
}

/* So that the hash can be gone on with from here. */
static enum p2p_err
note_flat(struct p2p_hasher *h, struct p2p_hash_job *job, const struct p2p_sha256 *sha)
{
    struct p2p_sha256_state state;
    enum p2p_err err = p2p_sha256_save(sha, &state);

    pthread_mutex_lock(&h->lock);
    if (!err)
        job->flat_state = state;
    pthread_mutex_unlock(&h->lock);
    return err;
}

static enum p2p_err
hash_flat(struct p2p_hasher *h, struct p2p_hash_job *job, uint8_t *buf)
{
    struct p2p_sha256 *sha;
    uint64_t at = job->flat_state.length;
    enum p2p_err err = p2p_sha256_new(&sha);

    if (!err && at > 0)
        err = p2p_sha256_restore(sha, &job->flat_state);
    while (at < job->state.size && !err) {
        uint64_t left = job->state.size - at;
        size_t len = left < BUFFER_MIN ? (size_t)left : BUFFER_MIN;
        if (atomic_load_explicit(&h->stop, memory_order_relaxed))
            err = P2P_ERR_CANCELLED;
        else
            err = p2p_hash_job_read(job, buf, len, at);
        if (!err)
            err = p2p_sha256_update(sha, buf, len);
        if (!err && len == BUFFER_MIN)
            err = note_flat(h, job, sha);
        at += len;
    }
    if (!err)
        err = p2p_sha256_peek(sha, &job->sha256);
    job->sha256_known = !err;
    p2p_sha256_free(sha);
    return err;
}

/* ---- Jobs ---- */

/* All chunks are in: the root, and that the file was the same all the while. */
static void
finish(struct p2p_hasher *h, struct p2p_hash_job *job, uint8_t *buf)
{
    if (!job->err && !job->flat)
        job->err = p2p_tree_root(&job->geometry, job->layer, &job->root);
    if (!job->err && (job->flat || job->state.size <= P2P_HASH_TOGETHER_MAX))
        job->err = hash_flat(h, job, buf);
    if (!job->err)
        job->err = p2p_hash_job_check(job);
    if (job->fd >= 0)
        close(job->fd);
    job->fd = -1;
    if (job->geometry.count <= 1) { /* its root says it all */
        free(job->layer);
        job->layer = NULL;
    }
}

/* With the lock: `was` is no longer among the running, `is` is. One of them is NULL. */
static void
change_running(struct p2p_hasher *h, const struct p2p_hash_job *was,
               struct p2p_hash_job *is)
{
    for (unsigned i = 0; i < h->slots; i++)
        if (h->running[i] == was) {
            h->running[i] = is;
            return;
        }
}

static void
report(struct p2p_hasher *h, struct p2p_hash_job *job)
{
    const uint64_t one = 1;

    pthread_mutex_lock(&h->lock);
    change_running(h, job, NULL);
    bool first = h->done.first == NULL;
    list_put(&h->done, job);
    pthread_mutex_unlock(&h->lock);
    if (first && write(h->wake_fd, &one, sizeof(one)) < 0)
        p2p_log_debug("an event was not written"); /* full: it wakes anyway */
}

/* With the lock: chunks of an open job for this thread. False: none are left. */
static bool
claim(struct p2p_hasher *h, struct p2p_hash_job *job, uint64_t *first, uint64_t *end)
{
    if (job->err || job->claimed == job->geometry.count)
        return false;
    *first = job->claimed;
    *end = job->claimed + p2p_hash_job_span(job);
    if (*end > job->geometry.count)
        *end = job->geometry.count;
    job->claimed = *end;
    if (job->claimed == job->geometry.count && h->open == job)
        h->open = NULL;
    return true;
}

/*
 * With the lock, which it gives back: works on a job until nothing is left to claim.
 * True when this was the last thread at it; otherwise the job may be gone already.
 */
static bool
work_on(struct p2p_hasher *h, struct p2p_hash_job *job, uint8_t *buf)
{
    uint64_t first, end;
    bool is_last = false;

    while (claim(h, job, &first, &end)) {
        pthread_mutex_unlock(&h->lock);
        enum p2p_err err = hash_span(h, job, first, end, buf);
        pthread_mutex_lock(&h->lock);
        job->done += end - first;
        if (!err)
            p2p_hash_job_settle(job, first);
        if (err && !job->err) { /* what nobody has claimed is not worth reading */
            job->err = err;
            job->done += job->geometry.count - job->claimed;
            job->claimed = job->geometry.count;
            if (h->open == job)
                h->open = NULL;
        }
        is_last = job->done == job->geometry.count;
    }
    pthread_mutex_unlock(&h->lock);
    return is_last;
}

static void
end_job(struct p2p_hasher *h, struct p2p_hash_job *job, uint8_t *buf)
{
    finish(h, job, buf);
    report(h, job);
}

static void
run_tree(struct p2p_hasher *h, struct p2p_hash_job *job, uint8_t *buf)
{
    job->err = p2p_hash_job_open(job, h->root);
    if (job->err || job->geometry.count == 0) {
        end_job(h, job, buf);
        return;
    }
    pthread_mutex_lock(&h->lock);
    change_running(h, NULL, job);
    if (!h->open && job->state.size > P2P_HASH_SPAN_BYTES) {
        h->open = job;
        pthread_cond_broadcast(&h->work);
    }
    if (work_on(h, job, buf))
        end_job(h, job, buf);
}

static void
run_flat(struct p2p_hasher *h, struct p2p_hash_job *job, uint8_t *buf)
{
    job->err = p2p_hash_job_open(job, h->root);
    pthread_mutex_lock(&h->lock);
    change_running(h, NULL, job);
    pthread_mutex_unlock(&h->lock);
    end_job(h, job, buf);
}

/* ---- Threads ---- */

/* Transfers come first, for the processor and for the disk. */
static void
become_idle(void)
{
    const struct sched_param param = {.sched_priority = 0};
    const int io_class_idle = 3 << 13, this_thread = 1;

    if (sched_setscheduler(0, SCHED_IDLE, &param) != 0 ||
        syscall(SYS_ioprio_set, this_thread, 0, io_class_idle) != 0)
        p2p_log_debug("hashing runs at ordinary priority");
}

/* Waits for work and does some of it. False: stop. */
static bool
work_once(struct p2p_hasher *h, uint8_t *buf)
{
    struct p2p_hash_job *job;

    pthread_mutex_lock(&h->lock);
    while (!atomic_load(&h->stop) && !h->open && !h->trees.first && !h->flats.first) {
        /* What is idle holds no memory; the pages come back empty when they are used.
         */
        madvise(buf, P2P_CHUNK_SIZE_MAX, MADV_DONTNEED);
        pthread_cond_wait(&h->work, &h->lock);
    }
    if (atomic_load(&h->stop)) {
        pthread_mutex_unlock(&h->lock);
        return false;
    }
    if (h->open) {
        job = h->open;
        if (work_on(h, job, buf))
            end_job(h, job, buf);
        return true;
    }
    job = list_take(h->trees.first ? &h->trees : &h->flats);
    pthread_mutex_unlock(&h->lock);
    if (job->flat)
        run_flat(h, job, buf);
    else
        run_tree(h, job, buf);
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
    h->running = calloc(threads, sizeof(struct p2p_hash_job *));
    if (!h->running) {
        free(h);
        return P2P_ERR_NOMEM;
    }
    h->root = root;
    h->wake_fd = wake_fd;
    h->slots = threads; /* each running job has a thread at it */
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->work, NULL);
    list_init(&h->trees);
    list_init(&h->flats);
    list_init(&h->done);
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
free_list(struct list *list)
{
    struct p2p_hash_job *job;

    while ((job = list_take(list)))
        p2p_hash_job_free(job);
}

void
p2p_hasher_free(struct p2p_hasher *h)
{
    if (!h)
        return;
    pthread_mutex_lock(&h->lock);
    atomic_store(&h->stop, true);
    pthread_cond_broadcast(&h->work);
    pthread_mutex_unlock(&h->lock);
    for (unsigned i = 0; i < h->started; i++)
        pthread_join(h->threads[i], NULL);
    free_list(&h->trees);
    free_list(&h->flats);
    free_list(&h->done);
    pthread_cond_destroy(&h->work);
    pthread_mutex_destroy(&h->lock);
    free(h->running);
    free(h);
}

void
p2p_hasher_add(struct p2p_hasher *h, struct p2p_hash_job *job)
{
    pthread_mutex_lock(&h->lock);
    list_put(job->flat ? &h->flats : &h->trees, job);
    pthread_cond_signal(&h->work);
    pthread_mutex_unlock(&h->lock);
}

struct p2p_hash_job *
p2p_hasher_take(struct p2p_hasher *h)
{
    pthread_mutex_lock(&h->lock);
    struct p2p_hash_job *jobs = h->done.first;
    list_init(&h->done);
    pthread_mutex_unlock(&h->lock);
    return jobs;
}

size_t
p2p_hasher_progress(struct p2p_hasher *h, struct p2p_hash_progress *out, size_t max)
{
    size_t count = 0;

    pthread_mutex_lock(&h->lock);
    for (unsigned i = 0; i < h->slots && count < max; i++) {
        struct p2p_hash_job *job = h->running[i];
        if (!job || job->err || job->state.size < P2P_HASH_SAVED_MIN)
            continue;
        out[count++] = (struct p2p_hash_progress){
            .job = job, .settled = job->settled, .flat_state = job->flat_state};
    }
    pthread_mutex_unlock(&h->lock);
    return count;
}
