/*
 * grow - decides whether more connections are useful. Pure. While the speed is steady,
 * one connection is added to each source. If the download does not become 5 % faster,
 * the connection is removed and no other is tried for a while. Nothing is tried while
 * the speed is changing anyway, because slow start, not a new connection, may be the
 * reason. On a long, fast path no trial is needed: if each connection has as many bytes
 * in flight as the kernels' buffers hold, the buffers are the limit, and half as many
 * connections again are added at once.
 */
#ifndef P2P_GROW_H
#define P2P_GROW_H

#include <stdbool.h>
#include <stdint.h>

#define GROW_IN_FLIGHT                                                           \
    (2.0 * 1024 * 1024) /* of the 4 MiB that Linux allows, at most 3 are payload \
                         */

struct grow {
    uint64_t since_ms, since_bytes; /* the current interval of measuring */
    double last;                    /* speed of the interval before, bytes per ms */
    double before;                  /* speed before the last addition */
    unsigned pauses;                /* intervals without a trial */
    bool trying;
    uint64_t judge_ms; /* when the added connections have finished their handshakes and
                          reached their speed */
};

/* What is measured now. */
struct grow_now {
    uint64_t ms, received; /* the current time, and the total bytes */
    uint64_t rtt_us;       /* to the farthest source */
    unsigned connections;
};

/* Changes `*extra`; true if there are too many connections now. */
bool p2p_grow_step(struct grow *g, const struct grow_now *now, unsigned *extra);

#endif
