#include "peer/server/serve.h"
#include "core/base/libc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "p2p/frame.h"
#include "p2p/net.h"
#include "peer/server/loop.h"

enum {
    READ_AHEAD = 4 * 1024 * 1024,
    MEMORY_WAIT_US = 20000,
};

/* A range of a file that a worker reads into the page cache. */
struct cold_read {
    struct conn_job job;
    int fd; /* a duplicate descriptor: the request may be cancelled meanwhile */
    uint64_t offset;
    size_t len;
};

size_t
serve_scratch_size(const struct server *s)
{
    /* Protocol 2 adds records until P2P_DATA_MAX bytes are reached, so the last record
     * may begin just below that size; a REKEY record may follow it. */
    size_t records =
        P2P_DATA_MAX + P2P_FRAME_SIZE(P2P_RECORD_PLAIN_MAX) + P2P_FRAME_SIZE(1);
    size_t chunk = P2P_FRAME_SIZE(32 + s->opt.chunk_size);

    return chunk > records ? chunk : records;
}

/* ---- Limits ---- */

/* If memory is short, the connection that has not read for longest is closed to make
 * room. Never the asking connection, nor one that waits for its turn: these have begun
 * to read again. */
static void
drop_stalled(struct loop *loop, const struct conn *asking)
{
    uint64_t now = p2p_now_ms(), stall_ms = loop->server->opt.stall_timeout_ms;
    struct conn *c = TAILQ_FIRST(&loop->timers[TIMER_STALL]);

    while (c != NULL && (c == asking || c->in_run))
        c = TAILQ_NEXT(c, timer_link);
    if (c != NULL && now + stall_ms >= c->timer_at_ms + LOOP_STALLED_MS)
        conn_close(c, P2P_ERR_BUSY);
}

bool
serve_may_send(struct conn *c, uint64_t bytes)
{
    struct server *s = c->loop->server;
    uint64_t wait_us;

    if (s->held_bytes >= HELD_BYTES_MAX) {
        drop_stalled(c->loop, c);
        loop_throttle(c->loop, c, MEMORY_WAIT_US);
        return false;
    }
    /* Bytes are taken from the client's and the server's bucket together: if one
     * refuses, the other one loses nothing. */
    wait_us = p2p_rate_take(client_rate(c->client), bytes, p2p_now_ms() * 1000);
    if (wait_us > 0)
        loop_throttle(c->loop, c, wait_us);
    else
        c->had_turn = true;
    if (wait_us == 0)
        c->prepaid += bytes;
    return wait_us == 0;
}

void
serve_count(struct conn *c, const struct request *request, uint64_t bytes)
{
    const struct server *s = c->loop->server;
    char name[P2P_NAME_MAX + 1];
    const struct upload_piece piece = {
        .peer = client_id(c->client),
        .is_proven = c->state != CONN_OPEN1,
        .claim = c->name,
        .root = p2p_share_file_root(request->file),
        .name = p2p_shares_file_name(s->opt.shares, request->file, name),
        .size = p2p_share_file_geometry(request->file)->size,
        .bytes = bytes,
    };

    uploads_add(s->opt.uploads, &piece, p2p_now_ms());
}

/* ---- Disk ---- */

static void
cold_read_run(struct job *job)
{
    struct cold_read *cold = (struct cold_read *)job;
    uint8_t buffer[64 * 1024];
    uint64_t at = cold->offset, end = cold->offset + cold->len;

    posix_fadvise(cold->fd, (off_t)cold->offset, READ_AHEAD, POSIX_FADV_WILLNEED);
    while (at < end) {
        size_t part = end - at < sizeof(buffer) ? (size_t)(end - at) : sizeof(buffer);
        ssize_t n = pread(cold->fd, buffer, part, (off_t)at);
        if (n <= 0)
            break; /* the loop will find the reason */
        at += (uint64_t)n;
    }
    p2p_fd_close(&cold->fd);
}

static void
cold_read_resume(struct conn *c)
{
    loop_run_soon(c->loop, c);
}

void
cold_read_free(struct cold_read *cold)
{
    if (cold != NULL)
        p2p_fd_close(&cold->fd);
    free(cold);
}

static enum p2p_err
fetch_cold(struct conn *c, int fd, uint64_t offset, size_t len)
{
    enum p2p_err err;

    if (c->cold == NULL && (c->cold = calloc(1, sizeof(*c->cold))) == NULL)
        return P2P_ERR_NOMEM;
    c->cold->job.conn = c;
    c->cold->job.resume = cold_read_resume;
    c->cold->offset = offset;
    c->cold->len = len;
    if ((c->cold->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0)
        return p2p_err_from_errno(errno);
    err = loop_submit(c->loop->server->disk, &c->cold->job, cold_read_run);
    if (err != P2P_OK)
        p2p_fd_close(&c->cold->fd);
    return err == P2P_OK ? P2P_ERR_BUSY : err;
}

/* Reads bytes from the page cache. 0: they are not in the cache; -1 with errno. */
static ssize_t
read_cached(int fd, uint8_t *out, size_t len, uint64_t offset)
{
    struct iovec iov = {.iov_base = out, .iov_len = len};
    ssize_t n = preadv2(fd, &iov, 1, (off_t)offset, RWF_NOWAIT);

    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
        return pread(fd, out, len, (off_t)offset);
    return n;
}

enum p2p_err
serve_read(struct conn *c, struct request *request, uint64_t offset, uint8_t *out,
           size_t len)
{
    int fd = p2p_share_file_fd(request->file);
    size_t got = 0;

    while (got < len) {
        ssize_t n = request->cold_tried
                        ? pread(fd, out + got, len - got, (off_t)(offset + got))
                        : read_cached(fd, out + got, len - got, offset + got);
        if (n < 0 && errno != EINTR)
            return p2p_err_from_errno(errno);
        if (n == 0 && request->cold_tried)
            return P2P_ERR_FILE_CHANGED; /* shorter than it was */
        if (n == 0) {
            /* After one try, the next read waits for the disk: otherwise a cache that
             * drops pages at once would cause an endless loop. */
            request->cold_tried = true;
            return fetch_cold(c, fd, offset + got, len - got);
        }
        got += n > 0 ? (size_t)n : 0;
    }
    request->cold_tried = false;
    return p2p_share_file_verify(request->file);
}
