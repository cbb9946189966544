// uses p2p-discovery
/*
 * Search over random names that are added and removed, compared with a model that
 * looks at all names: the results, their number of sources, and their order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "discovery/index/fold.h"
#include "discovery/registry/registry.h"
#include "discovery/registry/search.h"
#include "long_tests.h"

#define POOL   6000u /* number of names; more than an open part holds */
#define PEERS  120u
#define FILES  100u
#define ROUNDS 12u

static struct registry *registry;
static char pool[POOL][48];
static char folded[POOL][160];
static bool has[PEERS][POOL];
static uint32_t sources[POOL]; /* how many peers have each name */

/* ---- the model ---- */

static const char *
any_of(const char *const *list, size_t n)
{
    return list[(size_t)rand() % n];
}

/* Few letters, so that many names match; upper case, accents and other scripts. */
static void
make_name(unsigned i, char out[48])
{
    static const char *const bits[] = {"a", "b", "ab", "É", "e", "Ba", "ñ", "ß",
                                       "ж", "Ж", "本", "c", "C", " ",  "-", "ca"};
    unsigned n = 1 + (unsigned)rand() % 8;

    out[0] = '\0';
    while (n-- > 0)
        strcat(out, any_of(bits, sizeof(bits) / sizeof(bits[0])));
    if (i % 3 != 0)
        sprintf(out + strlen(out), "%u", (unsigned)rand() % 500);
    if (out[0] == ' ') /* not a file name */
        out[0] = 'x';
    if (out[strlen(out) - 1] == ' ')
        strcat(out, "x");
}

/* Enters the name pool[i] into a hash table of these names. False: it is there already.
 */
static bool
enter(unsigned *slots, unsigned count, unsigned i)
{
    unsigned at = 5381;

    for (const char *p = pool[i]; *p != '\0'; p++)
        at = at * 33 + (unsigned char)*p;
    for (at %= count; slots[at] != 0; at = (at + 1) % count)
        if (strcmp(pool[slots[at] - 1], pool[i]) == 0)
            return false;
    slots[at] = i + 1;
    return true;
}

static void
make_pool(void)
{
    static unsigned slots[4 * POOL];

    memset(slots, 0, sizeof(slots));
    for (unsigned i = 0; i < POOL; i++) {
        do
            make_name(i, pool[i]);
        while (!enter(slots, 4 * POOL, i));
        fold_text(pool[i], strlen(pool[i]), folded[i]);
    }
}

static bool
is_word_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (unsigned char)c >= 0x80;
}

/* 0: the whole name, 1: its beginning, 2: a word of it, 3: a part; -1: no match. */
static int
rank_of(enum match_mode mode, const char *query, const char *name)
{
    const char *at = strstr(name, query);

    if (at == NULL || (mode == MATCH_EXACT && strcmp(name, query) != 0) ||
        (mode == MATCH_PREFIX && at != name))
        return -1;
    if (at == name)
        return strcmp(name, query) == 0 ? 0 : 1;
    for (; at != NULL; at = strstr(at + 1, query))
        if (!is_word_char(at[-1]))
            return 2;
    return 3;
}

/* ---- the registry ---- */

static struct p2p_id
id_of(unsigned peer)
{
    return (struct p2p_id){{(uint8_t)(peer * 37), (uint8_t)peer, 1}};
}

static void
put(unsigned peer)
{
    struct record r = {.id = id_of(peer), .port = 1, .has_content = true};
    struct p2p_reg_entry entries[FILES];
    uint64_t seq;

    strcpy(r.ip, "127.0.0.1");
    r.entries = entries;
    for (unsigned i = 0; i < POOL; i++) {
        struct p2p_reg_entry e = {.name = {pool[i], strlen(pool[i])}, .size = i};

        if (!has[peer][i])
            continue;
        assert_int_equal(p2p_sha256(&i, sizeof(i), &e.root), P2P_OK);
        entries[r.count++] = e;
    }
    qsort(entries, r.count, sizeof(*entries), record_compare_entries);
    assert_int_equal(registry_put(registry, &r, 0, &seq), REGISTRY_OK);
}

