// uses tests/unit/link.c tests/unit/mutate.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/channel/crc32.h"
#include "core/channel/ring.h"
#include "core/channel/sctp.h"
#include "link.h"
#include "mutate.h"
#include "p2p/bytes.h"

enum { MS = 1000, SECOND = 1000 * MS };

/* Two ends and the paths between them. What each writes is a known stream of bytes. */
struct side {
    size_t most_memory;
    struct p2p_sctp *sctp;
    struct link to_other;
    uint64_t to_write, written, read;
    bool is_slow; /* does not read */
    bool closes;  /* when it has written all */
};
struct world {
    struct side side[2];
    uint64_t now_us;
};

/* The streams repeat after a prime number of bytes. */
enum { PERIOD = 65521, PIECE = 4096 };
static uint8_t pattern[2][PERIOD + PIECE];

static uint8_t
byte_at(size_t side, uint64_t offset)
{
    return pattern[side][offset % PERIOD];
}

static int
fill_pattern(void **state)
{
    (void)state;
    for (size_t side = 0; side < 2; side++)
        for (uint64_t i = 0; i < sizeof(pattern[0]); i++)
            pattern[side][i] =
                (uint8_t)((i % PERIOD * 2654435761u >> 13) ^ i % PERIOD ^ side * 85);
    return 0;
}

static void
begin(struct world *w, const struct link_options *there,
      const struct link_options *back, uint64_t seed)
{
    memset(w, 0, sizeof(*w));
    w->now_us = 7 * SECOND;
    for (size_t i = 0; i < 2; i++) {
        /* The TSNs pass 2^32 soon. */
        struct p2p_sctp_options opt = {.opens = i == 0,
                                       .first_tsn = (uint32_t)(-20 - 100 * (int)i)};

        link_init(&w->side[i].to_other, i == 0 ? there : back, seed + i * 77);
        assert_int_equal(p2p_sctp_new(&opt, w->now_us, &w->side[i].sctp), P2P_OK);
    }
}

static void
end(struct world *w)
{
    for (size_t i = 0; i < 2; i++) {
        p2p_sctp_free(w->side[i].sctp);
        link_clear(&w->side[i].to_other);
    }
}

static void
write_some(struct world *w, size_t i)
{
    struct side *me = &w->side[i];
    size_t room;

    while (me->written < me->to_write && (room = p2p_sctp_room(me->sctp)) > 0) {
        size_t len = room < PIECE ? room : PIECE;

        if (len > me->to_write - me->written)
            len = (size_t)(me->to_write - me->written);
        me->written += p2p_sctp_write(me->sctp, pattern[i] + me->written % PERIOD, len);
    }
    if (me->closes && me->to_write > 0 && me->written == me->to_write) {
        p2p_sctp_close(me->sctp);
        me->closes = false;
    }
}

static void
read_some(struct world *w, size_t i)
{
    struct side *me = &w->side[i];
    const uint8_t *bytes;
    size_t len;

    while (!me->is_slow && (bytes = p2p_sctp_peek(me->sctp, &len)) != NULL) {
        len = len < PIECE ? len : PIECE;
        assert_memory_equal(bytes, pattern[1 - i] + me->read % PERIOD, len);
        me->read += len;
        p2p_sctp_drop(me->sctp, len);
    }
}

/* One moment: what has arrived, then what is due. */
static void
step(struct world *w)
{
    uint8_t packet[LINK_PACKET_MAX];
    size_t len;

    for (size_t i = 0; i < 2; i++) {
        struct side *me = &w->side[i];

        while ((len = link_receive(&w->side[1 - i].to_other, w->now_us, packet)) > 0)
            p2p_sctp_input(me->sctp, packet, len, w->now_us);
        read_some(w, i);
        write_some(w, i);
        while ((len = p2p_sctp_output(me->sctp, w->now_us, packet)) > 0)
            link_send(&me->to_other, packet, len, w->now_us);
    }
}

static void
advance(struct world *w, uint64_t until_us)
{
    uint64_t next = until_us;

    for (size_t i = 0; i < 2; i++) {
        uint64_t due = p2p_sctp_due_us(w->side[i].sctp, w->now_us);
        uint64_t arrives = link_due_us(&w->side[i].to_other);

        next = due < next ? due : next;
        next = arrives < next ? arrives : next;
    }
    w->now_us = next > w->now_us ? next : w->now_us + 1;
}

static void
note_memory(struct world *w)
{
    for (size_t i = 0; i < 2; i++) {
        size_t memory = p2p_sctp_status(w->side[i].sctp).memory;

        w->side[i].most_memory =
            memory > w->side[i].most_memory ? memory : w->side[i].most_memory;
    }
}

