#include "core/channel/pace.h"

#include <string.h>

enum {
    SECOND_US = 1000000,
    FIRST_WINDOW = 64, /* packets */
    LEAST_WINDOW = 4,
    FIRST_RTT_US = 100000,
    MIN_RTT_LIFE_US = 10 * SECOND_US,
    PROBE_RTT_US = 200000,
    FULL_ROUNDS = 3,  /* without growth: the path is full */
    QUEUE_US = 20000, /* delay that a busy machine may add */
    BURST_US =
        1000, /* what may be sent at once after a pause, as time at the present rate */
    /* Losses of a round: one in so many is too much. */
    LOST_IN_CRUISE = 50,
    LOST_IN_STARTUP = 10,
    LOST_LEAST = 8, /* packets, fewer are chance */
};

/* Gains in hundredths. */
enum { STARTUP_GAIN = 289, DRAIN_GAIN = 35, WINDOW_GAIN = 200, FLOOR_GAIN = 125 };
static const unsigned cycle[] = {125, 75, 100, 100, 100, 100, 100, 100};
enum { PHASES = sizeof(cycle) / sizeof(cycle[0]) };

static uint64_t
max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t
min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- estimates ---- */

static uint64_t
best_bandwidth(const struct p2p_pace *p)
{
    uint64_t best = 0;

    for (size_t i = 0; i < P2P_PACE_ROUNDS; i++)
        best = max_u64(best, p->bandwidth[i]);
    return best;
}

/* What the path holds at its rate without a queue, times a gain. */
static uint64_t
path_bytes(const struct p2p_pace *p, unsigned gain)
{
    return best_bandwidth(p) * p->min_rtt_us / SECOND_US * gain / 100;
}

static unsigned
rate_gain(const struct p2p_pace *p)
{
    switch (p->mode) {
    case P2P_PACE_STARTUP:
        return STARTUP_GAIN;
    case P2P_PACE_DRAIN:
        return DRAIN_GAIN;
    case P2P_PACE_CRUISE:
        return cycle[p->phase];
    case P2P_PACE_PROBE_RTT:
        break;
    }
    return 100;
}

uint64_t
p2p_pace_rate(const struct p2p_pace *p)
{
    uint64_t bandwidth = best_bandwidth(p);
    uint64_t rtt = p->srtt_us > 0 ? p->srtt_us : FIRST_RTT_US;
    uint64_t least = (uint64_t)FIRST_WINDOW * p->packet_bytes * SECOND_US / rtt;

    /* Until the first rounds say more: the first window in a round trip. */
    if (bandwidth == 0 || (p->mode == P2P_PACE_STARTUP && bandwidth < least))
        bandwidth = least;
    return max_u64(bandwidth * rate_gain(p) / 100, p->packet_bytes * 10);
}

uint64_t
p2p_pace_window(const struct p2p_pace *p)
{
    uint64_t least = (uint64_t)LEAST_WINDOW * p->packet_bytes;
    uint64_t window =
        path_bytes(p, p->mode == P2P_PACE_STARTUP ? STARTUP_GAIN : WINDOW_GAIN);

    if (p->mode == P2P_PACE_PROBE_RTT)
        return max_u64(path_bytes(p, 50), least);
    if (p->mode == P2P_PACE_STARTUP || best_bandwidth(p) == 0)
        least = (uint64_t)FIRST_WINDOW * p->packet_bytes;
    /* Acknowledgements come in batches: some packets more than the path holds. */
    window += (uint64_t)LEAST_WINDOW * 4 * p->packet_bytes;
    return max_u64(min_u64(window, p->most_in_flight), least);
}

/* ---- modes ---- */

static void
enter_cruise(struct p2p_pace *p, uint64_t now_us)
{
    p->mode = P2P_PACE_CRUISE;
    p->phase = 2;
    p->phase_began_us = now_us;
}

static void
search_end(struct p2p_pace *p)
{
    uint64_t bandwidth = best_bandwidth(p);

    if (bandwidth >= p->full_bandwidth + p->full_bandwidth / 4) {
        p->full_bandwidth = bandwidth;
        p->full_rounds = 0;
    } else if (!p->sample_is_limited) {
        p->full_rounds++;
    }
}

