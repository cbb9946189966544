/* Who may see what: one table of questions to the pure rule, as many refusals as
 * acceptances; places in lists; and the table of grants on disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "p2p/access.h"
#include "p2p/grants.h"
#include "scratch.h"

static const struct p2p_id anna = {{1}}, bert = {{2}}, carl = {{3}};

/*
 * photos/            for anna
 * photos/holiday/    for everyone
 * photos/holiday/x/  for nobody
 * work/              for anna and bert
 */
static const struct p2p_id both[] = {{{1}}, {{2}}};
static const struct p2p_access_rule rules[] = {
    {.folder = "work/", .peers = both, .peer_count = 2},
    {.folder = "photos/holiday/", .everyone = true},
    {.folder = "photos/", .peers = &anna, .peer_count = 1},
    {.folder = "photos/holiday/x/"},
};
#define RULES (sizeof(rules) / sizeof(rules[0]))

/* Callers. */
enum { NEAR = 0, OUTSIDE = 1, TRUSTED = 2 };

static struct p2p_access_caller
caller(const struct p2p_id *id, int how)
{
    return (struct p2p_access_caller){
        .id = id, .is_outside = how & OUTSIDE, .is_trusted = how & TRUSTED};
}

static struct p2p_access *
make(const struct p2p_access_rule *from, size_t count, bool is_public)
{
    struct p2p_access *access;

    assert_int_equal(p2p_access_new(from, count, is_public, &access), P2P_OK);
    return access;
}

static const struct question {
    const char *name;
    const struct p2p_id *id;
    int how;
    bool answer, answer_if_public;
} questions[] = {
    /* Without a rule: everyone on the local networks, and trusted ones from outside. */
    {"song.mp3", &carl, NEAR, true, true},
    {"song.mp3", NULL, NEAR, true, true},
    {"song.mp3", &carl, TRUSTED, true, true},
    {"song.mp3", &carl, OUTSIDE | TRUSTED, true, true},
    {"song.mp3", &carl, OUTSIDE, false, true},
    {"song.mp3", &anna, OUTSIDE, false, true},
    {"song.mp3", NULL, OUTSIDE, false, true},
    /* A private folder: those that are named, from anywhere, and nobody else. */
    {"photos/a.jpg", &anna, NEAR, true, true},
    {"photos/a.jpg", &anna, OUTSIDE, true, true},
    {"photos/2026/a.jpg", &anna, OUTSIDE | TRUSTED, true, true},
    {"photos/a.jpg", &bert, NEAR, false, false},
    {"photos/a.jpg", &bert, TRUSTED, false, false},
    {"photos/a.jpg", &carl, OUTSIDE | TRUSTED, false, false},
    {"photos/a.jpg", &carl, OUTSIDE, false, false},
    {"photos/a.jpg", NULL, NEAR, false, false},
    {"photos/a.jpg", NULL, OUTSIDE, false, false},
    {"work/plan", &anna, NEAR, true, true},
    {"work/plan", &bert, OUTSIDE, true, true},
    {"work/plan", &carl, TRUSTED, false, false},
    {"work/plan", NULL, NEAR, false, false},
    /* The longest folder decides alone. */
    {"photos/holiday/b.jpg", &carl, NEAR, true, true},
    {"photos/holiday/b.jpg", NULL, NEAR, true, true},
    {"photos/holiday/b.jpg", &carl, OUTSIDE, false, true},
    {"photos/holiday/b.jpg", &anna, OUTSIDE, false, true},
    {"photos/holiday/b.jpg", &carl, OUTSIDE | TRUSTED, true, true},
    {"photos/holiday/x/c.jpg", &anna, NEAR, false, false},
    {"photos/holiday/x/c.jpg", &anna, OUTSIDE | TRUSTED, false, false},
    {"photos/holiday/x/c.jpg", NULL, NEAR, false, false},
    /* The folder itself, as lists name an empty one. */
    {"photos/", &anna, NEAR, true, true},
    {"photos/", &bert, NEAR, false, false},
    {"photos/holiday/", &bert, NEAR, true, true},
    {"photos/holiday/x/", &bert, NEAR, false, false},
    /* Names that only begin alike. */
    {"photos", &bert, NEAR, true, true},
    {"photos.zip", &bert, NEAR, true, true},
    {"photos2/a.jpg", &bert, NEAR, true, true},
    {"Photos/a.jpg", &bert, NEAR, true, true},
    {"photos/holiday", &bert, NEAR, false, false},
    {"photos/holiday2/a", &bert, NEAR, false, false},
    {"photos/holiday.zip", &anna, NEAR, true, true},
    {"my/photos/a.jpg", &bert, NEAR, true, true},
    {"workshop", NULL, NEAR, true, true},
    {"", &carl, OUTSIDE, false, true},
};