/* A peer gets a new list, or leaves. All peers have a few names in common. */
static void
change(unsigned peer)
{
    const struct p2p_id id = id_of(peer);

    for (unsigned i = 0; i < POOL; i++)
        sources[i] -= has[peer][i];
    memset(has[peer], 0, sizeof(has[peer]));
    if (rand() % 5 == 0) {
        registry_remove(registry, &id);
        return;
    }
    for (unsigned i = 0; i < FILES; i++)
        has[peer][(unsigned)rand() % (i % 4 == 0 ? 40 : POOL)] = true;
    for (unsigned i = 0; i < POOL; i++)
        sources[i] += has[peer][i];
    put(peer);
}

static int
open_registry(void **state)
{
    struct registry_options opt = {.ttl_ms = 60000, .max_peers = 1000};

    (void)state;
    srand(11);
    if (p2p_crypto_init() != P2P_OK || registry_open(&opt, &registry) != P2P_OK)
        return -1;
    memset(has, 0, sizeof(has));
    memset(sources, 0, sizeof(sources));
    make_pool();
    return 0;
}

static int
close_registry(void **state)
{
    (void)state;
    registry_close(registry);
    return 0;
}

/* ---- comparing ---- */

static unsigned
number_of(const char *name)
{
    unsigned i = 0;

    while (i < POOL && strcmp(pool[i], name) != 0)
        i++;
    assert_true(i < POOL);
    return i;
}

/* One result: correct, and not before the previous one in the order. */
static void
check_result(enum match_mode mode, const char *query, const struct search_result *res,
             int *last_rank, uint32_t *last_sources)
{
    unsigned name = (unsigned)res->size; /* each name has one content */

    assert_true(res->size < POOL);
    assert_string_equal(res->name, pool[name]);
    int rank = rank_of(mode, query, folded[name]);
    assert_true(rank >= 0);
    assert_int_equal(res->sources, sources[name]);
    assert_true(res->n_peers ==
                (res->sources < SEARCH_SOURCES ? res->sources : SEARCH_SOURCES));
    assert_true(rank > *last_rank ||
                (rank == *last_rank && res->sources <= *last_sources));
    *last_rank = rank;
    *last_sources = res->sources;
}

static void
compare(enum match_mode mode, const char *query)
{
    char cursor[SEARCH_CURSOR_MAX] = "", q[160];
    unsigned want = 0, found = 0;
    uint32_t last_sources = 0;
    int last_rank = -1;

    fold_text(query, strlen(query), q);
    for (unsigned i = 0; i < POOL; i++)
        want += sources[i] > 0 && rank_of(mode, q, folded[i]) >= 0;
    do {
        struct search_query ask = {query, mode, 50, cursor[0] != '\0' ? cursor : NULL};
        struct search_results results;

        assert_int_equal(search_run(registry, &ask, &results), P2P_OK);
        assert_false(results.is_cut);
        for (uint32_t i = 0; i < results.count; i++)
            check_result(mode, q, &results.at[i], &last_rank, &last_sources);
        found += results.count;
        strcpy(cursor, results.next);
        search_results_clear(&results);
    } while (cursor[0] != '\0');
    if (found != want)
        print_error("mode %d query '%s'\n", mode, query);
    assert_int_equal(found, want);
}

/* A part of a name that begins at a character. */
static void
make_query(char out[48])
{
    const char *name = pool[(unsigned)rand() % POOL];
    size_t from = (size_t)rand() % strlen(name), len;

    while (((unsigned char)name[from] & 0xc0) == 0x80)
        from--;
    len = strlen(name + from);
    if (rand() % 2 == 0)
        len = 1 + (size_t)rand() % len;
    while (((unsigned char)name[from + len] & 0xc0) == 0x80)
        len++;
    memcpy(out, name + from, len);
    out[len] = '\0';
}

/* In every state of the index: open parts, sealed, compacted, weighted. */
static void
finds_what_the_model_finds(void **state)
{
    char query[48];
    const unsigned rounds = long_tests() ? ROUNDS : 4;

    (void)state;
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < PEERS / 2; i++)
            change((unsigned)rand() % PEERS);
        if (round % 3 == 1)
            dict_compact(registry_dict(registry));
        if (round % 2 == 1)
            dict_reweigh(registry_dict(registry));
        if (round % 4 != 0)
            dict_settle(registry_dict(registry));
        for (unsigned i = 0; i < 25; i++) {
            make_query(query);
            compare(MATCH_EXACT, query);
            compare(MATCH_PREFIX, query);
            compare(MATCH_SUBSTRING, query);
        }
        compare(MATCH_EXACT, pool[round]);
    }
}

