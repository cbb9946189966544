/* LEAVES? (docs/PROTOCOL.md, "Messages"): a worker reads the blocks, and makes their
 * hashes and sums. Nothing is made before somebody asks, and nothing is kept. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/io.h"
#include "p2p/leaves.h"
#include "peer/server/loop.h"
#include "peer/server/serve.h"

enum {
    /* At once in the whole server: another worker stays free for cold reads. */
    JOBS_MAX = 1,
    WAIT_US = 5000,
    /* Blocks that are read together. */
    TOGETHER = 16,
};

struct leaves_job {
    struct conn_job job; /* first member */
    struct server *server;
    struct p2p_digest root;
    uint64_t first, size;
    uint32_t count, req;
    int fd; /* a duplicate: the request may be cancelled meanwhile */
    bool is_done;
    enum p2p_err err;
    uint8_t leaves[P2P_LEAVES_MAX * P2P_LEAF_LEN];
};

void
leaves_job_free(struct leaves_job *job)
{
    if (job != NULL)
        p2p_fd_close(&job->fd);
    free(job);
}

static enum p2p_err
make_leaves(struct leaves_job *j, uint8_t *buf)
{
    struct p2p_leaf made[TOGETHER];
    enum p2p_err err = P2P_OK;

    for (uint32_t done = 0, n; done < j->count && err == P2P_OK; done += n) {
        uint64_t at = (j->first + done) * P2P_BLOCK_SIZE;
        uint64_t left = j->size - at, len;
        n = j->count - done < TOGETHER ? j->count - done : TOGETHER;
        len = n * P2P_BLOCK_SIZE < left ? n * P2P_BLOCK_SIZE : left;
        err = p2p_pread_full(j->fd, buf, (size_t)len, at);
        if (err == P2P_OK)
            err = p2p_leaves_make(buf, (size_t)len, made);
        for (uint32_t i = 0; i < n && err == P2P_OK; i++)
            p2p_msg_put_leaf(j->leaves + (size_t)(done + i) * P2P_LEAF_LEN, &made[i]);
    }
    return err;
}

static void
run(struct job *job)
{
    struct leaves_job *j = (struct leaves_job *)job;
    uint8_t *buf = malloc(TOGETHER * P2P_BLOCK_SIZE);

    j->err = buf != NULL ? make_leaves(j, buf) : P2P_ERR_NOMEM;
    free(buf);
    p2p_fd_close(&j->fd);
    j->is_done = true;
    atomic_fetch_sub(&j->server->leaves_jobs, 1);
}

static void
resume(struct conn *c)
{
    loop_run_soon(c->loop, c);
}

/* MORE: the connection will run again. */
static enum p2p_err
begin(struct conn *c, const struct request *request)
{
    struct server *s = c->loop->server;
    struct leaves_job *j = c->leaves;
    enum p2p_err err;

    if (atomic_fetch_add(&s->leaves_jobs, 1) >= JOBS_MAX) {
        atomic_fetch_sub(&s->leaves_jobs, 1);
        loop_throttle(c->loop, c, WAIT_US);
        return P2P_ERR_MORE;
    }
    if (j == NULL && (j = c->leaves = malloc(sizeof(*j))) == NULL) {
        atomic_fetch_sub(&s->leaves_jobs, 1);
        return P2P_ERR_NOMEM;
    }
    j->job = (struct conn_job){.conn = c, .resume = resume};
    j->server = s;
    j->root = request->root;
    j->first = request->first;
    j->count = request->length;
    j->size = p2p_share_file_geometry(request->file)->size;
    j->req = request->req;
    j->is_done = false;
    j->fd = fcntl(p2p_share_file_fd(request->file), F_DUPFD_CLOEXEC, 0);
    err = j->fd < 0 ? p2p_err_from_errno(errno) : loop_submit(s->disk, &j->job, run);
    if (err == P2P_OK)
        return P2P_ERR_MORE;
    p2p_fd_close(&j->fd);
    atomic_fetch_sub(&s->leaves_jobs, 1);
    return err;
}

static bool
is_answer(const struct leaves_job *j, const struct request *request)
{
    return j != NULL && j->is_done && j->req == request->req &&
           j->first == request->first && j->count == request->length &&
           memcmp(&j->root, &request->root, sizeof(j->root)) == 0;
}

enum p2p_err
serve_leaves(struct conn *c, struct request *request, const uint8_t **out)
{
    uint64_t size = p2p_share_file_geometry(request->file)->size;
    uint64_t total = (size + P2P_BLOCK_SIZE - 1) / P2P_BLOCK_SIZE;

    *out = NULL;
    if (request->length == 0 || request->length > P2P_LEAVES_MAX ||
        request->first >= total || request->length > total - request->first)
        return P2P_ERR_RANGE;
    if (!is_answer(c->leaves, request))
        return begin(c, request);
    c->leaves->is_done = false;
    *out = c->leaves->leaves;
    if (c->leaves->err == P2P_ERR_CORRUPT) /* shorter than it was */
        return P2P_ERR_FILE_CHANGED;
    return c->leaves->err == P2P_OK ? p2p_share_file_verify(request->file)
                                    : c->leaves->err;
}

void
serve_leaves_end(struct conn *c)
{
    leaves_job_free(c->leaves);
    c->leaves = NULL;
}
