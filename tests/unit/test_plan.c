/* plan, window, grow, request: decisions that need no sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/download/file.h"
#include "core/plan/grow.h"
#include "core/plan/plan.h"
#include "core/plan/window.h"
#include "core/remote/request.h"

#define CHUNK P2P_CHUNK_SIZE_MIN
#define S     1000000ull /* microseconds */

static struct plan
make(uint64_t chunks)
{
    struct p2p_chunks g;
    struct plan p;

    assert_int_equal(p2p_chunks_init(&g, chunks * CHUNK, CHUNK), P2P_OK);
    assert_int_equal(p2p_plan_init(&p, &g), P2P_OK);
    return p;
}

static uint64_t
take(struct plan *p, unsigned lane, uint64_t now)
{
    uint64_t chunk;

    return p2p_plan_take(p, lane, now, &chunk) ? chunk : UINT64_MAX;
}

static void
lowest_first_each_once(void **state)
{
    struct plan p = make(5);

    (void)state;
    p2p_plan_open_lane(&p, 0, 0, 0);
    p2p_plan_open_lane(&p, 1, 1, 0);
    p2p_plan_set_done(&p, 1);
    assert_int_equal(take(&p, 0, 0), 0);
    assert_int_equal(take(&p, 1, 0), 2);
    assert_int_equal(take(&p, 0, 0), 3);
    assert_int_equal(take(&p, 1, 0), 4);
    assert_int_equal(take(&p, 0, 0), UINT64_MAX);
    assert_true(p2p_plan_complete(&p, 0, 3));
    assert_false(p2p_plan_complete(&p, 0, 3));
    assert_false(p2p_plan_complete(&p, 0, 2)); /* the other one holds it */
    assert_int_equal(p.left, 3);
    p2p_plan_clear(&p);
}

static void
what_a_lane_held_comes_back(void **state)
{
    struct plan p = make(4);

    (void)state;
    p2p_plan_open_lane(&p, 0, 0, 0);
    p2p_plan_open_lane(&p, 1, 1, 0);
    assert_int_equal(take(&p, 0, 0), 0);
    assert_int_equal(take(&p, 0, 0), 1);
    assert_int_equal(take(&p, 1, 0), 2);
    assert_true(p2p_plan_complete(&p, 0, 0));
    p2p_plan_close_lane(&p, 0);
    assert_int_equal(p.free, 2);
    assert_int_equal(take(&p, 1, 0), 1);
    assert_int_equal(take(&p, 1, 0), 3);
    p2p_plan_give_back(&p, 1, 2);
    assert_int_equal(take(&p, 1, 0), 2);
    assert_int_equal(take(&p, 0, 0), UINT64_MAX); /* closed lanes get nothing */
    p2p_plan_clear(&p);
}

static void
a_chunk_can_be_taken_back(void **state)
{
    struct plan p = make(2);

    (void)state;
    p2p_plan_open_lane(&p, 0, 0, 0);
    p2p_plan_set_done(&p, 0);
    p2p_plan_set_done(&p, 1);
    assert_int_equal(p.left, 0);
    p2p_plan_set_free(&p, 0);
    assert_int_equal(p.left, 1);
    assert_int_equal(take(&p, 0, 0), 0);
    p2p_plan_clear(&p);
}

static void
a_silent_lane_is_helped_at_once(void **state)
{
    struct plan p = make(10);

    (void)state;
    p2p_plan_open_lane(&p, 0, 0, 0);
    p2p_plan_open_lane(&p, 1, 0, 0); /* a connection of the same source, because single
                                        connections can fail, too */
    assert_int_equal(take(&p, 0, 0), 0);
    assert_int_equal(take(&p, 1, PLAN_SILENT_US), 1);
    assert_int_equal(take(&p, 1, PLAN_SILENT_US + 1), 0);
    assert_int_equal(p.doubled, 1);
    assert_int_equal(take(&p, 1, PLAN_SILENT_US + 1), 2); /* not by a third */
    assert_true(p2p_plan_complete(&p, 1, 0));
    assert_true(p2p_plan_is_done(&p, 0));
    p2p_plan_give_back(&p, 0, 0); /* the late lane gives up the finished chunk */
    assert_true(p2p_plan_is_done(&p, 0));
    assert_int_equal(p.left, 9);
    p2p_plan_clear(&p);
}

