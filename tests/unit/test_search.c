// uses p2p-discovery
/* Search compared with a simple model, over names in sealed segments and in open parts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "discovery/index/distance.h"
#include "discovery/index/fold.h"
#include "discovery/index/hint.h"
#include "discovery/registry/registry.h"
#include "discovery/registry/search.h"

#define NAMES 9000u /* two sealed parts and an open one */

static struct registry *registry;
static char names[NAMES][64];
static bool gone[NAMES];

/* Few different letters and words, so that many names match. */
static void
make_name(unsigned i, char out[64])
{
    static const char *const words[] = {"holiday", "Café",  "report", "Ünïcode", "img",
                                        "a",       "final", "日本",   "ab",      "zz"};
    static const char *const ends[] = {".jpg", ".txt", "", ".TAR.gz", " (copy)"};

    snprintf(out, 64, "%s %s%u%s", words[i * 7 % 10], words[i * 3 % 7], i % 997,
             ends[i % 5]);
}

static struct record
record_of(unsigned peer, struct p2p_reg_entry *entries, uint32_t count)
{
    struct record r = {.port = 9000, .protocols = 1, .has_content = true};

    memset(r.id.b, (int)(peer * 37 % 251), sizeof(r.id.b));
    r.id.b[0] = (uint8_t)peer;
    r.id.b[1] = (uint8_t)(peer >> 8);
    strcpy(r.ip, "127.0.0.1");
    r.entries = entries;
    r.count = count;
    return r;
}

static struct p2p_reg_entry
entry_of(const char *name)
{
    struct p2p_reg_entry e = {.name = {name, strlen(name)}, .size = 1};

    assert_int_equal(p2p_sha256(name, strlen(name), &e.root), P2P_OK);
    return e;
}

static void
put(unsigned peer, struct p2p_reg_entry *entries, uint32_t count)
{
    struct record r = record_of(peer, entries, count);
    uint64_t seq;

    qsort(entries, count, sizeof(*entries), record_compare_entries);
    assert_int_equal(registry_put(registry, &r, 0, &seq), REGISTRY_OK);
}

/* 90 peers with 100 names each; then every tenth peer leaves. */
static int
fill(void **state)
{
    struct registry_options opt = {.ttl_ms = 60000, .max_peers = 1000};
    struct p2p_reg_entry entries[100];

    (void)state;
    if (p2p_crypto_init() != P2P_OK || registry_open(&opt, &registry) != P2P_OK)
        return -1;
    for (unsigned i = 0; i < NAMES; i++)
        make_name(i, names[i]);
    for (unsigned peer = 0; peer < NAMES / 100; peer++) {
        for (unsigned k = 0; k < 100; k++)
            entries[k] = entry_of(names[peer * 100 + k]);
        put(peer, entries, 100);
    }
    for (unsigned peer = 0; peer < NAMES / 100; peer += 10) {
        struct record r = record_of(peer, NULL, 0);

        registry_remove(registry, &r.id);
        memset(gone + peer * 100, 1, 100);
    }
    dict_settle(registry_dict(registry));
    return 0;
}

static int
empty(void **state)
{
    (void)state;
    registry_close(registry);
    return 0;
}

/* ---- the oracle ---- */

/* Damerau's optimal string alignment with every part of the text, written as it is
 * defined. */
static unsigned
naive_distance(const char *q, const char *t)
{
    static unsigned d[300][300];
    size_t n = strlen(q), m = strlen(t);
    unsigned best = (unsigned)n;

    for (size_t i = 0; i <= n; i++) {
        for (size_t j = 0; j <= m; j++) {
            unsigned v;

            if (i == 0 || j == 0) {
                d[i][j] = (unsigned)i;
                continue;
            }
            v = d[i - 1][j - 1] + (q[i - 1] != t[j - 1]);
            v = d[i - 1][j] + 1 < v ? d[i - 1][j] + 1 : v;
            v = d[i][j - 1] + 1 < v ? d[i][j - 1] + 1 : v;
            if (i > 1 && j > 1 && q[i - 1] == t[j - 2] && q[i - 2] == t[j - 1] &&
                d[i - 2][j - 2] + 1 < v)
                v = d[i - 2][j - 2] + 1;
            d[i][j] = v;
        }
    }
    for (size_t j = 0; j <= m; j++)
        best = d[n][j] < best ? d[n][j] : best;
    return best;
}

