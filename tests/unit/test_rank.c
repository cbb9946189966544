/* Which peers are asked first: trusted, then met, then the rest at random. Networks of
 * unknown peers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/registry/contents_internal.h"
#include "keys_fixture.h"
#include "p2p/contents.h"
#include "p2p/rank.h"

static void
trust_gives_the_rank(void **state)
{
    struct keys *k = *state;
    struct p2p_id id = keys_peer(1);

    assert_int_equal(p2p_rank_of(k->identity, NULL), P2P_RANK_NEW);
    assert_int_equal(p2p_rank_of(k->identity, &id), P2P_RANK_NEW);
    static const struct {
        enum p2p_trust trust;
        enum p2p_rank rank;
    } ranks[] = {
        {P2P_TRUST_PENDING, P2P_RANK_NEW},
        {P2P_TRUST_SEEN, P2P_RANK_MET},
        {P2P_TRUST_TRUSTED, P2P_RANK_TRUSTED},
        {P2P_TRUST_BLOCKED, P2P_RANK_BLOCKED},
    };
    for (size_t i = 0; i < sizeof(ranks) / sizeof(ranks[0]); i++) {
        assert_int_equal(p2p_known_set(k->identity, &id, ranks[i].trust, NULL, NULL),
                         P2P_OK);
        assert_int_equal(p2p_rank_of(k->identity, &id), ranks[i].rank);
    }
}

static void
the_best_come_first(void **state)
{
    struct p2p_ranked list[] = {
        {.rank = P2P_RANK_BLOCKED, .order = 1, .index = 6},
        {.rank = P2P_RANK_NEW, .turn = 1, .order = 1, .index = 5},
        {.rank = P2P_RANK_NEW, .order = 9, .index = 4},
        {.rank = P2P_RANK_NEW, .order = 2, .index = 3},
        {.rank = P2P_RANK_MET, .order = 7, .index = 2},
        {.rank = P2P_RANK_TRUSTED, .order = 8, .index = 1},
        {.rank = P2P_RANK_TRUSTED, .order = 3, .index = 0},
    };

    (void)state;
    p2p_rank_sort(list, sizeof(list) / sizeof(list[0]));
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        assert_int_equal(list[i].index, i);
    p2p_rank_sort(list, 0);
}

/* Ids with the same beginning are not grouped together: in ten tries, neither half is
 * ever completely first. */
static void
chance_knows_no_prefix(void **state)
{
    size_t first = 0;

    (void)state;
    for (uint8_t n = 0; n < 100; n++) {
        struct p2p_id low = keys_peer(0), high = keys_peer(0xff);
        low.b[31] = high.b[31] = n;
        uint64_t a = p2p_rank_order(low.b, sizeof(low.b));
        assert_int_equal(a, p2p_rank_order(low.b, sizeof(low.b)));
        first += a < p2p_rank_order(high.b, sizeof(high.b));
    }
    assert_in_range(first, 10, 90);
    assert_true(p2p_rank_order("a", 1) != p2p_rank_order("a\0", 2));
    assert_true(p2p_rank_order("", 0) == p2p_rank_order("x", 0));
}

static struct p2p_addr
at(const char *host)
{
    struct p2p_addr addr;

    assert_int_equal(p2p_addr_make(host, 9000, &addr), P2P_OK);
    return addr;
}

static void
networks_of_the_open_internet(void **state)
{
    static const char *const own[] = {
        "10.1.2.3",    "127.0.0.1",   "169.254.1.1",     "172.16.0.1", "172.31.255.1",
        "192.168.1.1", "100.64.0.1",  "fe80::1",         "fd00::1",    "fc12::1",
        "::1",         "nas.example", "::ffff:10.0.0.1",
    };
    static const struct {
        const char *a, *b;
        bool same;
    } pairs[] = {
        {"203.0.113.1", "203.0.113.200", true},
        {"203.0.113.1", "203.0.114.1", false},
        {"203.0.113.1", "::ffff:203.0.113.9", true},
        {"2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true},
        {"2001:db8:0:1::1", "2001:db8:0:2::1", false},
        {"10.0.0.1", "10.0.0.2", false},
        {"10.0.0.1", "10.0.0.1", false},
        {"172.32.0.1", "172.32.0.2", true},
        {"100.128.0.1", "100.128.0.2", true},
    };
    struct p2p_net_of net;

    (void)state;
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        struct p2p_addr addr = at(own[i]);
        assert_false(p2p_rank_net(&addr, &net));
    }
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct p2p_addr a = at(pairs[i].a), b = at(pairs[i].b);
        assert_int_equal(p2p_rank_same_net(&a, &b), pairs[i].same);
        assert_int_equal(p2p_rank_same_net(&b, &a), pairs[i].same);
    }
}

