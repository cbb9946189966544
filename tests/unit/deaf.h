/*
 * A listener that answers nobody: its queue of connections is full, so that the kernel
 * drops what wants to connect, as a firewall does.
 */
#ifndef TEST_DEAF_H
#define TEST_DEAF_H

#include <string.h>
#include <unistd.h>

#include "p2p/net.h"

#define DEAF_QUEUE 8

struct deaf {
    struct p2p_addr addr;
    int listener, queued[DEAF_QUEUE];
};

static inline void
deaf_open(struct deaf *d)
{
    enum p2p_err err = P2P_OK;

    strcpy(d->addr.host, "127.0.0.1");
    memset(d->queued, -1, sizeof(d->queued));
    assert_int_equal(
        p2p_net_listen(d->addr.host, 0, false, 1, &d->listener, &d->addr.port), P2P_OK);
    for (int i = 0; i < DEAF_QUEUE && err == P2P_OK; i++)
        err = p2p_net_connect(&d->addr, p2p_now_ms() + 300, &d->queued[i]);
    assert_int_equal(err, P2P_ERR_TIMEOUT);
}

static inline void
deaf_close(struct deaf *d)
{
    for (int i = 0; i < DEAF_QUEUE; i++)
        p2p_fd_close(&d->queued[i]);
    p2p_fd_close(&d->listener);
}

#endif
