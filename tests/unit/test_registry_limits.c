// uses p2p-discovery
/* How much a registry keeps: memory in total and for one address, records of peers that
 * left, and addresses of heartbeats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "discovery/registry/pressure.h"
#include "registry_fixture.h"

#define MIB (1024u * 1024)

static void
open_with(struct registry_options opt)
{
    if (opt.ttl_ms == 0)
        opt.ttl_ms = TTL_MS;
    if (opt.max_peers == 0)
        opt.max_peers = 100000;
    registry_close(registry);
    assert_int_equal(registry_open(&opt, &registry), P2P_OK);
}

static struct registry_stats
stats_now(void)
{
    struct registry_stats stats;

    registry_stats(registry, &stats);
    return stats;
}

/* A list of names that no other peer has. */
struct list {
    struct p2p_reg_entry *entries;
    char (*names)[24];
};

static struct list
list_of(unsigned peer, unsigned count)
{
    struct list l = {calloc(count + 1u, sizeof(*l.entries)),
                     calloc(count + 1u, sizeof(*l.names))};

    for (unsigned i = 0; i < count; i++) {
        snprintf(l.names[i], sizeof(l.names[i]), "%06u of %06u", i, peer);
        l.entries[i] = entry(l.names[i], i);
        memcpy(l.entries[i].root.b, &peer, sizeof(peer));
        memcpy(l.entries[i].root.b + 4, &i, sizeof(i));
    }
    return l;
}

static void
list_clear(struct list *l)
{
    free(l->entries);
    free(l->names);
}

static enum registry_result
put_list(struct record *r, unsigned peer, unsigned count)
{
    struct list l = list_of(peer, count);
    enum registry_result result;

    r->entries = l.entries;
    r->count = count;
    r->has_content = true;
    result = put(r);
    r->entries = NULL;
    r->count = 0;
    list_clear(&l);
    return result;
}

static enum registry_result
put_many(unsigned peer, unsigned count, const char *from)
{
    struct record r = unsigned_record(peer);

    strcpy(r.from, from);
    return put_list(&r, peer, count);
}

static bool
is_listed(unsigned peer)
{
    struct p2p_id id = id_of(peer);
    unsigned n = 0;

    return registry_visit_one(registry, &id, count_one, &n);
}

/* ---- memory ---- */

static void
it_never_keeps_more_than_its_memory(void **state)
{
    unsigned taken = 0;

    (void)state;
    open_with((struct registry_options){.max_bytes = 8 * MIB});
    assert_int_equal(put_many(1, 3, "127.0.0.1"), REGISTRY_OK);
    for (unsigned n = 100; n < 116; n++) {
        enum registry_result result = put_many(n, 10000, "127.0.0.1");

        assert_true(result == REGISTRY_OK || result == REGISTRY_NO_ROOM);
        taken += result == REGISTRY_OK;
        assert_true(stats_now().bytes <= 8 * MIB);
        assert_true(is_listed(n) == (result == REGISTRY_OK));
    }
    assert_true(taken > 0 && taken < 8);
    assert_true(is_listed(1)); /* the peers that were there before stay */
    assert_int_equal(put_many(2, 100, "127.0.0.1"), REGISTRY_OK);
    assert_true(is_listed(1) && is_listed(2));
    assert_int_equal(count_peers("000007 of 000002"), 1);
    assert_true(stats_now().bytes <= 8 * MIB);
}

/* Ids cost nothing: many small lists of one address count as one large share. */
static void
a_crowd_of_one_address_makes_room_for_others(void **state)
{
    unsigned crowd = 0, n = 100;

    (void)state;
    open_with((struct registry_options){.max_bytes = 2 * MIB});
    assert_int_equal(put_many(1, 10, "192.0.2.1"), REGISTRY_OK);
    while (put_many(n++, 100, "198.51.100.7") == REGISTRY_OK && n < 10000)
        crowd++;
    assert_true(crowd > 10 && n < 10000);
    for (unsigned i = 2; i < 12; i++) {
        char from[32];

        snprintf(from, sizeof(from), "192.0.2.%u", i);
        assert_int_equal(put_many(i, 10, from), REGISTRY_OK);
    }
    for (unsigned i = 1; i < 12; i++)
        assert_true(is_listed(i));
    assert_true(stats_now().evicted > 0);
    assert_true(stats_now().bytes <= 2 * MIB);
}

