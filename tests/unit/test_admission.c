// uses p2p-peer
/* Who may begin a handshake, what it may cost, and who is exempt. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "peer/access/admission.h"

static unsigned revoked;

static void
count_revoked(void *owner)
{
    (void)owner;
    revoked++;
}

static const struct admission_options options = {
    .max = 20,
    .reserved = 5,
    .per_source = 8,
    .open_per_source = 100,
    .rate_per_s = 5,
    .burst = 20,
    .work_rate_per_s = 20,
    .work_burst = 40,
    .total_rate_per_s = 50,
    .total_burst = 60,
    .sources_max = 16,
    .on_revoked = count_revoked,
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
        fail_msg("invalid address: %s", text);
    return out;
}

static struct admission_source
numbered(unsigned n)
{
    char text[32];

    snprintf(text, sizeof(text), "198.51.%u.%u", n / 250, n % 250 + 1);
    return source(text);
}

static int
setup(void **state)
{
    struct admission *a;

    revoked = 0;
    assert_int_equal(admission_new(&options, &a), P2P_OK);
    *state = a;
    return 0;
}

static int
teardown(void **state)
{
    admission_free(*state);
    return 0;
}

static enum admission_verdict
begin(struct admission *a, struct admission_ticket *t, const char *from, uint64_t now)
{
    struct admission_source s = source(from);

    *t = (struct admission_ticket){0};
    return admission_begin(a, t, &s, NULL, now);
}

static enum admission_verdict
begin_numbered(struct admission *a, struct admission_ticket *t, unsigned n,
               uint64_t now)
{
    struct admission_source s = numbered(n);

    *t = (struct admission_ticket){0};
    return admission_begin(a, t, &s, NULL, now);
}

/* A complete handshake and the end of its connection. False: it was refused. */
static bool
shake_hands(struct admission *a, const char *from, uint64_t now)
{
    struct admission_ticket t;
    bool worked;

    if (begin(a, &t, from, now) != ADMISSION_YES)
        return false;
    worked = admission_work(a, &t, now);
    if (worked)
        assert_true(admission_finish(a, &t, now));
    admission_end(a, &t, ADMISSION_WRONG, now);
    return worked;
}

static void
limits_unfinished_ones_per_source(void **state)
{
    struct admission *a = *state;
    struct admission_ticket t[8], more, other;

    for (int i = 0; i < 8; i++)
        assert_int_equal(begin(a, &t[i], "192.0.2.1", 1000), ADMISSION_YES);
    assert_int_equal(begin(a, &more, "192.0.2.1", 1000), ADMISSION_NO);
    assert_int_equal(begin(a, &other, "192.0.2.2", 1000), ADMISSION_YES);
    assert_true(admission_finish(a, &t[0], 1000));
    assert_int_equal(begin(a, &more, "192.0.2.1", 1000), ADMISSION_YES);
    assert_int_equal(revoked, 0);
}

/* 26 addresses with 8 half-open handshakes each: all other addresses still get in. */
static void
half_open_ones_from_many_addresses_make_room(void **state)
{
    struct admission *a = *state;
    struct admission_ticket attack[15][8], victim;

    for (int i = 0; i < 8; i++) {
        for (unsigned n = 0; n < 15; n++)
            begin_numbered(a, &attack[n][i], n, 1000);
    }
    assert_int_equal(admission_count(a), options.max - options.reserved);
    revoked = 0;
    assert_int_equal(begin(a, &victim, "192.0.2.1", 1000), ADMISSION_YES);
    assert_int_equal(revoked, 1);
    assert_int_equal(admission_count(a), options.max - options.reserved);
    assert_true(admission_work(a, &victim, 1000));
    assert_true(admission_finish(a, &victim, 1000));
    admission_end(a, &victim, ADMISSION_NO_AUTH, 1000);
    for (int i = 0; i < 8; i++) {
        for (unsigned n = 0; n < 15; n++)
            admission_end(a, &attack[n][i], ADMISSION_LATE, 2000);
    }
    assert_int_equal(admission_count(a), 0);
}