/* Peers are added and removed between two pages: each result that stays is shown
 * exactly once. */
static void
pages_hold_still_under_changes(void **state)
{
    static unsigned seen[POOL];
    static bool is_touched[POOL];
    struct search_query q = {"a", MATCH_SUBSTRING, 20, NULL};
    char cursor[SEARCH_CURSOR_MAX];
    struct search_results results;

    (void)state;
    for (unsigned peer = 0; peer < PEERS; peer++)
        change(peer);
    do {
        unsigned peer = (unsigned)rand() % PEERS;

        assert_int_equal(search_run(registry, &q, &results), P2P_OK);
        for (uint32_t i = 0; i < results.count; i++)
            seen[number_of(results.at[i].name)]++;
        strcpy(cursor, results.next);
        q.cursor = cursor;
        search_results_clear(&results);
        for (unsigned i = 0; i < POOL; i++)
            is_touched[i] |= has[peer][i];
        change(peer);
        for (unsigned i = 0; i < POOL; i++)
            is_touched[i] |= has[peer][i];
    } while (cursor[0] != '\0');
    for (unsigned i = 0; i < POOL; i++)
        if (!is_touched[i] && sources[i] > 0)
            assert_int_equal(seen[i], strstr(folded[i], "a") != NULL);
}

/* more names than a search looks at */

#define MANY   12000u
#define COMMON 8100u /* from this one on, they are among the last that were sealed */

static void
put_many(unsigned peer, unsigned first, unsigned count)
{
    struct record r = {.id = id_of(peer), .port = 1, .has_content = true};
    struct p2p_reg_entry *entries = calloc(count, sizeof(*entries));
    char(*names)[24] = calloc(count, sizeof(*names));
    uint64_t seq;

    assert_true(entries != NULL && names != NULL);
    strcpy(r.ip, "127.0.0.1");
    for (unsigned i = 0; i < count; i++) {
        unsigned n = first + i;

        sprintf(names[i], n == 0 ? "wolke" : "wolke %05u", n);
        entries[i].name = (struct p2p_text){names[i], strlen(names[i])};
        assert_int_equal(p2p_sha256(&n, sizeof(n), &entries[i].root), P2P_OK);
    }
    r.entries = entries;
    r.count = count;
    assert_int_equal(registry_put(registry, &r, 0, &seq), REGISTRY_OK);
    free(entries);
    free(names);
}

static void
check_best(enum match_mode mode, const char *text)
{
    struct search_query q = {text, mode, 10, NULL};
    struct search_results results;
    uint32_t first = strcmp(text, "wolke") == 0 ? 1 : 0;

    assert_int_equal(search_run(registry, &q, &results), P2P_OK);
    assert_true(results.is_cut);
    assert_int_equal(results.count, 10);
    if (first > 0)
        assert_string_equal(results.at[0].name, "wolke");
    for (uint32_t i = first; i < results.count; i++)
        assert_int_equal(results.at[i].sources, 3);
    search_results_clear(&results);
}

/* The common names are last in the alphabet, and became common after they were sealed.
 */
static void
cuts_off_the_least_common_names(void **state)
{
    (void)state;
    put_many(1, 0, MANY);
    dict_settle(registry_dict(registry));
    put_many(2, COMMON, 50);
    put_many(3, COMMON, 50);
    dict_reweigh(registry_dict(registry));
    dict_settle(registry_dict(registry));
    check_best(MATCH_PREFIX, "wolke");
    check_best(MATCH_SUBSTRING, "wolke");
    check_best(MATCH_PREFIX, "w");
    check_best(MATCH_SUBSTRING, "w");
    check_best(MATCH_SUBSTRING, "o");
    check_best(MATCH_SUBSTRING, "lk");
    check_best(MATCH_SUBSTRING, "olke");
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_registry, close_registry)
    const struct CMUnitTest tests[] = {
        TEST(finds_what_the_model_finds),
        TEST(pages_hold_still_under_changes),
        TEST(cuts_off_the_least_common_names),
    };

    return cmocka_run_group_tests_name("search against a model", tests, NULL, NULL);
}
