/*
 * flow - moves bytes from one socket to another through a pipe, without copying them
 * into this process (splice). Knows nothing of sessions and limits. One thread at a
 * time.
 */
#ifndef RELAY_FLOW_H
#define RELAY_FLOW_H

#include <stdbool.h>
#include <stddef.h>

#include "p2p/err.h"

/* One of the two sockets, with what is known of it since the last event. */
struct flow_end {
    int fd;
    bool readable, writable;
};

struct flow {
    int pipe[2];
    size_t cap, held; /* bytes that fit into the pipe, and bytes in it */
    bool is_over;     /* the sender has ended its direction */
    bool is_shut;     /* and the receiver was told */
};

/* Makes the pipe, with `cap` bytes if the system allows that many. */
P2P_MUST_CHECK enum p2p_err flow_open(struct flow *f, size_t cap);
/* Accepts a flow that is all zero, or that was closed. */
void flow_close(struct flow *f);

/*
 * Moves at most `most` bytes out of `from`, and what the pipe holds into `to`. `*in`:
 * bytes that came in. BUSY: nothing more can be done before an event of one of the
 * ends; P2P_OK: call again; CLOSED: an end has failed.
 */
P2P_MUST_CHECK enum p2p_err flow_move(struct flow *f, struct flow_end *from,
                                      struct flow_end *to, size_t most, size_t *in);

#endif