/* True once both have read all that the other one wrote. */
static bool
run(struct world *w, uint64_t for_us)
{
    uint64_t until = w->now_us + for_us;

    while (w->now_us < until) {
        step(w);
        note_memory(w);
        if (w->side[0].read == w->side[1].to_write &&
            w->side[1].read == w->side[0].to_write)
            return true;
        advance(w, until);
    }
    return false;
}

static void
run_on(struct world *w, uint64_t for_us)
{
    uint64_t until = w->now_us + for_us;

    for (; w->now_us < until; advance(w, until))
        step(w);
}

static const struct link_options perfect = {.delay_us = 10 * MS, .rate = 50000000};

static void
opens_in_two_round_trips(void **state)
{
    struct world w;

    (void)state;
    begin(&w, &perfect, &perfect, 1);
    run_on(&w, 45 * MS);
    assert_true(p2p_sctp_is_open(w.side[0].sctp));
    run_on(&w, 20 * MS);
    assert_true(p2p_sctp_is_open(w.side[1].sctp));
    assert_in_range(p2p_sctp_status(w.side[0].sctp).rtt_us, 19 * MS, 25 * MS);
    /* Both heartbeats have come back. */
    run_on(&w, 100 * MS);
    assert_int_equal(p2p_sctp_status(w.side[0].sctp).packet_max, P2P_SCTP_PACKET_MAX);
    assert_int_equal(p2p_sctp_status(w.side[1].sctp).packet_max, P2P_SCTP_PACKET_MAX);
    end(&w);
}

/* How long a download takes where the round trip is long: neither the buffers nor a few
 * losses may hold the sender back, and nothing is sent twice without need. */
static void
fills_a_far_path(void **state)
{
    static const unsigned losses[] = {0, 50};
    enum { BYTES = 50 * 1000 * 1000 };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct link_options far = {.delay_us = 50 * MS,
                                   .rate = 50000000,
                                   .queue = 10000000,
                                   .lost = losses[i]};
        struct p2p_sctp_status status;
        struct world w;
        uint64_t began_us;

        begin(&w, &far, &far, 11);
        began_us = w.now_us;
        w.side[0].to_write = BYTES;
        assert_true(run(&w, 20 * SECOND));
        status = p2p_sctp_status(w.side[0].sctp);
        if (getenv("P2P_SHOW") != NULL)
            printf("%u lost of 10000: %u ms, lost %u of %u dropped, queue %u\n",
                   losses[i], (unsigned)((w.now_us - began_us) / MS),
                   (unsigned)status.lost_packets, (unsigned)w.side[0].to_other.dropped,
                   (unsigned)w.side[0].to_other.most_waiting);
        /* 1.3 s at the full rate, and about a second to find it. */
        assert_true(w.now_us - began_us < 3 * SECOND);
        /* What waits for a lost packet is held once. */
        assert_in_range(w.side[1].most_memory, 0, 9 << 20);
        assert_in_range(status.lost_packets, 0, w.side[0].to_other.dropped + 20);
        end(&w);
    }
}

static void
nothing_happens_when_idle(void **state)
{
    struct world w;

    (void)state;
    begin(&w, &perfect, &perfect, 1);
    run_on(&w, 2 * SECOND);
    for (size_t i = 0; i < 2; i++)
        assert_true(p2p_sctp_due_us(w.side[i].sctp, w.now_us) == UINT64_MAX);
    end(&w);
}

static void
bytes_arrive_over(const struct link_options *opt, uint64_t bytes, uint64_t seed)
{
    struct world w;

    begin(&w, opt, opt, seed);
    w.side[0].to_write = bytes;
    w.side[1].to_write = bytes / 3;
    assert_true(run(&w, 120 * SECOND));
    assert_int_equal(p2p_sctp_error(w.side[0].sctp), P2P_OK);
    assert_int_equal(p2p_sctp_error(w.side[1].sctp), P2P_OK);
    end(&w);
}

static void
bytes_arrive(void **state)
{
    struct link_options bad = {.delay_us = 15 * MS, .rate = 20000000, .queue = 200000};

    (void)state;
    bytes_arrive_over(&perfect, 3000000, 1);
    bad.lost = 500;
    bytes_arrive_over(&bad, 2000000, 2);
    bad.twice = 1000;
    bad.late = 2000;
    bytes_arrive_over(&bad, 2000000, 3);
    bad.lost = 3000;
    bytes_arrive_over(&bad, 50000, 4);
    bad.lost = 0;
    bad.late = 5000;
    bytes_arrive_over(&bad, 2000000, 5);
}