static void
the_source_with_most_gives_its_oldest(void **state)
{
    struct admission *a = *state;
    struct admission_ticket single[7], heavy[8], one;

    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(begin_numbered(a, &single[i], i, 1000), ADMISSION_YES);
    for (int i = 0; i < 8; i++)
        assert_int_equal(begin(a, &heavy[i], "192.0.2.1", 1000), ADMISSION_YES);
    assert_int_equal(begin(a, &one, "192.0.2.2", 1000), ADMISSION_YES);
    for (int i = 0; i < 7; i++)
        assert_false(admission_is_revoked(&single[i]));
    assert_true(admission_is_revoked(&heavy[0]));
    assert_false(admission_is_revoked(&heavy[1]));
    /* A revoked handshake does not finish and is not counted a second time. */
    assert_false(admission_work(a, &heavy[0], 1000));
    assert_false(admission_finish(a, &heavy[0], 1000));
    admission_end(a, &heavy[0], ADMISSION_WRONG, 1000);
    assert_int_equal(admission_count(a), 15);
    assert_int_equal(begin(a, &heavy[0], "192.0.2.1", 1000), ADMISSION_YES);
    assert_true(admission_is_revoked(
        &heavy[1])); /* the place of its own source, not of another one */
}

static void
loopback_and_known_sources_have_places_of_their_own(void **state)
{
    struct admission *a = *state;
    struct admission_ticket strangers[15], t[7];
    struct admission_source *known = calloc(2, sizeof(*known));

    assert_non_null(known);
    known[0] = source("192.0.2.9");
    known[1] = source("192.0.2.1");
    admission_know(a, known, 2);
    for (unsigned i = 0; i < 15; i++)
        assert_int_equal(begin_numbered(a, &strangers[i], i, 1000), ADMISSION_YES);
    assert_int_equal(begin(a, &t[0], "192.0.2.1", 1000), ADMISSION_YES);
    assert_int_equal(begin(a, &t[1], "192.0.2.9", 1000), ADMISSION_YES);
    for (int i = 2; i < 5; i++)
        assert_int_equal(begin(a, &t[i], "127.0.0.1", 1000), ADMISSION_YES);
    assert_int_equal(revoked, 0);
    /* All places are taken now: unknown peers make room for known ones, never the
     * reverse. */
    assert_int_equal(begin(a, &t[5], "::1", 1000), ADMISSION_YES);
    assert_int_equal(begin(a, &t[6], "192.0.2.1", 1000), ADMISSION_YES);
    assert_int_equal(revoked, 2);
    for (int i = 0; i < 7; i++)
        assert_false(admission_is_revoked(&t[i]));
    admission_know(a, NULL, 0);
}

static void
finished_ones_give_their_first_token_back(void **state)
{
    struct admission *a = *state;

    for (unsigned i = 0; i < options.work_burst; i++)
        assert_true(shake_hands(a, "192.0.2.1", 1000));
    assert_int_equal(admission_count(a), 0);
}

/* Each handshake costs a private-key operation: one source gets its rate and no more.
 */
static void
finished_ones_are_limited_per_source(void **state)
{
    struct admission *a = *state;
    unsigned done = 0;

    for (uint64_t now = 1000; now < 11000; now += 2)
        done += shake_hands(a, "192.0.2.1", now);
    assert_in_range(done, 40, 40 + 10 * options.work_rate_per_s);
    assert_true(shake_hands(a, "192.0.2.2", 11000));
    for (int i = 0; i < 500; i++)
        assert_true(shake_hands(a, "127.0.0.1", 11000));
}

