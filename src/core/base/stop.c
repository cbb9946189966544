#include "p2p/stop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "p2p/io.h"

struct p2p_stop {
    _Atomic bool is_set;
    int fd;
};

enum p2p_err
p2p_stop_new(struct p2p_stop **out)
{
    struct p2p_stop *stop = calloc(1, sizeof(*stop));

    *out = NULL;
    if (stop == NULL)
        return P2P_ERR_NOMEM;
    stop->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (stop->fd < 0) {
        free(stop);
        return p2p_err_from_errno(errno);
    }
    *out = stop;
    return P2P_OK;
}

void
p2p_stop_free(struct p2p_stop *stop)
{
    if (stop == NULL)
        return;
    p2p_fd_close(&stop->fd);
    free(stop);
}

void
p2p_stop_set(struct p2p_stop *stop)
{
    stop->is_set = true;
    (void)!eventfd_write(stop->fd, 1); /* fails only if it is readable already */
}

bool
p2p_stop_is_set(const struct p2p_stop *stop)
{
    return stop != NULL && stop->is_set;
}

int
p2p_stop_fd(const struct p2p_stop *stop)
{
    return stop != NULL ? stop->fd : -1;
}
