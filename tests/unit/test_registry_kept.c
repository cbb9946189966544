// uses p2p-discovery
/* What a registry stores: records as bytes, the snapshot, names; and the same with many
 * threads. */
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

#include "discovery/registry/snapshot.h"
#include "registry_fixture.h"

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
    registry_tidy(registry); /* all of them are in use, so nothing happens */
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

/* For the thread sanitizer; also checks that nothing is left when all peers have left.
 */
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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(records_survive_bytes_and_nothing_else_does),
        TEST(a_snapshot_brings_everything_back_or_nothing),
        TEST(names_that_nobody_has_are_forgotten),
        TEST(readers_and_writers_go_together),
    };

    return cmocka_run_group_tests_name("registry_kept", tests, NULL, NULL);
}