static void
a_peer_that_was_met_is_remembered_where_it_was(void **state)
{
    struct keys *k = *state;
    struct p2p_id id = keys_peer(1);
    struct p2p_addr out[P2P_PEER_ADDRESSES_MAX];

    assert_int_equal(p2p_rank_remembered(k->identity, &id, out), 0);
    assert_int_equal(p2p_known_met(k->identity, "10.0.0.1:9000", &id, 2), P2P_OK);
    assert_int_equal(p2p_known_met(k->identity, "nas:9001", &id, 2), P2P_OK);
    assert_int_equal(p2p_rank_remembered(k->identity, &id, out), 2);
    assert_string_equal(out[0].host, "nas");
    assert_int_equal(out[1].port, 9000);
    assert_int_equal(p2p_known_set(k->identity, &id, P2P_TRUST_BLOCKED, NULL, NULL),
                     P2P_OK);
    assert_int_equal(p2p_rank_remembered(k->identity, &id, out), 0);
}

/* ---- What a name means ---- */

struct claim {
    uint8_t root, first_peer;
    size_t peers;
};

/* Results for "f", one for each claim; root 0: no root is stated. */
static void
claim(struct p2p_search_results *results, const struct claim *claims, size_t count)
{
    *results =
        (struct p2p_search_results){calloc(count + 1, sizeof(*results->at)), count, false};
    for (size_t i = 0; i < count; i++) {
        struct p2p_search_result *r = &results->at[i];
        strcpy(r->name, "f");
        r->size = claims[i].root;
        r->root_known = claims[i].root != 0;
        memset(r->root.b, claims[i].root, sizeof(r->root.b));
        r->peers.at = calloc(claims[i].peers + 1, sizeof(*r->peers.at));
        r->peers.count = claims[i].peers;
        for (size_t p = 0; p < claims[i].peers; p++) {
            r->peers.at[p].id = keys_peer((uint8_t)(claims[i].first_peer + p));
            r->peers.at[p].addr = at("10.0.0.1");
        }
    }
}

/* The first byte of the chosen root; 0: none; -1: the user is asked; -2: the content
 * that has no root. */
static int
choice(const struct keys *k, const struct claim *claims, size_t count)
{
    struct p2p_search_results results;
    struct p2p_contents contents;
    const struct p2p_content *chosen;
    int what = -1;

    claim(&results, claims, count);
    assert_int_equal(p2p_contents_find(k->identity, &results, "f", &contents), P2P_OK);
    if (p2p_contents_choose(&contents, &chosen) == P2P_OK)
        what = chosen == NULL ? 0 : chosen->root_known ? chosen->root.b[0] : -2;
    p2p_contents_clear(&contents);
    p2p_search_results_clear(&results);
    return what;
}
#define CHOICE(k, ...)                             \
    choice(k, (const struct claim[]){__VA_ARGS__}, \
           sizeof((const struct claim[]){__VA_ARGS__}) / sizeof(struct claim))

static void
trust_decides_what_a_name_means(void **state)
{
    struct keys *k = *state;
    struct p2p_id trusted = keys_peer(1), met = keys_peer(2), blocked = keys_peer(3),
                  also = keys_peer(4);

    assert_int_equal(p2p_known_met(k->identity, NULL, &met, 2), P2P_OK);
    assert_int_equal(
        p2p_known_set(k->identity, &trusted, P2P_TRUST_TRUSTED, NULL, NULL), P2P_OK);
    assert_int_equal(p2p_known_set(k->identity, &also, P2P_TRUST_TRUSTED, NULL, NULL),
                     P2P_OK);
    assert_int_equal(
        p2p_known_set(k->identity, &blocked, P2P_TRUST_BLOCKED, NULL, NULL), P2P_OK);
    assert_int_equal(CHOICE(k, {7, 20, 3}), 7);
    assert_int_equal(CHOICE(k, {7, 20, 30}, {8, 1, 1}), 8);
    assert_int_equal(CHOICE(k, {7, 20, 30}, {8, 60, 1}), -1);
    assert_int_equal(CHOICE(k, {7, 20, 30}, {8, 2, 1}), -1); /* met is not trusted */
    assert_int_equal(CHOICE(k, {7, 20, 1}, {8, 3, 1}),
                     7); /* blocked peers do not count */
    assert_int_equal(CHOICE(k, {8, 3, 1}), 0);
    assert_int_equal(CHOICE(k, {7, 1, 1}, {8, 4, 1}), -1); /* both are trusted */
    assert_int_equal(CHOICE(k, {7, 1, 1}, {7, 4, 1}), 7);
    /* The peers that state no root. */
    assert_int_equal(CHOICE(k, {0, 20, 3}), 0);
    assert_int_equal(CHOICE(k, {0, 20, 30}, {7, 60, 1}), 7);
    assert_int_equal(CHOICE(k, {0, 1, 1}, {7, 60, 1}), -2);
    assert_int_equal(CHOICE(k, {0, 2, 1}, {7, 60, 1}), -1);
    assert_int_equal(CHOICE(k, {0, 2, 1}, {7, 1, 1}), 7);
}