/* Faster ends when it has filled what it asks for, or after a round trip with losses;
 * slower ends when the queue is gone, so that another sender sees the path as it is. */
static bool
phase_is_over(const struct p2p_pace *p, uint64_t now_us)
{
    bool is_long = now_us - p->phase_began_us > p->min_rtt_us;

    if (cycle[p->phase] > 100)
        return is_long && (p->in_flight >= path_bytes(p, 125) || p->round_lost > 0 ||
                           now_us - p->phase_began_us > 2 * p->min_rtt_us);
    if (cycle[p->phase] < 100)
        return p->in_flight <= path_bytes(p, 100) ||
               now_us - p->phase_began_us > 4 * p->min_rtt_us;
    return is_long;
}

static void
check_probe_rtt(struct p2p_pace *p, uint64_t now_us)
{
    if (p->mode != P2P_PACE_PROBE_RTT) {
        if (p->mode != P2P_PACE_STARTUP &&
            now_us - p->min_rtt_at_us > MIN_RTT_LIFE_US) {
            p->mode = P2P_PACE_PROBE_RTT;
            p->probe_end_us = 0;
        }
        return;
    }
    if (p->probe_end_us == 0) {
        if (p->in_flight <= p2p_pace_window(p)) {
            p->probe_end_us = now_us + PROBE_RTT_US;
            p->min_rtt_us = p->srtt_us; /* from here it can only become less */
        }
    } else if (now_us >= p->probe_end_us) {
        p->min_rtt_at_us = now_us;
        enter_cruise(p, now_us);
    }
}

static void
advance_mode(struct p2p_pace *p, uint64_t now_us)
{
    if (p->mode == P2P_PACE_STARTUP && p->full_rounds >= FULL_ROUNDS)
        p->mode = P2P_PACE_DRAIN;
    if (p->mode == P2P_PACE_DRAIN && p->in_flight <= path_bytes(p, 100))
        enter_cruise(p, now_us);
    if (p->mode == P2P_PACE_CRUISE && phase_is_over(p, now_us)) {
        p->phase = (p->phase + 1) % PHASES;
        p->phase_began_us = now_us;
    }
    check_probe_rtt(p, now_us);
}

/* ---- losses ---- */

static bool
lost_too_much(const struct p2p_pace *p)
{
    uint64_t all = p->delivered - p->round_began_delivered + p->round_lost;
    unsigned one_in = p->mode == P2P_PACE_STARTUP ? LOST_IN_STARTUP : LOST_IN_CRUISE;

    return p->round_lost >= (uint64_t)LOST_LEAST * p->packet_bytes &&
           p->round_lost * one_in > all;
}

/* The bound never goes below what the path was seen to carry, or chance alone would
 * strangle a path that loses a few packets always. */
static void
judge_losses(struct p2p_pace *p)
{
    if (lost_too_much(p)) {
        uint64_t least = path_bytes(p, FLOOR_GAIN);

        p->most_in_flight = max_u64(p->round_in_flight * 85 / 100, least);
        p->growth_packets = 1;
        if (p->mode == P2P_PACE_STARTUP)
            p->full_rounds = FULL_ROUNDS;
    } else if (p->most_in_flight != UINT64_MAX) {
        p->most_in_flight += p->growth_packets * p->packet_bytes;
        p->growth_packets *= 2;
        if (p->most_in_flight > path_bytes(p, 2 * WINDOW_GAIN))
            p->most_in_flight = UINT64_MAX;
    }
}

/* ---- events ---- */

void
p2p_pace_init(struct p2p_pace *p, uint32_t packet_bytes, uint64_t now_us)
{
    memset(p, 0, sizeof(*p));
    p->packet_bytes = packet_bytes;
    p->delivered_us = p->first_sent_us = p->next_send_us = now_us;
    p->most_in_flight = UINT64_MAX;
    p->growth_packets = 1;
}

void
p2p_pace_on_rtt(struct p2p_pace *p, uint64_t rtt_us, uint64_t now_us)
{
    rtt_us = max_u64(rtt_us, 1);
    p->srtt_us = p->srtt_us == 0 ? rtt_us : (7 * p->srtt_us + rtt_us) / 8;
    if (p->min_rtt_us == 0 || rtt_us <= p->min_rtt_us) {
        p->min_rtt_us = rtt_us;
        p->min_rtt_at_us = now_us;
    }
}

