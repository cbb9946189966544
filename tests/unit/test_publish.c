/* path: publishing, renaming and deleting, also while another process swaps folders for
 * links. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "path_fixture.h"

struct swapper {
    int dir;
    atomic_bool stop;
};

static enum p2p_err
publish(const struct fixture *f, const char *text, const char *name,
        enum p2p_on_conflict conflict, char *stored)
{
    put_private(f, "part", text);
    return p2p_root_publish(f->root, "part", name, conflict, stored);
}

static void
publish_never_replaces_unasked(void **state)
{
    struct fixture *f = *state;
    char stored[P2P_NAME_MAX + 1];

    umask(022);
    assert_int_equal(publish(f, "1", "a.txt", P2P_CONFLICT_FAIL, stored), P2P_OK);
    assert_string_equal(stored, "a.txt");
    assert_int_equal(mode_of(f, "root/a.txt"), 0644);
    assert_false(scratch_has(&f->scratch, "root/.p2p/part"));

    assert_int_equal(publish(f, "2", "a.txt", P2P_CONFLICT_FAIL, stored),
                     P2P_ERR_EXISTS);
    assert_string_equal(stored, "");
    assert_true(scratch_holds(&f->scratch, "root/.p2p/part", "2")); /* kept */
    assert_int_equal(publish(f, "2", "a.txt", P2P_CONFLICT_RENAME, stored), P2P_OK);
    assert_string_equal(stored, "a (1).txt");
    assert_int_equal(publish(f, "3", "a.txt", P2P_CONFLICT_RENAME, stored), P2P_OK);
    assert_string_equal(stored, "a (2).txt");
    assert_true(scratch_holds(&f->scratch, "root/a.txt", "1"));
    assert_int_equal(publish(f, "4", "a.txt", P2P_CONFLICT_OVERWRITE, stored), P2P_OK);
    assert_true(scratch_holds(&f->scratch, "root/a.txt", "4"));
    assert_true(scratch_holds(&f->scratch, "root/a (1).txt", "2"));
}

static void
publish_makes_folders_but_follows_no_link(void **state)
{
    struct fixture *f = *state;
    char stored[P2P_NAME_MAX + 1];

    make_tree(f);
    assert_int_equal(publish(f, "1", "new/sub/x", P2P_CONFLICT_FAIL, stored), P2P_OK);
    assert_true(scratch_holds(&f->scratch, "root/new/sub/x", "1"));
    assert_int_equal(publish(f, "2", "linked/x", P2P_CONFLICT_OVERWRITE, stored),
                     P2P_ERR_IN_THE_WAY);
    assert_int_equal(publish(f, "2", "file/x", P2P_CONFLICT_RENAME, stored),
                     P2P_ERR_IN_THE_WAY);
    assert_int_equal(publish(f, "2", "folder", P2P_CONFLICT_OVERWRITE, stored),
                     P2P_ERR_EXISTS);
    assert_false(scratch_has(&f->scratch, "outside/x"));
    /* A link with the wanted name is replaced or left alone, but never followed. */
    assert_int_equal(publish(f, "2", "link", P2P_CONFLICT_FAIL, stored),
                     P2P_ERR_EXISTS);
    assert_int_equal(publish(f, "2", "link", P2P_CONFLICT_OVERWRITE, stored), P2P_OK);
    assert_true(scratch_holds(&f->scratch, "root/link", "2"));
}

static void
publish_refuses_hostile_names(void **state)
{
    struct fixture *f = *state;
    char stored[P2P_NAME_MAX + 1];

    put_private(f, "part", "x");
    for (size_t i = 0; i < sizeof(bad_names) / sizeof(bad_names[0]); i++) {
        if (memchr(bad_names[i].text, 0, bad_names[i].len))
            continue; /* a C string cannot contain it */
        const char *name = bad_names[i].text;
        assert_int_equal(
            p2p_root_publish(f->root, "part", name, P2P_CONFLICT_OVERWRITE, stored),
            P2P_ERR_NAME);
        assert_int_equal(p2p_root_unlink(f->root, name), P2P_ERR_NAME);
        assert_int_equal(p2p_root_withdraw(f->root, name, "taken"), P2P_ERR_NAME);
        assert_int_equal(p2p_root_rename(f->root, name, "x"), P2P_ERR_NAME);
        assert_int_equal(try_open(f, name), P2P_ERR_NAME);
    }
    assert_int_equal(
        p2p_root_publish(f->root, "../../canary", "x", P2P_CONFLICT_FAIL, stored),
        P2P_ERR_NAME);
    assert_int_equal(
        p2p_root_publish(f->root, "missing", "x", P2P_CONFLICT_FAIL, stored),
        P2P_ERR_NOT_FOUND);
}