static void
worth_is_bytes_by_age_and_a_signature_counts(void **state)
{
    const uint64_t hour = 3600 * 1000;

    (void)state;
    assert_true(pressure_score(1000, true, 0) > pressure_score(1000, true, hour));
    assert_true(pressure_score(2000, true, 0) > pressure_score(1000, true, 0));
    assert_true(pressure_score(1000, false, 0) == pressure_score(4000, true, 0));
    /* A large list of a peer that is known for a day is kept before a new one. */
    assert_true(pressure_score(MIB, true, 24 * hour) <
                pressure_score(64 * 1024, true, 0));
}

static void
a_change_that_is_refused_changes_nothing(void **state)
{
    struct p2p_reg_entry first[] = {entry("a", 1), entry("b", 2)};
    struct record r = signed_record(1, 5);
    struct list l = list_of(7, 50000);
    struct registry_delta d = {
        .id = r.id, .seq = 6, .base = 5, .add = l.entries, .n_add = 50000};
    struct registry_stats before, after;
    uint64_t known;

    (void)state;
    open_with((struct registry_options){.max_bytes = 4 * MIB});
    r.entries = first;
    r.count = 2;
    assert_int_equal(put(&r), REGISTRY_OK);
    before = stats_now();
    assert_int_equal(registry_apply_delta(registry, &d, &known), REGISTRY_NO_ROOM);
    r.entries = l.entries;
    r.count = 50000;
    r.seq = 7;
    assert_int_equal(put(&r), REGISTRY_NO_ROOM);
    after = stats_now();
    assert_int_equal(after.postings, 2);
    assert_int_equal(after.contents, 2);
    assert_int_equal(after.bytes, before.bytes);
    assert_int_equal(count_peers("a"), 1);
    assert_int_equal(count_peers("000001 of 000007"), 0);
    d.add = first + 1; /* the seq has not changed, either */
    d.n_add = 1;
    assert_int_equal(registry_apply_delta(registry, &d, &known), REGISTRY_OK);
    list_clear(&l);
}

static void
what_goes_is_not_counted_any_more(void **state)
{
    (void)state;
    open_with((struct registry_options){.max_bytes = 64 * MIB});
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned n = 0; n < 20; n++)
            assert_int_equal(put_many(n, 500 + round, "192.0.2.1"), REGISTRY_OK);
        assert_true(stats_now().bytes > 20 * 500 * 100);
        for (unsigned n = 0; n < 20; n++) {
            struct p2p_id id = id_of(n);

            registry_remove(registry, &id);
        }
        assert_int_equal(stats_now().bytes, 0);
    }
}

/* Names that no peer has any longer use memory until they are dropped. */
static void
names_that_change_for_ever_stay_within_the_memory(void **state)
{
    (void)state;
    open_with((struct registry_options){.max_bytes = 8 * MIB});
    for (unsigned round = 0; round < 20; round++) {
        struct record r = unsigned_record(1);
        enum registry_result result = put_list(&r, 1000 + round, 5000);

        assert_true(result == REGISTRY_OK || result == REGISTRY_NO_ROOM);
        registry_tidy(registry);
        dict_settle(registry_dict(registry));
        assert_true(stats_now().names < 30000);
    }
    assert_true(is_listed(1));
}

/* ---- one address ---- */

static void
one_address_has_its_share(void **state)
{
    (void)state;
    open_with(
        (struct registry_options){.max_bytes = 64 * MIB, .max_bytes_per_ip = MIB});
    assert_int_equal(put_many(1, 2000, "192.0.2.1"), REGISTRY_OK);
    assert_int_equal(put_many(2, 2000, "192.0.2.1"), REGISTRY_HEAVY);
    assert_int_equal(put_many(2, 20, "192.0.2.1"), REGISTRY_OK);
    assert_int_equal(put_many(3, 2000, "192.0.2.2"), REGISTRY_OK);
    assert_int_equal(put_many(4, 2000, "2001:db8::1"), REGISTRY_OK);
    assert_int_equal(put_many(5, 2000, "2001:db8::2"), REGISTRY_HEAVY); /* one /64 */
    assert_int_equal(put_many(5, 2000, "2001:db8:0:1::2"), REGISTRY_OK);
    assert_int_equal(put_many(1, 1900, "192.0.2.1"), REGISTRY_OK); /* in its place */
    assert_int_equal(put_many(1, 4000, "192.0.2.1"), REGISTRY_HEAVY);
    assert_true(is_listed(1) && is_listed(2));
}

/* How many of `count` peers are accepted, one from each /64 of prefix:0 and up (IPv4:
 * from each address). */