/* Whatever gets lost in the beginning, and whoever comes first. */
static void
opens_over_any_path(void **state)
{
    struct link_options bad = {
        .delay_us = 10 * MS, .lost = 3000, .twice = 3000, .late = 5000};

    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++)
        bytes_arrive_over(&bad, 3, seed);
}

static void
one_side_begins_later(void **state)
{
    struct world w;
    uint8_t packet[LINK_PACKET_MAX];

    (void)state;
    begin(&w, &perfect, &perfect, 1);
    /* Its first INIT is for nobody. */
    assert_true(p2p_sctp_output(w.side[0].sctp, w.now_us, packet) > 0);
    w.side[0].to_write = w.side[1].to_write = 1000;
    assert_true(run(&w, 5 * SECOND));
    end(&w);
}

/* One packet of 1400 bytes never gets through: both stay with the shorter ones, since
 * the answer to a long heartbeat is as long. */
static void
paths_that_take_short_packets_only(void **state)
{
    struct link_options narrow = perfect;
    struct world w;

    (void)state;
    narrow.longest = P2P_SCTP_PACKET_FIRST;
    begin(&w, &narrow, &perfect, 1);
    w.side[0].to_write = w.side[1].to_write = 3000000;
    assert_true(run(&w, 20 * SECOND));
    assert_int_equal(p2p_sctp_status(w.side[0].sctp).packet_max, P2P_SCTP_PACKET_FIRST);
    assert_int_equal(p2p_sctp_status(w.side[1].sctp).packet_max, P2P_SCTP_PACKET_FIRST);
    end(&w);
}

static void
a_reader_that_stops_stops_the_writer(void **state)
{
    struct world w;

    (void)state;
    begin(&w, &perfect, &perfect, 1);
    w.side[0].to_write = 20000000;
    w.side[1].is_slow = true;
    assert_false(run(&w, 60 * SECOND));
    assert_int_equal(p2p_sctp_error(w.side[0].sctp), P2P_OK);
    /* All that it keeps is bounded. */
    assert_in_range(p2p_sctp_status(w.side[1].sctp).memory, 3 << 20, 9 << 20);
    w.side[1].is_slow = false;
    assert_true(run(&w, 20 * SECOND));
    end(&w);
}

/* A channel takes what its path needs, others still get something, and all of it comes
 * back. */
static void
a_budget_is_shared(void **state)
{
    enum { ALL = 8 * 1024 * 1024 };
    struct p2p_budget budget = {ALL};
    const struct p2p_sctp_options opt = {.budget = &budget};
    struct p2p_sctp *many[40];
    size_t left;

    (void)state;
    assert_false(p2p_budget_take(&budget, ALL / 2 + 1));
    for (size_t i = 0; i < 40; i++) {
        assert_int_equal(p2p_sctp_new(&opt, 1, &many[i]), P2P_OK);
        left = budget.left;
        assert_in_range(left, 1, ALL - 1);
    }
    for (size_t i = 0; i < 40; i++)
        p2p_sctp_free(many[i]);
    left = budget.left;
    assert_int_equal(left, ALL);
    assert_true(p2p_budget_take(NULL, SIZE_MAX));
}

static void
the_end(void **state)
{
    struct link_options bad = {.delay_us = 10 * MS, .rate = 10000000, .lost = 500};
    struct world w;

    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        begin(&w, &bad, &bad, seed);
        w.side[0].to_write = 300000;
        w.side[0].closes = true;
        assert_true(run(&w, 60 * SECOND));
        run_on(&w, 60 * SECOND);
        for (size_t i = 0; i < 2; i++) {
            assert_true(p2p_sctp_is_ended(w.side[i].sctp));
            assert_true(p2p_sctp_is_closed(w.side[i].sctp));
        }
        assert_int_equal(p2p_sctp_error(w.side[1].sctp), P2P_OK);
        end(&w);
    }
}

/* Whoever closes no longer reads; what the other side wrote is thrown away, but the
 * association ends. */
static void
both_end_it_at_once(void **state)
{
    struct world w;

    (void)state;
    begin(&w, &perfect, &perfect, 3);
    run_on(&w, 100 * MS);
    w.side[0].to_write = w.side[1].to_write = 100000;
    w.side[0].closes = w.side[1].closes = true;
    w.side[0].is_slow = w.side[1].is_slow = true;
    run_on(&w, 10 * SECOND);
    assert_true(p2p_sctp_is_closed(w.side[0].sctp));
    assert_true(p2p_sctp_is_closed(w.side[1].sctp));
    end(&w);
}

