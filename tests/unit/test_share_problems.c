/* share: files that are not shared are listed with the reason, also while the program
 * runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "p2p/clock.h"
#include "share_fixture.h"

/* All problems as lines "name: reason". */
struct lines {
    char text[8192];
};

static void
add_line(void *arg, const char *name, const char *reason)
{
    struct lines *lines = arg;
    size_t used = strlen(lines->text);

    snprintf(lines->text + used, sizeof(lines->text) - used, "%s: %s\n", name, reason);
}

static void
problems(struct shared *f, struct lines *out)
{
    out->text[0] = '\0';
    assert_int_equal(p2p_share_problems(f->share, add_line, out), P2P_OK);
}

static void
await_problems(struct shared *f, const char *expected)
{
    uint64_t until = patience_end_ms();
    struct lines now;

    for (;;) {
        problems(f, &now);
        if (strcmp(now.text, expected) == 0)
            return;
        if (p2p_now_ms() > until)
            fail_msg("the problems are:\n%s", now.text);
        usleep(20000);
    }
}

static void
what_is_left_out_is_listed_with_its_reason(void **state)
{
    struct shared *f = *state;
    struct p2p_root *root;
    struct lines elsewhere = {.text = ""};

    scratch_put(&f->scratch, "s/good.txt", "x");
    scratch_put(&f->scratch, "s/.hidden",
                "x"); /* ignored on purpose, so it is not listed */
    scratch_put(&f->scratch, "s/Re: mail.eml", "x");
    scratch_folder(&f->scratch, "s/Vol. 1.");
    scratch_put(&f->scratch, "s/Vol. 1./a", "x");
    scratch_put(&f->scratch, "s/latin\xe9", "x");
    assert_int_equal(symlink("good.txt", scratch_path(&f->scratch, "s/link")), 0);
    assert_int_equal(mkfifo(scratch_path(&f->scratch, "s/pipe"), 0600), 0);
    shared_open(f, 0);
    shared_settle(f);
    static const char expected[] = "Re: mail.eml: it contains ':'\n"
                                   "Vol. 1.: it ends in a dot or a space\n"
                                   "latin\\xe9: it is not valid UTF-8\n"
                                   "link: it is a symbolic link\n"
                                   "pipe: it is not a regular file\n";
    await_problems(f, expected);
    assert_int_equal(p2p_root_open(scratch_path(&f->scratch, "s"), false, 0755, &root),
                     P2P_OK);
    assert_int_equal(p2p_share_problems_at(root, NULL, add_line, &elsewhere), P2P_OK);
    assert_string_equal(elsewhere.text, expected);
    p2p_root_close(root);
}

static void
the_list_follows_what_happens(void **state)
{
    struct shared *f = *state;
    char bad[PATH_MAX], good[PATH_MAX];

    shared_open(f, 0);
    shared_settle(f);
    await_problems(f, "");
    scratch_put(&f->scratch, "s/Mr.", "x");
    await_problems(f, "Mr.: it ends in a dot or a space\n");
    snprintf(bad, sizeof(bad), "%s", scratch_path(&f->scratch, "s/Mr."));
    snprintf(good, sizeof(good), "%s", scratch_path(&f->scratch, "s/Mr"));
    assert_int_equal(rename(bad, good), 0);
    await_problems(f, "");
    shared_settle(f);
    assert_int_equal(shared_find(f, "Mr"), P2P_OK);
    /* In a folder that is moved here as a whole. */
    scratch_folder(&f->scratch, "in");
    scratch_put(&f->scratch, "in/a:b", "x");
    snprintf(bad, sizeof(bad), "%s", scratch_path(&f->scratch, "in"));
    snprintf(good, sizeof(good), "%s", scratch_path(&f->scratch, "s/in"));
    assert_int_equal(rename(bad, good), 0);
    await_problems(f, "in/a:b: it contains ':'\n");
}

struct tally {
    size_t count;
    char name[64], reason[64]; /* of the last one */
};

static void
count_problem(void *arg, const char *name, const char *reason)
{
    struct tally *tally = arg;

    tally->count++;
    snprintf(tally->name, sizeof(tally->name), "%s", name);
    snprintf(tally->reason, sizeof(tally->reason), "%s", reason);
}

static void
many_are_counted(void **state)
{
    struct shared *f = *state;
    uint64_t until = patience_end_ms();
    struct tally tally = {.count = 0};
    char name[32];

    for (int i = 0; i < 1003; i++) {
        snprintf(name, sizeof(name), "s/%04d:", i);
        scratch_put(&f->scratch, name, "x");
    }
    shared_open(f, 0);
    shared_settle(f);
    while (tally.count == 0) {
        assert_true(p2p_now_ms() < until);
        usleep(20000);
        assert_int_equal(p2p_share_problems(f->share, count_problem, &tally), P2P_OK);
    }
    assert_int_equal(tally.count, 1001);
    assert_string_equal(tally.name, "");
    assert_string_equal(tally.reason, "3 more");
}

int
main(void)
{
#define SHARED(test) \
    cmocka_unit_test_setup_teardown(test, shared_setup, shared_teardown)
    const struct CMUnitTest tests[] = {
        SHARED(what_is_left_out_is_listed_with_its_reason),
        SHARED(the_list_follows_what_happens),
        SHARED(many_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