static void
a_chunk_of_two_silent_lanes_goes_to_another_source(void **state)
{
    const uint64_t later = PLAN_SILENT_US + 1, much_later = 3 * PLAN_SILENT_US;
    struct plan p = make(1);

    (void)state;
    p2p_plan_open_lane(&p, 0, 0, 0);
    p2p_plan_open_lane(&p, 1, 0, 0);
    p2p_plan_open_lane(&p, 2, 0, 0);
    p2p_plan_open_lane(&p, 3, 1, 0);
    assert_int_equal(take(&p, 0, 0), 0);
    assert_int_equal(take(&p, 1, later), 0);
    assert_int_equal(take(&p, 3, later), UINT64_MAX); /* lane 1 may still bring it */
    assert_int_equal(take(&p, 2, much_later), UINT64_MAX); /* of the silent source */
    assert_int_equal(take(&p, 3, much_later), 0);
    assert_true(p2p_plan_complete(&p, 3, 0));
    for (unsigned lane = 0; lane < 2; lane++)
        p2p_plan_give_back(&p, lane, 0);
    assert_true(p2p_plan_is_done(&p, 0));
    p2p_plan_clear(&p);
}

static void
endgame_helps_slow_sources_only(void **state)
{
    struct plan p = make(3);

    (void)state;
    p2p_plan_open_lane(&p, 0, 0, 0); /* slow: two seconds per chunk */
    p2p_plan_open_lane(&p, 1, 1, 0);
    p2p_plan_open_lane(&p, 2, 0, 0); /* fast, but belongs to the slow source */
    assert_int_equal(take(&p, 0, S), 0);
    assert_int_equal(take(&p, 0, S), 1);
    assert_int_equal(take(&p, 1, S), 2);
    p2p_plan_on_bytes(&p, 0, S, (double)CHUNK / (2 * S));
    p2p_plan_on_bytes(&p, 1, S, (double)CHUNK / 1000);
    p2p_plan_on_bytes(&p, 2, S, (double)CHUNK / 1000);
    assert_int_equal(take(&p, 2, S), UINT64_MAX);
    assert_int_equal(take(&p, 1, S), 1); /* the chunk that would arrive last */
    assert_int_equal(take(&p, 1, S), 0);
    assert_int_equal(take(&p, 1, S), UINT64_MAX);
    p2p_plan_clear(&p);
}

static void
equals_do_not_ask_twice(void **state)
{
    struct plan p = make(2);

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        p2p_plan_open_lane(&p, i, i, 0);
        assert_int_equal(take(&p, i, S), i);
        p2p_plan_on_bytes(&p, i, S, (double)CHUNK / 10000);
    }
    assert_true(p2p_plan_complete(&p, 0, 0));
    assert_int_equal(take(&p, 0, S), UINT64_MAX);
    assert_int_equal(p.doubled, 0);
    p2p_plan_clear(&p);
}

/* Any number of lanes that take, complete, fail and help: every chunk is completed
 * exactly once. */
static void
every_chunk_once(void **state)
{
    struct plan p = make(500);
    uint32_t seed = 3;
    unsigned completed = 0;
    uint64_t now = 0;

    (void)state;
    for (unsigned i = 0; i < PLAN_LANES; i++)
        p2p_plan_open_lane(&p, i, i / 4, 0);
    while (p.left > 0) {
        seed = seed * 1664525 + 1013904223;
        unsigned lane = seed >> 28, what = seed >> 16 & 7;
        struct plan_lane *l = &p.lanes[lane];
        now += 1000;
        assert_true(now < 1000 * S);
        if (what < 3 && l->open)
            (void)take(&p, lane, now);
        else if (what < 5 && l->count > 0)
            completed += p2p_plan_complete(&p, lane, l->held[seed % l->count]);
        else if (what == 5 && l->count > 0)
            p2p_plan_give_back(&p, lane, l->held[0]);
        else if (what == 6)
            p2p_plan_on_bytes(&p, lane, now, (seed & 0xff) / 64.0);
        else if (what == 7 && (seed & 0xf00) == 0) {
            p2p_plan_close_lane(&p, lane);
            p2p_plan_open_lane(&p, lane, lane / 4, now);
        }
    }
    assert_int_equal(completed, 500);
    p2p_plan_clear(&p);
}

