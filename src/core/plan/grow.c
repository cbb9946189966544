#include "core/plan/grow.h"

#define INTERVAL_MS 1000
#define GAIN        1.05
#define PAUSES      10 /* pause after a trial that did not help */
#define EXTRA_MAX   12
/* Round trips until a new connection is at full speed: three for the handshake, the
 * others for slow start. */
#define SETTLING_ROUNDS 10

/* Speed since the last call in bytes per ms; below 0: the interval is not over, or it
 * is the first. */
static double
take_speed(struct grow *g, const struct grow_now *now)
{
    uint64_t elapsed = now->ms - g->since_ms, bytes = now->received - g->since_bytes;
    bool first = g->since_ms == 0;

    if (!first && elapsed < INTERVAL_MS)
        return -1;
    g->since_ms = now->ms;
    g->since_bytes = now->received;
    return first ? -1 : (double)bytes / (double)elapsed;
}

/* True when each connection has as many bytes in flight as its sockets can hold. */
static bool
is_held_by_buffers(const struct grow_now *now, double speed)
{
    return speed * (double)now->rtt_us / 1000 > GROW_IN_FLIGHT * now->connections;
}

static void
add(unsigned more, unsigned *extra)
{
    *extra = *extra + more < EXTRA_MAX ? *extra + more : EXTRA_MAX;
}

static void
begin_trial(struct grow *g, const struct grow_now *now, double speed, unsigned *extra)
{
    if (g->pauses > 0) {
        g->pauses--;
        return;
    }
    if (*extra >= EXTRA_MAX)
        return;
    g->trying = true;
    g->judge_ms = now->ms + INTERVAL_MS + SETTLING_ROUNDS * now->rtt_us / 1000;
    g->before = speed;
    add(1, extra);
}

bool
p2p_grow_step(struct grow *g, const struct grow_now *now, unsigned *extra)
{
    double speed = take_speed(g, now);

    if (speed < 0)
        return false;
    bool steady = speed <= g->last * GAIN && g->last <= speed * GAIN;
    g->last = speed;
    if (is_held_by_buffers(now, speed)) {
        g->trying = false;
        add(now->connections / 2, extra);
        return false;
    }
    if (g->trying && now->ms <= g->judge_ms)
        return false;
    if (g->trying && speed < g->before * GAIN) {
        g->trying = false;
        g->pauses = PAUSES;
        (*extra)--;
        return true;
    }
    g->trying = false;
    if (steady)
        begin_trial(g, now, speed, extra);
    return false;
}
