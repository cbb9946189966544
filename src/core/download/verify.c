/*
 * The whole file's SHA-256, in order, on a thread of its own behind the write frontier.
 * Where hashing and checking a chunk in one pass is cheaper (sha256_stitched), it also
 * checks the chunks that connections offer in time (frontier).
 */
#include "core/download/download_internal.h"

#include <stdlib.h>

#include "core/journal/journal_file.h"
#include "p2p/lock.h"
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
    bool stop;
    enum p2p_err error;
};

/* Lock held. Waits until the next chunk is offered (true, and `offer`) or on disk
 * (true, FRONTIER_REFUSED). False: told to stop. */
static bool
wait_for_next(struct dl_verifier *v, int *offer)
{
    struct p2p_download *dl = v->dl;

    while (!v->stop) {
        *offer = p2p_frontier_take(&dl->frontier);
        if (*offer != FRONTIER_REFUSED ||
            p2p_plan_is_done(&dl->plan, dl->frontier.next))
            return true;
        p2p_frontier_idle(&dl->frontier, p2p_now_us());
        p2p_wait(&dl->next_ready, &dl->lock);
    }
    return false;
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

/* Lock held, released while it works. Leaves the verdict to the connection that offered
 * the chunk. */
static void
hash_offered(struct dl_verifier *v, uint64_t chunk, int offer)
{
    struct p2p_download *dl = v->dl;
    const uint8_t *data = dl->frontier.offers[offer].data;

    p2p_unlock(&dl->lock);
    enum p2p_err err =
        p2p_tree_check_next(&v->geometry, data, p2p_chunk_length(&v->geometry, chunk),
                            &dl->layer[chunk], v->sha);
    p2p_lock(&dl->lock);
    p2p_frontier_settle(&dl->frontier, offer, err);
}

/* Lock held, released while it works. */
static enum p2p_err
hash_next(struct dl_verifier *v)
{
    struct p2p_download *dl = v->dl;
    uint64_t chunk = dl->frontier.next;
    enum p2p_err err = P2P_OK;
    int offer;

    if (!wait_for_next(v, &offer))
        return P2P_ERR_CANCELLED;
    if (offer != FRONTIER_REFUSED) {
        hash_offered(v, chunk, offer);
    } else {
        p2p_unlock(&dl->lock);
        err = hash_written(v, chunk);
        p2p_lock(&dl->lock);
        if (err == P2P_OK)
            p2p_frontier_pass(&dl->frontier);
    }
    if (dl->frontier.next > chunk)
        dl->hashed = p2p_chunk_offset(&v->geometry, chunk) +
                     p2p_chunk_length(&v->geometry, chunk);
    p2p_dl_feed(dl); /* a verdict, or the hash has caught up */
    return err;
}

static enum p2p_err
hash_file(struct dl_verifier *v, struct p2p_digest *out)
{
    struct p2p_download *dl = v->dl;
    enum p2p_err err = P2P_OK;

    p2p_lock(&dl->lock);
    while (err == P2P_OK && dl->frontier.next < v->geometry.count)
        err = hash_next(v);
    dl->frontier.open = false;
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
        v->dl->sha256 = sha256;
        v->dl->sha256_done = true;
    }
    v->error = err;
    v->dl->hashing = false;
    p2p_dl_feed(v->dl);
    pthread_cond_broadcast(&v->dl->changed);
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
    v->geometry = dl->meta.geometry;
    v->fd = p2p_journal_fd(dl->journal);
    v->buf = malloc(READ_SIZE);
    if (v->buf != NULL)
        err = p2p_sha256_new(&v->sha);
    dl->frontier = (struct frontier){
        .open = dl->layer != NULL && v->geometry.count > 1 && p2p_sha256_is_stitched()};
    if (err == P2P_OK)
        err = p2p_err_from_errno(pthread_create(&v->thread, NULL, verifier_main, v));
    if (err == P2P_OK) {
        dl->hashing = true;
        *out = v;
        return P2P_OK;
    }
    dl->frontier.open = false;
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
    pthread_cond_signal(&v->dl->next_ready);
    p2p_unlock(&v->dl->lock);
    pthread_join(v->thread, NULL);
    verifier_free(v);
}
