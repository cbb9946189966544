/*
 * window - how many requests one connection keeps in flight. Pure: bytes and times come
 * in.
 *
 * The aim is twice the bandwidth-delay product of what was measured, and two chunks
 * more, so that the server always has the next request at hand. Twice, so that the
 * window itself never is what limits: while the link has room, a window of twice the
 * rate doubles the rate each round trip (slow start); once it has none, rate and window
 * stand still.
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
    uint64_t round_us; /* when the round began; 0: none has */
    uint64_t round_bytes;
    double rate; /* bytes per microsecond, smoothed */
};

void p2p_window_init(struct window *w, uint32_t chunk_size, unsigned max);
void p2p_window_on_rtt(struct window *w, uint64_t rtt_us);
/* Bytes came. A round lasts a round trip, at least 10 ms. Returns true at the end of
 * one. */
int p2p_window_on_bytes(struct window *w, uint64_t bytes, uint64_t now_us);
/* Nothing was requested for a while: the link is not the cause of the pause. */
void p2p_window_on_idle(struct window *w);

#endif