/* A link with `rate` bytes per microsecond and `rtt`: how much a window lets through in
 * each round. */
static void
run_link(struct window *w, double rate, uint64_t rtt, unsigned rounds)
{
    uint64_t now = S;

    for (unsigned i = 0; i < rounds; i++) {
        double in_flight = (double)w->limit * w->chunk_size, most = rate * (double)rtt;
        uint64_t bytes = (uint64_t)(in_flight < most ? in_flight : most);
        for (int part = 1; part <= 10; part++)
            p2p_window_on_bytes(w, bytes / 10, now + rtt * (uint64_t)part / 10);
        now += rtt;
    }
}

static void
the_window_fills_a_long_link(void **state)
{
    struct window w;

    (void)state;
    p2p_window_init(&w, 1 << 20, 64);
    p2p_window_on_rtt(&w, 100000);
    run_link(&w, 62.5, 100000, 10); /* 500 Mbit/s: 6 chunks on the way */
    assert_in_range(w.limit, 12, 18);
    run_link(&w, 6.25, 100000, 20); /* it became slower */
    assert_in_range(w.limit, 3, 5);
}

static void
the_window_stays_small_on_a_short_link(void **state)
{
    struct window w;

    (void)state;
    p2p_window_init(&w, 1 << 20, 64);
    p2p_window_on_rtt(&w, 50);
    assert_int_equal(w.limit, WINDOW_START);
    run_link(&w, 250, 10000, 30);
    assert_in_range(w.limit, WINDOW_MIN, 6);
    p2p_window_init(&w, 1 << 20, 2);
    run_link(&w, 250, 10000, 30);
    assert_int_equal(w.limit, 2);
}

/* One second later; meanwhile `bytes` arrived over `connections` with a round trip of
 * rtt_ms. */
static bool
grow_second(struct grow *g, uint64_t bytes, unsigned connections, unsigned rtt_ms,
            unsigned *extra)
{
    struct grow_now now = {.ms = g->since_ms + 1000,
                           .received = g->since_bytes + bytes,
                           .rtt_us = rtt_ms * 1000,
                           .connections = connections};

    return p2p_grow_step(g, &now, extra);
}

static void
growth_stops_when_it_does_not_help(void **state)
{
    struct grow g = {0};
    unsigned extra = 0;

    (void)state;
    assert_false(grow_second(&g, 0, 4, 1, &extra));
    for (int i = 0; i < 14; i++) /* each connection adds 100, up to seven of them */
        (void)grow_second(&g, 100 * (4 + (extra < 3 ? extra : 3)), 4 + extra, 1,
                          &extra);
    assert_int_equal(extra, 3);
}

/* Slow start alone doubles the speed; nothing is tried before the speed is steady. */
static void
a_speed_that_rises_by_itself_is_no_gain(void **state)
{
    struct grow g = {0};
    unsigned extra = 0;

    (void)state;
    (void)grow_second(&g, 0, 4, 1, &extra);
    for (int i = 0; i < 8; i++) {
        assert_false(grow_second(&g, 100ull << i, 4, 1, &extra));
        assert_int_equal(extra, 0);
    }
    for (int i = 0; i < 2;
         i++) { /* the link is full: one connection is tried and removed again */
        assert_false(grow_second(&g, 100 << 7, 5, 1, &extra));
        assert_int_equal(extra, 1);
    }
    assert_true(grow_second(&g, 100 << 7, 5, 1, &extra));
    assert_int_equal(extra, 0);
}

/* With a round trip of 300 ms, a connection needs more than a second until its effect
 * is visible. */
static void
a_far_connection_is_judged_later(void **state)
{
    struct grow g = {0};
    unsigned extra = 0;

    (void)state;
    (void)grow_second(&g, 0, 4, 300, &extra);
    for (int i = 0; i < 6; i++)
        assert_false(grow_second(&g, 1000, 4, 300, &extra));
    assert_int_equal(extra, 1);
    assert_true(grow_second(&g, 1000, 5, 300, &extra));
}

/* Each of four connections has three MiB in flight: their sockets are full, not the
 * link. */
