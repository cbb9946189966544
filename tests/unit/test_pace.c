/* Senders that are paced share one simulated bottleneck: how much of it they use, and
 * how long its queue becomes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/channel/pace.h"

enum {
    MS = 1000,
    SECOND = 1000 * MS,
    PACKET = 1200,
    SENDERS = 2,
    FLIGHT_MAX = 1 << 14,
};

struct packet {
    uint64_t sent_us, acked_us; /* when the sender learns what became of it */
    struct p2p_pace_stamp stamp;
    bool is_lost;
};

/* As TCP does it with CUBIC (RFC 9438), in packets and seconds. */
struct cubic {
    double window, most, limit; /* `limit`: of the slow start */
    uint64_t cut_us;            /* the last time the window became smaller; 0: never */
};

struct sender {
    struct p2p_pace pace;
    bool is_tcp;
    struct cubic tcp;
    struct packet flight[FLIGHT_MAX]; /* in the order of sending */
    size_t first, count;
    uint64_t delivered;
};

struct bottleneck {
    uint64_t rate, rtt_us;
    size_t queue;
    unsigned lost; /* of 10,000 */
    uint64_t free_us, chance, now_us;
    size_t longest;
    struct sender sender[SENDERS];
};

static bool
chance(struct bottleneck *b, unsigned of_10000)
{
    b->chance ^= b->chance << 13;
    b->chance ^= b->chance >> 7;
    b->chance ^= b->chance << 17;
    return (b->chance >> 11) % 10000 < of_10000;
}

static double
cube_root(double x)
{
    double y = 1 + x / 3;

    for (int i = 0; i < 40; i++)
        y -= (y * y * y - x) / (3 * y * y);
    return y;
}

static void
tcp_on_acked(struct cubic *c, uint64_t rtt_us, uint64_t now_us)
{
    if (c->cut_us == 0 || c->window < c->limit) {
        c->window += 1;
        return;
    }
    double t = (double)(now_us + rtt_us - c->cut_us) / SECOND;
    double k = cube_root(c->most * 0.3 / 0.4);
    double aim = 0.4 * (t - k) * (t - k) * (t - k) + c->most;

    if (aim > c->window)
        c->window += (aim - c->window) / c->window;
    else
        c->window += 0.01 / c->window;
}

/* Once for all that was lost of one window. */
static void
tcp_on_lost(struct cubic *c, uint64_t sent_us, uint64_t now_us)
{
    if (sent_us < c->cut_us)
        return;
    c->most = c->window;
    c->window = c->window * 0.7 > 2 ? c->window * 0.7 : 2;
    c->limit = c->window;
    c->cut_us = now_us;
}

static bool
may_send(struct sender *s, uint64_t now_us)
{
    if (s->is_tcp)
        return (double)s->count < s->tcp.window;
    return p2p_pace_has_room(&s->pace) && p2p_pace_due_us(&s->pace) <= now_us;
}

static void
send_one(struct bottleneck *b, struct sender *s)
{
    struct packet *p = &s->flight[(s->first + s->count++) % FLIGHT_MAX];
    uint64_t begin = b->free_us > b->now_us ? b->free_us : b->now_us;
    size_t waiting = (size_t)((begin - b->now_us) * b->rate / SECOND);

    assert_true(s->count <= FLIGHT_MAX);
    p->sent_us = b->now_us;
    p2p_pace_on_sent(&s->pace, PACKET, b->now_us, &p->stamp);
    if (waiting > b->queue) {
        p->is_lost = true;
        p->acked_us = begin + b->rtt_us + b->rtt_us / 4;
        return;
    }
    b->longest = waiting > b->longest ? waiting : b->longest;
    b->free_us = begin + PACKET * (uint64_t)SECOND / b->rate;
    p->is_lost = chance(b, b->lost);
    p->acked_us = b->free_us + b->rtt_us + (p->is_lost ? b->rtt_us / 4 : 0);
}

static void
hear(struct bottleneck *b, struct sender *s)
{
    bool has_heard = false;

    for (; s->count > 0 && s->flight[s->first].acked_us <= b->now_us;
         s->first = (s->first + 1) % FLIGHT_MAX, s->count--) {
        struct packet *p = &s->flight[s->first];

        has_heard = !s->is_tcp;
        if (s->is_tcp && p->is_lost)
            tcp_on_lost(&s->tcp, p->sent_us, b->now_us);
        else if (s->is_tcp)
            tcp_on_acked(&s->tcp, b->rtt_us, b->now_us);
        if (s->is_tcp) {
            s->delivered += p->is_lost ? 0 : PACKET;
            continue;
        }
        if (p->is_lost) {
            p2p_pace_on_lost(&s->pace, PACKET);
            continue;
        }
        s->delivered += PACKET;
        p2p_pace_on_rtt(&s->pace, b->now_us - p->sent_us, b->now_us);
        p2p_pace_on_acked(&s->pace, PACKET, p->sent_us, &p->stamp, b->now_us);
    }
    if (has_heard)
        p2p_pace_on_ack_end(&s->pace, b->now_us);
}

