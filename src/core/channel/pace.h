/*
 * pace - how fast a sender of packets may send: a rate and a window, from what is
 * acknowledged and what is lost. After BBR: the rate is the highest delivery rate of
 * the last ten round trips; the window is twice what the path holds at that rate; it
 * sends a little faster at times, to find out if more is possible, and then a little
 * slower, so that queues become empty. Losses alone do not slow it down, but a round
 * trip that loses more than a fiftieth lowers the window, as in BBR's second version.
 * Pure: the time is an argument, in microseconds of any clock that does not go back.
 * One thread at a time.
 */
#ifndef P2P_CHANNEL_PACE_H
#define P2P_CHANNEL_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum p2p_pace_mode {
    P2P_PACE_STARTUP, /* doubles every round trip until the path is full */
    P2P_PACE_DRAIN,   /* sends slower, so that the queue that STARTUP has built becomes
                         empty */
    P2P_PACE_CRUISE,  /* the cycle */
    P2P_PACE_PROBE_RTT, /* a moment with half of the window, to measure the round trip
                         * without a queue
                         */
};

enum { P2P_PACE_ROUNDS = 10 };

struct p2p_pace {
    enum p2p_pace_mode mode;
    uint32_t packet_bytes;
    uint64_t in_flight; /* bytes sent, neither acknowledged nor lost */
    /* what was delivered */
    uint64_t delivered;
    uint64_t delivered_us;
    uint64_t first_sent_us;
    uint64_t limited_until; /* of `delivered`; 0: there is always something to send */
    /* the newest packet of the acknowledgement that is being read */
    bool has_sample;
    bool sample_is_limited;
    uint64_t sample_delivered, sample_delivered_us, sample_sent_us,
        sample_first_sent_us;
    /* rounds */
    uint64_t round;
    uint64_t round_end; /* of `delivered` */
    uint64_t round_lost, round_began_delivered;
    uint64_t round_in_flight; /* most of it in this round */
    /* estimates */
    uint64_t bandwidth[P2P_PACE_ROUNDS]; /* bytes a second, the best of each round */
    uint64_t min_rtt_us, min_rtt_at_us;
    uint64_t srtt_us; /* smoothed */
    /* STARTUP */
    uint64_t full_bandwidth;
    unsigned full_rounds;
    /* CRUISE */
    unsigned phase;
    uint64_t phase_began_us;
    /* PROBE_RTT */
    uint64_t probe_end_us; /* 0: not yet down to half */
    /* from losses */
    uint64_t most_in_flight; /* UINT64_MAX: no bound */
    uint64_t growth_packets;
    uint64_t next_send_us;
};

/* What a sender keeps for each packet, until it is acknowledged or lost. */
struct p2p_pace_stamp {
    uint64_t delivered, delivered_us, first_sent_us;
    bool is_limited;
};

/* How long after it may send the next packet a sender should wake: several at once cost
 * less. */
#define P2P_PACE_BATCH_US 400u

/* Begins with a first window and without any knowledge of the path. */
void p2p_pace_init(struct p2p_pace *p, uint32_t packet_bytes, uint64_t now_us);
/* A round trip that was seen. The first one sets the first rate. */
void p2p_pace_on_rtt(struct p2p_pace *p, uint64_t rtt_us, uint64_t now_us);

/* True if one more packet fits into the window. */
bool p2p_pace_has_room(const struct p2p_pace *p);
/* When the rate lets the next packet go. */
uint64_t p2p_pace_due_us(const struct p2p_pace *p);
/* A packet leaves now; `*out` is what the sender keeps of it. */
void p2p_pace_on_sent(struct p2p_pace *p, size_t bytes, uint64_t now_us,
                      struct p2p_pace_stamp *out);
/* The sender has nothing to send: what it delivers says nothing about the path. */
void p2p_pace_on_idle(struct p2p_pace *p);

/* One acknowledgement is some packets acknowledged and lost, and then its end. Here: a
 * packet has arrived; 0 bytes if it was taken for lost before. */
void p2p_pace_on_acked(struct p2p_pace *p, size_t bytes, uint64_t sent_us,
                       const struct p2p_pace_stamp *stamp, uint64_t now_us);
/* A packet is taken for lost: it is no longer in flight. */
void p2p_pace_on_lost(struct p2p_pace *p, size_t bytes);
/* All of the acknowledgement was told: new estimates, and perhaps another mode. */
void p2p_pace_on_ack_end(struct p2p_pace *p, uint64_t now_us);

/* Bytes a second that it sends now. */
uint64_t p2p_pace_rate(const struct p2p_pace *p);
/* Bytes that may be in flight now. */
uint64_t p2p_pace_window(const struct p2p_pace *p);

#endif
