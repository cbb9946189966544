// uses src/discovery/[!m]*.c src/discovery/m[ae]t*.c
/* The registry's store of peers: who may change what, order of lists, expiry, bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "discovery/registry.h"
#include "discovery/snapshot.h"
#include "p2p/net.h"

#define TTL_MS 60000u

static struct registry *registry;

static int
open_registry(void **state)
{
    struct registry_options opt = {
        .ttl_ms = TTL_MS, .max_peers = 5000, .max_peers_per_ip = 3};

    (void)state;
    return p2p_crypto_init() == P2P_OK && registry_open(&opt, &registry) == P2P_OK ? 0
                                                                                   : -1;
}

static int
close_registry(void **state)
{
    (void)state;
    registry_close(registry);
    registry = NULL;
    return 0;
}

/* ---- records ---- */

static struct p2p_id
id_of(unsigned n)
{
    struct p2p_digest d;
    struct p2p_id id;

    assert_int_equal(p2p_sha256(&n, sizeof(n), &d), P2P_OK);
    memcpy(id.b, d.b, sizeof(id.b));
    return id;
}

/* A number that passes for a modulus. */
static void
make_key(struct p2p_spki *key)
{
    struct p2p_rsa *rsa;

    assert_int_equal(p2p_rsa_generate(&rsa), P2P_OK);
    *key = *p2p_rsa_spki(rsa);
    p2p_rsa_free(rsa);
}

static struct record
unsigned_record(unsigned n)
{
    struct record r = {.id = id_of(n), .ip = "127.0.0.1", .port = 9000, .protocols = 1};

    return r;
}

static struct record
signed_record(unsigned n, uint64_t seq)
{
    static struct p2p_spki key;
    struct record r = unsigned_record(n);

    if (key.b[0] == 0)
        make_key(&key);
    r.is_signed = r.has_content = true;
    r.seq = seq;
    r.expires_at_s = p2p_time_s() + 600;
    r.key = key;
    return r;
}

static enum registry_result
put(const struct record *r)
{
    uint64_t seq;

    return registry_put(registry, r, 0, &seq);
}

static bool
count_one(void *arg, const struct registry_peer *p)
{
    (void)p;
    ++*(unsigned *)arg;
    return true;
}

static unsigned
count_peers(const char *file)
{
    struct registry_filter filter = {.file = file};
    unsigned n = 0;

    registry_visit_peers(registry, &filter, NULL, count_one, &n);
    return n;
}

/* ---- who may change what ---- */

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
    assert_int_equal(put(&r), REGISTRY_STALE); /* remembered beyond the record */
    r.seq = 8;
    assert_int_equal(put(&r), REGISTRY_OK);
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
                                : "127.0.0.1"); /* wherever they are said to be */
        assert_int_equal(put(&r), i < 3 ? REGISTRY_OK : REGISTRY_CROWDED);
    }
    other = unsigned_record(5); /* whose address the others have given */
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

/* ---- deltas ---- */

static struct p2p_reg_entry
entry(const char *name, uint64_t size)
{
    struct p2p_reg_entry e = {.name = {name, strlen(name)}, .size = size};

    memset(e.root.b, (int)size, sizeof(e.root.b));
    return e;
}

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

/* ---- bytes ---- */

