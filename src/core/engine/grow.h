/*
 * grow - are more connections worth it? Pure. While the speed is steady one is added to
 * each source; when that does not make it 5 % faster, it is taken back and that was it
 * for a while. Not while the speed changes by itself: what slow start brings is not
 * what a connection brought.
 */
#ifndef P2P_GROW_H
#define P2P_GROW_H

#include <stdbool.h>
#include <stdint.h>

struct grow {
    uint64_t since_ms, since_bytes; /* the interval that is measured */
    double last;                    /* speed of the interval before, bytes per ms */
    double before;                  /* speed before the last addition */
    unsigned pauses;                /* intervals without a trial */
    bool trying, settling; /* settling: the added ones shake hands and speed up */
};

/* `received` bytes in all at `now_ms`. Changes `*extra`; true when connections became
 * too many. */
bool grow_step(struct grow *g, uint64_t received, uint64_t now_ms, unsigned *extra);

#endif