static void
full_sockets_need_no_trial(void **state)
{
    struct grow g = {0};
    unsigned extra = 0;

    (void)state;
    (void)grow_second(&g, 0, 4, 300, &extra);
    assert_false(grow_second(&g, 40 * P2P_MIB, 4, 300, &extra));
    assert_int_equal(extra, 2);
    assert_false(grow_second(&g, 60 * P2P_MIB, 6, 300, &extra));
    assert_int_equal(extra, 5);
    assert_false(grow_second(&g, 62 * P2P_MIB, 10, 300, &extra)); /* the link is full */
    assert_int_equal(extra, 6); /* a trial like others */
}

static unsigned
connections_to(struct dl_source source, int protocol)
{
    static struct dl_file file; /* too large for the stack */
    static struct p2p_download dl = {.file = &file};

    p2p_mutex_unshared(&dl.lock);
    dl.task = protocol == 1 ? &p2p_dl_file1_task : &p2p_dl_file_task;
    dl.opt.connections = 4;
    dl.swarm.source_count = 1;
    dl.swarm.sources[0] = source;
    p2p_dl_share_out_connections(&dl);
    return dl.swarm.sources[0].wanted;
}

static void
a_far_source_gets_all_its_connections_at_once(void **state)
{
    (void)state;
    assert_int_equal(connections_to((struct dl_source){0}, 2), 1);
    assert_int_equal(connections_to((struct dl_source){.rtt_us = 50000}, 2), 4);
    assert_int_equal(connections_to((struct dl_source){.rtt_us = 250000}, 2), 8);
    assert_int_equal(connections_to((struct dl_source){.rtt_us = 50000}, 1), 1);
    assert_int_equal(
        connections_to((struct dl_source){.rtt_us = 50000, .state = P2P_SRC_DROPPED},
                       2),
        0);
}

static enum p2p_err
data(struct request *r, uint32_t offset, size_t len, uint8_t flags, uint8_t *buf)
{
    static const uint8_t bytes[P2P_DATA_MAX];
    struct p2p_msg_data d = {
        .flags = flags, .offset = offset, .bytes = bytes, .len = len};

    return p2p_request_take(r, &d, buf);
}

static void
answers_are_exactly_what_was_asked(void **state)
{
    struct requests t = {0};
    uint8_t buf[100];

    (void)state;
    struct request *r = p2p_requests_add(&t, 7, 0, 0, 100);
    assert_ptr_equal(p2p_requests_find(&t, 7), r);
    assert_null(p2p_requests_find(&t, 8));
    assert_int_equal(data(r, 1, 10, 0, buf), P2P_ERR_PROTOCOL);  /* a gap */
    assert_int_equal(data(r, 0, 0, 0, buf), P2P_ERR_PROTOCOL);   /* nothing */
    assert_int_equal(data(r, 0, 101, 0, buf), P2P_ERR_PROTOCOL); /* too much */
    assert_int_equal(data(r, 0, 50, 0, buf), P2P_OK);
    assert_int_equal(data(r, 0, 50, 0, buf), P2P_ERR_PROTOCOL);  /* again */
    assert_int_equal(data(r, 50, 51, 1, buf), P2P_ERR_PROTOCOL); /* too much */
    assert_int_equal(data(r, 50, 50, 1, buf), P2P_OK);
    r->received = 0;
    assert_int_equal(data(r, 0, 50, 1, buf), P2P_ERR_PROTOCOL); /* "last" too early */
    r->received = 0;
    assert_int_equal(data(r, 0, 100, 0, buf), P2P_ERR_PROTOCOL); /* and not at all */
    p2p_requests_forget(&t, r);
    assert_null(p2p_requests_find(&t, 7));
}

/* ---- Readers ---- */

static void
what_a_reader_needs_comes_first(void **state)
{
    struct plan p = make(10);

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        p2p_plan_open_lane(&p, i, i, 0);
    assert_int_equal(take(&p, 0, 0), 0);
    p2p_plan_read_from(&p, 5, 7);
    assert_int_equal(take(&p, 1, 0), 7);
    assert_int_equal(take(&p, 2, 0), 8);
    assert_int_equal(take(&p, 0, 0), 9);
    assert_int_equal(take(&p, 1, 0), 1); /* then the rest, from its beginning */
    assert_true(p2p_plan_complete(&p, 1, 7));
    p2p_plan_read_from(&p, 5, 4); /* a seek backwards */
    assert_int_equal(take(&p, 1, 0), 4);
    p2p_plan_read_from(&p, 5, PLAN_NOWHERE);
    assert_int_equal(p.reading, 0);
    assert_int_equal(take(&p, 2, 0), 2);
    p2p_plan_clear(&p);
}