static void
finished_ones_of_strangers_are_limited_in_total(void **state)
{
    struct admission *a = *state;
    struct admission_source *known = calloc(1, sizeof(*known));
    struct admission_ticket t;
    unsigned done = 0;

    assert_non_null(known);
    *known = source("192.0.2.1");
    admission_know(a, known, 1);
    for (int i = 0; i < 30; i++) {
        for (unsigned n = 0; n < 12; n++) {
            assert_int_equal(begin_numbered(a, &t, n, 1000), ADMISSION_YES);
            if (!admission_work(a, &t, 1000)) {
                admission_end(a, &t, ADMISSION_NO_AUTH, 0);
                continue;
            }
            done++;
            assert_true(admission_finish(a, &t, 1000));
            admission_end(a, &t, ADMISSION_NO_AUTH, 1000);
        }
        if (done >= options.total_burst)
            break;
    }
    assert_int_equal(done, options.total_burst);
    /* The known peer is not among them. An unknown source without earlier handshakes
     * may borrow a place once. */
    for (int i = 0; i < 20; i++)
        assert_true(shake_hands(a, "192.0.2.1", 1000));
    assert_true(shake_hands(a, "192.0.2.77", 1000));
    assert_false(shake_hands(a, "192.0.2.77", 1000));
}

static void
failed_ones_use_up_tokens_and_wait(void **state)
{
    static const struct {
        enum admission_end how;
        uint64_t pause_ms;
    } ends[] = {
        {ADMISSION_WRONG, 5000}, {ADMISSION_LATE, 10000}, {ADMISSION_NO_AUTH, 1000}};
    struct admission *a = *state;
    struct admission_ticket t;
    uint64_t now = 1000;

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        assert_int_equal(begin(a, &t, "192.0.2.1", now), ADMISSION_YES);
        admission_end(a, &t, ends[i].how, now);
        now += ends[i].pause_ms;
        assert_int_equal(begin(a, &t, "192.0.2.1", now - 1), ADMISSION_NO);
    }
    assert_int_equal(begin(a, &t, "192.0.2.1", now), ADMISSION_YES);
}

static void
one_that_may_not_download_uses_up_a_token_only(void **state)
{
    struct admission *a = *state;
    struct admission_ticket t;

    for (unsigned i = 0; i < options.burst; i++) {
        assert_int_equal(begin(a, &t, "192.0.2.1", 1000), ADMISSION_YES);
        admission_end(a, &t, ADMISSION_REFUSED, 1000);
    }
    assert_int_equal(begin(a, &t, "192.0.2.1", 1000), ADMISSION_NO);
}

static void
loopback_waits_instead_of_being_dropped(void **state)
{
    struct admission *a = *state;
    struct admission_ticket t[20], late;

    for (unsigned i = 0; i < options.max; i++)
        assert_int_equal(begin(a, &t[i], "127.0.0.1", 1), ADMISSION_YES);
    assert_int_equal(begin(a, &late, "::1", 1), ADMISSION_WAIT);
    assert_int_equal(begin(a, &late, "192.0.2.1", 1), ADMISSION_NO);
    assert_int_equal(admission_count(a), options.max);
    admission_end(a, &t[0], ADMISSION_WRONG, 1);
    assert_int_equal(begin(a, &late, "::1", 1), ADMISSION_YES);
}

static void
an_ipv6_network_is_one_source(void **state)
{
    struct admission *a = *state;
    struct admission_ticket t[10];
    char text[64];

    for (int i = 0; i < 8; i++) {
        snprintf(text, sizeof(text), "2001:db8:0:1::%x", i + 1);
        assert_int_equal(begin(a, &t[i], text, 1), ADMISSION_YES);
    }
    assert_int_equal(begin(a, &t[8], "2001:db8:0:1:ffff::9", 1), ADMISSION_NO);
    assert_int_equal(begin(a, &t[9], "2001:db8:0:2::1", 1), ADMISSION_YES);
}

/* a network with many /64 networks */

static struct admission *
open_wide(unsigned max)
{
    struct admission_options opt = options;
    struct admission *a;

    opt.max = max;
    opt.sources_max = 1000;
    assert_int_equal(admission_new(&opt, &a), P2P_OK);
    return a;
}

static enum admission_verdict
begin_prefix(struct admission *a, struct admission_ticket *t, unsigned n)
{
    char text[64];

    snprintf(text, sizeof(text), "2001:db8:1:%x::1", n);
    return begin(a, t, text, 1000);
}

