#include "relay/flow.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "p2p/io.h"

enum { SPLICE_FLAGS = SPLICE_F_MOVE | SPLICE_F_NONBLOCK };

enum p2p_err
flow_open(struct flow *f, size_t cap)
{
    int size;

    memset(f, 0, sizeof(*f));
    f->pipe[0] = f->pipe[1] = -1;
    if (pipe2(f->pipe, O_CLOEXEC | O_NONBLOCK) != 0)
        return p2p_err_from_errno(errno);
    /* If the user may have no more memory in pipes, the pipe keeps its size. */
    (void)!fcntl(f->pipe[1], F_SETPIPE_SZ, (int)cap);
    size = fcntl(f->pipe[1], F_GETPIPE_SZ);
    f->cap = size > 0 ? (size_t)size : 4096;
    return P2P_OK;
}

void
flow_close(struct flow *f)
{
    if (f->cap == 0)
        return;
    p2p_fd_close(&f->pipe[0]);
    p2p_fd_close(&f->pipe[1]);
    f->cap = 0;
}

/* The kernel answers EAGAIN both when the socket is empty and when the pipe has no slot
 * left for one more packet: only with an empty pipe it is the socket. */
static enum p2p_err
fill(struct flow *f, struct flow_end *from, size_t most, size_t *in)
{
    size_t room = f->cap - f->held;
    ssize_t n;

    if (f->is_over || !from->readable || room == 0 || most == 0)
        return P2P_OK;
    n = splice(from->fd, NULL, f->pipe[1], NULL, most < room ? most : room,
               SPLICE_FLAGS);
    if (n > 0) {
        f->held += (size_t)n;
        *in = (size_t)n;
    } else if (n == 0) {
        f->is_over = true;
    } else if (errno == EAGAIN) {
        from->readable = from->readable && f->held > 0;
    } else if (errno != EINTR) {
        return P2P_ERR_CLOSED;
    }
    return P2P_OK;
}

static enum p2p_err
drain(struct flow *f, struct flow_end *to, size_t *out)
{
    ssize_t n;

    if (f->held == 0 || !to->writable)
        return P2P_OK;
    n = splice(f->pipe[0], NULL, to->fd, NULL, f->held, SPLICE_FLAGS);
    if (n > 0) {
        f->held -= (size_t)n;
        *out = (size_t)n;
    } else if (n < 0 && errno == EAGAIN) {
        to->writable = false;
    } else if (n == 0 || errno != EINTR) {
        return P2P_ERR_CLOSED;
    }
    return P2P_OK;
}

/* Closes the other side when every byte before the end was passed on. */
static void
shut(struct flow *f, const struct flow_end *to)
{
    if (!f->is_over || f->held > 0 || f->is_shut)
        return;
    (void)shutdown(to->fd, SHUT_WR);
    f->is_shut = true;
}

enum p2p_err
flow_move(struct flow *f, struct flow_end *from, struct flow_end *to, size_t most,
          size_t *in)
{
    size_t out = 0;
    enum p2p_err err;

    *in = 0;
    if ((err = fill(f, from, most, in)) != P2P_OK ||
        (err = drain(f, to, &out)) != P2P_OK)
        return err;
    shut(f, to);
    return *in > 0 || out > 0 ? P2P_OK : P2P_ERR_BUSY;
}