static void
a_reader_beyond_the_end_needs_nothing(void **state)
{
    struct plan p = make(3);

    (void)state;
    p2p_plan_open_lane(&p, 0, 0, 0);
    p2p_plan_read_from(&p, 0, 3);
    p2p_plan_read_from(&p, 1, UINT64_MAX - 1);
    assert_int_equal(p.reading, 0);
    assert_int_equal(take(&p, 0, 0), 0);
    assert_false(p2p_plan_is_awaited(&p, 3));
    p2p_plan_clear(&p);
}

static void
readers_take_turns(void **state)
{
    struct plan p = make(100);
    uint64_t chunk;
    unsigned near = 0;

    (void)state;
    p2p_plan_open_lane(&p, 0, 0, 0);
    p2p_plan_read_from(&p, 0, 90);
    p2p_plan_read_from(&p, 31, 50);
    for (int i = 0; i < 10; i++) {
        chunk = take(&p, 0, 0);
        near += chunk >= 50 && chunk < 60;
    }
    assert_int_equal(near, 5);
    p2p_plan_clear(&p);
}

/* Chunks that a liar, or a source that left, held come back to the front. */
static void
what_a_reader_lost_comes_first_again(void **state)
{
    struct plan p = make(20);

    (void)state;
    p2p_plan_open_lane(&p, 0, 0, 0);
    p2p_plan_open_lane(&p, 1, 1, 0);
    p2p_plan_read_from(&p, 0, 10);
    assert_int_equal(take(&p, 0, 0), 10);
    assert_int_equal(take(&p, 1, 0), 11);
    assert_int_equal(take(&p, 1, 0), 12);
    assert_true(p2p_plan_complete(&p, 1, 11));
    p2p_plan_close_lane(&p, 0);
    assert_int_equal(take(&p, 1, 0), 10);
    p2p_plan_set_free(&p, 11); /* it turned out to be wrong on the disk */
    assert_int_equal(take(&p, 1, 0), 11);
    assert_int_equal(take(&p, 1, 0), 13);
    p2p_plan_clear(&p);
}

static void
a_reader_goes_on_after_a_restart(void **state)
{
    struct plan p = make(20);

    (void)state;
    for (uint64_t i = 8; i < 14; i++)
        p2p_plan_set_done(&p, i); /* from the journal */
    p2p_plan_read_from(&p, 3, 8);
    p2p_plan_open_lane(&p, 0, 0, 0);
    assert_int_equal(take(&p, 0, 0), 14);
    p2p_plan_read_from(&p, 3, 14);
    assert_true(p2p_plan_is_awaited(&p, 14));
    assert_false(p2p_plan_is_awaited(&p, 15));
    assert_int_equal(take(&p, 0, 0), 15);
    p2p_plan_clear(&p);
}

/* A slow source holds the chunk that a reader waits for, and a fast one is there. */
static void
a_waiting_reader_is_helped_before_the_end(void **state)
{
    struct plan p = make(100);

    (void)state;
    p2p_plan_open_lane(&p, 0, 0, 0);
    p2p_plan_open_lane(&p, 1, 1, 0);
    assert_int_equal(take(&p, 0, S), 0);
    assert_int_equal(take(&p, 0, S), 1);
    p2p_plan_on_bytes(&p, 0, S, (double)CHUNK / (2 * S));
    p2p_plan_on_bytes(&p, 1, S, (double)CHUNK / 1000);
    assert_int_equal(take(&p, 1, S), 2); /* nobody waits */
    p2p_plan_read_from(&p, 0, 1);
    assert_int_equal(take(&p, 1, S), 1);
    assert_int_equal(take(&p, 1, S), 3); /* not twice, and no other chunk of the lane */
    p2p_plan_clear(&p);
}

