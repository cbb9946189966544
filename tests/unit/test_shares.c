/* Several shared folders as one list of names, compared with the list that a plain sort
 * makes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "p2p/shares.h"
#include "share_fixture.h"

enum { NAMES_MAX = 64 };

static char why[512];

static enum p2p_err
parse(struct p2p_shares_folders *out, const char *const *texts)
{
    size_t count = 0;

    while (texts[count] != NULL)
        count++;
    return p2p_shares_parse(texts, count, out, why, sizeof(why));
}

#define TEXTS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void
names_come_from_the_text_or_the_folder(void **state)
{
    struct p2p_shares_folders f;

    (void)state;
    assert_int_equal(parse(&f, TEXTS("Photos=/mnt/p", "/srv/files", "/mnt/Music/",
                                     "rel/=x", "Top=a=b/c")),
                     P2P_OK);
    assert_int_equal(f.count, 5);
    assert_string_equal(f.at[0].name, "Photos");
    assert_string_equal(f.at[0].path, "/mnt/p");
    assert_string_equal(f.at[1].name, "");
    assert_string_equal(f.at[2].name, "Music");
    assert_string_equal(f.at[2].path, "/mnt/Music/");
    assert_string_equal(f.at[3].name, "=x");
    assert_string_equal(f.at[3].path, "rel/=x");
    assert_string_equal(f.at[4].name, "Top");
    assert_string_equal(f.at[4].path, "a=b/c");
}

static void
what_cannot_be_shared_is_refused(void **state)
{
    const char *many[P2P_SHARES_MAX + 2] = {0};
    char texts[P2P_SHARES_MAX + 1][16], longer[P2P_SHARES_NAME_MAX + 16];
    struct p2p_shares_folders f;

    (void)state;
    assert_int_equal(p2p_shares_parse(NULL, 0, &f, why, sizeof(why)), P2P_ERR_USAGE);
    assert_int_equal(parse(&f, TEXTS("")), P2P_ERR_USAGE);
    assert_int_equal(parse(&f, TEXTS("A=")), P2P_ERR_USAGE);
    assert_int_equal(parse(&f, TEXTS("/a", "/b", "/c/b")), P2P_ERR_USAGE);
    assert_non_null(strstr(why, "another shared folder has this name"));
    assert_int_equal(parse(&f, TEXTS("/a", "X=/b", "x=/c")), P2P_ERR_USAGE);
    assert_int_equal(parse(&f, TEXTS("/a", "X=/a")), P2P_ERR_USAGE);
    assert_non_null(strstr(why, "twice"));
    assert_int_equal(parse(&f, TEXTS(".x=/a")), P2P_ERR_USAGE);
    assert_int_equal(parse(&f, TEXTS("a:b=/a")), P2P_ERR_USAGE);
    assert_non_null(strstr(why, "NAME=PATH"));
    assert_int_equal(parse(&f, TEXTS("/a", "/mnt/.hidden")), P2P_ERR_USAGE);
    assert_int_equal(parse(&f, TEXTS("/a", "/")), P2P_ERR_USAGE);
    memset(longer, 'n', sizeof(longer));
    strcpy(longer + P2P_SHARES_NAME_MAX + 1, "=/a");
    assert_int_equal(parse(&f, TEXTS(longer)), P2P_ERR_USAGE);
    for (size_t i = 0; i <= P2P_SHARES_MAX; i++) {
        snprintf(texts[i], sizeof(texts[i]), "N%zu=/%zu", i, i);
        many[i] = texts[i];
    }
    assert_int_equal(parse(&f, many), P2P_ERR_USAGE);
    many[P2P_SHARES_MAX] = NULL;
    assert_int_equal(parse(&f, many), P2P_OK);
}

/* ---- On a disk ---- */

struct world {
    struct scratch scratch;
    char paths[P2P_SHARES_MAX][PATH_MAX];
    struct p2p_shares_folders folders;
    struct p2p_shares *shares;
};

static int
setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    p2p_log_init("test_shares", P2P_LOG_ERROR);
    scratch_make(&w->scratch);
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    struct world *w = *state;

    p2p_shares_close(w->shares);
    scratch_remove(&w->scratch);
    free(w);
    return 0;
}

static void
add_folder(struct world *w, const char *name)
{
    size_t i = w->folders.count++;

    char leaf[8];

    snprintf(leaf, sizeof(leaf), "%zu", i);
    strcpy(w->paths[i], scratch_path(&w->scratch, leaf));
    assert_int_equal(mkdir(w->paths[i], 0755), 0);
    strcpy(w->folders.at[i].name, name);
    w->folders.at[i].path = w->paths[i];
}

