/*
 * base copies: what other programs change or delete in a shared folder can be restored;
 * what they do not cost; when there is no room for them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/keep/versions_internal.h"
#include "p2p/share.h"
#include "path_fixture.h"
#include "patience.h"

struct world {
    struct fixture f;
    struct p2p_share *share;
    struct p2p_versions *v;
};

static void
open_world(struct world *w)
{
    const struct p2p_share_options opt = {
        .directory = scratch_path(&w->f.scratch, "root"), .quiet_ms = 1};

    assert_int_equal(p2p_share_open(&opt, &w->share), P2P_OK);
    assert_int_equal(p2p_versions_open(p2p_share_root(w->share), &w->v), P2P_OK);
}

static void
close_world(struct world *w)
{
    p2p_versions_close(w->v);
    p2p_share_close(w->share);
}

/* The catalogue knows everything, and then the versions do. */
static void
follow(struct world *w)
{
    assert_int_equal(p2p_share_wait_idle(w->share, patience_ms()), P2P_OK);
    assert_int_equal(p2p_versions_follow(w->v, w->share), P2P_OK);
}

static void
put(struct world *w, const char *name, const char *text)
{
    char path[256];

    snprintf(path, sizeof(path), "root/%s", name);
    scratch_put(&w->f.scratch, path, text);
}

static bool
holds(struct world *w, const char *name, const char *text)
{
    char path[256];

    snprintf(path, sizeof(path), "root/%s", name);
    return scratch_holds(&w->f.scratch, path, text);
}

static enum p2p_err
restore(struct world *w, const char *name, uint32_t version)
{
    char stored[P2P_NAME_MAX + 1];

    return p2p_versions_restore(
        w->v, &(struct p2p_versions_restore){.name = name, .version = version}, stored);
}

struct list {
    struct p2p_version at[16];
    size_t n;
};

static void
add(void *arg, const struct p2p_version *version)
{
    struct list *list = arg;

    assert_true(list->n < 16);
    list->at[list->n++] = *version;
}

static struct list
history(struct world *w, const char *name)
{
    struct list list = {.n = 0};

    assert_int_equal(p2p_versions_of(w->v, name, 0, 16, add, &list), P2P_OK);
    return list;
}

static int64_t
number(struct world *w, const char *sql)
{
    int64_t n = 0;

    p2p_lock(&w->v->lock);
    assert_int_equal(p2p_versions_number(w->v, sql, 0, &n), P2P_OK);
    p2p_unlock(&w->v->lock);
    return n;
}

static void
changed_and_deleted_by_others(void **state)
{
    struct world w = {.f = *(struct fixture *)*state};
    struct list list;

    put(&w, "a", "first");
    put(&w, "b", "same");
    put(&w, "c", "same");
    open_world(&w);
    follow(&w);
    assert_int_equal(history(&w, "a").n, 0); /* nothing has ended */
    assert_int_equal(number(&w, "SELECT COUNT(*) FROM objects"), 2);
    put(&w, "a", "second one"); /* in place */
    follow(&w);
    list = history(&w, "a");
    assert_int_equal(list.n, 1);
    assert_true(list.at[0].is_kept && list.at[0].end == P2P_MAILBOX_REPLACED);
    assert_int_equal(list.at[0].size, 5);
    follow(&w); /* once */
    assert_int_equal(history(&w, "a").n, 1);
    assert_int_equal(restore(&w, "a", 1), P2P_OK);
    assert_true(holds(&w, "a", "first"));
    follow(&w); /* the restore itself was recorded by the mailbox, and only there */
    assert_int_equal(history(&w, "a").n, 2);

    assert_int_equal(unlink(scratch_path(&w.f.scratch, "root/b")), 0);
    follow(&w); /* its content is still there, as c */
    assert_int_equal(history(&w, "b").n, 0);
    assert_int_equal(unlink(scratch_path(&w.f.scratch, "root/c")), 0);
    follow(&w);
    list = history(&w, "c");
    assert_int_equal(list.n, 1);
    assert_true(list.at[0].is_kept && list.at[0].end == P2P_MAILBOX_DELETED);
    assert_int_equal(restore(&w, "c", 0), P2P_OK);
    assert_true(holds(&w, "c", "same"));
    close_world(&w);
}