static void
chunks_that_are_in_the_way_are_given_back(void **state)
{
    struct plan p = make(100);

    (void)state;
    p2p_plan_open_lane(&p, 0, 0, 0);
    p2p_plan_open_lane(&p, 1, 1, 0);
    assert_int_equal(take(&p, 0, 0), 0);
    assert_int_equal(take(&p, 1, 0), 1);
    assert_false(p2p_plan_should_yield(&p, 0, 0)); /* nobody waits */
    p2p_plan_read_from(&p, 0, 50);
    assert_true(p2p_plan_should_yield(&p, 0, 0));
    assert_false(p2p_plan_should_yield(&p, 0, 51)); /* the reader needs it, too */
    for (uint64_t i = 50; i < 50 + PLAN_SOON; i++)
        assert_int_equal(take(&p, 0, 0), i);
    assert_true(p2p_plan_should_yield(&p, 0, 0)); /* it was requested before them */
    assert_int_equal(take(&p, 0, 0), 50 + PLAN_SOON);
    assert_false(p2p_plan_should_yield(&p, 0, 50 + PLAN_SOON)); /* this one was not */
    assert_false(
        p2p_plan_should_yield(&p, 1, 1)); /* all that is needed is on its way */
    p2p_plan_give_back(&p, 0, 53);
    assert_true(p2p_plan_should_yield(&p, 1, 1));
    p2p_plan_clear(&p);
}

/* Whatever readers do, each chunk is held once and all arrive. */
static void
every_chunk_arrives_while_readers_jump(void **state)
{
    enum { COUNT = 300, LANES = 4 };
    struct plan p = make(COUNT);
    uint32_t seed = 1;
    uint64_t now = 0;

    (void)state;
    for (unsigned i = 0; i < LANES; i++)
        p2p_plan_open_lane(&p, i, i, 0);
    for (int round = 0; p.left > 0 && round < 100 * COUNT; round++) {
        struct plan_lane *l;
        unsigned lane;
        uint64_t free = 0;

        seed = seed * 1664525 + 1013904223;
        lane = (seed >> 8) % LANES;
        l = &p.lanes[lane];
        if (seed >> 28 == 0)
            p2p_plan_read_from(&p, (seed >> 12) % PLAN_READERS,
                               (seed >> 4) % (COUNT + 9));
        if (seed >> 27 == 3 && l->count > 0)
            p2p_plan_give_back(&p, lane, l->held[0]);
        else if (l->count > 2)
            assert_true(p2p_plan_complete(&p, lane, l->held[seed % 3]));
        else if (take(&p, lane, ++now) == UINT64_MAX && l->count > 0)
            assert_true(p2p_plan_complete(&p, lane, l->held[0]));
        for (uint64_t c = 0; c < COUNT; c++)
            free += p.state[c] == 0;
        assert_int_equal(free, p.free);
    }
    assert_int_equal(p.left, 0);
    p2p_plan_clear(&p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lowest_first_each_once),
        cmocka_unit_test(what_a_lane_held_comes_back),
        cmocka_unit_test(a_chunk_can_be_taken_back),
        cmocka_unit_test(a_silent_lane_is_helped_at_once),
        cmocka_unit_test(a_chunk_of_two_silent_lanes_goes_to_another_source),
        cmocka_unit_test(endgame_helps_slow_sources_only),
        cmocka_unit_test(equals_do_not_ask_twice),
        cmocka_unit_test(every_chunk_once),
        cmocka_unit_test(what_a_reader_needs_comes_first),
        cmocka_unit_test(a_reader_beyond_the_end_needs_nothing),
        cmocka_unit_test(readers_take_turns),
        cmocka_unit_test(what_a_reader_lost_comes_first_again),
        cmocka_unit_test(a_reader_goes_on_after_a_restart),
        cmocka_unit_test(a_waiting_reader_is_helped_before_the_end),
        cmocka_unit_test(chunks_that_are_in_the_way_are_given_back),
        cmocka_unit_test(every_chunk_arrives_while_readers_jump),
        cmocka_unit_test(the_window_fills_a_long_link),
        cmocka_unit_test(the_window_stays_small_on_a_short_link),
        cmocka_unit_test(growth_stops_when_it_does_not_help),
        cmocka_unit_test(a_speed_that_rises_by_itself_is_no_gain),
        cmocka_unit_test(a_far_connection_is_judged_later),
        cmocka_unit_test(full_sockets_need_no_trial),
        cmocka_unit_test(a_far_source_gets_all_its_connections_at_once),
        cmocka_unit_test(answers_are_exactly_what_was_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