static bool
oracle_fits(enum match_mode mode, const char *query, const char *name)
{
    char q[800], t[800];

    fold_text(query, strlen(query), q);
    fold_text(name, strlen(name), t);
    switch (mode) {
    case MATCH_EXACT:
        return strcmp(q, t) == 0;
    case MATCH_PREFIX:
        return strncmp(q, t, strlen(q)) == 0;
    case MATCH_SUBSTRING:
        return strstr(t, q) != NULL;
    case MATCH_FUZZY:
        return naive_distance(q, t) <= match_errors_allowed(strlen(q));
    }
    return false;
}

static int
compare_strings(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The different live names that match, sorted. */
static size_t
oracle(enum match_mode mode, const char *query, const char **out)
{
    size_t n = 0, kept = 0;

    for (unsigned i = 0; i < NAMES; i++)
        if (!gone[i] && oracle_fits(mode, query, names[i]))
            out[n++] = names[i];
    qsort(out, n, sizeof(*out), compare_strings);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || strcmp(out[kept - 1], out[i]) != 0)
            out[kept++] = out[i];
    return kept;
}

static bool
    was_cut; /* the last search_all() matched more names than a search looks at */

/* All pages of a search. Names are copied into `store`. */
static size_t
search_all(enum match_mode mode, const char *query, char (*store)[64], const char **out)
{
    char cursor[SEARCH_CURSOR_MAX] = "";
    size_t n = 0;

    do {
        struct search_query q = {query, mode, 37, cursor[0] != '\0' ? cursor : NULL};
        struct search_results results;

        assert_int_equal(search_run(registry, &q, &results), P2P_OK);
        for (uint32_t i = 0; i < results.count; i++) {
            assert_true(n < NAMES);
            assert_true(results.at[i].n_peers > 0);
            strcpy(store[n], results.at[i].name);
            out[n] = store[n];
            n++;
        }
        strcpy(cursor, results.next);
        was_cut = results.is_cut;
        search_results_clear(&results);
    } while (cursor[0] != '\0');
    qsort(out, n, sizeof(*out), compare_strings);
    return n;
}

static void
compare_with_oracle(enum match_mode mode, const char *query)
{
    static char store[NAMES][64];
    static const char *want[NAMES], *have[NAMES];
    size_t n_want = oracle(mode, query, want);
    size_t n_have = search_all(mode, query, store, have);

    if (was_cut) { /* then it finds some of them, and nothing else */
        assert_true(n_have > 1000 && n_have < n_want);
        for (size_t i = 0; i < n_have; i++)
            assert_true(oracle_fits(mode, query, have[i]));
        return;
    }
    if (n_want != n_have)
        print_error("mode %d query '%s'\n", mode, query);
    assert_int_equal(n_have, n_want);
    for (size_t i = 0; i < n_want; i++)
        assert_string_equal(have[i], want[i]);
}

/* ---- tests ---- */

static void
finds_what_the_oracle_finds(void **state)
{
    static const char *const queries[] = {"holiday",
                                          "HOLIDAY",
                                          "café",
                                          "cafe",
                                          "unicode",
                                          "日",
                                          "日本",
                                          "a",
                                          "b",
                                          "zz",
                                          "0.jpg",
                                          ".tar.gz",
                                          "img a1",
                                          "(copy)",
                                          "report ",
                                          "ab final",
                                          "no such",
                                          "y r",
                                          "holiday report0.jpg",
                                          "Ü",
                                          "17",
                                          "77.txt",
                                          "a holiday"};

    (void)state;
    for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
        compare_with_oracle(MATCH_EXACT, queries[i]);
        compare_with_oracle(MATCH_PREFIX, queries[i]);
        compare_with_oracle(MATCH_SUBSTRING, queries[i]);
    }
    for (unsigned i = 0; i < NAMES; i += 501)
        compare_with_oracle(MATCH_EXACT, names[i]);
}

static void
random_text(char *out, size_t len, const char *letters)
{
    for (size_t i = 0; i < len; i++)
        out[i] = letters[(size_t)rand() % strlen(letters)];
    out[len] = '\0';
}

/* Both ways of counting, with patterns on both sides of the word's length, and texts of
 * different lengths beside each other. */
