#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "p2p/rate.h"

#define MIB (1024ull * 1024)

/* The bytes that pass in `us`, requested in pieces of 64 KiB, with the waits that the
 * bucket demands. */
static uint64_t
moved(struct p2p_rate *rate, uint64_t from_us, uint64_t us)
{
    uint64_t now = from_us, bytes = 0;

    while (now < from_us + us) {
        uint64_t wait = p2p_rate_take(rate, 65536, now);
        if (wait == 0)
            bytes += 65536;
        now += wait;
    }
    return bytes;
}

static void
holds_its_rate(void **state)
{
    static const uint64_t rates[] = {1000, 65536, MIB, 100 * MIB};

    (void)state;
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        struct p2p_rate rate;
        uint64_t bytes;

        p2p_rate_init(&rate, rates[i], 5);
        bytes = moved(&rate, 5, 100 * 1000000ull);
        assert_in_range(bytes, rates[i] * 99, rates[i] * 101 + 4 * 65536);
        p2p_rate_clear(&rate);
    }
}

static void
zero_is_no_limit(void **state)
{
    struct p2p_rate rate;

    (void)state;
    p2p_rate_init(&rate, 0, 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(p2p_rate_take(&rate, 1 << 30, 0), 0);
    p2p_rate_clear(&rate);
}

static void
an_idle_hour_is_one_burst(void **state)
{
    struct p2p_rate rate;

    (void)state;
    p2p_rate_init(&rate, MIB, 0);
    assert_int_equal(p2p_rate_take(&rate, 65536 + 1, 3600000000ull), 0);
    assert_true(p2p_rate_take(&rate, 1, 3600000000ull) > 0);
    p2p_rate_clear(&rate);
}

static void
a_clock_that_goes_back_gives_nothing(void **state)
{
    struct p2p_rate rate;

    (void)state;
    p2p_rate_init(&rate, MIB, 1000000);
    assert_int_equal(p2p_rate_take(&rate, 10 * MIB, 1000000), 0);
    assert_true(p2p_rate_take(&rate, 1, 0) > 0);
    assert_true(p2p_rate_take(&rate, 1, 1000001) > 9000000);
    p2p_rate_clear(&rate);
}

static void
a_new_rate_holds_at_once(void **state)
{
    struct p2p_rate rate;

    (void)state;
    p2p_rate_init(&rate, 100 * MIB, 0);
    assert_int_equal(p2p_rate_take(&rate, 100 * MIB, 0), 0);
    p2p_rate_set(&rate, 1000, 0);
    /* At most one burst of debt: 64 KiB at 1000 bytes per second. */
    assert_in_range(p2p_rate_take(&rate, 1, 0), 1, 66000000);
    p2p_rate_set(&rate, 0, 0);
    assert_int_equal(p2p_rate_take(&rate, MIB, 0), 0);
    p2p_rate_clear(&rate);
}

static void
timetables(void **state)
{
    struct p2p_timetable table;

    (void)state;
    assert_int_equal(p2p_timetable_parse("2M", &table), P2P_OK);
    assert_int_equal(p2p_timetable_rate(&table, 0), 2 * MIB);
    assert_int_equal(p2p_timetable_rate(&table, 1439), 2 * MIB);
    assert_int_equal(p2p_timetable_parse("off", &table), P2P_OK);
    assert_int_equal(p2p_timetable_rate(&table, 700), 0);
    assert_int_equal(p2p_timetable_parse(" 08:00,2M  23:00,off ", &table), P2P_OK);
    assert_int_equal(p2p_timetable_rate(&table, 0), 0);
    assert_int_equal(p2p_timetable_rate(&table, 8 * 60 - 1), 0);
    assert_int_equal(p2p_timetable_rate(&table, 8 * 60), 2 * MIB);
    assert_int_equal(p2p_timetable_rate(&table, 23 * 60 - 1), 2 * MIB);
    assert_int_equal(p2p_timetable_rate(&table, 23 * 60), 0);
    assert_int_equal(p2p_timetable_parse("22:30,1M 06:00,2M", &table), P2P_ERR_USAGE);
}

/* Berlin, 2026: on March 29 the clock goes from 02:00 to 03:00 at 01:00 UTC; on October
 * 25 from 03:00 back to 02:00, also at 01:00 UTC. */
static void
follow_the_clock_on_the_wall(void **state)
{
    static const struct {
        int64_t time_s;
        uint64_t rate;
    } rows[] = {
        {1774745999, 0},       /* 00:59:59 UTC: 01:59 */
        {1774746000, 2 * MIB}, /* 01:00 UTC: 03:00; 02:30 never was, and it holds */
        {1774747800, 2 * MIB}, /* 03:30 */
        {1774753200, MIB},     /* 05:00 */
        {1792886399, 0},       /* 23:59:59 UTC: 01:59 */
        {1792888200, 2 * MIB}, /* 00:30 UTC: 02:30 */
        {1792890000, 0},       /* 01:00 UTC: 02:00 again */
        {1792891800, 2 * MIB}, /* 01:30 UTC: 02:30 again */
        {1792900800, MIB},     /* 04:00 UTC: 05:00 */
    };
    struct p2p_timetable table;

    (void)state;
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
    assert_int_equal(p2p_timetable_parse("00:00,off 02:30,2M 05:00,1M", &table), P2P_OK);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (p2p_timetable_rate_at(&table, rows[i].time_s) != rows[i].rate)
            fail_msg("row %zu: %llu", i,
                     (unsigned long long)p2p_timetable_rate_at(&table, rows[i].time_s));
    unsetenv("TZ");
    tzset();
}

static void
wrong_timetables(void **state)
{
    static const char *const wrong[] = {
        "",
        "fast",
        "24:00,1M",
        "08:60,1M",
        "8:00,1M",
        "08:00",
        "08:00,1M,2M",
        "08:00,",
        ",1M",
        "08:00,1M 08:00,2M",
        "0a:00,1M",
        "08-00,1M",
        "08:00, 1M",
        "08:00,111111111111111111111111111",
    };
    struct p2p_timetable table;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (p2p_timetable_parse(wrong[i], &table) == P2P_OK)
            fail_msg("accepted: %s", wrong[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_its_rate),
        cmocka_unit_test(zero_is_no_limit),
        cmocka_unit_test(an_idle_hour_is_one_burst),
        cmocka_unit_test(a_clock_that_goes_back_gives_nothing),
        cmocka_unit_test(a_new_rate_holds_at_once),
        cmocka_unit_test(timetables),
        cmocka_unit_test(follow_the_clock_on_the_wall),
        cmocka_unit_test(wrong_timetables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