static void
unlink_rename_and_withdraw(void **state)
{
    struct fixture *f = *state;
    char stored[P2P_NAME_MAX + 1];

    make_tree(f);
    assert_int_equal(p2p_root_rename(f->root, "file", "folder/inner"), P2P_ERR_EXISTS);
    assert_int_equal(p2p_root_rename(f->root, "folder/inner", "n/m/inner"), P2P_OK);
    assert_false(scratch_has(&f->scratch, "root/folder")); /* was left empty */
    assert_true(scratch_holds(&f->scratch, "root/n/m/inner", "inner"));
    assert_int_equal(p2p_root_rename(f->root, "missing", "q/x"), P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_root_rename(f->root, "link", "x"), P2P_ERR_NOT_FOUND);

    assert_int_equal(p2p_root_withdraw(f->root, "n/m/inner", "trash-1"), P2P_OK);
    assert_false(scratch_has(&f->scratch, "root/n"));
    assert_int_equal(p2p_root_withdraw(f->root, "file", "trash-1"), P2P_ERR_EXISTS);
    assert_int_equal(
        p2p_root_publish(f->root, "trash-1", "n/m/inner", P2P_CONFLICT_FAIL, stored),
        P2P_OK);
    assert_true(scratch_holds(&f->scratch, "root/n/m/inner", "inner"));

    assert_int_equal(p2p_root_unlink(f->root, "linked/secret"), P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_root_unlink(f->root, "link"), P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_root_unlink(f->root, "n"), P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_root_unlink(f->root, "n/m/inner"), P2P_OK);
    assert_false(scratch_has(&f->scratch, "root/n"));
    assert_true(scratch_holds(&f->scratch, "outside/secret", "secret"));
}

/* Exchanges a folder and a link to the outside, as fast as possible. */
static void *
swap_forever(void *arg)
{
    struct swapper *s = arg;

    while (!atomic_load(&s->stop))
        renameat2(s->dir, "folder", s->dir, "linked", RENAME_EXCHANGE);
    return NULL;
}

/* During the swapping, only files of the folder are read, written and removed. */
static void
race_once(const struct fixture *f, int round)
{
    char stored[P2P_NAME_MAX + 1], text[8] = "";
    struct stat st;
    int fd;

    if (p2p_root_open_file(f->root, "folder/secret", &fd, &st) == P2P_OK) {
        assert_true(read(fd, text, 7) > 0);
        assert_string_equal(text, "inner");
        close(fd);
    }
    put_private(f, "part", "bad");
    if (p2p_root_publish(f->root, "part", "folder/new", P2P_CONFLICT_OVERWRITE, stored))
        assert_string_equal(stored, "");
    if (round % 2 && p2p_root_unlink(f->root, "folder/new") == P2P_OK)
        assert_false(scratch_has(&f->scratch, "outside/new"));
    if (p2p_root_withdraw(f->root, "folder/new", "back") == P2P_OK)
        assert_int_equal(p2p_root_unlink_private(f->root, "back"), P2P_OK);
}

static void
swapped_folders_lead_nowhere(void **state)
{
    struct fixture *f = *state;
    struct swapper s = {.dir = p2p_root_fd(f->root)};
    pthread_t thread;

    make_tree(f);
    scratch_put(&f->scratch, "root/folder/secret", "inner");
    assert_int_equal(pthread_create(&thread, NULL, swap_forever, &s), 0);
    for (int round = 0; round < 150; round++) {
        p2p_path_forbid_openat2(round % 3 == 0);
        race_once(f, round);
    }
    p2p_path_forbid_openat2(false);
    atomic_store(&s.stop, true);
    pthread_join(thread, NULL);
    assert_true(scratch_holds(&f->scratch, "outside/secret", "secret"));
    assert_false(scratch_has(&f->scratch, "outside/new"));
    assert_false(scratch_has(&f->scratch, "outside/inner"));
}

/* Two publish under the same name at once: both files are stored, and none is replaced.
 */
struct publisher {
    const struct fixture *f;
    const char *private_name;
    int done;
};

static void *
publish_many(void *arg)
{
    struct publisher *p = arg;
    char stored[P2P_NAME_MAX + 1];

    for (int i = 0; i < 20; i++) {
        int fd;
        if (p2p_root_open_private(p->f->root, p->private_name, O_WRONLY | O_CREAT, &fd))
            return NULL;
        close(fd);
        p->done += p2p_root_publish(p->f->root, p->private_name, "race/x.bin",
                                    P2P_CONFLICT_RENAME, stored) == P2P_OK;
    }
    return NULL;
}

static void
racing_publishers_lose_nothing(void **state)
{
    struct fixture *f = *state;
    struct publisher p[2] = {{f, "one", 0}, {f, "two", 0}};
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, publish_many, &p[0]), 0);
    publish_many(&p[1]);
    pthread_join(thread, NULL);
    assert_int_equal(p[0].done + p[1].done, 40);
    for (int i = 0; i < 40; i++) {
        char name[64];
        snprintf(name, sizeof(name), i ? "root/race/x (%d).bin" : "root/race/x.bin", i);
        assert_true(scratch_has(&f->scratch, name));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOT(publish_never_replaces_unasked),
        WITH_ROOT(publish_makes_folders_but_follows_no_link),
        WITH_ROOT(publish_refuses_hostile_names),
        WITH_ROOT(unlink_rename_and_withdraw),
        WITH_ROOT(swapped_folders_lead_nowhere),
        WITH_ROOT(racing_publishers_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
