#include "grow.h"

#define INTERVAL_MS 1000
#define GAIN        1.05
#define PAUSES      10 /* after a trial that did not help */
#define EXTRA_MAX   12

bool
grow_step(struct grow *g, uint64_t received, uint64_t now_ms, unsigned *extra)
{
    uint64_t elapsed = now_ms - g->since_ms;

    if (g->since_ms != 0 && elapsed < INTERVAL_MS)
        return false;
    double speed =
        g->since_ms != 0 ? (double)(received - g->since_bytes) / (double)elapsed : 0;
    bool first = g->since_ms == 0;
    g->since_ms = now_ms;
    g->since_bytes = received;
    if (first)
        return false;
    if (g->trying && speed < g->before * GAIN) {
        g->trying = false;
        g->pauses = PAUSES;
        (*extra)--;
        return true;
    }
    if (g->pauses > 0) {
        g->pauses--;
        return false;
    }
    if (*extra >= EXTRA_MAX)
        return false;
    g->trying = true;
    g->before = speed;
    (*extra)++;
    return false;
}