static void
counts_edits_as_the_definition_does(void **state)
{
    static const char *const alphabets[] = {"ab", "abcd", "abcdefghijklm"};
    char q[101], texts[DISTANCE_AT_ONCE][121];
    const char *at[DISTANCE_AT_ONCE];
    unsigned distances[DISTANCE_AT_ONCE];
    struct distance_pattern p;

    (void)state;
    srand(7);
    for (unsigned round = 0; round < 20000 / DISTANCE_AT_ONCE; round++) {
        const char *letters = alphabets[round % 3];
        size_t n = 1 + (size_t)rand() % (round % 5 == 0 ? 100 : 12);

        random_text(q, n, letters);
        for (unsigned i = 0; i < DISTANCE_AT_ONCE; i++) {
            random_text(texts[i], (size_t)rand() % 120, letters);
            at[i] = texts[i];
        }
        distance_prepare(&p, q, n);
        distance_to_parts_of(&p, at, distances);
        for (unsigned i = 0; i < DISTANCE_AT_ONCE; i++)
            assert_int_equal(distances[i], naive_distance(q, texts[i]));
    }
}

/* What the hints of a name exclude cannot be within the errors. */
static void
hints_exclude_only_what_cannot_match(void **state)
{
    static const char letters[] = "abcxyz019._ ";
    char q[9], t[21];
    unsigned excluded = 0;

    (void)state;
    srand(11);
    for (unsigned round = 0; round < 20000; round++) {
        random_text(q, 1 + (size_t)rand() % 8, letters);
        random_text(t, (size_t)rand() % 20, letters);
        for (unsigned errors = 0; errors < 4; errors++) {
            if (!hint_misses_more(hint_bytes(q), hint_bytes(t), errors))
                continue;
            assert_true(naive_distance(q, t) > errors);
            excluded++;
        }
    }
    assert_true(excluded > 20000); /* they are worth something */
    assert_int_equal(hint_start("ab", 2), hint_start("ab\0x", 3));
    assert_int_not_equal(hint_start("abcd", 4), hint_start("abce", 4));
}

/* Fuzzy search finds the same as the model, for queries whose errors cannot change all
 * of their trigrams. */
static void
finds_with_errors_what_the_oracle_finds(void **state)
{
    static const char *const queries[] = {"holiday rpeort", "unicode final99",
                                          "reprot img12", "holidya cafe",
                                          "final reprt.txt"};

    (void)state;
    for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++)
        compare_with_oracle(MATCH_FUZZY, queries[i]);
}

static void
never_invents_a_fuzzy_match(void **state)
{
    static char store[NAMES][64];
    static const char *have[NAMES];

    (void)state;
    static const char *const queries[] = {"holidya", "caef", "reprot", "abc"};
    for (size_t k = 0; k < 4; k++) {
        size_t n = search_all(MATCH_FUZZY, queries[k], store, have);

        assert_true(n > 0);
        for (size_t i = 0; i < n; i++)
            assert_true(oracle_fits(MATCH_FUZZY, queries[k], have[i]));
    }
}

static void
ranks_whole_names_and_beginnings_first(void **state)
{
    struct p2p_reg_entry e[] = {entry_of("xqtune"), entry_of("tunexq"),
                                entry_of("xqtune b"), entry_of("a xqtune"),
                                entry_of("tune xqtune")};
    struct search_query q = {"XQTUNE", MATCH_SUBSTRING, 10, NULL};
    struct search_results results;

    (void)state;
    put(500, e, 5);
    put(501, &e[4], 1);
    assert_int_equal(search_run(registry, &q, &results), P2P_OK);
    assert_int_equal(results.count, 4);
    assert_string_equal(results.at[0].name, "xqtune");
    assert_string_equal(results.at[1].name, "xqtune b");
    search_results_clear(&results);
}

/* Pages of one result each: counts them, and checks that no result comes twice. */
static unsigned
page_through(const char *text, char seen[8][64])
{
    struct search_query q = {text, MATCH_SUBSTRING, 1, NULL};
    char cursor[SEARCH_CURSOR_MAX];
    struct search_results results;
    unsigned pages = 0;

    do {
        assert_true(pages < 8);
        assert_int_equal(search_run(registry, &q, &results), P2P_OK);
        assert_int_equal(results.count, 1);
        snprintf(seen[pages], 64, "%s %llu", results.at[0].name,
                 (unsigned long long)results.at[0].size);
        for (unsigned i = 0; i < pages; i++)
            assert_string_not_equal(seen[i], seen[pages]);
        pages++;
        strcpy(cursor, results.next);
        q.cursor = cursor;
        search_results_clear(&results);
    } while (cursor[0] != '\0');
    return pages;
}

