/*
 * grow - are more connections worth it? Pure. While the speed is steady one is added to
 * each source; when that does not make it 5 % faster, it is taken back and that was it
 * for a while. Not while the speed changes by itself: what slow start brings is not
 * what a connection brought.
 *
 * On a long, fast way there is no need to try: when each connection has as many bytes
 * under way as the kernels' buffers hold, it is they that limit, and half as many again
 * are added at once.
 */
#ifndef P2P_GROW_H
#define P2P_GROW_H

#include <stdbool.h>
#include <stdint.h>

#define GROW_IN_FLIGHT                                             \
    (2.0 * 1024 * 1024) /* of Linux's 4 MiB, 3 are payload at most \
                         */

struct grow {
    uint64_t since_ms, since_bytes; /* the interval that is measured */
    double last;                    /* speed of the interval before, bytes per ms */
    double before;                  /* speed before the last addition */
    unsigned pauses;                /* intervals without a trial */
    bool trying;
    uint64_t judge_ms; /* when the added connections have finished their handshakes and
                          reached their speed */
};

/* What is measured now. */
struct grow_now {
    uint64_t ms, received; /* the time, and bytes in total */
    uint64_t rtt_us;       /* to the farthest source */
    unsigned connections;
};

/* Changes `*extra`; true when connections became too many. */
bool p2p_grow_step(struct grow *g, const struct grow_now *now, unsigned *extra);

#endif