static void
renamed_files_keep_their_copy(void **state)
{
    struct world w = {.f = *(struct fixture *)*state};

    put(&w, "old", "content");
    open_world(&w);
    follow(&w);
    char *from = strdup(scratch_path(&w.f.scratch, "root/old"));
    assert_int_equal(rename(from, scratch_path(&w.f.scratch, "root/new")), 0);
    free(from);
    follow(&w);
    assert_int_equal(history(&w, "old").n, 0);
    put(&w, "new", "another");
    follow(&w);
    assert_int_equal(restore(&w, "new", 0), P2P_OK);
    assert_true(holds(&w, "new", "content"));
    close_world(&w);
}

static void
changed_while_nobody_looked(void **state)
{
    struct world w = {.f = *(struct fixture *)*state};

    put(&w, "a", "first");
    put(&w, "gone", "third");
    open_world(&w);
    follow(&w);
    close_world(&w);
    put(&w, "a", "second");
    assert_int_equal(unlink(scratch_path(&w.f.scratch, "root/gone")), 0);
    open_world(&w);
    follow(&w);
    assert_int_equal(restore(&w, "a", 0), P2P_OK);
    assert_true(holds(&w, "a", "first"));
    assert_int_equal(restore(&w, "gone", 0), P2P_OK);
    assert_true(holds(&w, "gone", "third"));
    close_world(&w);
}

static void
what_was_purged_does_not_come_back(void **state)
{
    struct world w = {.f = *(struct fixture *)*state};

    put(&w, "a", "secret");
    put(&w, "b", "secret two");
    open_world(&w);
    follow(&w);
    assert_int_equal(p2p_mailbox_take(w.v->root, "a", NULL), P2P_OK);
    assert_int_equal(p2p_versions_purge(w.v, "a", 0), P2P_OK);
    put(&w, "b", "open");
    follow(&w);
    assert_int_equal(history(&w, "a").n, 0);
    assert_int_equal(p2p_versions_purge(w.v, "b", 0), P2P_OK);
    assert_int_equal(number(&w, "SELECT COUNT(*) FROM objects"), 0);
    follow(&w);
    assert_int_equal(history(&w, "b").n, 0);
    assert_int_equal(number(&w, "SELECT COUNT(*) FROM objects"), 1); /* of "open" */
    close_world(&w);
}

static void
on_rewound(void *arg, const struct p2p_version *version, enum p2p_err err)
{
    (void)version;
    assert_int_equal(err, P2P_OK);
    ++*(unsigned *)arg;
}

static unsigned
rewind_to(struct world *w, const char *folder, uint64_t time_s, bool is_trial)
{
    unsigned count = 0;
    const struct p2p_versions_rewind how = {.folder = folder,
                                            .time_s = time_s,
                                            .is_trial = is_trial,
                                            .visit = on_rewound,
                                            .arg = &count};

    assert_int_equal(p2p_versions_rewind(w->v, &how), P2P_OK);
    return count;
}

static void
a_folder_goes_back(void **state)
{
    struct world w = {.f = *(struct fixture *)*state};

    assert_int_equal(mkdir(scratch_path(&w.f.scratch, "root/dir"), 0700), 0);
    put(&w, "dir/changed", "first");
    put(&w, "dir/deleted", "second");
    put(&w, "dir/same", "third");
    put(&w, "other", "fourth");
    open_world(&w);
    follow(&w);
    put(&w, "dir/changed", "first again");
    put(&w, "dir/newer", "fifth");
    put(&w, "other", "fourth again");
    assert_int_equal(unlink(scratch_path(&w.f.scratch, "root/dir/deleted")), 0);
    follow(&w);
    assert_int_equal(
        p2p_sqlite_run(w.v->db, "UPDATE versions SET since_s = 100, until_s = 200"),
        P2P_OK);
    assert_int_equal(rewind_to(&w, "dir", 250, false), 0);
    assert_int_equal(rewind_to(&w, "dir", 50, false), 0);
    assert_int_equal(rewind_to(&w, "dir", 150, true), 2);
    assert_true(holds(&w, "dir/changed", "first again"));
    assert_int_equal(rewind_to(&w, "dir/", 150, false), 2);
    assert_true(holds(&w, "dir/changed", "first"));
    assert_true(holds(&w, "dir/deleted", "second"));
    assert_true(holds(&w, "dir/newer", "fifth"));
    assert_true(holds(&w, "other", "fourth again"));
    assert_int_equal(rewind_to(&w, "dir", 150, false), 0); /* it is so already */
    assert_int_equal(rewind_to(&w, "", 150, false), 1);
    assert_true(holds(&w, "other", "fourth"));
    close_world(&w);
}