static void
an_abort_is_told(void **state)
{
    struct world w;

    (void)state;
    begin(&w, &perfect, &perfect, 1);
    run_on(&w, 100 * MS);
    p2p_sctp_abort(w.side[0].sctp);
    run_on(&w, 100 * MS);
    assert_true(p2p_sctp_is_closed(w.side[1].sctp));
    assert_int_equal(p2p_sctp_error(w.side[1].sctp), P2P_ERR_CLOSED);
    assert_int_equal(p2p_sctp_error(w.side[0].sctp), P2P_ERR_CANCELLED);
    assert_int_equal(p2p_sctp_write(w.side[0].sctp, "x", 1), 0);
    end(&w);
}

static void
a_path_that_dies(void **state)
{
    struct world w;

    (void)state;
    begin(&w, &perfect, &perfect, 1);
    run_on(&w, 200 * MS);
    w.side[0].to_write = 1000000;
    w.side[0].to_other.opt.lost = w.side[1].to_other.opt.lost = 10000;
    assert_false(run(&w, 200 * SECOND));
    assert_int_equal(p2p_sctp_error(w.side[0].sctp), P2P_ERR_TIMEOUT);
    assert_true(p2p_sctp_is_closed(w.side[0].sctp));
    end(&w);
}

static void
nobody_is_there(void **state)
{
    struct link_options nowhere = {.lost = 10000};
    struct world w;

    (void)state;
    begin(&w, &nowhere, &nowhere, 1);
    run_on(&w, 200 * SECOND);
    assert_int_equal(p2p_sctp_error(w.side[0].sctp), P2P_ERR_TIMEOUT);
    end(&w);
}

/* ---- speed: what REACH asks of the whole, on a simulated path ---- */

struct speed {
    double of_link;
    size_t queue;
};

static struct speed
measure(uint64_t delay_us, unsigned lost, size_t queue, uint64_t rate)
{
    struct link_options there = {
        .delay_us = delay_us, .rate = rate, .queue = queue, .lost = lost};
    struct link_options back = there;
    struct world w;
    struct speed found;
    uint64_t began, bytes;

    begin(&w, &there, &back, lost + 1);
    w.side[0].to_write = UINT64_MAX / 2;
    run_on(&w, 2 * SECOND); /* found its rate */
    began = w.side[1].read;
    run_on(&w, 3 * SECOND);
    bytes = w.side[1].read - began;
    found.of_link = (double)bytes / 3 / (double)rate;
    found.queue = w.side[0].to_other.most_waiting;
    if (getenv("P2P_SHOW") != NULL)
        printf("%3d ms %4.1f %% loss, queue %7zu: %.2f of the link, sent %zu dropped "
               "%zu\n",
               (int)(2 * delay_us / MS), lost / 100.0, queue, found.of_link,
               w.side[0].to_other.sent, w.side[0].to_other.dropped);
    end(&w);
    return found;
}

static void
fills_the_link(void **state)
{
    static const struct {
        uint64_t delay_us;
        unsigned lost;
        size_t queue;
        double least;
    } cases[] = {
        {10 * MS, 0, 200000, 0.85},  {10 * MS, 50, 200000, 0.85},
        {10 * MS, 200, 200000, 0.8}, {50 * MS, 0, 500000, 0.85},
        {50 * MS, 50, 500000, 0.8},  {50 * MS, 200, 500000, 0.75},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct speed s =
            measure(cases[i].delay_us, cases[i].lost, cases[i].queue, 5000000);

        assert_true(s.of_link >= cases[i].least);
    }
}

/* ---- hostile bytes ---- */

/* Lets two ends talk, and returns the nth packet for the first one, which it has not
 * seen; with nth -1 the first one with bytes. */
static size_t
packet_for(struct world *w, int nth, uint8_t out[LINK_PACKET_MAX])
{
    uint8_t packet[LINK_PACKET_MAX];
    size_t len;

    for (;;) {
        for (size_t i = 0; i < 2; i++) {
            write_some(w, i);
            while ((len = p2p_sctp_output(w->side[i].sctp, w->now_us, packet)) > 0) {
                if (i == 1 && (nth < 0 ? packet[12] == 0 : nth-- == 0)) {
                    memcpy(out, packet, len);
                    return len;
                }
                p2p_sctp_input(w->side[1 - i].sctp, packet, len, w->now_us);
            }
        }
        w->now_us += 10 * MS;
    }
}

