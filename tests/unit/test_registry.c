// uses p2p-discovery
/* The registry's store of peers: which records may change, the order of lists, and
 * expiry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "registry_fixture.h"

/* which request may change which record */

static void
a_signed_record_yields_only_to_its_key_and_a_higher_seq(void **state)
{
    struct record old = unsigned_record(1), r = signed_record(1, 5);
    uint64_t known;

    (void)state;
    assert_int_equal(put(&old), REGISTRY_OK);
    assert_int_equal(put(&r), REGISTRY_OK);
    assert_int_equal(put(&old), REGISTRY_SIGNED);
    assert_int_equal(put(&r), REGISTRY_OK); /* the same again */
    r.port = 9001;
    assert_int_equal(put(&r), REGISTRY_STALE);
    r.seq = 4;
    assert_int_equal(registry_put(registry, &r, 0, &known), REGISTRY_STALE);
    assert_int_equal(known, 5);
    r.seq = 6;
    assert_int_equal(put(&r), REGISTRY_OK);
    assert_int_equal(registry_leave(registry, &r.id, 6, &known), REGISTRY_STALE);
    assert_int_equal(registry_leave(registry, &r.id, 7, &known), REGISTRY_OK);
    assert_int_equal(count_peers(NULL), 0);
    assert_int_equal(put(&r), REGISTRY_STALE); /* kept longer than the record */
    r.seq = 8;
    assert_int_equal(put(&r), REGISTRY_OK);
}

static bool
note_seq(void *arg, const struct registry_peer *p)
{
    *(uint64_t *)arg = p->seq;
    return false;
}

/* A seq that a wrong clock left behind counts as the registry's clock, and does not
 * affect a record with a higher seq. */
static void
a_record_keeps_its_seq_whatever_was_left_behind(void **state)
{
    uint64_t now_ms = p2p_time_ms(), seq = 0;
    struct record r = signed_record(1, now_ms + 20000);

    (void)state;
    registry_remember(registry, &r.id, now_ms + 2ull * REGISTRY_SEQ_AHEAD_MS,
                      p2p_time_s() + 600);
    assert_int_equal(put(&r), REGISTRY_OK);
    assert_true(registry_visit_one(registry, &r.id, note_seq, &seq));
    assert_int_equal(seq, now_ms + 20000);
}

static void
an_address_registers_so_many_peers(void **state)
{
    struct record again, other;

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        struct record r = unsigned_record(i);

        strcpy(r.from, "192.0.2.1");
        strcpy(r.ip, i % 2 == 0 ? "192.0.2.2"
                                : "127.0.0.1"); /* whatever address they state */
        assert_int_equal(put(&r), i < 3 ? REGISTRY_OK : REGISTRY_CROWDED);
    }
    other = unsigned_record(5); /* their records come from other registries */
    strcpy(other.ip, "192.0.2.2");
    strcpy(other.from, "192.0.2.2");
    assert_int_equal(put(&other), REGISTRY_OK);
    again = unsigned_record(2);
    strcpy(again.from, "192.0.2.1");
    assert_int_equal(put(&again), REGISTRY_OK);
    strcpy(again.from, "192.0.2.2"); /* moves, and makes room */
    assert_int_equal(put(&again), REGISTRY_OK);
    again = unsigned_record(4);
    strcpy(again.from, "192.0.2.1");
    assert_int_equal(put(&again), REGISTRY_OK);
    for (unsigned i = 10; i < 20;
         i++) { /* loopback, and other registries, are exempt */
        struct record local = unsigned_record(i);

        strcpy(local.from, i % 2 == 0 ? "127.0.0.1" : "");
        assert_int_equal(put(&local), REGISTRY_OK);
    }
    for (unsigned i = 20; i < 25; i++) { /* a household has one /64 */
        struct record home = unsigned_record(i);

        snprintf(home.from, sizeof(home.from), "2001:db8::%u", i);
        assert_int_equal(put(&home), i < 23 ? REGISTRY_OK : REGISTRY_CROWDED);
    }
}

/* ---- lists ---- */

struct page {
    struct p2p_id ids[3000];
    unsigned count, limit;
};

static bool
take_id(void *arg, const struct registry_peer *p)
{
    struct page *page = arg;

    page->ids[page->count++] = p->id;
    return page->count < page->limit;
}

static void
lists_go_by_id_whatever_the_page(void **state)
{
    static struct page all, paged;

    (void)state;
    for (unsigned n = 0; n < 2500; n++) {
        struct p2p_reg_entry e = {.name = {"one", 3}};
        struct record r = unsigned_record(n);

        r.entries = &e;
        r.count = n % 2;
        assert_int_equal(put(&r), REGISTRY_OK);
    }
    for (unsigned filtered = 0; filtered < 2; filtered++) {
        struct registry_filter filter = {.file = filtered ? "one" : NULL};
        unsigned want = filtered ? 1250 : 2500;

        all = (struct page){.limit = 3000};
        registry_visit_peers(registry, &filter, NULL, take_id, &all);
        assert_int_equal(all.count, want);
        for (unsigned i = 1; i < want; i++)
            assert_true(memcmp(all.ids[i - 1].b, all.ids[i].b, 32) < 0);
        for (unsigned limit = 1; limit < 1000; limit = limit * 3 + 4) {
            unsigned done = 0;

            while (done < want) {
                paged = (struct page){.limit = limit};
                registry_visit_peers(registry, &filter,
                                     done > 0 ? &all.ids[done - 1] : NULL, take_id,
                                     &paged);
                assert_true(paged.count > 0);
                assert_memory_equal(paged.ids, all.ids + done, paged.count * 32);
                done += paged.count;
            }
        }
    }
}