static unsigned
put_from_each(unsigned first, unsigned count, const char *prefix, unsigned start)
{
    unsigned taken = 0;
    char from[40];

    for (unsigned i = 0; i < count; i++) {
        enum registry_result result;
        if (strchr(prefix, ':') != NULL)
            snprintf(from, sizeof(from), "%s:%x::1", prefix, start + i);
        else
            snprintf(from, sizeof(from), "%s.%u", prefix, start + i);
        result = put_many(first + i, 1, from);
        assert_true(result == REGISTRY_OK || result == REGISTRY_CROWDED);
        taken += result == REGISTRY_OK;
    }
    return taken;
}

/* A customer of a network provider has thousands of /64 networks. */
static void
many_prefixes_of_one_network_have_their_share(void **state)
{
    struct p2p_id id = id_of(1000);

    (void)state;
    open_with((struct registry_options){.max_peers_per_ip = 10});
    assert_int_equal(put_from_each(1000, 256, "2001:db8:1", 0), 20); /* one /56 */
    assert_int_equal(put_from_each(2000, 256, "2001:db8:1", 0x100), 20);
    assert_int_equal(put_from_each(3000, 256, "2001:db8:1", 0x200), 0); /* one /48 */
    assert_int_equal(put_from_each(4000, 256, "2001:db8:2", 0), 20);
    assert_int_equal(put_from_each(5000, 200, "192.0.2", 1), 200);
    assert_int_equal(put_many(1000, 2, "2001:db8:1::1"), REGISTRY_OK); /* again */
    registry_remove(registry, &id);
    assert_int_equal(put_from_each(6000, 2, "2001:db8:1", 0x300), 1);
}

static void
their_bytes_count_together(void **state)
{
    unsigned taken = 0;
    char from[40];

    (void)state;
    open_with(
        (struct registry_options){.max_bytes = 64 * MIB, .max_bytes_per_ip = MIB});
    for (unsigned i = 0; i < 64; i++) { /* of 16 different /56 */
        snprintf(from, sizeof(from), "2001:db8:1:%x::1", i << 6);
        taken += put_many(i, 2000, from) == REGISTRY_OK;
    }
    assert_in_range(taken, 4, 8);
    assert_int_equal(put_many(100, 2000, "2001:db8:2::1"), REGISTRY_OK);
}

static void
a_network_that_spreads_makes_room_for_others(void **state)
{
    unsigned taken = 0;
    char from[40];

    (void)state;
    open_with((struct registry_options){.max_bytes = 4 * MIB});
    for (unsigned i = 0; i < 400; i++) {
        snprintf(from, sizeof(from), "2001:db8:1:%x::1", i);
        taken += put_many(i, 200, from) == REGISTRY_OK;
    }
    assert_true(taken > 10 && stats_now().peers < 200); /* it is full */
    for (unsigned n = 0; n < 5; n++) {
        snprintf(from, sizeof(from), "192.0.2.%u", n);
        assert_int_equal(put_many(1000 + n, 200, from), REGISTRY_OK);
    }
    for (unsigned n = 0; n < 5; n++)
        assert_true(is_listed(1000 + n));
}

/* With the default limits of p2p-discovery. */
static void
five_hundred_colleagues_come_from_one_address(void **state)
{
    (void)state;
    open_with((struct registry_options){.max_bytes = 512 * MIB,
                                        .max_bytes_per_ip = 64 * MIB,
                                        .max_peers_per_ip = 1000});
    for (unsigned n = 0; n < 500; n++)
        assert_int_equal(put_many(n, 20, "203.0.113.5"), REGISTRY_OK);
    assert_int_equal(stats_now().peers, 500);
}

/* the records of peers that left */

static enum registry_result
come_and_leave(unsigned n, const char *from)
{
    struct record r = signed_record(n, 5);
    uint64_t known;

    strcpy(r.from, from);
    if (put(&r) != REGISTRY_OK)
        return REGISTRY_FULL;
    return registry_leave(registry, &r.id, 6, &known);
}

