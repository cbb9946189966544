/*
 * grow - are more connections worth it? Pure. Once a second one is added to each
 * source; when the speed of the next second is not 5 % higher, it is taken back and
 * that was it for a while.
 */
#ifndef P2P_GROW_H
#define P2P_GROW_H

#include <stdbool.h>
#include <stdint.h>

struct grow {
    uint64_t since_ms, since_bytes; /* the interval that is measured */
    double before;                  /* speed before the last addition, bytes per ms */
    unsigned pauses;                /* intervals without a trial */
    bool trying;
};

/* `received` bytes in all at `now_ms`. Changes `*extra`; true when connections became
 * too many. */
bool grow_step(struct grow *g, uint64_t received, uint64_t now_ms, unsigned *extra);

#endif