/* One chain of the table of ids: all ids begin with the same ten bits. */
static void
nobody_hides_behind_ids_that_begin_alike(void **state)
{
    enum { CROWD = 700 };
    static struct page all, paged;
    struct p2p_id victim = {{0x5a, 0x40, 0x80}};
    struct registry_filter filter = {0};
    unsigned done = 0;

    (void)state;
    for (unsigned n = 0; n <= CROWD; n++) {
        struct record r = unsigned_record(n);

        r.id.b[0] = victim.b[0];
        r.id.b[1] = (uint8_t)(victim.b[1] | (r.id.b[1] & 0x3f));
        if (n == CROWD / 2)
            r.id = victim;
        assert_int_equal(put(&r), REGISTRY_OK);
    }
    all = (struct page){.limit = 3000};
    registry_visit_peers(registry, &filter, NULL, take_id, &all);
    assert_int_equal(all.count, CROWD + 1);
    for (unsigned i = 1; i < all.count; i++)
        assert_true(memcmp(all.ids[i - 1].b, all.ids[i].b, 32) < 0);
    while (done < all.count) {
        paged = (struct page){.limit = 50};
        registry_visit_peers(registry, &filter, done > 0 ? &all.ids[done - 1] : NULL,
                             take_id, &paged);
        assert_true(paged.count > 0);
        assert_memory_equal(paged.ids, all.ids + done, paged.count * 32);
        done += paged.count;
    }
}

/* ---- deltas ---- */

static void
a_delta_changes_what_it_says(void **state)
{
    struct p2p_reg_entry first[] = {entry("a", 1), entry("b", 2), entry("c", 3)};
    struct p2p_reg_entry add[] = {entry("b", 9), entry("d", 4)};
    struct p2p_text removed[] = {{"a", 1}, {"x", 1}};
    struct record r = signed_record(1, 1);
    struct registry_delta d = {r.id, 2, 1, add, 2, removed, 2};
    struct registry_stats stats;
    uint64_t known;

    (void)state;
    r.entries = first;
    r.count = 3;
    assert_int_equal(registry_apply_delta(registry, &d, &known), REGISTRY_UNKNOWN);
    assert_int_equal(put(&r), REGISTRY_OK);
    d.base = 7;
    assert_int_equal(registry_apply_delta(registry, &d, &known), REGISTRY_STALE);
    d.base = 1;
    assert_int_equal(registry_apply_delta(registry, &d, &known), REGISTRY_OK);
    assert_int_equal(registry_apply_delta(registry, &d, &known), REGISTRY_STALE);
    assert_int_equal(count_peers("a"), 0);
    assert_int_equal(count_peers("b"), 1);
    assert_int_equal(count_peers("c"), 1);
    assert_int_equal(count_peers("d"), 1);
    registry_stats(registry, &stats);
    assert_int_equal(stats.postings, 3);
    assert_int_equal(stats.contents, 3); /* the old content of b is gone */
}

/* ---- time ---- */

static void
silent_peers_run_out_and_others_stay(void **state)
{
    struct record a = unsigned_record(1), b = unsigned_record(2);
    uint64_t now = p2p_now_ms();

    (void)state;
    assert_int_equal(put(&a), REGISTRY_OK);
    assert_int_equal(put(&b), REGISTRY_OK);
    assert_true(registry_heartbeat(registry, &a.id, now + 10000));
    assert_true(registry_expire(registry, now + TTL_MS - 1000) <= now + TTL_MS + 2000);
    assert_int_equal(count_peers(NULL), 2);
    assert_int_equal(registry_expire(registry, now + TTL_MS + 5000),
                     now + 10000 + TTL_MS);
    assert_int_equal(count_peers(NULL), 1);
    assert_false(registry_heartbeat(registry, &b.id, 0));
    assert_int_equal(registry_expire(registry, now + TTL_MS + 20000), UINT64_MAX);
    assert_int_equal(count_peers(NULL), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_signed_record_yields_only_to_its_key_and_a_higher_seq),
        TEST(a_record_keeps_its_seq_whatever_was_left_behind),
        TEST(an_address_registers_so_many_peers),
        TEST(lists_go_by_id_whatever_the_page),
        TEST(nobody_hides_behind_ids_that_begin_alike),
        TEST(a_delta_changes_what_it_says),
        TEST(silent_peers_run_out_and_others_stay),
    };

    return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