bool
p2p_pace_has_room(const struct p2p_pace *p)
{
    return p->in_flight + p->packet_bytes <= p2p_pace_window(p);
}

uint64_t
p2p_pace_due_us(const struct p2p_pace *p)
{
    return p->next_send_us;
}

void
p2p_pace_on_sent(struct p2p_pace *p, size_t bytes, uint64_t now_us,
                 struct p2p_pace_stamp *out)
{
    if (p->in_flight == 0)
        p->first_sent_us = p->delivered_us = now_us;
    *out = (struct p2p_pace_stamp){
        .delivered = p->delivered,
        .delivered_us = p->delivered_us,
        .first_sent_us = p->first_sent_us,
        .is_limited = p->limited_until != 0,
    };
    p->in_flight += bytes;
    p->round_in_flight = max_u64(p->round_in_flight, p->in_flight);
    if (p->next_send_us + BURST_US < now_us)
        p->next_send_us = now_us - BURST_US;
    p->next_send_us += bytes * SECOND_US / p2p_pace_rate(p);
}

void
p2p_pace_on_idle(struct p2p_pace *p)
{
    p->limited_until = max_u64(p->delivered + p->in_flight, 1);
}

/* A packet that took much longer than the path alone has waited in a queue: the path
 * was full, however little the writer had. */
static bool
has_waited(const struct p2p_pace *p, uint64_t took_us)
{
    return took_us > p->min_rtt_us + p->min_rtt_us / 2 + QUEUE_US;
}

void
p2p_pace_on_acked(struct p2p_pace *p, size_t bytes, uint64_t sent_us,
                  const struct p2p_pace_stamp *stamp, uint64_t now_us)
{
    p->in_flight -= min_u64(bytes, p->in_flight);
    p->delivered += bytes;
    p->delivered_us = now_us;
    if (p->has_sample && stamp->delivered < p->sample_delivered)
        return;
    p->has_sample = true;
    p->sample_is_limited = stamp->is_limited && !has_waited(p, now_us - sent_us);
    p->sample_delivered = stamp->delivered;
    p->sample_delivered_us = stamp->delivered_us;
    p->sample_first_sent_us = stamp->first_sent_us;
    p->sample_sent_us = sent_us;
    p->first_sent_us = sent_us;
}

void
p2p_pace_on_lost(struct p2p_pace *p, size_t bytes)
{
    p->in_flight -= min_u64(bytes, p->in_flight);
    p->round_lost += bytes;
}

static void
take_bandwidth(struct p2p_pace *p, uint64_t now_us)
{
    uint64_t sending = p->sample_sent_us - p->sample_first_sent_us;
    uint64_t took = max_u64(sending, now_us - p->sample_delivered_us);
    uint64_t *best = &p->bandwidth[p->round % P2P_PACE_ROUNDS];
    uint64_t seen;

    if (took == 0 || took < p->min_rtt_us)
        return;
    seen = (p->delivered - p->sample_delivered) * SECOND_US / took;
    if (!p->sample_is_limited || seen > best_bandwidth(p))
        *best = max_u64(*best, seen);
}

static void
begin_round(struct p2p_pace *p)
{
    if (p->mode == P2P_PACE_STARTUP)
        search_end(p);
    judge_losses(p);
    p->round_end = p->delivered;
    p->round_began_delivered = p->delivered;
    p->round_lost = 0;
    p->round_in_flight = p->in_flight;
    /* A round in which there was little to send does not push out what was seen
     * before. */
    if (p->sample_is_limited)
        return;
    p->round++;
    p->bandwidth[p->round % P2P_PACE_ROUNDS] = 0;
}

void
p2p_pace_on_ack_end(struct p2p_pace *p, uint64_t now_us)
{
    if (p->limited_until != 0 && p->delivered > p->limited_until)
        p->limited_until = 0;
    if (p->has_sample) {
        take_bandwidth(p, now_us);
        if (p->sample_delivered >= p->round_end)
            begin_round(p);
    }
    p->has_sample = false;
    advance_mode(p, now_us);
}