static void
a_network_with_many_prefixes_pushes_nobody_out(void **state)
{
    struct admission *a = open_wide(20);
    struct admission_ticket honest, late, attack[60];

    (void)state;
    assert_int_equal(begin(a, &honest, "192.0.2.1", 1000), ADMISSION_YES);
    for (unsigned n = 0; n < 60; n++)
        assert_int_equal(begin_prefix(a, &attack[n], n), ADMISSION_YES);
    assert_int_equal(admission_count(a), options.max - options.reserved);
    assert_false(admission_is_revoked(&honest));
    assert_int_equal(begin(a, &late, "2001:db8:2::1", 1000), ADMISSION_YES);
    assert_false(admission_is_revoked(&honest) || admission_is_revoked(&late));
    for (unsigned n = 0; n < 60; n++)
        admission_end(a, &attack[n], ADMISSION_LATE, 1000);
    assert_int_equal(admission_count(a), 2);
    admission_free(a);
}

static void
its_unfinished_ones_are_limited_together(void **state)
{
    struct admission *a = open_wide(200);
    struct admission_ticket attack[60], honest;
    unsigned taken = 0;

    (void)state;
    for (unsigned n = 0; n < 60; n++)
        taken += begin_prefix(a, &attack[n], n) == ADMISSION_YES;
    assert_int_equal(taken, 4 * options.per_source);
    assert_int_equal(begin(a, &honest, "2001:db8:2::1", 1000), ADMISSION_YES);
    admission_end(a, &attack[0], ADMISSION_NO_AUTH, 1000);
    assert_int_equal(begin_prefix(a, &attack[59], 59), ADMISSION_YES);
    admission_free(a);
}