static void
every_question_has_its_answer(void **state)
{
    struct p2p_access *closed = make(rules, RULES, false),
                      *open = make(rules, RULES, true);

    (void)state;
    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
        const struct question *q = &questions[i];
        struct p2p_access_caller who = caller(q->id, q->how);
        if (p2p_access_may(closed, &who, q->name) != q->answer ||
            p2p_access_may(open, &who, q->name) != q->answer_if_public)
            fail_msg("wrong answer to question %zu: %s", i, q->name);
    }
    p2p_access_put(closed);
    p2p_access_put(open);
}

static void
one_who_may_see_nothing_does_not_enter(void **state)
{
    static const struct {
        const struct p2p_id *id;
        int how;
        bool enters, enters_without_rules, enters_public;
    } rows[] = {
        {&carl, NEAR, true, true, true},
        {NULL, NEAR, true, true, true},
        {&carl, OUTSIDE | TRUSTED, true, true, true},
        {&anna, OUTSIDE, true, false, true}, /* for photos/ alone */
        {&bert, OUTSIDE, true, false, true},
        {&carl, OUTSIDE, false, false, true},
        {NULL, OUTSIDE, false, false, true},
    };
    struct p2p_access *ruled = make(rules, RULES, false), *bare = make(NULL, 0, false),
                      *open = make(NULL, 0, true);

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct p2p_access_caller who = caller(rows[i].id, rows[i].how);
        assert_int_equal(p2p_access_may_enter(ruled, &who), rows[i].enters);
        assert_int_equal(p2p_access_may_enter(bare, &who),
                         rows[i].enters_without_rules);
        assert_int_equal(p2p_access_may_enter(open, &who), rows[i].enters_public);
        assert_false(p2p_access_may_all(ruled, &who));
        assert_int_equal(p2p_access_may_all(bare, &who), rows[i].enters_without_rules);
    }
    assert_true(p2p_access_is_public(open));
    assert_false(p2p_access_is_public(ruled));
    p2p_access_put(ruled);
    p2p_access_put(bare);
    p2p_access_put(open);
}

/* Everything is private, but for one folder. */
static void
the_whole_share_can_be_private(void **state)
{
    static const struct p2p_access_rule all[] = {{.folder = ""},
                                                 {.folder = "open/", .everyone = true}};
    struct p2p_access *access = make(all, 2, true);
    struct p2p_access_caller who = caller(&carl, TRUSTED);

    (void)state;
    assert_false(p2p_access_may(access, &who, "a"));
    assert_false(p2p_access_may(access, &who, "opener/a"));
    assert_true(p2p_access_may(access, &who, "open/a"));
    p2p_access_put(access);
}