static void
no_room_no_copies(void **state)
{
    struct world w = {.f = *(struct fixture *)*state};
    struct list list;

    put(&w, "a", "first");
    open_world(&w);
    assert_int_equal(p2p_versions_set(w.v, "space", "10"), P2P_OK);
    follow(&w);
    put(&w, "a", "second");
    follow(&w);
    list = history(&w, "a"); /* that it changed is known, the content is not */
    assert_int_equal(list.n, 1);
    /* A file system that shares blocks keeps it all the same. */
    assert_int_equal(restore(&w, "a", 0), list.at[0].is_kept ? P2P_OK : P2P_ERR_GONE);
    assert_int_equal(p2p_versions_set(w.v, "on", "no"), P2P_OK);
    put(&w, "a", "third");
    follow(&w);
    assert_int_equal(history(&w, "a").n, 1);
    close_world(&w);
}

static void
copies_make_room_first(void **state)
{
    struct world w = {.f = *(struct fixture *)*state};

    put(&w, "a", "first");
    open_world(&w);
    follow(&w);
    if (number(&w, "SELECT SUM(disk) FROM objects") == 0)
        skip(); /* shared blocks take no room */
    assert_true(p2p_versions_make_room(w.v, 1) > 0);
    assert_int_equal(number(&w, "SELECT COUNT(*) FROM objects"), 0);
    assert_int_equal(number(&w, "SELECT disk FROM state"), 0);
    assert_true(holds(&w, "a", "first"));
    close_world(&w);
}

/* A program that rewrites everything, again and again, fills the space with its own
 * contents at most: the good ones stay. */
static void
rewriting_everything_loses_nothing(void **state)
{
    struct world w = {.f = *(struct fixture *)*state};
    struct p2p_versions_status status;
    char name[16], text[32];

    for (int i = 0; i < 60; i++) {
        snprintf(name, sizeof(name), "%02d", i);
        snprintf(text, sizeof(text), "good content %02d", i);
        put(&w, name, text);
    }
    open_world(&w);
    assert_int_equal(p2p_versions_set(w.v, "space", "1M"), P2P_OK);
    follow(&w);
    for (int round = 0; round < 6; round++) {
        for (int i = 0; i < 60; i++) {
            snprintf(name, sizeof(name), "%02d", i);
            snprintf(text, sizeof(text), "pay %d for %02d", round, i);
            put(&w, name, text);
        }
        follow(&w);
        assert_int_equal(p2p_versions_tend(w.v), P2P_OK);
    }
    assert_int_equal(p2p_versions_status(w.v, &status), P2P_OK);
    assert_true(status.used <= 1024 * 1024 + 60 * 4096);
    for (int i = 0; i < 60; i++) {
        snprintf(name, sizeof(name), "%02d", i);
        snprintf(text, sizeof(text), "good content %02d", i);
        assert_int_equal(restore(&w, name, 1), P2P_OK);
        assert_true(holds(&w, name, text));
    }
    close_world(&w);
}

/* A program that ends does not wait for a pass over all files. */
static void
a_pass_can_be_ended(void **state)
{
    struct world w = {.f = *(struct fixture *)*state};
    struct p2p_digest root;

    put(&w, "a", "first");
    open_world(&w);
    follow(&w);
    put(&w, "a", "a second content");
    put(&w, "b", "new");
    assert_int_equal(p2p_share_wait_idle(w.share, patience_ms()), P2P_OK);
    p2p_versions_cancel(w.v);
    assert_int_equal(p2p_versions_follow(w.v, w.share), P2P_ERR_CANCELLED);
    assert_int_equal(
        p2p_versions_hash(w.v->dir, 1, p2p_versions_is_cancelled, w.v, &root),
        P2P_ERR_CANCELLED);
    assert_int_equal(number(&w, "SELECT COUNT(*) FROM bases"), 1);
    p2p_versions_close(w.v);
    /* Nothing is lost by that. */
    assert_int_equal(p2p_versions_open(p2p_share_root(w.share), &w.v), P2P_OK);
    follow(&w);
    assert_int_equal(history(&w, "a").n, 1);
    assert_int_equal(restore(&w, "a", 1), P2P_OK);
    assert_true(holds(&w, "a", "first"));
    close_world(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOT(changed_and_deleted_by_others),
        WITH_ROOT(renamed_files_keep_their_copy),
        WITH_ROOT(changed_while_nobody_looked),
        WITH_ROOT(no_room_no_copies),
        WITH_ROOT(copies_make_room_first),
        WITH_ROOT(rewriting_everything_loses_nothing),
        WITH_ROOT(a_folder_goes_back),
        WITH_ROOT(what_was_purged_does_not_come_back),
        WITH_ROOT(a_pass_can_be_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
