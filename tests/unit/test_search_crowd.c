// uses p2p-discovery
/* Search with many peers that claim the same: which sources are shown, and pages
 * without a gap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "discovery/registry/search.h"
#include "p2p/bytes.h"
#include "registry_fixture.h"

static int
open_large(void **state)
{
    struct registry_options opt = {
        .ttl_ms = TTL_MS, .max_peers = 20000, .max_peers_per_ip = 20000};

    (void)state;
    return p2p_crypto_init() == P2P_OK && registry_open(&opt, &registry) == P2P_OK ? 0
                                                                                   : -1;
}

static void
put_at(unsigned n, const char *ip, struct p2p_reg_entry *e)
{
    struct record r = unsigned_record(n);

    snprintf(r.ip, sizeof(r.ip), "%s", ip);
    r.has_content = true;
    r.entries = e;
    r.count = 1;
    assert_int_equal(put(&r), REGISTRY_OK);
}

static void
search(const char *text, uint32_t limit, const char *cursor, struct search_results *out)
{
    const struct search_query q = {
        .text = text, .mode = MATCH_SUBSTRING, .limit = limit, .cursor = cursor};

    assert_int_equal(search_run(registry, &q, out), P2P_OK);
}

static bool
shows(const struct search_results *results, const struct p2p_id *id)
{
    for (uint32_t i = 0; i < results->at[0].n_peers; i++)
        if (p2p_id_equal(&results->at[0].peers[i].id, id))
            return true;
    return false;
}

/* ---- sources ---- */

/* 300 ids from a few networks of the open Internet, and an honest peer that came last.
 */
static void
a_crowd_of_few_networks_hides_nobody(void **state)
{
    struct p2p_reg_entry e = entry("movie.bin", 7);
    struct p2p_id honest = id_of(1000);
    struct search_results results;
    char ip[32];

    (void)state;
    for (unsigned n = 0; n < 300; n++) {
        snprintf(ip, sizeof(ip), "198.51.%u.%u", 90 + n % 3, n / 3);
        put_at(n, ip, &e);
    }
    put_at(1000, "203.0.113.9", &e);
    for (int i = 0; i < 50; i++) {
        search("movie", 10, NULL, &results);
        assert_int_equal(results.count, 1);
        assert_int_equal(results.at[0].sources, 301);
        assert_int_equal(results.at[0].n_peers, SEARCH_SOURCES);
        assert_true(shows(&results, &honest));
        search_results_clear(&results);
    }
}

/* Among peers of one network, or of private addresses, the choice is random. */
static void
nobody_is_hidden_for_good(void **state)
{
    struct p2p_reg_entry e = entry("movie.bin", 7);
    struct p2p_id first = id_of(0), last = id_of(2999);
    unsigned saw_first = 0, saw_last = 0, searches = 0;
    struct search_results results;

    (void)state;
    for (unsigned n = 0; n < 3000; n++)
        put_at(n, "10.1.2.3", &e);
    for (; searches < 3000 && (saw_first == 0 || saw_last == 0); searches++) {
        search("movie", 10, NULL, &results);
        saw_first += shows(&results, &first);
        saw_last += shows(&results, &last);
        search_results_clear(&results);
    }
    assert_true(saw_first > 0 && saw_last > 0); /* otherwise a chance of 1 in 10^40 */
}

static void
a_peer_is_shown_once(void **state)
{
    struct p2p_reg_entry names[3] = {entry("movie a", 7), entry("movie b", 7),
                                     entry("movie c", 7)};
    struct search_results results;

    (void)state;
    for (unsigned n = 0; n < 250; n++) {
        struct record r = unsigned_record(n);
        r.has_content = true;
        r.entries = names;
        r.count = 3;
        assert_int_equal(put(&r), REGISTRY_OK);
    }
    search("movie", 10, NULL, &results);
    assert_int_equal(results.count, 1);
    assert_int_equal(results.at[0].n_peers, SEARCH_SOURCES);
    for (uint32_t i = 0; i < SEARCH_SOURCES; i++)
        for (uint32_t k = 0; k < i; k++)
            assert_false(
                p2p_id_equal(&results.at[0].peers[i].id, &results.at[0].peers[k].id));
    search_results_clear(&results);
}

/* ---- pages ---- */

/* One step of the hash of group.c over eight bytes. */
static uint64_t
step(uint64_t h, uint64_t word)
{
    h = (h ^ word) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 32;
}

/* Another root with the same hash as `root`. */
static struct p2p_digest
forge_root(const struct p2p_digest *root)
{
    struct p2p_digest forged = *root;
    uint64_t a = step(2, p2p_load_u64(root->b)), b;

    p2p_store_u64(forged.b, p2p_load_u64(root->b) ^ 0xabcdef);
    b = step(2, p2p_load_u64(forged.b));
    p2p_store_u64(forged.b + 8, a ^ b ^ p2p_load_u64(root->b + 8));
    return forged;
}

/* An attacker makes a content with the same place in the order as an honest one. */
static void
a_forged_content_hides_none_at_the_end_of_a_page(void **state)
{
    struct p2p_reg_entry honest = entry("plan.txt", 9), forged = honest,
                         other = entry("plan.txt", 8);
    bool saw_honest = false, saw_forged = false;
    char cursor[SEARCH_CURSOR_MAX] = "";
    struct search_results results;
    unsigned pages = 0;

    (void)state;
    forged.root = forge_root(&honest.root);
    put_at(1, "10.0.0.1", &honest);
    put_at(2, "10.0.0.2", &forged);
    put_at(3, "10.0.0.3", &other);
    do {
        search("plan", 1, pages > 0 ? cursor : NULL, &results);
        assert_int_equal(results.count, 1);
        saw_honest |= memcmp(&results.at[0].root, &honest.root, 32) == 0;
        saw_forged |= memcmp(&results.at[0].root, &forged.root, 32) == 0;
        memcpy(cursor, results.next, sizeof(cursor));
        search_results_clear(&results);
        pages++;
    } while (cursor[0] != '\0' && pages < 10);
    assert_int_equal(pages, 3);
    assert_true(saw_honest && saw_forged);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define LARGE(f) cmocka_unit_test_setup_teardown(f, open_large, close_registry)
        LARGE(a_crowd_of_few_networks_hides_nobody),
        LARGE(nobody_is_hidden_for_good),
        LARGE(a_peer_is_shown_once),
        LARGE(a_forged_content_hides_none_at_the_end_of_a_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