/* The content is the text, so that equal texts have one root. */
static void
add_file(struct world *w, size_t folder, const char *name, const char *text)
{
    char path[2 * PATH_MAX];
    FILE *out;

    snprintf(path, sizeof(path), "%s/%s", w->paths[folder], name);
    for (char *slash = strchr(path + strlen(w->paths[folder]) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0755);
        *slash = '/';
    }
    out = fopen(path, "we");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static void
open_all(struct world *w)
{
    const struct p2p_share_options opt = {.threads = 1, .quiet_ms = QUIET_MS};
    size_t failed;

    assert_int_equal(p2p_shares_open(&w->folders, &opt, &w->shares, &failed), P2P_OK);
    for (size_t i = 0; i < w->folders.count; i++)
        assert_int_equal(p2p_share_wait_idle(p2p_shares_at(w->shares, i), IDLE_MS),
                         P2P_OK);
}

static size_t
list(struct world *w, size_t page, char names[NAMES_MAX][P2P_NAME_MAX + 1])
{
    struct p2p_share_entry *entries = calloc(page, sizeof(*entries));
    char after[P2P_NAME_MAX + 1] = "";
    size_t total = 0, count = page;

    while (count == page) {
        assert_int_equal(p2p_shares_list(w->shares, after, entries, page, &count),
                         P2P_OK);
        for (size_t i = 0; i < count; i++) {
            assert_in_range(total, 0, NAMES_MAX - 1);
            strcpy(names[total++], entries[i].name);
        }
        if (count > 0)
            strcpy(after, entries[count - 1].name);
    }
    free(entries);
    return total;
}

static int
compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void
check_list(struct world *w, const char **wanted, size_t count)
{
    char(*names)[P2P_NAME_MAX + 1] = calloc(NAMES_MAX, sizeof(*names));

    qsort(wanted, count, sizeof(*wanted), compare);
    for (size_t page = 1; page <= count + 1; page++) {
        assert_int_equal(list(w, page, names), count);
        for (size_t i = 0; i < count; i++)
            assert_string_equal(names[i], wanted[i]);
    }
    free(names);
}

static void
a_list_is_sorted_with_pages_of_every_size(void **state)
{
    struct world *w = *state;
    static const char *const bare[] = {"A",    "A b", "A!",   "Aa/x", "B/1",
                                       "M/z/", "M0",  "Zz/q", "z",    "\xc3\xa4"};
    const char *wanted[NAMES_MAX];
    size_t count = 0;

    add_folder(w, "");
    add_folder(w, "M");
    add_folder(w, "A c");
    add_folder(w, "Z");
    add_folder(w, "empty");
    for (size_t i = 0; i < sizeof(bare) / sizeof(bare[0]); i++) {
        if (bare[i][strlen(bare[i]) - 1] == '/')
            continue;
        add_file(w, 0, bare[i], bare[i]);
        wanted[count++] = bare[i];
    }
    add_file(w, 1, "one", "M one");
    add_file(w, 1, "two/three", "M two");
    add_file(w, 2, "1", "A c 1");
    add_file(w, 3, "\xc3\xa4", "Z a");
    wanted[count++] = "M/one";
    wanted[count++] = "M/two/three";
    wanted[count++] = "A c/1";
    wanted[count++] = "Z/\xc3\xa4";
    open_all(w);
    check_list(w, wanted, count);
}

static void
without_a_bare_folder_every_name_has_a_folder(void **state)
{
    struct world *w = *state;
    const char *wanted[] = {"X/a", "Y/a", "Y/b"};
    struct p2p_share_entry entry;

    add_folder(w, "Y");
    add_folder(w, "X");
    add_file(w, 0, "a", "1");
    add_file(w, 0, "b", "2");
    add_file(w, 1, "a", "3");
    open_all(w);
    check_list(w, wanted, 3);
    assert_int_equal(p2p_shares_find_name(w->shares, "a", &entry), P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_shares_find_name(w->shares, "Z/a", &entry), P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_shares_find_name(w->shares, "Y", &entry), P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_shares_find_name(w->shares, "Y/", &entry), P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_shares_find_name(w->shares, "Y/a", &entry), P2P_OK);
    assert_string_equal(entry.name, "Y/a");
}

static void
a_content_is_found_in_any_folder(void **state)
{
    struct world *w = *state;
    struct p2p_share_entry entry, again;
    struct p2p_share_file *file;
    struct p2p_share_totals totals;
    struct p2p_digest layer, none = {{1}};
    char name[P2P_NAME_MAX + 1], text[16] = "";

    add_folder(w, "");
    add_folder(w, "Photos");
    add_file(w, 0, "own", "own");
    add_file(w, 1, "2026/a.jpg", "picture");
    open_all(w);
    assert_int_equal(p2p_shares_find_name(w->shares, "Photos/2026/a.jpg", &entry),
                     P2P_OK);
    assert_int_equal(p2p_shares_find_root(w->shares, &entry.root, &again), P2P_OK);
    assert_string_equal(again.name, "Photos/2026/a.jpg");
    assert_int_equal(p2p_shares_layer(w->shares, &entry.root, 0, 1, &layer), P2P_OK);
    assert_int_equal(p2p_shares_file_open(w->shares, &entry.root, &file), P2P_OK);
    assert_string_equal(p2p_shares_file_name(w->shares, file, name),
                        "Photos/2026/a.jpg");
    assert_int_equal(p2p_share_file_read(file, 0, text, 7), P2P_OK);
    assert_string_equal(text, "picture");
    p2p_share_file_close(file);
    assert_int_equal(p2p_shares_find_root(w->shares, &none, &again), P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_shares_file_open(w->shares, &none, &file), P2P_ERR_NOT_FOUND);
    assert_null(file);
    assert_int_equal(p2p_shares_layer(w->shares, &none, 0, 1, &layer),
                     P2P_ERR_NOT_FOUND);
    p2p_shares_totals(w->shares, &totals);
    assert_int_equal(totals.files, 2);
    assert_int_equal(totals.bytes, 10);
    assert_false(totals.is_away);
}

static void
a_folder_of_the_bare_one_is_hidden_by_another_share(void **state)
{
    struct world *w = *state;
    const char *wanted[] = {"Photos/a", "z"};
    struct p2p_share_entry entry;

    add_folder(w, "");
    add_folder(w, "Photos");
    assert_int_equal(p2p_shares_check(&w->folders, why, sizeof(why)), P2P_OK);
    add_file(w, 0, "Photos/hidden", "hidden");
    add_file(w, 0, "z", "z");
    add_file(w, 1, "a", "a");
    assert_int_equal(p2p_shares_check(&w->folders, why, sizeof(why)), P2P_ERR_EXISTS);
    assert_non_null(strstr(why, "has an entry Photos"));
    open_all(w);
    check_list(w, wanted, 2);
    assert_int_equal(p2p_shares_find_name(w->shares, "Photos/hidden", &entry),
                     P2P_ERR_NOT_FOUND);
}

static void
a_name_that_gets_too_long_is_left_out(void **state)
{
    struct world *w = *state;
    char name[P2P_NAME_MAX + 1] = "", folder[P2P_SHARES_NAME_MAX + 1];
    const char *wanted[1];
    char wanted_name[P2P_NAME_MAX + 1];
    struct p2p_share_entry entry;

    memset(folder, 'f', P2P_SHARES_NAME_MAX);
    folder[P2P_SHARES_NAME_MAX] = '\0';
    add_folder(w, folder);
    while (strlen(name) < P2P_NAME_MAX - P2P_SHARES_NAME_MAX)
        strcat(name, "dddddddddddddddddddddddddddddddddddddd/");
    strcat(name, "e");
    add_file(w, 0, name, "long");
    add_file(w, 0, "zzz", "short");
    open_all(w);
    snprintf(wanted_name, sizeof(wanted_name), "%s/zzz", folder);
    wanted[0] = wanted_name;
    check_list(w, wanted, 1);
    assert_int_equal(p2p_shares_find_name(w->shares, wanted_name, &entry), P2P_OK);
}

static void
a_folder_that_cannot_be_opened_is_named(void **state)
{
    struct world *w = *state;
    const struct p2p_share_options opt = {.threads = 1};
    size_t failed = 9;

    add_folder(w, "");
    add_folder(w, "X");
    w->folders.at[1].path = "/proc/self/none/there";
    assert_int_not_equal(p2p_shares_open(&w->folders, &opt, &w->shares, &failed),
                         P2P_OK);
    assert_null(w->shares);
    assert_int_equal(failed, 1);
}

/* The rules of a sandbox for the world's folders; those that are left go to `allowed`.
 */
static enum p2p_err
allow(const struct world *w, struct p2p_shares_folders *allowed)
{
    const struct p2p_shares_sandbox how = {.keys_dir = w->scratch.dir,
                                           .program = "test"};
    struct p2p_sandbox_rules rules;
    enum p2p_err err;

    p2p_sandbox_rules_init(&rules);
    err = p2p_shares_allow(&rules, &w->folders, &how, allowed);
    assert_int_equal(rules.watched_count, allowed->count);
    p2p_sandbox_rules_clear(&rules);
    return err;
}

static void
a_folder_that_is_away_leaves_the_others(void **state)
{
    struct world *w = *state;
    struct p2p_shares_folders allowed;

    add_folder(w, "");
    add_folder(w, "X");
    assert_int_equal(allow(w, &allowed), P2P_OK);
    assert_int_equal(allowed.count, 2);
    w->folders.at[0].path = "/proc/self/none/there";
    assert_int_equal(allow(w, &allowed), P2P_OK);
    assert_int_equal(allowed.count, 1);
    assert_string_equal(allowed.at[0].name, "X");
    w->folders.count = 1;
    assert_int_not_equal(allow(w, &allowed), P2P_OK);
    assert_int_equal(allowed.count, 0);
}

static void
a_name_that_two_have_allows_none(void **state)
{
    struct world *w = *state;
    struct p2p_shares_folders allowed;

    add_folder(w, "");
    add_folder(w, "X");
    add_file(w, 0, "X", "a file with the name of the other folder");
    assert_int_equal(allow(w, &allowed), P2P_ERR_EXISTS);
    assert_int_equal(allowed.count, 0);
}

/* ---- The lists of changes ---- */

static bool
note_name(void *arg, uint64_t change, const char *name, enum p2p_share_change_kind kind)
{
    char *told = arg;
    size_t len = strlen(told);

    (void)change;
    if (strstr(name, "stop") != NULL)
        return false;
    snprintf(told + len, 200 - len, "%c%s ", "+-?"[kind], name);
    return true;
}

/* What changed in `folder` since this place, which moves on. */
static const char *
changes(struct world *w, const char *folder, struct p2p_shares_feed *place)
{
    static char told[200];
    uint32_t log = place->log;
    uint64_t after = place->last;

    told[0] = '\0';
    p2p_shares_changes(w->shares, folder, log, after, note_name, told, place);
    return place->is_known ? told : "anew";
}

static void
settle(struct world *w)
{
    for (size_t i = 0; i < w->folders.count; i++)
        assert_int_equal(p2p_share_wait_idle(p2p_shares_at(w->shares, i), IDLE_MS),
                         P2P_OK);
}

static void
close_all(struct world *w)
{
    p2p_shares_close(w->shares);
    w->shares = NULL;
}

static bool
has(const char *told, const char *name)
{
    return strstr(told, name) != NULL;
}

static void
several_lists_of_changes_are_one(void **state)
{
    struct world *w = *state;
    struct p2p_shares_feed all = {.log = 0}, photos = {.log = 0}, sub = {.log = 0};
    struct p2p_shares_feed before;

    add_folder(w, "");
    add_folder(w, "Photos");
    add_file(w, 0, "Photos/hidden", "hidden");
    add_file(w, 0, "sub/z", "z");
    add_file(w, 1, "a", "a");
    open_all(w);
    assert_string_equal(changes(w, "", &all), "anew");
    assert_string_equal(changes(w, "Photos", &photos), "anew");
    assert_string_equal(changes(w, "sub", &sub), "anew");
    assert_true(all.log != 0 && photos.log != 0 && sub.log != photos.log);
    assert_string_equal(changes(w, "", &all), "");
    assert_true(all.is_whole && !all.is_sorted && photos.is_sorted);
    before = all;

    add_file(w, 1, "b", "b");
    settle(w);
    assert_string_equal(changes(w, "Photos", &photos), "+Photos/b ");
    assert_string_equal(changes(w, "sub", &sub), "");
    /* A name of the other folder may come, too. */
    assert_true(has(changes(w, "", &all), "+Photos/b ") && all.last > before.last);
    /* After a restart it goes on. */
    close_all(w);
    add_file(w, 0, "sub/y", "y");
    open_all(w);
    assert_true(has(changes(w, "", &all), "+sub/y "));
    assert_string_equal(changes(w, "sub", &sub), "+sub/y ");
    assert_string_equal(changes(w, "", &all), "");
    /* A name that a list does not give is not hidden: all of them, or none. */
    before = all;
    add_file(w, 0, "stop", "s");
    settle(w);
    (void)changes(w, "", &all);
    assert_true(all.is_known && !all.is_whole && all.seen == before.last);
    /* A place beyond the end, and other folders, are another list. */
    all.last += 1000;
    photos.last += 1000;
    assert_string_equal(changes(w, "", &all), "anew");
    assert_string_equal(changes(w, "Photos", &photos), "anew");
    assert_true(photos.last < 1000 && all.last < 1000);
    assert_string_equal(changes(w, "Photos", &photos), "");
    before = all;
    close_all(w);
    add_folder(w, "Music");
    open_all(w);
    assert_string_equal(changes(w, "", &all), "anew");
    assert_true(all.log != before.log);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_come_from_the_text_or_the_folder),
        cmocka_unit_test(what_cannot_be_shared_is_refused),
        T(a_list_is_sorted_with_pages_of_every_size),
        T(without_a_bare_folder_every_name_has_a_folder),
        T(a_content_is_found_in_any_folder),
        T(a_folder_of_the_bare_one_is_hidden_by_another_share),
        T(a_name_that_gets_too_long_is_left_out),
        T(a_folder_that_cannot_be_opened_is_named),
        T(a_folder_that_is_away_leaves_the_others),
        T(a_name_that_two_have_allows_none),
        T(several_lists_of_changes_are_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
