// uses p2p-peer
/* Who may begin a handshake: limits, penalties, and who is exempt. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "peer/admission.h"

#define NEVER_DROP 255u /* the luckiest draw */

static const struct admission_options options = {
    .max = 20,
    .drop_from = 10,
    .per_source = 8,
    .open_per_source = 100,
    .rate_per_s = 5,
    .burst = 20,
    .sources_max = 4,
};

static struct admission_source
source(const char *text)
{
    struct admission_source out = {0};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        admission_source_from((struct sockaddr *)&v4, &out);
    else if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
        admission_source_from((struct sockaddr *)&v6, &out);
    else
        fail_msg("no address: %s", text);
    return out;
}

static struct admission *
new_admission(void)
{
    struct admission *a;

    assert_int_equal(admission_new(&options, &a), P2P_OK);
    return a;
}

static void
limits_unfinished_ones_per_source(void **state)
{
    struct admission *a = new_admission();
    struct admission_source one = source("192.0.2.1"), other = source("192.0.2.2");

    (void)state;
    for (int i = 0; i < 8; i++)
        assert_int_equal(admission_begin(a, &one, 1000, NEVER_DROP), ADMISSION_YES);
    assert_int_equal(admission_begin(a, &one, 1000, NEVER_DROP), ADMISSION_NO);
    assert_int_equal(admission_begin(a, &other, 1000, NEVER_DROP), ADMISSION_YES);
    admission_end(a, &one, ADMISSION_FINISHED, 1000);
    assert_int_equal(admission_begin(a, &one, 1000, NEVER_DROP), ADMISSION_YES);
    admission_free(a);
}

/* Without early drop the total alone decides, whatever is drawn. */
static void
limits_unfinished_ones_in_total(void **state)
{
    struct admission_options opt = options;
    struct admission_source sources[4];
    struct admission *a;
    char text[16];

    (void)state;
    opt.max = opt.drop_from = 3;
    assert_int_equal(admission_new(&opt, &a), P2P_OK);
    for (int i = 0; i < 4; i++) {
        snprintf(text, sizeof(text), "192.0.2.%d", i + 1);
        sources[i] = source(text);
        assert_int_equal(admission_begin(a, &sources[i], 1000, NEVER_DROP),
                         i < 3 ? ADMISSION_YES : ADMISSION_NO);
    }
    admission_end(a, &sources[0], ADMISSION_FINISHED, 1000);
    assert_int_equal(admission_begin(a, &sources[3], 1000, NEVER_DROP), ADMISSION_YES);
    admission_free(a);
}

static void
finished_ones_cost_nothing(void **state)
{
    struct admission *a = new_admission();
    struct admission_source one = source("192.0.2.1");

    (void)state;
    for (int i = 0; i < 500; i++) {
        assert_int_equal(admission_begin(a, &one, 1000, NEVER_DROP), ADMISSION_YES);
        admission_end(a, &one, ADMISSION_FINISHED, 1000);
        admission_end(a, &one, ADMISSION_GONE, 1000);
    }
    assert_int_equal(admission_count(a), 0);
    admission_free(a);
}

static void
failed_ones_use_up_tokens_and_wait(void **state)
{
    struct admission *a = new_admission();
    struct admission_source one = source("192.0.2.1");
    uint64_t now = 1000;

    (void)state;
    assert_int_equal(admission_begin(a, &one, now, NEVER_DROP), ADMISSION_YES);
    admission_end(a, &one, ADMISSION_WRONG, now);
    assert_int_equal(admission_begin(a, &one, now + 4999, NEVER_DROP), ADMISSION_NO);
    assert_int_equal(admission_begin(a, &one, now + 5000, NEVER_DROP), ADMISSION_YES);
    admission_end(a, &one, ADMISSION_LATE, now + 5000);
    assert_int_equal(admission_begin(a, &one, now + 14999, NEVER_DROP), ADMISSION_NO);
    assert_int_equal(admission_begin(a, &one, now + 15000, NEVER_DROP), ADMISSION_YES);
    admission_end(a, &one, ADMISSION_NO_AUTH, now + 15000);
    assert_int_equal(admission_begin(a, &one, now + 15999, NEVER_DROP), ADMISSION_NO);
    assert_int_equal(admission_begin(a, &one, now + 16000, NEVER_DROP), ADMISSION_YES);
    admission_free(a);
}

static void
drops_early_by_chance_and_surely_at_the_limit(void **state)
{
    struct admission *a = new_admission();
    char text[32];

    (void)state;
    for (int i = 0; i < 10; i++) {
        struct admission_source from = source("127.0.0.1"); /* fills the total only */
        assert_int_equal(admission_begin(a, &from, 1, 0), ADMISSION_YES);
    }
    struct admission_source unlucky = source("192.0.2.1");
    assert_int_equal(admission_begin(a, &unlucky, 1, 0), ADMISSION_NO);
    assert_int_equal(admission_begin(a, &unlucky, 1, NEVER_DROP), ADMISSION_YES);
    for (int i = 0; i < 9; i++) {
        struct admission_source from = source("127.0.0.1");
        assert_int_equal(admission_begin(a, &from, 1, 0), ADMISSION_YES);
    }
    snprintf(text, sizeof(text), "192.0.2.%d", 7);
    struct admission_source late = source(text);
    assert_int_equal(admission_begin(a, &late, 1, NEVER_DROP), ADMISSION_NO);
    admission_free(a);
}