/* A peer that claims another size of a content, or another spelling of a name, does not
 * move the result from one page to another. */
static void
pages_pass_over_nothing_that_looks_alike(void **state)
{
    char seen[8][64];
    struct p2p_reg_entry e = entry_of("kqv.bin");
    struct p2p_reg_entry names_only[2] = {entry_of("KWV.bin"), entry_of("kwv.bin")};
    struct record r = record_of(305, names_only, 2);
    uint64_t seq;

    (void)state;
    put(301, &e, 1);
    for (unsigned i = 2; i < 5; i++) {
        e.size = i * 1000;
        put(300 + i, &e, 1);
    }
    assert_int_equal(page_through("kqv", seen), 4);
    r.has_content = false;
    assert_int_equal(registry_put(registry, &r, 0, &seq), REGISTRY_OK);
    assert_int_equal(page_through("kwv", seen), 2);
}

static void
shown_name(const char *text, char out[64])
{
    struct search_query q = {text, MATCH_SUBSTRING, 10, NULL};
    struct search_results results;

    assert_int_equal(search_run(registry, &q, &results), P2P_OK);
    assert_int_equal(results.count, 1);
    snprintf(out, 64, "%s", results.at[0].name);
    search_results_clear(&results);
}

/* A content is shown with the same name, in whatever order the peers registered. */
static void
of_names_that_fit_alike_the_first_by_bytes_is_shown(void **state)
{
    struct p2p_reg_entry late = entry_of("zqj b"), early = entry_of("zqj a");
    char name[64];

    (void)state;
    early.root = late.root;
    put(311, &late, 1);
    put(312, &early, 1);
    shown_name("zqj", name);
    assert_string_equal(name, "zqj a");
}

static void
folds_case_accents_and_forms(void **state)
{
    char out[100];

    (void)state;
    fold_text("ÀÉîõÜ", strlen("ÀÉîõÜ"), out);
    assert_string_equal(out, "aeiou");
    fold_text("e\xcc\x81", 3, out);
    assert_string_equal(out, "e");
    fold_text("Straße ŁÓDŹ Ærø", strlen("Straße ŁÓDŹ Ærø"), out);
    assert_string_equal(out, "strasse lodz aero");
    fold_text("ΑΒΓ Жук ＡＢ", strlen("ΑΒΓ Жук ＡＢ"), out);
    assert_string_equal(out, "αβγ жук ab");
}

static void
refuses_queries_and_cursors_that_are_none(void **state)
{
    char longest[400];
    struct search_query q = {"", MATCH_SUBSTRING, 10, NULL};
    struct search_results results;

    (void)state;
    assert_int_equal(search_run(registry, &q, &results), P2P_ERR_RANGE);
    memset(longest, 'x', sizeof(longest));
    longest[399] = '\0';
    q.text = longest;
    assert_int_equal(search_run(registry, &q, &results), P2P_ERR_RANGE);
    q.text = "\xcc\x81"; /* only an accent */
    assert_int_equal(search_run(registry, &q, &results), P2P_ERR_RANGE);
    q.text = "a";
    q.cursor = "1-2-3x";
    assert_int_equal(search_run(registry, &q, &results), P2P_ERR_MALFORMED);
    q.cursor = "";
    assert_int_equal(search_run(registry, &q, &results), P2P_ERR_MALFORMED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_edits_as_the_definition_does),
        cmocka_unit_test(hints_exclude_only_what_cannot_match),
        cmocka_unit_test(finds_what_the_oracle_finds),
        cmocka_unit_test(finds_with_errors_what_the_oracle_finds),
        cmocka_unit_test(never_invents_a_fuzzy_match),
        cmocka_unit_test(ranks_whole_names_and_beginnings_first),
        cmocka_unit_test(pages_pass_over_nothing_that_looks_alike),
        cmocka_unit_test(of_names_that_fit_alike_the_first_by_bytes_is_shown),
        cmocka_unit_test(folds_case_accents_and_forms),
        cmocka_unit_test(refuses_queries_and_cursors_that_are_none),
    };

    return cmocka_run_group_tests_name("search", tests, fill, empty);
}
