/* share: empty folders are listed beside the files, also when they are created and
 * removed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "core/share/folders.h"
#include "p2p/clock.h"
#include "share_fixture.h"

/* The whole list as "name\n", read in pages of `page` entries. */
static void
list_all(struct p2p_share *share, size_t page, char *out, size_t cap)
{
    struct p2p_share_entry entries[8];
    char after[P2P_NAME_MAX + 1] = "";
    size_t count, used = 0;

    out[0] = '\0';
    do {
        assert_int_equal(p2p_share_list_all(share, after, entries, page, &count),
                         P2P_OK);
        for (size_t i = 0; i < count; i++) {
            used += (size_t)snprintf(out + used, cap - used, "%s\n", entries[i].name);
            strcpy(after, entries[i].name);
            if (after[strlen(after) - 1] == '/')
                assert_int_equal(entries[i].geometry.size, 0);
        }
    } while (count > 0);
}

static void
await_list(struct p2p_share *share, const char *expected)
{
    uint64_t until = patience_end_ms();
    char now[4096];

    for (;;) {
        list_all(share, 8, now, sizeof(now));
        if (strcmp(now, expected) == 0)
            return;
        if (p2p_now_ms() > until)
            fail_msg("the list is:\n%s", now);
        usleep(20000);
    }
}

static void
remove_folder(struct shared *f, const char *name)
{
    assert_int_equal(rmdir(scratch_path(&f->scratch, name)), 0);
}

static void
remove_file(struct shared *f, const char *name)
{
    assert_int_equal(unlink(scratch_path(&f->scratch, name)), 0);
}

static void
empty_folders_are_listed_between_the_files(void **state)
{
    struct shared *f = *state;
    char by_one[4096];

    scratch_folder(&f->scratch, "s/a");
    scratch_put(&f->scratch, "s/b", "b");
    scratch_folder(&f->scratch, "s/c");
    scratch_folder(&f->scratch, "s/c/d");
    scratch_folder(&f->scratch, "s/c/d/e");
    scratch_put(&f->scratch, "s/c/f", "f");
    scratch_folder(&f->scratch, "s/c g");
    scratch_folder(&f->scratch, "s/.hidden");
    scratch_folder(&f->scratch, "s/aux"); /* a name that is not shared */
    shared_open(f, 0);
    shared_settle(f);
    /* In the order of bytes, ' ' comes before '/'. */
    await_list(f->share, "a/\nb\nc g/\nc/d/e/\nc/f\n");
    list_all(f->share, 1, by_one, sizeof(by_one));
    assert_string_equal(by_one, "a/\nb\nc g/\nc/d/e/\nc/f\n");
    assert_int_equal(shared_count(f), 2); /* folders are no files */
}

static void
they_come_and_go_while_the_share_runs(void **state)
{
    struct shared *f = *state;

    shared_open(f, 0);
    shared_settle(f);
    scratch_folder(&f->scratch, "s/a");
    await_list(f->share, "a/\n");
    scratch_folder(&f->scratch, "s/a/b");
    await_list(f->share, "a/b/\n");
    scratch_put(&f->scratch, "s/a/b/.hidden", "h");
    scratch_put(&f->scratch, "s/x", "x");
    await_list(f->share, "a/b/\nx\n");
    scratch_put(&f->scratch, "s/a/b/file", "f");
    await_list(f->share, "a/b/file\nx\n");
    remove_file(f, "s/a/b/file");
    await_list(f->share, "a/b/\nx\n");
    scratch_put(&f->scratch, "s/a/b/no:name", "n");
    await_list(f->share, "x\n");
    remove_file(f, "s/a/b/no:name");
    await_list(f->share, "a/b/\nx\n");
    remove_file(f, "s/a/b/.hidden");
    remove_folder(f, "s/a/b");
    await_list(f->share, "a/\nx\n");
    remove_folder(f, "s/a");
    await_list(f->share, "x\n");
}

static void
a_follower_lists_what_the_owner_found(void **state)
{
    struct shared *f = *state;
    const struct p2p_share_options opt = {.directory = scratch_path(&f->scratch, "s"),
                                          .threads = 1,
                                          .quiet_ms = QUIET_MS};
    struct p2p_share *follower;

    scratch_folder(&f->scratch, "s/a");
    shared_open(f, 0);
    shared_settle(f);
    assert_int_equal(p2p_share_open(&opt, &follower), P2P_OK);
    await_list(follower, "a/\n");
    scratch_folder(&f->scratch, "s/b");
    await_list(follower, "a/\nb/\n");
    remove_folder(f, "s/a");
    remove_folder(f, "s/b");
    await_list(follower, "");
    p2p_share_close(follower);
}

static void
the_list_has_a_limit(void **state)
{
    struct p2p_folders *folders;
    char name[P2P_NAME_MAX + 2];

    (void)state;
    assert_int_equal(p2p_folders_new(&folders), P2P_OK);
    for (unsigned i = 0; i < P2P_EMPTY_FOLDERS_MAX; i++) {
        snprintf(name, sizeof(name), "f%u", i * 7919 % P2P_EMPTY_FOLDERS_MAX);
        assert_int_equal(p2p_folders_add(folders, name, 1), P2P_OK);
    }
    assert_int_equal(p2p_folders_add(folders, "f0", 2), P2P_OK);
    assert_int_equal(p2p_folders_add(folders, "one more", 2), P2P_ERR_TOO_LARGE);
    memset(name, 'n', P2P_NAME_MAX);
    name[P2P_NAME_MAX] = '\0';
    assert_int_equal(p2p_folders_add(folders, name, 2), P2P_ERR_NAME);
    p2p_folders_lose_unseen(folders, 2);
    assert_int_equal(p2p_folders_add(folders, "one more", 2), P2P_OK);
    for (unsigned i = 0; i < P2P_DOUBTFUL_FOLDERS_MAX; i++) {
        snprintf(name, sizeof(name), "d%u/x", i);
        assert_true(p2p_folders_doubt_above(folders, name));
        assert_true(p2p_folders_doubt_above(folders, name));
    }
    assert_false(p2p_folders_doubt_above(folders, "another/x"));
    assert_true(p2p_folders_doubt_above(folders, "in the root"));
    p2p_folders_free(folders);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, shared_setup, shared_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(empty_folders_are_listed_between_the_files),
        TEST(they_come_and_go_while_the_share_runs),
        TEST(a_follower_lists_what_the_owner_found),
        cmocka_unit_test(the_list_has_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