struct target {
    struct world *w;
};

/* With a sum that fits, so that the flip is seen by the parser. */
static bool
feed(void *arg, uint8_t *data, size_t len)
{
    struct target *t = arg;

    if (len >= 12) {
        p2p_store_u32(data + 8, 0);
        p2p_store_u32(data + 8, __builtin_bswap32(p2p_crc32c(0, data, len)));
    }
    p2p_sctp_input(t->w->side[0].sctp, data, len, t->w->now_us);
    return false;
}

static void
packets_that_were_changed_do_no_harm(void **state)
{
    (void)state;
    for (int nth = -1; nth < 8; nth++) {
        uint8_t packet[LINK_PACKET_MAX];
        struct world w;
        struct target t = {&w};
        size_t len;

        begin(&w, &perfect, &perfect, 1);
        w.side[0].to_write = 3000;
        w.side[1].to_write = 3000;
        len = packet_for(&w, nth, packet);
        mutate_all(packet, len < 100 ? len : 100, feed, &t);
        assert_in_range(p2p_sctp_status(w.side[0].sctp).memory, 0, 1 << 20);
        end(&w);
    }
}

static bool
feed_without_sum(void *arg, uint8_t *data, size_t len)
{
    struct target *t = arg;

    p2p_sctp_input(t->w->side[0].sctp, data, len, t->w->now_us);
    return false;
}

/* A packet whose sum is wrong is as if it had not come. */
static void
sums_are_checked(void **state)
{
    uint8_t packet[LINK_PACKET_MAX];
    struct world w;
    struct target t = {&w};
    size_t len;

    (void)state;
    begin(&w, &perfect, &perfect, 1);
    w.side[1].to_write = 300;
    w.side[0].is_slow = true;
    len = packet_for(&w, -1, packet);
    mutate_all(packet, len, feed_without_sum, &t);
    p2p_sctp_peek(w.side[0].sctp, &len);
    assert_int_equal(len, 0);
    w.side[0].is_slow = false;
    assert_true(run(&w, 3 * SECOND));
    end(&w);
}

static void
both_tables_give_the_same_sum(void **state)
{
    uint8_t bytes[300];

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = byte_at(0, i);
    for (size_t len = 0; len < sizeof(bytes); len++)
        assert_int_equal(p2p_crc32c(7, bytes, len),
                         p2p_crc32c_by_tables(7, bytes, len));
}

static void
a_ring_is_a_queue(void **state)
{
    struct p2p_ring r = {.max = 1 << 17};
    uint8_t bytes[5000], out[5000];
    uint64_t in = 0, read = 0;

    (void)state;
    for (unsigned round = 0; round < 300; round++) {
        size_t len = 1 + round * 37 % sizeof(bytes);

        for (size_t i = 0; i < len; i++)
            bytes[i] = byte_at(0, in + i);
        if (p2p_ring_put(&r, bytes, len))
            in += len;
        else
            assert_true(r.used + len > r.max);
        len = round * 23 % sizeof(out);
        len = len < r.used ? len : r.used;
        p2p_ring_copy(&r, 0, out, len);
        for (size_t i = 0; i < len; i++)
            assert_int_equal(out[i], byte_at(0, read + i));
        p2p_ring_drop(&r, len);
        read += len;
        assert_int_equal(r.used, in - read);
    }
    p2p_ring_clear(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_in_two_round_trips),
        cmocka_unit_test(nothing_happens_when_idle),
        cmocka_unit_test(bytes_arrive),
        cmocka_unit_test(fills_a_far_path),
        cmocka_unit_test(opens_over_any_path),
        cmocka_unit_test(one_side_begins_later),
        cmocka_unit_test(paths_that_take_short_packets_only),
        cmocka_unit_test(a_reader_that_stops_stops_the_writer),
        cmocka_unit_test(a_budget_is_shared),
        cmocka_unit_test(the_end),
        cmocka_unit_test(both_end_it_at_once),
        cmocka_unit_test(an_abort_is_told),
        cmocka_unit_test(a_path_that_dies),
        cmocka_unit_test(nobody_is_there),
        cmocka_unit_test(fills_the_link),
        cmocka_unit_test(packets_that_were_changed_do_no_harm),
        cmocka_unit_test(sums_are_checked),
        cmocka_unit_test(both_tables_give_the_same_sum),
        cmocka_unit_test(a_ring_is_a_queue),
    };

    return cmocka_run_group_tests(tests, fill_pattern, NULL);
}