static void
loopback_waits_instead_of_being_dropped(void **state)
{
    struct admission *a = new_admission();
    struct admission_source home = source("127.0.0.1"), home6 = source("::1");

    (void)state;
    for (unsigned i = 0; i < options.max; i++)
        assert_int_equal(admission_begin(a, &home, 1, 0), ADMISSION_YES);
    assert_int_equal(admission_begin(a, &home6, 1, 0), ADMISSION_WAIT);
    assert_int_equal(admission_count(a), options.max);
    admission_end(a, &home, ADMISSION_WRONG, 1);
    assert_int_equal(admission_begin(a, &home6, 1, 0), ADMISSION_YES);
    admission_free(a);
}

static void
an_ipv6_network_is_one_source(void **state)
{
    struct admission *a = new_admission();
    char text[64];

    (void)state;
    for (int i = 0; i < 8; i++) {
        snprintf(text, sizeof(text), "2001:db8:0:1::%x", i + 1);
        struct admission_source from = source(text);
        assert_int_equal(admission_begin(a, &from, 1, NEVER_DROP), ADMISSION_YES);
    }
    struct admission_source ninth = source("2001:db8:0:1:ffff::9");
    struct admission_source neighbour = source("2001:db8:0:2::1");
    assert_int_equal(admission_begin(a, &ninth, 1, NEVER_DROP), ADMISSION_NO);
    assert_int_equal(admission_begin(a, &neighbour, 1, NEVER_DROP), ADMISSION_YES);
    admission_free(a);
}

static void
a_mapped_address_is_the_ipv4_one(void **state)
{
    struct admission_source plain = source("192.0.2.1");
    struct admission_source mapped = source("::ffff:192.0.2.1");
    struct admission_source home = source("::ffff:127.0.0.1");

    (void)state;
    assert_memory_equal(&plain, &mapped, sizeof(plain));
    assert_true(home.is_loopback);
}

static void
a_full_table_lets_nobody_new_in(void **state)
{
    struct admission *a = new_admission();
    char text[32];

    (void)state;
    for (unsigned i = 0; i < options.sources_max; i++) {
        snprintf(text, sizeof(text), "192.0.2.%u", i + 1);
        struct admission_source from = source(text);
        assert_int_equal(admission_begin(a, &from, 1, NEVER_DROP), ADMISSION_YES);
    }
    struct admission_source fifth = source("192.0.2.200");
    assert_int_equal(admission_begin(a, &fifth, 1, NEVER_DROP), ADMISSION_NO);
    admission_free(a);
}

/* Loops read the clock before they get the lock: a time may be older than the last one,
 * which must not fill the bucket. */
static void
a_time_that_goes_back_earns_nothing(void **state)
{
    struct admission *a = new_admission();
    struct admission_source one = source("192.0.2.1");
    unsigned begun = 0;

    (void)state;
    for (unsigned i = 0; i < 3 * options.burst; i++) {
        uint64_t now = 100000 - i % 2;
        if (admission_begin(a, &one, now, NEVER_DROP) != ADMISSION_YES)
            continue;
        begun++;
        /* Closed by us before it could fail: no penalty in the way of the next. */
        admission_end(a, &one, ADMISSION_NO_AUTH, now - 1000);
    }
    assert_int_equal(begun, options.burst);
    admission_free(a);
}

/* Whoever finishes its handshakes and stays could else take every place there is. */
static void
limits_open_connections_per_source(void **state)
{
    struct admission *a = new_admission();
    struct admission_source one = source("192.0.2.1"), other = source("192.0.2.2");
    struct admission_source self = source("127.0.0.1");
    uint64_t now = 1000;

    (void)state;
    for (unsigned i = 0; i < options.open_per_source; i++) {
        assert_int_equal(admission_begin(a, &one, now, NEVER_DROP), ADMISSION_YES);
        admission_end(a, &one, ADMISSION_FINISHED, now);
        assert_int_equal(admission_begin(a, &self, now, NEVER_DROP), ADMISSION_YES);
        admission_end(a, &self, ADMISSION_FINISHED, now);
    }
    now += 1000000; /* open ones are not forgotten */
    assert_int_equal(admission_begin(a, &one, now, NEVER_DROP), ADMISSION_NO);
    assert_int_equal(admission_begin(a, &other, now, NEVER_DROP), ADMISSION_YES);
    assert_int_equal(admission_begin(a, &self, now, NEVER_DROP), ADMISSION_YES);
    admission_end(a, &self, ADMISSION_FINISHED, now);
    admission_end(a, &self, ADMISSION_GONE, now);
    admission_end(a, &one, ADMISSION_GONE, now);
    assert_int_equal(admission_begin(a, &one, now, NEVER_DROP), ADMISSION_YES);
    admission_end(a, &one, ADMISSION_NO_AUTH, now);
    assert_int_equal(admission_begin(a, &one, now + 5000, NEVER_DROP), ADMISSION_YES);
    assert_int_equal(admission_count(a), 2);
    admission_free(a);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_unfinished_ones_per_source),
        cmocka_unit_test(limits_unfinished_ones_in_total),
        cmocka_unit_test(finished_ones_cost_nothing),
        cmocka_unit_test(failed_ones_use_up_tokens_and_wait),
        cmocka_unit_test(drops_early_by_chance_and_surely_at_the_limit),
        cmocka_unit_test(loopback_waits_instead_of_being_dropped),
        cmocka_unit_test(an_ipv6_network_is_one_source),
        cmocka_unit_test(a_mapped_address_is_the_ipv4_one),
        cmocka_unit_test(a_full_table_lets_nobody_new_in),
        cmocka_unit_test(limits_open_connections_per_source),
        cmocka_unit_test(a_time_that_goes_back_earns_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