static void
records_survive_bytes_and_nothing_else_does(void **state)
{
    struct p2p_reg_entry e[] = {entry("a", 1), entry("dir/b", 2)};
    struct record r = signed_record(3, 8), again;
    uint8_t *bytes, *other;
    size_t len, other_len;

    (void)state;
    r.entries = e;
    r.count = 2;
    strcpy(r.ip, "2001:db8::7");
    assert_int_equal(record_encode(&r, &bytes, &len), P2P_OK);
    assert_int_equal(record_decode(bytes, len, &again), P2P_OK);
    assert_int_equal(record_encode(&again, &other, &other_len), P2P_OK);
    assert_int_equal(len, other_len);
    assert_memory_equal(bytes, other, len);
    record_clear(&again);
    free(other);
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(record_decode(bytes, cut, &again), P2P_ERR_MALFORMED);
    for (size_t bit = 0; bit < len * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (record_decode(bytes, len, &again) == P2P_OK)
            record_clear(&again);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    free(bytes);
}

static void
a_snapshot_brings_everything_back_or_nothing(void **state)
{
    char path[] = "/tmp/p2p-test-registry-XXXXXX", bytes[16384];
    struct p2p_reg_entry e[] = {entry("a", 1), entry("b", 2)};
    struct record r = signed_record(1, 5), plain = unsigned_record(2), left;
    uint32_t count;
    uint64_t known;
    size_t len;
    FILE *f;

    r.entries = e;
    r.count = 2;
    left = signed_record(3, 9);
    assert_int_equal(put(&r), REGISTRY_OK);
    assert_int_equal(put(&plain), REGISTRY_OK);
    assert_int_equal(put(&left), REGISTRY_OK);
    assert_int_equal(registry_leave(registry, &left.id, 10, &known), REGISTRY_OK);
    assert_true(mkstemp(path) >= 0);
    assert_int_equal(snapshot_write(registry, path), P2P_OK);
    f = fopen(path, "rb");
    len = fread(bytes, 1, sizeof(bytes), f);
    fclose(f);
    for (size_t i = 0; i <= len; i += 7) { /* cut at i; changed at i */
        for (unsigned kind = 0; kind < 2 && i < len; kind++) {
            close_registry(state);
            assert_int_equal(open_registry(state), 0);
            bytes[i] = (char)(bytes[i] ^ (char)kind);
            f = fopen(path, "wb");
            fwrite(bytes, 1, kind == 0 ? i : len, f);
            fclose(f);
            bytes[i] = (char)(bytes[i] ^ (char)kind);
            assert_int_equal(snapshot_load(registry, path, TTL_MS, &count),
                             P2P_ERR_CORRUPT);
            assert_int_equal(count_peers(NULL), 0);
        }
    }
    f = fopen(path, "wb");
    fwrite(bytes, 1, len, f);
    fclose(f);
    assert_int_equal(snapshot_load(registry, path, TTL_MS, &count), P2P_OK);
    assert_int_equal(count, 2);
    assert_int_equal(count_peers("a"), 1);
    assert_int_equal(put(&plain), REGISTRY_OK);
    r.port = 1;
    assert_int_equal(put(&r), REGISTRY_STALE);
    assert_int_equal(put(&left), REGISTRY_STALE);
    unlink(path);
    assert_int_equal(snapshot_load(registry, path, TTL_MS, &count), P2P_ERR_NOT_FOUND);
}

static void
names_that_nobody_has_are_forgotten(void **state)
{
    static char names[200][24];
    struct p2p_reg_entry e[200];
    struct registry_stats stats;
    struct p2p_id id;

    (void)state;
    for (unsigned n = 0; n < 100; n++) {
        struct record r = unsigned_record(n);

        for (unsigned i = 0; i < 200; i++) {
            snprintf(names[i], sizeof(names[i]), "%04u %04u", n, i);
            e[i] = entry(names[i], i);
        }
        r.entries = e;
        r.count = 200;
        assert_int_equal(put(&r), REGISTRY_OK);
    }
    registry_tidy(registry); /* all are in use: nothing to do */
    dict_settle(registry_dict(registry));
    registry_stats(registry, &stats);
    assert_int_equal(stats.names, 20000);
    for (unsigned n = 0; n < 99; n++) {
        id = id_of(n);
        registry_remove(registry, &id);
    }
    registry_tidy(registry);
    dict_settle(registry_dict(registry));
    registry_stats(registry, &stats);
    assert_true(stats.names < 200 + DICT_OPEN_NAMES);
    assert_int_equal(count_peers("0099 0007"), 1);
    assert_int_equal(count_peers("0098 0007"), 0);
}

/* ---- threads ---- */

static _Atomic bool is_over;

static void *
read_on(void *arg)
{
    while (!is_over) {
        count_peers(NULL);
        count_peers("f 7");
        registry_heartbeat(registry, arg, 0);
        registry_expire(registry, p2p_now_ms());
    }
    return NULL;
}

/* For the thread sanitizer, and that nothing is left when all have gone. */
static void
readers_and_writers_go_together(void **state)
{
    struct p2p_id id = id_of(3);
    struct registry_stats stats;
    pthread_t thread;

    (void)state;
    is_over = false;
    assert_int_equal(pthread_create(&thread, NULL, read_on, &id), 0);
    for (unsigned round = 0; round < 40; round++) {
        for (unsigned n = 0; n < 20; n++) {
            struct p2p_reg_entry e[100];
            char names[100][16];
            struct record r = unsigned_record(n);

            for (unsigned i = 0; i < 100; i++) {
                snprintf(names[i], sizeof(names[i]), "f %u", i * (round + 1) + n);
                e[i] = entry(names[i], i);
            }
            qsort(e, 100, sizeof(e[0]), record_compare_entries);
            r.entries = e;
            r.count = 100;
            assert_int_equal(put(&r), REGISTRY_OK);
        }
    }
    is_over = true;
    pthread_join(thread, NULL);
    for (unsigned n = 0; n < 20; n++) {
        id = id_of(n);
        registry_remove(registry, &id);
    }
    registry_stats(registry, &stats);
    assert_int_equal(stats.peers + stats.files + stats.contents, 0);
    assert_int_equal(stats.postings, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_registry, close_registry)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_signed_record_yields_only_to_its_key_and_a_higher_seq),
        TEST(an_address_registers_so_many_peers),
        TEST(lists_go_by_id_whatever_the_page),
        TEST(a_delta_changes_what_it_says),
        TEST(silent_peers_run_out_and_others_stay),
        TEST(records_survive_bytes_and_nothing_else_does),
        TEST(a_snapshot_brings_everything_back_or_nothing),
        TEST(names_that_nobody_has_are_forgotten),
        TEST(readers_and_writers_go_together),
    };

    return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