static void
too_many_rules_and_peers_are_refused(void **state)
{
    static struct p2p_id crowd[P2P_ACCESS_PEERS_MAX + 1];
    struct p2p_access_rule many[P2P_ACCESS_RULES_MAX + 1] = {{.folder = "a/"}};
    const struct p2p_access_rule crowded = {
        .folder = "a/", .peers = crowd, .peer_count = P2P_ACCESS_PEERS_MAX + 1};
    const struct p2p_access_rule twice[] = {{.folder = "a/"}, {.folder = "a/"}};
    struct p2p_access *access = NULL;

    (void)state;
    assert_int_equal(p2p_access_new(many, P2P_ACCESS_RULES_MAX + 1, false, &access),
                     P2P_ERR_TOO_LARGE);
    assert_null(access);
    assert_int_equal(p2p_access_new(&crowded, 1, false, &access), P2P_ERR_TOO_LARGE);
    assert_int_equal(p2p_access_new(twice, 2, false, &access), P2P_ERR_EXISTS);
}

static uint64_t
mark(const struct p2p_access *access, const struct p2p_id *id, int how)
{
    const struct p2p_access_caller who = caller(id, how);

    return p2p_access_mark(access, &who);
}

/* It is another one if other names may be for the caller, and only then. */
static void
the_mark_of_a_caller(void **state)
{
    struct p2p_access_rule other[RULES];
    struct p2p_access *a = make(rules, RULES, false), *b = make(rules, RULES, false),
                      *open = make(rules, RULES, true), *fewer = make(rules, 3, false);

    (void)state;
    memcpy(other, rules, sizeof(other));
    other[2].peers = &bert;
    struct p2p_access *c = make(other, RULES, false);
    assert_true(mark(a, &anna, NEAR) == mark(b, &anna, NEAR));
    assert_true(mark(a, &anna, NEAR) == mark(a, &anna, OUTSIDE | TRUSTED));
    assert_true(mark(a, &anna, NEAR) == mark(open, &anna, OUTSIDE));
    assert_true(mark(a, &anna, NEAR) != mark(a, &anna, OUTSIDE));
    assert_true(mark(a, &anna, NEAR) != mark(a, &bert, NEAR));
    assert_true(mark(a, &anna, NEAR) != mark(c, &anna, NEAR));
    assert_true(mark(a, &anna, NEAR) != mark(fewer, &anna, NEAR));
    assert_true(mark(a, &carl, NEAR) == mark(c, &carl, NEAR));
    p2p_access_put(a);
    p2p_access_put(b);
    p2p_access_put(c);
    p2p_access_put(open);
    p2p_access_put(fewer);
}

static void
equal_rules_are_equal(void **state)
{
    struct p2p_access_rule other[RULES];
    struct p2p_access *a = make(rules, RULES, false), *b = make(rules, RULES, false),
                      *c = make(rules, RULES, true), *d = make(rules, RULES - 1, false),
                      *e;

    (void)state;
    memcpy(other, rules, sizeof(other));
    other[2].peers = &bert;
    e = make(other, RULES, false);
    assert_true(p2p_access_equal(a, b));
    assert_false(p2p_access_equal(a, c));
    assert_false(p2p_access_equal(a, d));
    assert_false(p2p_access_equal(a, e));
    assert_ptr_equal(p2p_access_hold(a), a);
    p2p_access_put(a);
    p2p_access_put(a);
    p2p_access_put(b);
    p2p_access_put(c);
    p2p_access_put(d);
    p2p_access_put(e);
    p2p_access_put(NULL);
}

/* ---- Places in lists ---- */

static const char *const listed[] = {
    "a",
    "photos",
    "photos-old/a",
    "photos.zip",
    "photos/1.jpg",
    "photos/2/3.jpg",
    "photos/holiday",
    "photos/holiday-2/a.jpg",
    "photos/holiday.zip",
    "photos/holiday/1.jpg",
    "photos/holiday/x/1.jpg",
    "photos/holiday/x/2.jpg",
    "photos/holiday/y/1.jpg",
    "photos/holiday2/a.jpg",
    "photos/\xc3\xa9t\xc3\xa9.jpg",
    "photos0",
    "work/plan",
    "zoo",
};
#define LISTED (sizeof(listed) / sizeof(listed[0]))