static void
run(struct bottleneck *b, size_t senders, uint64_t for_us)
{
    uint64_t until = b->now_us + for_us;

    for (; b->now_us < until; b->now_us += MS / 2) {
        /* Neither may always be the first: the other one would lose all the packets. */
        size_t first = chance(b, 5000);

        for (size_t i = 0; i < senders; i++) {
            struct sender *s = &b->sender[(first + i) % senders];

            hear(b, s);
            while (may_send(s, b->now_us))
                send_one(b, s);
        }
    }
}

/* The same with one sender whose writer never has more than `most` bytes on the way: a
 * download that asks for so much. */
static void
run_asked(struct bottleneck *b, size_t most, uint64_t for_us)
{
    uint64_t until = b->now_us + for_us;
    struct sender *s = &b->sender[0];

    for (; b->now_us < until; b->now_us += MS / 2) {
        hear(b, s);
        while (s->count * PACKET < most && p2p_pace_has_room(&s->pace) &&
               p2p_pace_due_us(&s->pace) <= b->now_us)
            send_one(b, s);
        if (s->count * PACKET >= most && p2p_pace_has_room(&s->pace))
            p2p_pace_on_idle(&s->pace);
    }
}

static void
begin(struct bottleneck *b, uint64_t rtt_us, size_t queue, unsigned lost)
{
    memset(b, 0, sizeof(*b));
    b->rate = 10000000;
    b->rtt_us = rtt_us;
    b->queue = queue;
    b->lost = lost;
    b->chance = 88172645463325252u;
    b->now_us = SECOND;
    for (size_t i = 0; i < SENDERS; i++)
        p2p_pace_init(&b->sender[i].pace, PACKET, b->now_us);
}

/* Of what the bottleneck carries, in hundredths. */
static unsigned
share_of(struct bottleneck *b, size_t senders, size_t which, uint64_t for_us)
{
    uint64_t before = b->sender[which].delivered;

    run(b, senders, for_us);
    return (unsigned)((b->sender[which].delivered - before) * 100 * SECOND /
                      (b->rate * for_us));
}

static struct bottleneck b;

static void
fills_the_bottleneck(void **state)
{
    static const unsigned losses[] = {0, 50, 200};
    static const uint64_t rtts[] = {20 * MS, 100 * MS};

    (void)state;
    for (size_t i = 0; i < 3; i++)
        for (size_t k = 0; k < 2; k++) {
            begin(&b, rtts[k], 10 * 1000 * 1000, losses[i]);
            run(&b, 1, 2 * SECOND);
            b.longest = 0;
            unsigned share = share_of(&b, 1, 0, 10 * SECOND);
            /* Of what the path holds, the queue is at most about as much again. */
            unsigned queue = (unsigned)(b.longest * 100 * SECOND / (b.rate * rtts[k]));
            if (getenv("P2P_SHOW") != NULL)
                printf("%3u ms, %u lost of 10000: %u %% of it, queue %u %%\n",
                       (unsigned)(rtts[k] / MS), losses[i], share, queue);
            assert_in_range(share, 85, 101);
            assert_in_range(queue, 0, 200);
        }
}

/* A queue that holds a quarter of the path: little is lost in it. */
static void
spares_a_short_queue(void **state)
{
    (void)state;
    begin(&b, 40 * MS, 100 * 1000, 0);
    run(&b, 1, 3 * SECOND);
    assert_in_range(share_of(&b, 1, 0, 5 * SECOND), 80, 101);
}

/* What the two senders get of ten seconds. */
static void
measure_two(unsigned share[2])
{
    uint64_t before = b.sender[0].delivered;

    share[1] = share_of(&b, 2, 1, 10 * SECOND);
    share[0] = (unsigned)((b.sender[0].delivered - before) / (b.rate / 10));
    if (getenv("P2P_SHOW") != NULL)
        printf("%u ms, queue %zu: %u %% and %u %%\n", (unsigned)(b.rtt_us / MS),
               b.queue, share[0], share[1]);
}

/* The second one comes later, when the first one has the whole path. The shorter the
 * queue, the longer it takes: what the late one sends more is lost in it. */