static void
the_dead_take_no_place_from_the_living(void **state)
{
    struct record r = signed_record(1, 5);

    (void)state;
    open_with((struct registry_options){
        .max_peers = 50, .max_peers_per_ip = 10, .max_bytes = 4 * MIB});
    assert_int_equal(come_and_leave(1, "192.0.2.1"), REGISTRY_OK);
    for (unsigned n = 100; n < 3000; n++)
        assert_int_equal(come_and_leave(n, "198.51.100.7"), REGISTRY_OK);
    assert_int_equal(stats_now().peers, 0);
    assert_true(stats_now().remembered <= 1 + 4 * 10);
    strcpy(r.from, "192.0.2.1");
    assert_int_equal(put(&r),
                     REGISTRY_STALE); /* the crowd has not pushed this record out */
    r.seq = 7;
    assert_int_equal(put(&r), REGISTRY_OK);
    r = signed_record(2999, 5); /* nor its own last ones */
    assert_int_equal(put(&r), REGISTRY_STALE);
}

static void
tombstones_of_all_addresses_have_their_part_of_the_memory(void **state)
{
    (void)state;
    open_with((struct registry_options){.max_peers = 1000, .max_bytes = MIB});
    for (unsigned n = 0; n < 5000; n++) {
        char from[32];

        snprintf(from, sizeof(from), "10.%u.%u.1", n / 200, n % 200);
        assert_int_equal(come_and_leave(n, from), REGISTRY_OK);
    }
    assert_true(stats_now().remembered > 100);
    assert_true(stats_now().bytes <= MIB / 16);
    assert_int_equal(put_many(6000, 10, "192.0.2.1"), REGISTRY_OK);
}

static bool
take_until(void *arg, const struct registry_exported *p)
{
    *(uint64_t *)arg = p->seq_until_s;
    return true;
}

/* A snapshot or a store may contain anything. */
static void
nothing_is_remembered_for_longer_than_a_signature_is_valid(void **state)
{
    struct p2p_id id = id_of(1), past = id_of(2);
    struct record r = signed_record(3, 5);
    uint64_t until_s = 0;

    (void)state;
    registry_remember(registry, &id, 5, p2p_time_s() + 10ull * 365 * 86400);
    registry_remember(registry, &past, 5, p2p_time_s() - 1);
    assert_true(registry_export_one(registry, &id, take_until, &until_s));
    assert_true(until_s <= p2p_time_s() + REGISTRY_SIGNATURE_MAX_S + 1);
    assert_false(registry_export_one(registry, &past, take_until, &until_s));
    r.expires_at_s = p2p_time_s() + 10ull * 365 * 86400; /* by another clock */
    assert_int_equal(put(&r), REGISTRY_OK);
    assert_true(registry_export_one(registry, &r.id, take_until, &until_s));
    assert_true(until_s <= p2p_time_s() + REGISTRY_SIGNATURE_MAX_S + 1);
    for (unsigned n = 0; n < 10; n++) /* the peer is alive, but its signature expires */
        registry_heartbeat(registry, &r.id,
                           p2p_now_ms() + REGISTRY_SIGNATURE_MAX_S * 1000ull);
    registry_expire(registry, p2p_now_ms() + REGISTRY_SIGNATURE_MAX_S * 1000ull + 1000);
    assert_false(is_listed(3));
}

/* Accepted while this clock was ten years ahead; it has been corrected since. */
static void
a_seq_from_a_wrong_clock_yields_to_the_right_one(void **state)
{
    uint64_t ahead = p2p_time_ms() + 10ull * 365 * 86400 * 1000, known;
    struct record r = signed_record(1, ahead);

    (void)state;
    assert_int_equal(put(&r), REGISTRY_OK);
    r.seq = p2p_time_ms() - 5000;
    assert_int_equal(registry_put(registry, &r, 0, &known), REGISTRY_STALE);
    assert_true(known >= r.seq && known <= p2p_time_ms());
    r.seq = p2p_time_ms() + 1000;
    assert_int_equal(put(&r), REGISTRY_OK);
    assert_int_equal(registry_leave(registry, &r.id, ahead, &known), REGISTRY_OK);
    r.seq = p2p_time_ms() + 2000;
    assert_int_equal(put(&r), REGISTRY_OK);
    assert_true(registry_seq_is_ahead(ahead, p2p_time_s()));
    assert_false(registry_seq_is_ahead(p2p_time_ms() + 60000, p2p_time_s()));
    assert_false(
        registry_seq_is_ahead(p2p_time_ms(), 100)); /* the clock is not set yet */
}

/* ---- heartbeats ---- */

static enum registry_beat_result
beat(unsigned n, const char *from)
{
    struct p2p_id id = id_of(n);

    return registry_heartbeat_from(registry, &id, from);
}