/* A walk that skips what the caller may not see finds all the rest; it never stands
 * still, and never passes a name that it may see. */
static void
walk(const struct p2p_access *access, const struct p2p_access_caller *who)
{
    char place[P2P_ACCESS_PLACE_MAX] = "";
    size_t seen = 0, may_see = 0, skips = 0;

    for (size_t i = 0; i < LISTED; i++)
        may_see += p2p_access_may(access, who, listed[i]);
    for (size_t i = 0; i < LISTED; i++) {
        if (strcmp(listed[i], place) <= 0) {
            assert_false(p2p_access_may(access, who, listed[i]));
            continue;
        }
        if (p2p_access_may(access, who, listed[i])) {
            seen++;
            continue;
        }
        p2p_access_skip(access, who, listed[i], place);
        assert_true(strcmp(place, listed[i]) > 0);
        skips++;
    }
    assert_int_equal(seen, may_see);
    assert_true(skips <= 2 * RULES + 1);
}

static void
a_list_skips_what_is_private(void **state)
{
    const struct p2p_id *const ids[] = {&anna, &bert, &carl, NULL};
    struct p2p_access *access = make(rules, RULES, false);

    (void)state;
    for (size_t i = 0; i < 4; i++)
        for (int how = 0; how < 4; how++) {
            struct p2p_access_caller who = caller(ids[i], how);
            walk(access, &who);
        }
    p2p_access_put(access);
}

/* ---- On disk ---- */

static struct scratch scratch;

static int
set_up(void **state)
{
    (void)state;
    scratch_make(&scratch);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    scratch_remove(&scratch);
    return 0;
}

static void
assert_rules(size_t expected)
{
    struct p2p_grant *grants;
    size_t count;

    assert_int_equal(p2p_grants_list(scratch.dir, &grants, &count), P2P_OK);
    assert_int_equal(count, expected);
    free(grants);
}

static bool
may(const struct p2p_id *id, const char *name)
{
    struct p2p_access_caller who = caller(id, NEAR);
    struct p2p_access *access;
    bool answer;

    assert_int_equal(p2p_grants_read(scratch.dir, false, &access), P2P_OK);
    answer = p2p_access_may(access, &who, name);
    p2p_access_put(access);
    return answer;
}

