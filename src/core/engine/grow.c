#include "grow.h"

#define INTERVAL_MS 1000
#define GAIN        1.05
#define PAUSES      10 /* after a trial that did not help */
#define EXTRA_MAX   12

/* Speed since the last call in bytes per ms; below 0: the interval is not over, or it
 * is the first. */
static double
take_speed(struct grow *g, uint64_t received, uint64_t now_ms)
{
    uint64_t elapsed = now_ms - g->since_ms, bytes = received - g->since_bytes;
    bool first = g->since_ms == 0;

    if (!first && elapsed < INTERVAL_MS)
        return -1;
    g->since_ms = now_ms;
    g->since_bytes = received;
    return first ? -1 : (double)bytes / (double)elapsed;
}

static bool
begin_trial(struct grow *g, double speed, bool steady, unsigned *extra)
{
    if (g->pauses > 0) {
        g->pauses--;
        return false;
    }
    if (!steady || *extra >= EXTRA_MAX)
        return false;
    g->trying = g->settling = true;
    g->before = speed;
    (*extra)++;
    return false;
}

bool
grow_step(struct grow *g, uint64_t received, uint64_t now_ms, unsigned *extra)
{
    double speed = take_speed(g, received, now_ms);

    if (speed < 0)
        return false;
    bool steady = speed <= g->last * GAIN && g->last <= speed * GAIN;
    g->last = speed;
    if (g->settling) {
        g->settling = false;
        return false;
    }
    if (g->trying && speed < g->before * GAIN) {
        g->trying = false;
        g->pauses = PAUSES;
        (*extra)--;
        return true;
    }
    return begin_trial(g, speed, steady, extra);
}