static void
a_peer_that_has_moved_is_told_once_a_minute(void **state)
{
    struct record r = unsigned_record(1);

    (void)state;
    assert_int_equal(beat(1, "192.0.2.1"), REGISTRY_BEAT_UNKNOWN);
    strcpy(r.ip, "192.0.2.1");
    strcpy(r.from, "192.0.2.1");
    assert_int_equal(put(&r), REGISTRY_OK);
    assert_int_equal(beat(1, "192.0.2.1"), REGISTRY_BEAT_OK);
    assert_int_equal(beat(1, "192.0.2.9"), REGISTRY_BEAT_MOVED);
    assert_int_equal(beat(1, "192.0.2.9"), REGISTRY_BEAT_OK);
    assert_int_equal(beat(1, "2001:db8::1"), REGISTRY_BEAT_OK);
    assert_int_equal(beat(1, "192.0.2.1"), REGISTRY_BEAT_OK);
    r.is_ip_stated =
        true; /* it states its address, so its heartbeats may come from any address */
    assert_int_equal(put(&r), REGISTRY_OK);
    assert_int_equal(beat(1, "198.51.100.1"), REGISTRY_BEAT_OK);
    r.id = id_of(
        2); /* from another registry: it is not known whether it stated its address */
    r.is_ip_stated = false;
    r.from[0] = '\0';
    assert_int_equal(put(&r), REGISTRY_OK);
    assert_int_equal(beat(2, "198.51.100.1"), REGISTRY_BEAT_OK);
}

static void
an_address_elsewhere_is_only_claimed(void **state)
{
    static const struct {
        const char *stated, *from;
        bool is_claimed;
    } cases[] = {
        {"203.0.113.66", "198.51.100.7", true},
        {"203.0.113.66", "10.0.0.5", true},
        {"203.0.113.66", "2001:db8::1", true},
        {"2001:db8:1::1", "2001:db8::1", true},
        {"203.0.113.66", "203.0.113.7", false}, /* near */
        {"203.0.113.66", "203.0.113.66", false},
        {"2001:db8::1", "2001:db8::2", false},
        {"203.0.113.66", "127.0.0.1", false}, /* this machine */
        {"203.0.113.66", "::1", false},
        {"192.168.1.5", "203.0.113.7", false}, /* of a local network */
        {"10.0.0.5", "203.0.113.7", false},
        {"172.31.0.5", "203.0.113.7", false},
        {"172.32.0.5", "203.0.113.7", true},
        {"100.64.0.5", "203.0.113.7", false},
        {"169.254.0.5", "203.0.113.7", false},
        {"fd00::5", "2001:db8::1", false},
        {"fe80::5", "2001:db8::1", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(record_ip_is_claimed(cases[i].stated, cases[i].from),
                         cases[i].is_claimed);
}

static void
a_claimed_address_stays_one_as_bytes(void **state)
{
    struct record r = signed_record(1, 5), again;
    uint8_t *bytes;
    size_t len;

    (void)state;
    r.protocols = 3;
    for (unsigned claimed = 0; claimed < 2; claimed++) {
        r.is_ip_claimed = claimed;
        assert_int_equal(record_encode(&r, &bytes, &len), P2P_OK);
        assert_int_equal(record_decode(bytes, len, &again), P2P_OK);
        assert_int_equal(again.is_ip_claimed, claimed);
        assert_int_equal(again.protocols, 3);
        record_clear(&again);
        free(bytes);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_never_keeps_more_than_its_memory),
        TEST(a_crowd_of_one_address_makes_room_for_others),
        TEST(worth_is_bytes_by_age_and_a_signature_counts),
        TEST(a_change_that_is_refused_changes_nothing),
        TEST(what_goes_is_not_counted_any_more),
        TEST(names_that_change_for_ever_stay_within_the_memory),
        TEST(one_address_has_its_share),
        TEST(many_prefixes_of_one_network_have_their_share),
        TEST(their_bytes_count_together),
        TEST(a_network_that_spreads_makes_room_for_others),
        TEST(five_hundred_colleagues_come_from_one_address),
        TEST(the_dead_take_no_place_from_the_living),
        TEST(tombstones_of_all_addresses_have_their_part_of_the_memory),
        TEST(nothing_is_remembered_for_longer_than_a_signature_is_valid),
        TEST(a_seq_from_a_wrong_clock_yields_to_the_right_one),
        TEST(a_peer_that_has_moved_is_told_once_a_minute),
        TEST(an_address_elsewhere_is_only_claimed),
        TEST(a_claimed_address_stays_one_as_bytes),
    };

    return cmocka_run_group_tests_name("registry_limits", tests, NULL, NULL);
}