static void
folders_are_private_until_they_are_public(void **state)
{
    char path[512];
    struct stat st;

    (void)state;
    assert_true(may(&bert, "photos/a"));
    snprintf(path, sizeof(path), "%s/" P2P_GRANTS_FILE, scratch.dir);
    assert_int_not_equal(access(path, F_OK), 0); /* reading makes no file */

    assert_int_equal(p2p_grants_set_private(scratch.dir, "photos/", &anna, 1), P2P_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_true(may(&anna, "photos/a"));
    assert_false(may(&bert, "photos/a"));
    assert_true(may(&bert, "other"));

    /* Again, for others: it replaces the rule. */
    assert_int_equal(p2p_grants_set_private(scratch.dir, "photos/", &bert, 1), P2P_OK);
    assert_rules(1);
    assert_false(may(&anna, "photos/a"));
    assert_true(may(&bert, "photos/a"));
    assert_int_equal(p2p_grants_set_private(scratch.dir, "photos/", NULL, 0), P2P_OK);
    assert_false(may(&bert, "photos/a"));

    /* A public folder in a private one needs a rule; a public one alone does not. */
    assert_int_equal(p2p_grants_set_public(scratch.dir, "photos/open/"), P2P_OK);
    assert_rules(2);
    assert_true(may(&carl, "photos/open/a"));
    assert_false(may(&carl, "photos/a"));
    assert_int_equal(p2p_grants_set_public(scratch.dir, "photos/"), P2P_OK);
    assert_rules(1);
    assert_true(may(&carl, "photos/a"));
    assert_int_equal(p2p_grants_set_public(scratch.dir, "photos/open/"), P2P_OK);
    assert_rules(0);
}

static void
one_grant_ends_by_its_number(void **state)
{
    struct p2p_grant *grants;
    size_t count;

    (void)state;
    assert_int_equal(p2p_grants_set_private(scratch.dir, "", both, 2), P2P_OK);
    assert_int_equal(p2p_grants_list(scratch.dir, &grants, &count), P2P_OK);
    assert_int_equal(count, 1);
    assert_string_equal(grants[0].folder, "");
    assert_false(grants[0].everyone);
    assert_int_equal(grants[0].peer_count, 2);
    assert_true(p2p_id_equal(&grants[0].peers[1], &bert));
    assert_true(grants[0].created_s > 0);
    assert_int_equal(p2p_grants_remove(scratch.dir, grants[0].id + 1),
                     P2P_ERR_NOT_FOUND);
    assert_rules(1);
    assert_int_equal(p2p_grants_remove(scratch.dir, grants[0].id), P2P_OK);
    assert_rules(0);
    free(grants);
}

static void
a_damaged_table_is_an_error(void **state)
{
    struct p2p_access *access;
    char path[512];
    FILE *out;

    (void)state;
    snprintf(path, sizeof(path), "%s/" P2P_GRANTS_FILE, scratch.dir);
    assert_non_null(out = fopen(path, "w"));
    for (int i = 0; i < 4096; i++)
        fputc('x', out);
    fclose(out);
    assert_int_not_equal(p2p_grants_read(scratch.dir, false, &access), P2P_OK);
    assert_null(access);
    assert_int_not_equal(p2p_grants_set_private(scratch.dir, "a/", NULL, 0), P2P_OK);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_not_equal(p2p_grants_read(scratch.dir, false, &access), P2P_OK);
}

static void
folders_are_written_in_many_ways(void **state)
{
    static const struct {
        const char *text, *folder; /* NULL: refused */
    } rows[] = {
        {"photos", "photos/"},
        {"photos/", "photos/"},
        {"photos///", "photos/"},
        {"photos/2026", "photos/2026/"},
        {"/", ""},
        {"//", ""},
        {"", NULL},
        {"/photos", NULL},
        {"photos//2026", NULL},
        {"../photos", NULL},
        {"photos/..", NULL},
        {".p2p", NULL},
        {"photos\n", NULL},
        {"C:", NULL},
    };
    char out[P2P_NAME_MAX + 2];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        enum p2p_err err = p2p_grants_folder(rows[i].text, out);
        assert_int_equal(err, rows[i].folder != NULL ? P2P_OK : P2P_ERR_NAME);
        if (rows[i].folder != NULL)
            assert_string_equal(out, rows[i].folder);
    }
}

static void
there_is_an_end_to_the_rules(void **state)
{
    char folder[16];

    (void)state;
    for (int i = 0; i < 3; i++) {
        snprintf(folder, sizeof(folder), "f%d/", i);
        assert_int_equal(p2p_grants_set_private(scratch.dir, folder, NULL, 0), P2P_OK);
    }
    assert_rules(3);
    assert_int_equal(
        p2p_grants_set_private(scratch.dir, "g/", &anna, P2P_ACCESS_PEERS_MAX + 1),
        P2P_ERR_TOO_LARGE);
    assert_rules(3);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_question_has_its_answer),
        cmocka_unit_test(one_who_may_see_nothing_does_not_enter),
        cmocka_unit_test(the_whole_share_can_be_private),
        cmocka_unit_test(too_many_rules_and_peers_are_refused),
        cmocka_unit_test(equal_rules_are_equal),
        cmocka_unit_test(the_mark_of_a_caller),
        cmocka_unit_test(a_list_skips_what_is_private),
        cmocka_unit_test_setup_teardown(folders_are_private_until_they_are_public,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_grant_ends_by_its_number, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_table_is_an_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(folders_are_written_in_many_ways, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(there_is_an_end_to_the_rules, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