/* Each /64 of it looks like a source that has not used the private key yet. */
static void
it_does_not_use_up_the_private_key(void **state)
{
    struct admission *a = open_wide(200);
    struct admission_ticket t;
    unsigned worked = 0;

    (void)state;
    for (unsigned n = 0; n < 500; n++) {
        assert_int_equal(begin_prefix(a, &t, n), ADMISSION_YES);
        worked += admission_work(a, &t, 1000);
        admission_end(a, &t, ADMISSION_NO_AUTH, 1000);
    }
    assert_in_range(worked, 1, options.total_burst + 1);
    assert_int_equal(begin(a, &t, "192.0.2.1", 1000), ADMISSION_YES);
    assert_true(admission_work(a, &t, 1000));
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

/* Sources that have left fill the table: they are forgotten when a new source comes. */
static void
a_table_full_of_strangers_lets_others_in(void **state)
{
    struct admission *a = *state;
    struct admission_ticket t, open;

    assert_int_equal(begin(a, &open, "192.0.2.1", 1), ADMISSION_YES);
    assert_true(admission_finish(a, &open, 1));
    for (unsigned n = 0; n < 20 * options.sources_max; n++) {
        assert_int_equal(begin_numbered(a, &t, n, 1), ADMISSION_YES);
        admission_end(a, &t, ADMISSION_WRONG, 1);
    }
    /* The latest sources are remembered, and so is the one that is connected. */
    assert_int_equal(begin_numbered(a, &t, 20 * options.sources_max - 1, 2),
                     ADMISSION_NO);
    for (unsigned i = 1; i < options.open_per_source; i++) {
        assert_int_equal(begin(a, &t, "192.0.2.1", 1 + i * 1000), ADMISSION_YES);
        assert_true(admission_finish(a, &t, 1 + i * 1000));
    }
    assert_int_equal(begin(a, &t, "192.0.2.1", 1000000), ADMISSION_NO);
}

/* The table is full of connected sources: all others share the limits of one entry. */
static void
sources_without_a_place_share_one(void **state)
{
    struct admission *a = *state;
    struct admission_ticket t[16], more[9];

    for (unsigned n = 0; n < options.sources_max; n++) {
        assert_int_equal(begin_numbered(a, &t[n], n, 1000), ADMISSION_YES);
        assert_true(admission_finish(a, &t[n], 1000));
    }
    for (unsigned i = 0; i < options.per_source; i++)
        assert_int_equal(begin_numbered(a, &more[i], 1000 + i, 1000), ADMISSION_YES);
    assert_int_equal(begin_numbered(a, &more[8], 2000, 1000), ADMISSION_NO);
    for (unsigned i = 0; i < options.per_source; i++)
        admission_end(a, &more[i], ADMISSION_NO_AUTH, 1000);
    admission_end(a, &t[0], ADMISSION_NO_AUTH, 1000);
    assert_int_equal(begin_numbered(a, &more[8], 2000, 1000), ADMISSION_YES);
}

/* Loops read the clock before they get the lock, so a time may be earlier than the
 * previous one. This must not fill the bucket. */
static void
a_time_that_goes_back_earns_nothing(void **state)
{
    struct admission *a = *state;
    struct admission_ticket t;
    unsigned begun = 0;

    for (unsigned i = 0; i < 3 * options.burst; i++) {
        uint64_t now = 100000 - i % 2;
        if (begin(a, &t, "192.0.2.1", now) != ADMISSION_YES)
            continue;
        begun++;
        /* The peer closed it before it could fail, so the next one has no penalty. */
        admission_end(a, &t, ADMISSION_NO_AUTH, now - 1000);
    }
    assert_int_equal(begun, options.burst);
}

/* Otherwise a source that finishes its handshakes and stays connected could take every
 * place. */
static void
limits_open_connections_per_source(void **state)
{
    struct admission *a = *state;
    static struct admission_ticket one[100], self[100];
    struct admission_ticket t;
    uint64_t now = 1000;

    for (unsigned i = 0; i < options.open_per_source; i++) {
        assert_int_equal(begin(a, &one[i], "192.0.2.1", now), ADMISSION_YES);
        assert_true(admission_finish(a, &one[i], now));
        assert_int_equal(begin(a, &self[i], "127.0.0.1", now), ADMISSION_YES);
        assert_true(admission_finish(a, &self[i], now));
    }
    now += 1000000; /* open ones are not forgotten */
    assert_int_equal(begin(a, &t, "192.0.2.1", now), ADMISSION_NO);
    assert_int_equal(begin(a, &t, "192.0.2.2", now), ADMISSION_YES);
    assert_int_equal(begin(a, &t, "127.0.0.1", now), ADMISSION_YES);
    admission_end(a, &one[0], ADMISSION_NO_AUTH, now);
    assert_int_equal(begin(a, &one[0], "192.0.2.1", now), ADMISSION_YES);
    admission_end(a, &one[0], ADMISSION_NO_AUTH, now);
    assert_int_equal(begin(a, &one[0], "192.0.2.1", now + 5000), ADMISSION_YES);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(limits_unfinished_ones_per_source),
        TEST(half_open_ones_from_many_addresses_make_room),
        TEST(the_source_with_most_gives_its_oldest),
        TEST(loopback_and_known_sources_have_places_of_their_own),
        TEST(finished_ones_give_their_first_token_back),
        TEST(finished_ones_are_limited_per_source),
        TEST(finished_ones_of_strangers_are_limited_in_total),
        TEST(failed_ones_use_up_tokens_and_wait),
        TEST(one_that_may_not_download_uses_up_a_token_only),
        TEST(loopback_waits_instead_of_being_dropped),
        TEST(an_ipv6_network_is_one_source),
        TEST(a_network_with_many_prefixes_pushes_nobody_out),
        TEST(its_unfinished_ones_are_limited_together),
        TEST(it_does_not_use_up_the_private_key),
        TEST(a_mapped_address_is_the_ipv4_one),
        TEST(a_table_full_of_strangers_lets_others_in),
        TEST(sources_without_a_place_share_one),
        TEST(limits_open_connections_per_source),
        TEST(a_time_that_goes_back_earns_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