static void
contents_name_their_peers_by_rank(void **state)
{
    struct keys *k = *state;
    struct p2p_id trusted = keys_peer(22), met = keys_peer(21);
    struct p2p_search_results results;
    struct p2p_contents contents;
    char who[P2P_CONTENT_WHO];
    const struct claim claims[] = {{7, 60, 1}, {8, 20, 4}, {8, 20, 2}, {0, 70, 1}};

    assert_int_equal(p2p_known_met(k->identity, NULL, &met, 2), P2P_OK);
    assert_int_equal(
        p2p_known_set(k->identity, &trusted, P2P_TRUST_TRUSTED, NULL, NULL), P2P_OK);
    claim(&results, claims, 4);
    assert_int_equal(p2p_contents_find(k->identity, &results, "f", &contents), P2P_OK);
    assert_int_equal(contents.count, 2);
    assert_true(contents.has_rootless);
    assert_int_equal(contents.at[0].root.b[0], 8);
    assert_int_equal(contents.at[0].peers.count, 4);
    assert_true(p2p_id_equal(&contents.at[0].peers.at[0].id, &trusted));
    assert_true(p2p_id_equal(&contents.at[0].peers.at[1].id, &met));
    assert_string_equal(p2p_content_who(&contents.at[0], who),
                        "1 trusted, 1 known, 2 new");
    assert_string_equal(p2p_content_who(&contents.at[1], who), "1 new");
    p2p_contents_clear(&contents);
    assert_int_equal(p2p_contents_find(k->identity, &results, "g", &contents), P2P_OK);
    assert_int_equal(contents.count, 0);
    p2p_contents_clear(&contents);
    p2p_search_results_clear(&results);
}

static void
what_a_peer_did_not_say_itself_counts_as_a_strangers(void **state)
{
    struct keys *k = *state;
    struct p2p_id trusted = keys_peer(1);
    const struct claim claims[] = {{7, 1, 1}, {8, 60, 1}};
    const struct p2p_content *chosen;
    struct p2p_search_results results;
    struct p2p_contents contents;

    assert_int_equal(
        p2p_known_set(k->identity, &trusted, P2P_TRUST_TRUSTED, NULL, NULL), P2P_OK);
    claim(&results, claims, 2);
    assert_int_equal(p2p_peers_best(k->identity, &results.at[0].peers),
                     P2P_RANK_TRUSTED);
    results.at[0].peers.at[0].unproven = true;
    assert_int_equal(p2p_peers_best(k->identity, &results.at[0].peers), P2P_RANK_NEW);
    assert_int_equal(p2p_contents_find(k->identity, &results, "f", &contents), P2P_OK);
    assert_int_equal(p2p_contents_choose(&contents, &chosen), P2P_ERR_AMBIGUOUS);
    p2p_contents_clear(&contents);
    p2p_search_results_clear(&results);
}

/* A registry lists very many peers, and the one that counts is the last one. */
static void
of_strangers_a_content_keeps_some_and_of_the_known_all(void **state)
{
    struct keys *k = *state;
    struct p2p_id trusted = keys_peer(1);
    const struct claim claims[] = {{7, 1, 0}, {7, 1, 0}};
    struct p2p_search_results results;
    struct p2p_contents contents;

    assert_int_equal(
        p2p_known_set(k->identity, &trusted, P2P_TRUST_TRUSTED, NULL, NULL), P2P_OK);
    claim(&results, claims, 2);
    for (unsigned i = 0; i < 2; i++) {
        struct p2p_peer_list *peers = &results.at[i].peers;
        peers->count = 3000;
        peers->at = realloc(peers->at, peers->count * sizeof(*peers->at));
        memset(peers->at, 0, peers->count * sizeof(*peers->at));
        for (unsigned n = 0; n < peers->count; n++) {
            peers->at[n].addr = at("10.0.0.1");
            peers->at[n].id.b[0] = (uint8_t)(i + 1);
            memcpy(peers->at[n].id.b + 8, &n, sizeof(n));
        }
    }
    results.at[1].peers.at[2999].id = trusted;
    assert_int_equal(p2p_contents_find(k->identity, &results, "f", &contents), P2P_OK);
    assert_int_equal(contents.at[0].peers.count, P2P_CONTENT_STRANGERS_MAX + 1);
    assert_true(p2p_id_equal(&contents.at[0].peers.at[0].id, &trusted));
    p2p_contents_clear(&contents);
    p2p_search_results_clear(&results);
}

int
main(void)
{
#define WITH_KEYS(test) cmocka_unit_test_setup_teardown(test, keys_setup, keys_teardown)
    const struct CMUnitTest tests[] = {
        WITH_KEYS(trust_gives_the_rank),
        cmocka_unit_test(the_best_come_first),
        cmocka_unit_test(chance_knows_no_prefix),
        cmocka_unit_test(networks_of_the_open_internet),
        WITH_KEYS(a_peer_that_was_met_is_remembered_where_it_was),
        WITH_KEYS(what_a_peer_did_not_say_itself_counts_as_a_strangers),
        WITH_KEYS(of_strangers_a_content_keeps_some_and_of_the_known_all),
        WITH_KEYS(trust_decides_what_a_name_means),
        WITH_KEYS(contents_name_their_peers_by_rank),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
