// uses p2p-discovery
/* Many entries with one content, or with different claims about one root: the rest
 * stays right, in whatever order they are removed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "discovery/registry/registry.h"

#define ENTRIES 3000u

static struct registry *registry;
static char names[ENTRIES][8];
static struct p2p_reg_entry entries[ENTRIES];

static struct p2p_digest
digest(uint8_t first)
{
    return (struct p2p_digest){{first}};
}

static struct p2p_id
id_of(uint8_t peer)
{
    return (struct p2p_id){{peer}};
}

static void
fill(struct p2p_digest (*root)(uint32_t i), struct p2p_digest (*sha)(uint32_t i),
     uint64_t size_step)
{
    for (uint32_t i = 0; i < ENTRIES; i++) {
        snprintf(names[i], sizeof(names[i]), "f%05u", i);
        entries[i] = (struct p2p_reg_entry){
            .name = {names[i], strlen(names[i])},
            .size = i * size_step,
            .root = root(i),
            .sha256 = sha(i),
        };
    }
}

/* Every `step`th entry, beginning at `from`, as the list of the peer. */
static void
put(uint8_t peer, uint32_t from, uint32_t step)
{
    struct record record = {.id = id_of(peer), .port = 1, .has_content = true};
    struct p2p_reg_entry list[ENTRIES];
    uint64_t seq;

    strcpy(record.ip, "192.0.2.1");
    for (uint32_t i = from; i < ENTRIES; i += step)
        list[record.count++] = entries[i];
    record.entries = list;
    assert_int_equal(registry_put(registry, &record, 0, &seq), REGISTRY_OK);
}

static bool
count_peer(void *arg, const struct registry_peer *peer)
{
    (void)peer;
    (*(unsigned *)arg)++;
    return true;
}

static unsigned
peers_of(struct registry_filter filter)
{
    unsigned count = 0;

    registry_visit_peers(registry, &filter, NULL, count_peer, &count);
    return count;
}

/* Three peers whose lists are interleaved leave one after the other. */
static void
come_and_go(struct registry_filter filter, uint32_t contents)
{
    const struct p2p_id first = id_of(1), second = id_of(2), third = id_of(3);
    struct registry_stats stats;

    put(1, 0, 1);
    put(2, 0, 2);
    put(3, 1, 3);
    assert_int_equal(peers_of(filter), 3);
    put(1, 5, 7); /* a shorter list replaces the whole one */
    assert_int_equal(peers_of(filter), 3);
    registry_remove(registry, &second);
    assert_int_equal(peers_of(filter), 2);
    registry_stats(registry, &stats);
    assert_true(stats.contents <= contents);
    registry_remove(registry, &first);
    assert_int_equal(peers_of(filter), 1);
    registry_remove(registry, &third);
    assert_int_equal(peers_of(filter), 0);
    registry_stats(registry, &stats);
    assert_int_equal(stats.contents, 0);
    assert_int_equal(stats.files, 0);
    assert_int_equal(stats.postings, 0);
}

static struct p2p_digest
the_same(uint32_t i)
{
    (void)i;
    return digest(7);
}

static struct p2p_digest
another_one(uint32_t i)
{
    struct p2p_digest d = digest(9);

    memcpy(d.b + 1, &i, sizeof(i));
    return d;
}

static void
one_content_under_many_names(void **state)
{
    struct p2p_digest root = digest(7);

    (void)state;
    fill(the_same, the_same, 0);
    come_and_go((struct registry_filter){.root = &root}, 1);
}

static void
one_root_with_many_sizes(void **state)
{
    struct p2p_digest root = digest(7);

    (void)state;
    fill(the_same, the_same, 1);
    come_and_go((struct registry_filter){.root = &root}, 3 * ENTRIES);
}

static void
one_sha256_with_many_roots(void **state)
{
    struct p2p_digest sha = digest(7);

    (void)state;
    fill(another_one, the_same, 0);
    come_and_go((struct registry_filter){.sha256 = &sha}, ENTRIES);
}

static int
open_registry(void **state)
{
    const struct registry_options options = {.ttl_ms = 60000, .max_peers = 100};

    (void)state;
    return registry_open(&options, &registry) == P2P_OK ? 0 : -1;
}

static int
close_registry(void **state)
{
    (void)state;
    registry_close(registry);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_content_under_many_names),
        cmocka_unit_test(one_root_with_many_sizes),
        cmocka_unit_test(one_sha256_with_many_roots),
    };
    return cmocka_run_group_tests(tests, open_registry, close_registry);
}
