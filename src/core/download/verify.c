/*
 * The whole file's SHA-256, in order, on a thread of its own behind the write frontier.
 * Where hashing and checking a chunk in one pass is cheaper (sha256_stitched), it also
 * checks the chunks that connections offer in time (frontier).
 */
#include "core/download/file.h"

#include <stdlib.h>

#include "core/journal/journal_file.h"
#include "p2p/log.h"
#include "p2p/sha256_stitched.h"
#include "p2p/tree.h"

#define READ_SIZE (256 * P2P_KIB)

struct dl_verifier {
    struct p2p_download *dl;
    struct p2p_chunks geometry;
    int fd;
    pthread_t thread;
    struct p2p_sha256 *sha;
    uint8_t *buf;
    bool stop P2P_GUARDED_BY(p2p_dl_lock);
    enum p2p_err error P2P_GUARDED_BY(p2p_dl_lock);
};

/* The chunk that is hashed next, and where it is: `data` is what a connection offers
 * (and `offer` its place), or NULL when the chunk is on disk. */
struct next {
    uint64_t chunk;
    int offer;
    const uint8_t *data;
};

/* Waits until the next chunk is offered or on disk. CANCELLED: told to stop. */
static enum p2p_err
wait_for_next(struct dl_verifier *v, struct next *next)
{
    struct p2p_download *dl = v->dl;
    struct frontier *frontier = &dl->file->frontier;
    enum p2p_err err = P2P_ERR_CANCELLED;

    p2p_lock(&dl->lock);
    *next = (struct next){.chunk = frontier->next};
    while (!v->stop) {
        next->offer = p2p_frontier_take(frontier);
        if (next->offer != FRONTIER_REFUSED ||
            p2p_plan_is_done(&dl->file->plan, next->chunk)) {
            err = P2P_OK;
            break;
        }
        p2p_frontier_idle(frontier, p2p_now_us());
        p2p_wait(&dl->file->next_ready, &dl->lock);
    }
    if (err == P2P_OK && next->offer != FRONTIER_REFUSED)
        next->data = frontier->offers[next->offer].data;
    p2p_unlock(&dl->lock);
    return err;
}

/* Reads the chunk back; it was written a moment ago, so it is in the page cache. */
static enum p2p_err
hash_written(struct dl_verifier *v, uint64_t chunk)
{
    uint64_t offset = p2p_chunk_offset(&v->geometry, chunk);
    uint32_t left = p2p_chunk_length(&v->geometry, chunk);
    enum p2p_err err = P2P_OK;

    while (left > 0 && err == P2P_OK) {
        size_t len = left < READ_SIZE ? left : READ_SIZE;
        err = p2p_pread_full(v->fd, v->buf, len, offset);
        if (err == P2P_OK)
            err = p2p_sha256_update(v->sha, v->buf, len);
        offset += len;
        left -= (uint32_t)len;
    }
    return err;
}

/* Passes the frontier on, or leaves the verdict to the connection that offered the
 * chunk. */
static void
settle(struct dl_verifier *v, const struct next *next, enum p2p_err err)
{
    struct p2p_download *dl = v->dl;
    struct frontier *frontier = &dl->file->frontier;

    p2p_lock(&dl->lock);
    if (next->data != NULL)
        p2p_frontier_settle(frontier, next->offer, err);
    else if (err == P2P_OK)
        p2p_frontier_pass(frontier);
    if (frontier->next > next->chunk)
        dl->file->hashed = p2p_chunk_offset(&v->geometry, next->chunk) +
                           p2p_chunk_length(&v->geometry, next->chunk);
    p2p_dl_wake_waiters(dl); /* a verdict, or the hash has caught up */
    p2p_unlock(&dl->lock);
}

static enum p2p_err
hash_next(struct dl_verifier *v)
{
    struct next next;
    enum p2p_err err = wait_for_next(v, &next);

    if (err != P2P_OK)
        return err;
    if (next.data != NULL)
        err = p2p_tree_check_next(&v->geometry, next.data,
                                  p2p_chunk_length(&v->geometry, next.chunk),
                                  &v->dl->file->layer[next.chunk], v->sha);
    else
        err = hash_written(v, next.chunk);
    settle(v, &next, err);
    return next.data != NULL ? P2P_OK
                             : err; /* this failure is the fault of the source */
}

static bool
is_at_end(struct dl_verifier *v)
{
    p2p_lock(&v->dl->lock);
    bool is_end = v->dl->file->frontier.next >= v->geometry.count;
    p2p_unlock(&v->dl->lock);
    return is_end;
}

static enum p2p_err
hash_file(struct dl_verifier *v, struct p2p_digest *out)
{
    struct p2p_download *dl = v->dl;
    enum p2p_err err = P2P_OK;

    while (err == P2P_OK && !is_at_end(v))
        err = hash_next(v);
    p2p_lock(&dl->lock);
    dl->file->frontier.open = false;
    p2p_unlock(&dl->lock);
    return err == P2P_OK ? p2p_sha256_peek(v->sha, out) : err;
}

static void *
verifier_main(void *arg)
{
    struct dl_verifier *v = arg;
    struct p2p_digest sha256;
    enum p2p_err err = hash_file(v, &sha256);

    p2p_lock(&v->dl->lock);
    if (err == P2P_OK) {
        v->dl->file->sha256 = sha256;
        v->dl->file->sha256_done = true;
    }
    v->error = err;
    v->dl->file->hashing = false;
    p2p_dl_wake_waiters(v->dl);
    p2p_dl_wake(v->dl);
    p2p_unlock(&v->dl->lock);
    return NULL;
}

enum p2p_err
p2p_dl_verifier_error(const struct dl_verifier *v)
{
    return v->error;
}

static void
verifier_free(struct dl_verifier *v)
{
    p2p_sha256_free(v->sha);
    free(v->buf);
    free(v);
}

enum p2p_err
p2p_dl_verifier_start(struct p2p_download *dl, struct dl_verifier **out)
{
    struct dl_verifier *v = calloc(1, sizeof(*v));
    enum p2p_err err = P2P_ERR_NOMEM;

    if (v == NULL)
        return err;
    v->dl = dl;
    v->geometry = dl->file->meta.geometry;
    v->fd = p2p_journal_fd(dl->file->journal);
    v->buf = malloc(READ_SIZE);
    if (v->buf != NULL)
        err = p2p_sha256_new(&v->sha);
    p2p_lock(&dl->lock);
    dl->file->frontier =
        (struct frontier){.open = dl->file->layer != NULL && v->geometry.count > 1 &&
                                  p2p_sha256_is_stitched()};
    dl->file->hashing = true;
    p2p_unlock(&dl->lock);
    if (err == P2P_OK)
        err = p2p_err_from_errno(pthread_create(&v->thread, NULL, verifier_main, v));
    if (err == P2P_OK) {
        *out = v;
        return P2P_OK;
    }
    p2p_lock(&dl->lock);
    dl->file->frontier.open = dl->file->hashing = false;
    p2p_unlock(&dl->lock);
    verifier_free(v);
    return err;
}

void
p2p_dl_verifier_stop(struct dl_verifier *v)
{
    if (v == NULL)
        return;
    p2p_lock(&v->dl->lock);
    v->stop = true;
    pthread_cond_signal(&v->dl->file->next_ready);
    p2p_unlock(&v->dl->lock);
    pthread_join(v->thread, NULL);
    verifier_free(v);
}
