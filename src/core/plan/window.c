#include "core/plan/window.h"

#define ROUND_MIN_US 10000
/* Time that a server needs to start on a request, even on a link without delay. */
#define SERVICE_US 5000

void
p2p_window_init(struct window *w, uint32_t chunk_size, unsigned max)
{
    *w = (struct window){.max = max, .chunk_size = chunk_size};
    w->limit = max < WINDOW_START ? max : WINDOW_START;
}

void
p2p_window_on_rtt(struct window *w, uint64_t rtt_us)
{
    if (rtt_us > 0 && (w->rtt_us == 0 || rtt_us < w->rtt_us))
        w->rtt_us = rtt_us;
}

static void
adjust(struct window *w, double sample)
{
    uint64_t delay = w->rtt_us > SERVICE_US ? w->rtt_us : SERVICE_US;

    /* Follows a higher rate at once and a lower one slowly: one late segment does not
     * mean a slower link. */
    w->rate = sample > w->rate ? sample : 0.75 * w->rate + 0.25 * sample;
    double wanted = 2 * w->rate * (double)delay / w->chunk_size + 2;
    unsigned limit = wanted < w->max ? (unsigned)(wanted + 0.999) : w->max;
    if (limit < WINDOW_MIN)
        limit = WINDOW_MIN;
    w->limit = limit < w->max ? limit : w->max;
}

int
p2p_window_on_bytes(struct window *w, uint64_t bytes, uint64_t now_us)
{
    uint64_t round = w->rtt_us > ROUND_MIN_US ? w->rtt_us : ROUND_MIN_US;

    if (w->round_us == 0) { /* the first bytes of a round were sent before it began */
        w->round_us = now_us;
        w->round_bytes = 0;
        return 0;
    }
    w->round_bytes += bytes;
    if (now_us - w->round_us < round)
        return 0;
    adjust(w, (double)w->round_bytes / (double)(now_us - w->round_us));
    w->round_us = now_us;
    w->round_bytes = 0;
    return 1;
}

void
p2p_window_on_idle(struct window *w)
{
    w->round_us = 0;
}
