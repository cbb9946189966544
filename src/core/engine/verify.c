/* The whole file's SHA-256, in order, on a thread of its own behind the write frontier.
 */
#include "dl.h"

#include <stdlib.h>

#include "core/files/journal_file.h"
#include "p2p/log.h"

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

/* Waits until the chunk is on disk. False: told to stop. */
static bool
wait_for_chunk(struct dl_verifier *v, uint64_t chunk)
{
    struct p2p_download *dl = v->dl;

    pthread_mutex_lock(&dl->lock);
    while (!v->stop && !plan_is_done(&dl->plan, chunk))
        dl_wait(dl, 1000);
    bool go = !v->stop;
    pthread_mutex_unlock(&dl->lock);
    return go;
}

/* From the page cache, as it was written a moment ago. */
static enum p2p_err
hash_chunk(struct dl_verifier *v, uint64_t chunk)
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

static enum p2p_err
hash_file(struct dl_verifier *v, struct p2p_digest *out)
{
    enum p2p_err err = P2P_OK;

    for (uint64_t i = 0; i < v->geometry.count && err == P2P_OK; i++) {
        if (!wait_for_chunk(v, i))
            return P2P_ERR_CANCELLED;
        err = hash_chunk(v, i);
        pthread_mutex_lock(&v->dl->lock);
        v->dl->hashed =
            p2p_chunk_offset(&v->geometry, i) + p2p_chunk_length(&v->geometry, i);
        pthread_mutex_unlock(&v->dl->lock);
    }
    return err == P2P_OK ? p2p_sha256_peek(v->sha, out) : err;
}

static void *
verifier_main(void *arg)
{
    struct dl_verifier *v = arg;
    struct p2p_digest sha256;
    enum p2p_err err = hash_file(v, &sha256);

    pthread_mutex_lock(&v->dl->lock);
    if (err == P2P_OK) {
        v->dl->sha256 = sha256;
        v->dl->sha256_done = true;
    }
    v->error = err;
    pthread_cond_broadcast(&v->dl->changed);
    pthread_mutex_unlock(&v->dl->lock);
    return NULL;
}

enum p2p_err
dl_verifier_error(const struct dl_verifier *v)
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
dl_verifier_start(struct p2p_download *dl, struct dl_verifier **out)
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
    if (err == P2P_OK)
        err = p2p_err_from_errno(pthread_create(&v->thread, NULL, verifier_main, v));
    if (err == P2P_OK)
        *out = v;
    else
        verifier_free(v);
    return err;
}

void
dl_verifier_stop(struct dl_verifier *v)
{
    if (v == NULL)
        return;
    pthread_mutex_lock(&v->dl->lock);
    v->stop = true;
    pthread_cond_broadcast(&v->dl->changed);
    pthread_mutex_unlock(&v->dl->lock);
    pthread_join(v->thread, NULL);
    verifier_free(v);
}
