/*
 * window - decides how many requests one connection keeps in flight. Pure: bytes and
 * times are passed in. The goal is twice the measured bandwidth-delay product plus two
 * chunks, so that the server always has the next request. Twice, so that the window
 * itself is never the limit: while the link has capacity, a window of twice the rate
 * doubles the rate in each round trip (slow start); when it has none, rate and window
 * stay the same.
 */
#ifndef P2P_WINDOW_H
#define P2P_WINDOW_H

#include <stdint.h>

#define WINDOW_START 4
#define WINDOW_MIN   3

struct window {
    unsigned limit; /* requests that may be in flight */
    unsigned max;
    uint32_t chunk_size;
    uint64_t rtt_us;   /* smallest seen */
    uint64_t round_us; /* start of the round; 0: none has begun */
    uint64_t round_bytes;
    double rate; /* bytes per microsecond, smoothed */
};

/* At most `max` requests are in flight; begins with few. */
void p2p_window_init(struct window *w, uint32_t chunk_size, unsigned max);
/* A round trip was measured; the shortest counts. */
void p2p_window_on_rtt(struct window *w, uint64_t rtt_us);
/* Bytes have arrived. A round lasts one round trip, at least 10 ms. Returns true at the
 * end of a round. */
int p2p_window_on_bytes(struct window *w, uint64_t bytes, uint64_t now_us);
/* Nothing was requested for a while, so the link is not the reason for the pause. */
void p2p_window_on_idle(struct window *w);

#endif