static void
a_late_one_gets_its_share(void **state)
{
    static const struct {
        uint64_t rtt_us;
        size_t queue;
        unsigned least;
    } of[] = {{20 * MS, 400 * 1000, 35},  {40 * MS, 400 * 1000, 35},
              {40 * MS, 3000 * 1000, 35}, {100 * MS, 800 * 1000, 30},
              {100 * MS, 400 * 1000, 20}, {40 * MS, 100 * 1000, 20}};

    (void)state;
    for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
        unsigned share[2];

        begin(&b, of[i].rtt_us, of[i].queue, 0);
        run(&b, 1, 3 * SECOND);
        run(&b, 2, 8 * SECOND);
        measure_two(share);
        assert_in_range(share[0] + share[1], 85, 101);
        assert_in_range(share[0], of[i].least, 100 - of[i].least);
        assert_in_range(share[1], of[i].least, 100 - of[i].least);
    }
}

/* Whoever comes first, TCP or a channel: neither takes all. The path holds 400,000
 * bytes. CUBIC gives way at each loss, and a channel does not, so TCP gets little of a
 * path with a short queue, and more than half of one with a long queue if it comes
 * second. */
static void
tcp_keeps_a_share(void **state)
{
    static const struct {
        size_t queue;
        unsigned least;
    } of[] = {{200 * 1000, 5}, {400 * 1000, 12}, {1200 * 1000, 20}};

    (void)state;
    for (size_t i = 0; i < 6; i++) {
        unsigned share[2];
        size_t tcp = i % 2;

        begin(&b, 40 * MS, of[i / 2].queue, 0);
        b.sender[tcp].is_tcp = true;
        b.sender[tcp].tcp = (struct cubic){.window = 10, .limit = 1e9};
        run(&b, 1, 3 * SECOND);
        run(&b, 2, 10 * SECOND);
        measure_two(share);
        assert_in_range(share[0] + share[1], 85, 101);
        assert_in_range(share[tcp], of[i / 2].least, 80);
        assert_in_range(share[1 - tcp], 20, 100);
    }
}

/* The rate of the path falls to a fifth, and rises again. */
static void
follows_the_path(void **state)
{
    (void)state;
    begin(&b, 20 * MS, 400 * 1000, 0);
    run(&b, 1, 2 * SECOND);
    b.rate /= 5;
    run(&b, 1, 3 * SECOND);
    assert_in_range(share_of(&b, 1, 0, 3 * SECOND), 80, 101);
    assert_true(p2p_pace_rate(&b.sender[0].pace) < 2 * b.rate);
    b.rate *= 5;
    run(&b, 1, 3 * SECOND);
    assert_in_range(share_of(&b, 1, 0, 3 * SECOND), 80, 101);
}

/* A sender that has had little to send does not conclude that the path is slow. */
static void
a_pause_is_not_a_slow_path(void **state)
{
    (void)state;
    begin(&b, 20 * MS, 400 * 1000, 0);
    run(&b, 1, 2 * SECOND);
    for (unsigned i = 0; i < 2000; i++) {
        b.now_us += 2 * MS;
        hear(&b, &b.sender[0]);
        p2p_pace_on_idle(&b.sender[0].pace);
        send_one(&b, &b.sender[0]);
    }
    assert_true(p2p_pace_rate(&b.sender[0].pace) >= b.rate / 2);
    run(&b, 1, SECOND / 2);
    assert_in_range(share_of(&b, 1, 0, SECOND), 80, 101);
}

/* A machine that was busy has taken many acknowledgements for one: the path seemed to
 * be three times as fast. The download asks for less than that path would hold. So each
 * measurement is of a sender that had nothing to send; but there is a queue, so they
 * say what the path carries. */
static void
a_false_rate_does_not_stay(void **state)
{
    struct p2p_pace *p = &b.sender[0].pace;
    const size_t held = 1000000; /* what the path holds at 100 ms */

    (void)state;
    begin(&b, 100 * MS, 10 * held, 0);
    run_asked(&b, 3 * held, 3 * SECOND);
    for (size_t i = 0; i < P2P_PACE_ROUNDS; i++)
        p->bandwidth[i] = 3 * b.rate;
    run_asked(&b, 3 * held, 10 * SECOND);
    assert_in_range(p2p_pace_rate(p), b.rate / 2, b.rate * 13 / 10);
    b.longest = 0;
    run_asked(&b, 3 * held, 3 * SECOND);
    assert_in_range(b.longest, 0, 3 * held / 2);
    /* A writer that is slow on a path without a queue says nothing about the path. */
    run_asked(&b, held / 4, 10 * SECOND);
    assert_in_range(p2p_pace_rate(p), b.rate * 7 / 10, b.rate * 13 / 10);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_the_bottleneck),
        cmocka_unit_test(spares_a_short_queue),
        cmocka_unit_test(a_late_one_gets_its_share),
        cmocka_unit_test(tcp_keeps_a_share),
        cmocka_unit_test(follows_the_path),
        cmocka_unit_test(a_pause_is_not_a_slow_path),
        cmocka_unit_test(a_false_rate_does_not_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
