/*
 * versions: what was replaced or deleted is listed, restored and removed; retention as
 * a pure function; the kept clock; the limit of space. A child process is killed before
 * each system call of recording and restoring in turn.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <semaphore.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "core/keep/versions_internal.h"
#include "p2p/tender.h"
#include "path_fixture.h"

#define DAY    86400u
#define KILLED 99

/* ---- The system calls of the module ---- */

static int calls_left = -1;

static void
step(void)
{
    if (calls_left == 0)
        _exit(KILLED);
    if (calls_left > 0)
        calls_left--;
}

int
renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    step();
    return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

int
renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    step();
    return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, 0);
}

int
unlinkat(int dir, const char *name, int flags)
{
    step();
    return (int)syscall(SYS_unlinkat, dir, name, flags);
}

int
fsync(int fd)
{
    (void)fd;
    step();
    return 0;
}

int
fdatasync(int fd)
{
    (void)fd;
    step();
    return 0;
}

/* ---- Helpers ---- */

static struct p2p_versions *
open_versions(const struct fixture *f)
{
    struct p2p_versions *v = NULL;

    assert_int_equal(p2p_versions_open(f->root, &v), P2P_OK);
    return v;
}

static void
replace(const struct fixture *f, const char *name, const char *text)
{
    char stored[P2P_NAME_MAX + 1];

    put_private(f, "part", text);
    assert_int_equal(
        p2p_root_publish(f->root, "part", name, P2P_CONFLICT_VERSION, stored), P2P_OK);
}

static void delete (struct p2p_versions *v, const struct fixture *f, const char *name)
{
    assert_int_equal(p2p_mailbox_take(f->root, name, NULL), P2P_OK);
    assert_int_equal(p2p_versions_settle(v, UINT64_MAX), P2P_OK);
}

struct list {
    struct p2p_version at[64];
    size_t n;
};

static void
add(void *arg, const struct p2p_version *version)
{
    struct list *list = arg;

    assert_true(list->n < 64);
    list->at[list->n++] = *version;
}

static struct list
history(struct p2p_versions *v, const char *name)
{
    struct list list = {.n = 0};

    assert_int_equal(p2p_versions_of(v, name, 0, 64, add, &list), P2P_OK);
    return list;
}

static struct list
deleted(struct p2p_versions *v, const char *folder)
{
    struct list list = {.n = 0};

    assert_int_equal(p2p_versions_deleted(v, folder, 0, 64, add, &list), P2P_OK);
    return list;
}

static enum p2p_err
restore(struct p2p_versions *v, const char *name, uint32_t version, const char *to)
{
    const struct p2p_versions_restore how = {
        .name = name, .version = version, .save_as = to};
    char stored[P2P_NAME_MAX + 1];

    return p2p_versions_restore(v, &how, stored);
}

/* Moves the kept clock, as the machine's running time would. */
static void
let_pass(struct p2p_versions *v, uint64_t seconds)
{
    char sql[128];

    snprintf(sql, sizeof(sql), "UPDATE state SET clock_k = clock_k + %llu",
             (unsigned long long)seconds);
    assert_int_equal(p2p_sqlite_run(v->db, sql), P2P_OK);
}

static bool
holds(const struct fixture *f, const char *name, const char *text)
{
    char path[512];

    snprintf(path, sizeof(path), "root/%s", name);
    return scratch_holds(&f->scratch, path, text);
}

/* ---- Keeping and restoring ---- */

static void
a_file_that_changed_five_times(void **state)
{
    static const char *const texts[] = {"one", "two", "three", "four", "five"};
    struct fixture *f = *state;
    struct p2p_versions *v = open_versions(f);
    struct list list;

    for (size_t i = 0; i < 5; i++)
        replace(f, "notes/a.txt", texts[i]);
    assert_int_equal(p2p_versions_settle(v, UINT64_MAX), P2P_OK);
    list = history(v, "notes/a.txt");
    assert_int_equal(list.n, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(list.at[i].version, 4 - i);
        assert_int_equal(list.at[i].size, strlen(texts[3 - i]));
        assert_int_equal(list.at[i].end, P2P_MAILBOX_REPLACED);
        assert_true(list.at[i].is_kept);
    }
    assert_int_equal(restore(v, "notes/a.txt", 2, NULL), P2P_OK);
    assert_true(holds(f, "notes/a.txt", "two"));
    list = history(v, "notes/a.txt"); /* "five" became a version itself */
    assert_int_equal(list.n, 5);
    assert_int_equal(list.at[0].version, 5);
    assert_int_equal(list.at[0].size, 4);
    assert_int_equal(restore(v, "notes/a.txt", 5, "copy.txt"), P2P_OK);
    assert_true(holds(f, "copy.txt", "five"));
    assert_int_equal(restore(v, "notes/a.txt", 5, "copy.txt"), P2P_ERR_EXISTS);
    assert_int_equal(restore(v, "notes/a.txt", 9, NULL), P2P_ERR_NOT_FOUND);
    assert_int_equal(restore(v, "nothing", 0, NULL), P2P_ERR_NOT_FOUND);
    p2p_versions_close(v);
    v = open_versions(f); /* everything is still there */
    assert_int_equal(history(v, "notes/a.txt").n, 5);
    p2p_versions_close(v);
}

static void
a_deleted_file_comes_back(void **state)
{
    struct fixture *f = *state;
    struct p2p_versions *v = open_versions(f);
    struct list list;
    struct stat before, after;

    replace(f, "dir/a", "content");
    assert_int_equal(lstat(scratch_path(&f->scratch, "root/dir/a"), &before), 0);
    delete (v, f, "dir/a");
    assert_false(scratch_has(&f->scratch, "root/dir"));
    list = deleted(v, "");
    assert_int_equal(list.n, 1);
    assert_string_equal(list.at[0].name, "dir/a");
    assert_true(list.at[0].stays_until_s > list.at[0].until_s + 29 * DAY);
    assert_int_equal(deleted(v, "dir").n, 1);
    assert_int_equal(deleted(v, "di").n, 0);
    assert_int_equal(restore(v, "dir/a", 0, NULL), P2P_OK);
    assert_int_equal(lstat(scratch_path(&f->scratch, "root/dir/a"), &after), 0);
    assert_int_equal(before.st_ino, after.st_ino); /* moved, not copied */
    assert_int_equal(before.st_mode, after.st_mode);
    assert_int_equal(deleted(v, "").n, 0);
    assert_int_equal(history(v, "dir/a").n, 0);
    /* two names with one content: each can be restored */
    replace(f, "b", "content");
    delete (v, f, "dir/a");
    delete (v, f, "b");
    assert_int_equal(deleted(v, "").n, 2);
    assert_int_equal(restore(v, "b", 0, NULL), P2P_OK);
    assert_int_equal(restore(v, "dir/a", 0, NULL), P2P_OK);
    assert_true(holds(f, "b", "content") && holds(f, "dir/a", "content"));
    p2p_versions_close(v);
}

static void
empty_files_and_odd_names(void **state)
{
    struct fixture *f = *state;
    struct p2p_versions *v = open_versions(f);

    replace(f, "50% ' \xc3\xa4.txt", "");
    replace(f, "50% ' \xc3\xa4.txt", "x");
    delete (v, f, "50% ' \xc3\xa4.txt");
    assert_int_equal(history(v, "50% ' \xc3\xa4.txt").n, 2);
    assert_int_equal(restore(v, "50% ' \xc3\xa4.txt", 1, NULL), P2P_OK);
    assert_true(holds(f, "50% ' \xc3\xa4.txt", ""));
    p2p_versions_close(v);
}

static void
damaged_content_is_not_restored(void **state)
{
    struct fixture *f = *state;
    struct p2p_versions *v = open_versions(f);
    struct list list;
    char path[OBJECT_PATH], whole[256];

    replace(f, "a", "good");
    replace(f, "a", "new");
    assert_int_equal(p2p_versions_settle(v, UINT64_MAX), P2P_OK);
    list = history(v, "a");
    p2p_versions_object_path(&list.at[0].root, path);
    snprintf(whole, sizeof(whole), "root/.p2p/versions/%s", path);
    scratch_put(&f->scratch, whole, "evil");
    assert_int_equal(restore(v, "a", 1, NULL), P2P_ERR_HASH_MISMATCH);
    assert_true(holds(f, "a", "new"));
    scratch_put(&f->scratch, whole, "too short");
    assert_int_equal(restore(v, "a", 1, NULL), P2P_ERR_HASH_MISMATCH);
    assert_int_equal(unlink(scratch_path(&f->scratch, whole)), 0);
    assert_int_equal(restore(v, "a", 1, NULL), P2P_ERR_GONE);
    p2p_versions_close(v);
}

static void
a_damaged_list_is_put_aside(void **state)
{
    struct fixture *f = *state;
    struct p2p_versions *v = open_versions(f);

    p2p_versions_close(v);
    scratch_put(&f->scratch, "root/.p2p/versions.db", "this is not a database at all");
    v = open_versions(f);
    assert_true(scratch_has(&f->scratch, "root/.p2p/versions.db.damaged"));
    replace(f, "a", "1");
    replace(f, "a", "2");
    assert_int_equal(p2p_versions_settle(v, UINT64_MAX), P2P_OK);
    assert_int_equal(history(v, "a").n, 1);
    p2p_versions_close(v);
}

static void
versions_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct p2p_versions *v = open_versions(f);
    struct p2p_version found;

    replace(f, "a", "1");
    replace(f, "a", "2");
    replace(f, "a", "3");
    assert_int_equal(p2p_versions_settle(v, UINT64_MAX), P2P_OK);
    assert_int_equal(p2p_sqlite_run(v->db,
                                    "UPDATE versions SET since_s = version * 100,"
                                    " until_s = version * 100 + 100"),
                     P2P_OK);
    assert_int_equal(p2p_versions_at(v, "a", 150, &found), P2P_OK);
    assert_int_equal(found.version, 1);
    assert_int_equal(p2p_versions_at(v, "a", 200, &found), P2P_OK);
    assert_int_equal(found.version, 2);
    assert_int_equal(p2p_versions_at(v, "a", 50, &found), P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_versions_at(v, "a", 300, &found), P2P_ERR_NOT_FOUND);
    p2p_versions_close(v);
}

/* ---- Removing ---- */

static void
purged_content_is_gone(void **state)
{
    struct fixture *f = *state;
    struct p2p_versions *v = open_versions(f);
    struct p2p_versions_status status;

    replace(f, "a", "secret");
    replace(f, "b", "secret");
    delete (v, f, "a");
    delete (v, f, "b");
    assert_int_equal(p2p_versions_purge(v, "a", 0), P2P_OK);
    assert_int_equal(p2p_versions_purge(v, "a", 0), P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_versions_status(v, &status), P2P_OK);
    assert_int_equal(status.objects, 1); /* b has the same content */
    assert_int_equal(p2p_versions_purge(v, "b", 1), P2P_OK);
    assert_int_equal(p2p_versions_status(v, &status), P2P_OK);
    assert_int_equal(status.objects, 0);
    assert_int_equal(status.rows, 0);
    assert_int_equal(status.used, 0);
    p2p_versions_close(v);
}

/* A number that a person has noted must never stand for another content. */
static void
numbers_are_not_used_again(void **state)
{
    struct fixture *f = *state;
    struct p2p_versions *v = open_versions(f);

    replace(f, "a", "one");
    replace(f, "a", "two");
    replace(f, "a", "three");
    replace(f, "a", "four");
    assert_int_equal(p2p_versions_settle(v, UINT64_MAX), P2P_OK);
    assert_int_equal(history(v, "a").at[0].version, 3);
    assert_int_equal(p2p_versions_purge(v, "a", 3), P2P_OK);
    assert_int_equal(p2p_versions_purge(v, "a", 2), P2P_OK);
    replace(f, "a", "more");
    assert_int_equal(p2p_versions_settle(v, UINT64_MAX), P2P_OK);
    assert_int_equal(history(v, "a").at[0].version, 4);
    assert_int_equal(p2p_versions_purge(v, "a", 0), P2P_OK);
    p2p_versions_close(v);
    v = open_versions(f);
    delete (v, f, "a");
    assert_int_equal(history(v, "a").n, 1);
    assert_int_equal(history(v, "a").at[0].version, 5);
    /* neither are those that went because of their age */
    let_pass(v, 40 * DAY);
    assert_int_equal(p2p_versions_tend(v), P2P_OK);
    assert_int_equal(history(v, "a").n, 0);
    replace(f, "a", "again");
    delete (v, f, "a");
    assert_int_equal(history(v, "a").at[0].version, 6);
    p2p_versions_close(v);
}

static bool
is_a(void *arg, const char *name)
{
    (void)arg;
    return strcmp(name, "a") == 0;
}

/* Others see what came after a deletion, of a file that is there. */
static void
what_others_see(void **state)
{
    const struct fixture *f = *state;
    struct p2p_versions *v = open_versions(f);
    struct list list = {.n = 0};
    struct p2p_version found;
    struct p2p_chunks g;
    struct p2p_digest *layer, first;
    int fd;

    replace(f, "a", "one");
    replace(f, "a", "two");
    assert_int_equal(p2p_versions_settle(v, UINT64_MAX), P2P_OK);
    first = history(v, "a").at[0].root;
    assert_int_equal(p2p_versions_shown(v, "a", 0, 9, add, &list), P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_versions_shown_root(v, &first, is_a, NULL, &found),
                     P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_versions_set(v, "history", "everybody"), P2P_ERR_USAGE);
    assert_int_equal(p2p_versions_set(v, "history", "readers"), P2P_OK);
    assert_int_equal(p2p_versions_shown(v, "a", 0, 9, add, &list), P2P_OK);
    assert_int_equal(list.n, 1);
    assert_int_equal(p2p_versions_shown_root(v, &first, is_a, NULL, &found), P2P_OK);
    for (int i = 0; i < 2; i++) { /* read, then from the database */
        assert_int_equal(p2p_versions_open_tree(v, &first, &fd, &g, &layer), P2P_OK);
        assert_int_equal(g.size, 3);
        assert_memory_equal(layer, &first, sizeof(first));
        free(layer);
        close(fd);
    }
    delete (v, f, "a");
    list.n = 0;
    assert_int_equal(p2p_versions_shown(v, "a", 0, 9, add, &list), P2P_ERR_NOT_FOUND);
    replace(f, "a", "three");
    assert_int_equal(p2p_versions_shown(v, "a", 0, 9, add, &list), P2P_OK);
    assert_int_equal(list.n, 0);
    assert_int_equal(p2p_versions_shown_root(v, &first, is_a, NULL, &found),
                     P2P_ERR_NOT_FOUND);
    p2p_versions_close(v);
}

static void
nothing_young_is_removed_for_space(void **state)
{
    struct fixture *f = *state;
    struct p2p_versions *v = open_versions(f);
    struct p2p_versions_status status;

    for (int i = 0; i < 4; i++) {
        char text[16];
        snprintf(text, sizeof(text), "text %d", i);
        replace(f, "a", text);
    }
    assert_int_equal(p2p_versions_settle(v, UINT64_MAX), P2P_OK);
    assert_int_equal(p2p_versions_set(v, "space", "4096"), P2P_OK);
    assert_int_equal(p2p_versions_set(v, "free", "0%"), P2P_OK);
    assert_int_equal(p2p_versions_tend(v), P2P_OK);
    assert_int_equal(p2p_versions_status(v, &status), P2P_OK);
    assert_int_equal(status.objects, 3); /* over the limit, and all of them young */
    assert_false(p2p_versions_has_room(v, 1));
    assert_int_equal(p2p_versions_status(v, &status), P2P_OK);
    assert_true(status.is_stopped);
    /* what may be dropped is dropped now, the rest stays */
    char stored[P2P_NAME_MAX + 1];
    put_private(f, "part", "overwritten");
    assert_int_equal(
        p2p_root_publish(f->root, "part", "a", P2P_CONFLICT_OVERWRITE, stored), P2P_OK);
    assert_int_equal(p2p_versions_settle(v, UINT64_MAX), P2P_OK);
    assert_int_equal(history(v, "a").n, 3);
    /* two days later the oldest go */
    let_pass(v, 2 * DAY);
    assert_true(p2p_versions_has_room(v, 1));
    assert_int_equal(p2p_versions_status(v, &status), P2P_OK);
    assert_true(status.used <= 4096);
    assert_true(history(v, "a").n == 3 && !history(v, "a").at[2].is_kept);
    assert_int_equal(restore(v, "a", 1, NULL), P2P_ERR_GONE);
    p2p_versions_close(v);
}

/* Space that has to stay free is freed by what is old enough, and by nothing else. */
static void
the_floor_takes_only_what_is_old(void **state)
{
    struct fixture *f = *state;
    struct p2p_versions *v = open_versions(f);

    replace(f, "old", "1");
    replace(f, "old", "2");
    delete (v, f, "old");
    let_pass(v, 2 * DAY);
    replace(f, "young", "3");
    replace(f, "young", "4");
    assert_int_equal(p2p_versions_settle(v, UINT64_MAX), P2P_OK);
    assert_int_equal(p2p_versions_set(v, "free", "0%"), P2P_OK);
    assert_int_equal(p2p_versions_tend(v), P2P_OK);
    assert_true(history(v, "old").at[0].is_kept);
    assert_int_equal(p2p_versions_set(v, "free", "100%"), P2P_OK);
    assert_int_equal(p2p_versions_tend(v), P2P_OK);
    assert_false(history(v, "old").at[0].is_kept);
    assert_false(history(v, "old").at[1].is_kept);
    assert_true(history(v, "young").at[0].is_kept);
    p2p_versions_close(v);
}

static void
what_the_owner_deleted_makes_room_first(void **state)
{
    struct fixture *f = *state;
    struct p2p_versions *v = open_versions(f);
    struct list list;

    replace(f, "replaced", "1");
    replace(f, "replaced", "2");
    replace(f, "deleted", "3");
    delete (v, f, "deleted");
    uint64_t spare = p2p_versions_spare(v);
    assert_true(spare > 0);
    assert_int_equal(p2p_versions_make_room(v, 1), spare);
    assert_int_equal(p2p_versions_spare(v), 0);
    list = history(v, "deleted");
    assert_false(list.at[0].is_kept); /* its facts stay */
    assert_true(history(v, "replaced").at[0].is_kept);
    assert_int_equal(p2p_versions_make_room(v, 1), 0); /* less than a day old */
    let_pass(v, 2 * DAY);
    assert_true(p2p_versions_make_room(v, 1) > 0);
    assert_false(history(v, "replaced").at[0].is_kept);
    p2p_versions_close(v);
}

static void
deleted_files_go_after_their_time(void **state)
{
    struct fixture *f = *state;
    struct p2p_versions *v = open_versions(f);

    replace(f, "a", "1");
    delete (v, f, "a");
    let_pass(v, 29 * DAY);
    assert_int_equal(p2p_versions_tend(v), P2P_OK);
    assert_int_equal(deleted(v, "").n, 1);
    let_pass(v, 2 * DAY);
    assert_int_equal(p2p_versions_tend(v), P2P_OK);
    assert_int_equal(deleted(v, "").n, 0);
    assert_int_equal(history(v, "a").n, 0);
    p2p_versions_close(v);
}

static void
switched_off(void **state)
{
    struct fixture *f = *state;
    struct p2p_versions *v = open_versions(f);
    char value[64];

    assert_int_equal(p2p_versions_set(v, "on", "no"), P2P_OK);
    assert_int_equal(p2p_versions_get(v, "on", value, sizeof(value)), P2P_OK);
    assert_string_equal(value, "no");
    assert_false(p2p_versions_has_room(v, 1));
    replace(f, "a", "1");
    replace(f, "a", "2");
    assert_int_equal(p2p_versions_settle(v, UINT64_MAX), P2P_OK);
    assert_int_equal(history(v, "a").n, 0);
    assert_int_equal(p2p_versions_set(v, "on", "maybe"), P2P_ERR_USAGE);
    assert_int_equal(p2p_versions_set(v, "color", "red"), P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_versions_set(v, "keep", "1h:30s 1h:1m"), P2P_ERR_USAGE);
    assert_int_equal(p2p_versions_set(v, "keep", "1h 1d"), P2P_ERR_USAGE);
    assert_int_equal(p2p_versions_set(v, "keep", ""), P2P_ERR_USAGE);
    assert_int_equal(p2p_versions_set(v, "space", "101%"), P2P_ERR_USAGE);
    assert_int_equal(p2p_versions_set(v, "space", "-5%"), P2P_ERR_USAGE);
    assert_int_equal(p2p_versions_set(v, "deleted", "30"), P2P_ERR_USAGE);
    assert_int_equal(p2p_versions_set(v, "space", "20G"), P2P_OK);
    assert_int_equal(p2p_versions_set(v, "space", "20%"), P2P_OK);
    p2p_versions_close(v);
}

/* ---- Pure parts ---- */

static uint32_t
next_random(uint32_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 17;
    *x ^= *x << 5;
    return *x;
}

#define ROWS 60
static void
retention_keeps_the_oldest_of_each_interval(void **state)
{
    struct p2p_retention rules = {.deleted_s = 30 * DAY, .min_age_s = DAY};
    struct p2p_retention_row rows[ROWS];
    bool drop[ROWS];
    uint32_t x = 12345;

    (void)state;
    assert_int_equal(p2p_retention_parse("1h:30s 1d:1h 30d:1d 1y:1w", &rules), P2P_OK);
    for (int round = 0; round < 300; round++) {
        uint64_t now = 400 * (uint64_t)DAY, at = 0;
        for (size_t i = 0; i < ROWS; i++) {
            at += next_random(&x) % (14 * DAY);
            rows[i] = (struct p2p_retention_row){.until_k = at < now ? at : now};
        }
        rows[ROWS - 1].is_deletion = round % 2;
        p2p_retention_decide(&rules, rows, ROWS, round % 4 == 1, now, drop);
        for (size_t i = 0; i < ROWS; i++) {
            uint64_t age = now - rows[i].until_k;
            if (age < rules.min_age_s)
                assert_false(drop[i]);
            if (age >= 365 * DAY && i + 1 < ROWS)
                assert_true(drop[i]);
            /* a day or a week that has versions keeps one */
            if (drop[i] && age < 365 * DAY && age >= DAY && !(round % 4 == 1)) {
                uint64_t step_s = age < 30 * DAY ? DAY : 7 * DAY;
                bool other = false;
                for (size_t j = 0; j < i; j++)
                    other |= !drop[j] &&
                             rows[j].until_k / step_s == rows[i].until_k / step_s;
                assert_true(other);
            }
        }
        if (rows[ROWS - 1].is_deletion &&
            now - rows[ROWS - 1].until_k < rules.deleted_s)
            assert_false(drop[ROWS - 1]);
    }
}

static void
the_clock_is_never_hurried(void **state)
{
    struct fixture *f = *state;
    struct p2p_versions *v = open_versions(f);
    int64_t before;
    uint64_t after;

    assert_int_equal(p2p_versions_clock_step(true, 100, 160), 60);
    assert_int_equal(p2p_versions_clock_step(true, 160, 100), 0);
    assert_int_equal(p2p_versions_clock_step(false, 100, 1000000), 0);
    assert_int_equal(p2p_versions_tend(v), P2P_OK);
    assert_int_equal(p2p_versions_number(v, "SELECT clock_k FROM state", 0, &before),
                     P2P_OK);
    /* another boot: the machine was off for ten years, says its date */
    assert_int_equal(p2p_sqlite_run(v->db, "UPDATE state SET boot_s = 0, boot = x'00'"),
                     P2P_OK);
    assert_int_equal(p2p_versions_tend(v), P2P_OK);
    after = p2p_versions_clock_peek(v);
    assert_true(after >= (uint64_t)before && after <= (uint64_t)before + 60);
    p2p_versions_close(v);
}

/* ---- Killing ---- */

enum act { SETTLE, RESTORE, BRING_BACK };

static bool
act_in_child(const struct fixture *f, enum act act, int kill_at)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        struct p2p_versions *v = NULL;
        enum p2p_err err = p2p_versions_open(f->root, &v);
        calls_left = kill_at;
        if (err == P2P_OK)
            err = act == SETTLE    ? p2p_versions_settle(v, UINT64_MAX)
                  : act == RESTORE ? restore(v, "a", 0, NULL)
                                   : restore(v, "gone", 0, NULL);
        _exit(err == P2P_OK ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == KILLED);
    return WEXITSTATUS(status) == 0;
}

/* Every content is public, or kept and restorable. */
static void
check_nothing_is_lost(const struct fixture *f)
{
    struct p2p_versions *v = open_versions(f);
    struct list list;
    bool first = false, second = holds(f, "a", "second"), third;

    assert_int_equal(p2p_versions_settle(v, UINT64_MAX), P2P_OK);
    third = holds(f, "gone", "third");
    list = history(v, "a");
    for (size_t i = 0; i < list.n; i++) {
        assert_true(p2p_versions_object_is_there(v, &list.at[i].root));
        first |= list.at[i].size == 5;
        second |= list.at[i].size == 6;
    }
    first |= holds(f, "a", "first");
    list = history(v, "gone");
    for (size_t i = 0; i < list.n && !third; i++)
        third |=
            list.at[i].is_kept && p2p_versions_object_is_there(v, &list.at[i].root);
    assert_true(first && second && third);
    assert_true(holds(f, "a", "first") || holds(f, "a", "second"));
    p2p_versions_close(v);
}

static void
start_over(const struct fixture *f)
{
    struct p2p_versions *v = open_versions(f);
    (void)!p2p_versions_purge(v, "a", 0);
    (void)!p2p_versions_purge(v, "gone", 0);
    p2p_versions_close(v);
    unlink(scratch_path(&f->scratch, "root/a"));
    unlink(scratch_path(&f->scratch, "root/gone"));
    replace(f, "a", "first");
    replace(f, "a", "second");
    replace(f, "gone", "third");
    assert_int_equal(p2p_mailbox_take(f->root, "gone", NULL), P2P_OK);
}

static void
killed_anywhere_nothing_is_lost(void **state)
{
    struct fixture *f = *state;

    for (int act = SETTLE; act <= BRING_BACK; act++) {
        bool done = false;
        for (int n = 0; n < 100 && !done; n++) {
            start_over(f);
            if (act != SETTLE) {
                struct p2p_versions *v = open_versions(f);
                assert_int_equal(p2p_versions_settle(v, UINT64_MAX), P2P_OK);
                p2p_versions_close(v);
            }
            done = act_in_child(f, (enum act)act, n);
            check_nothing_is_lost(f);
        }
        assert_true(done);
    }
}

/* ---- The sweep ---- */

static void
content_path(const struct p2p_digest *root, const char *end, char out[256])
{
    char path[OBJECT_PATH];

    p2p_versions_object_path(root, path);
    snprintf(out, 256, "root/.p2p/versions/%s%s", path, end);
}

static bool
is_kept(struct p2p_versions *v, const char *name)
{
    struct p2p_version found;

    assert_int_equal(p2p_versions_find(v, name, 1, &found), P2P_OK);
    return found.is_kept;
}

static void
run_sql(struct p2p_versions *v, const char *sql)
{
    assert_int_equal(p2p_sqlite_run(v->db, sql), P2P_OK);
}

static void
rows_and_contents_that_do_not_agree(void **state)
{
    struct fixture *f = *state;
    struct p2p_versions *v = open_versions(f);
    char path[256];

    replace(f, "a", "good");
    replace(f, "a", "new");
    delete (v, f, "a");
    struct p2p_digest root = history(v, "a").at[1].root;
    content_path(&root, "", path);
    run_sql(v, "DELETE FROM objects"); /* killed before the content was removed */
    assert_false(is_kept(v, "a"));
    assert_int_equal(p2p_versions_tend(v), P2P_OK);
    assert_true(is_kept(v, "a"));
    assert_int_equal(p2p_versions_purge(v, "a", 2), P2P_OK);

    run_sql(v, "DELETE FROM versions"); /* it belongs to nothing: it stays for a day */
    run_sql(v, "DELETE FROM objects");
    v->was_swept = false;
    assert_int_equal(p2p_versions_tend(v), P2P_OK);
    assert_true(scratch_has(&f->scratch, path));

    replace(f, "b", "one");
    replace(f, "b", "two");
    assert_int_equal(p2p_versions_settle(v, UINT64_MAX), P2P_OK);
    root = history(v, "b").at[0].root;
    content_path(&root, "", path);
    assert_int_equal(unlink(scratch_path(&f->scratch, path)), 0);
    assert_int_equal(p2p_versions_tend(v), P2P_OK);
    assert_true(is_kept(v, "b")); /* the content may be about to arrive */
    let_pass(v, DAY);
    assert_int_equal(p2p_versions_tend(v), P2P_OK);
    assert_false(is_kept(v, "b"));
    p2p_versions_close(v);
}

static void
rotten_contents_are_put_aside(void **state)
{
    struct fixture *f = *state;
    struct p2p_versions *v = open_versions(f);
    char path[256], aside[256];

    replace(f, "a", "good");
    replace(f, "a", "new");
    assert_int_equal(p2p_versions_settle(v, UINT64_MAX), P2P_OK);
    struct p2p_digest root = history(v, "a").at[0].root;
    content_path(&root, "", path);
    content_path(&root, ".damaged", aside);
    scratch_put(&f->scratch, path, "evil");
    assert_int_equal(p2p_versions_tend(v), P2P_OK);
    assert_true(is_kept(v, "a")); /* it was checked when it came */
    let_pass(v, 29 * DAY);
    assert_int_equal(p2p_versions_tend(v), P2P_OK);
    assert_true(is_kept(v, "a"));
    let_pass(v, 2 * DAY);
    assert_int_equal(p2p_versions_tend(v), P2P_OK);
    assert_false(is_kept(v, "a"));
    assert_false(scratch_has(&f->scratch, path));
    assert_true(scratch_has(&f->scratch, aside));
    assert_true(holds(f, "a", "new"));
    p2p_versions_close(v);
}

static void
one_process_removes_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct p2p_versions *v = open_versions(f), *other = open_versions(f);

    replace(f, "a", "1");
    delete (v, f, "a");
    let_pass(v, 40 * DAY);
    assert_int_equal(flock(other->dir, LOCK_EX), 0);
    assert_int_equal(p2p_versions_tend(v), P2P_OK);
    assert_int_equal(history(v, "a").n, 1);
    assert_int_equal(flock(other->dir, LOCK_UN), 0);
    assert_int_equal(p2p_versions_tend(v), P2P_OK);
    assert_int_equal(history(v, "a").n, 0);
    p2p_versions_close(other);
    p2p_versions_close(v);
}

static void
on_round(void *arg)
{
    assert_int_equal(sem_post(arg), 0);
}

static void
a_tender_records_what_was_taken(void **state)
{
    struct fixture *f = *state;
    struct p2p_tender *tender;
    sem_t rounds;
    const struct p2p_tender_options opt = {
        .roots = {f->root}, .count = 1, .on_round = on_round, .arg = &rounds};

    assert_int_equal(sem_init(&rounds, 0, 0), 0);
    replace(f, "a", "1");
    replace(f, "a", "2");
    assert_int_equal(p2p_tender_start(&opt, &tender), P2P_OK);
    assert_int_equal(sem_wait(&rounds), 0);
    assert_non_null(p2p_tender_of(tender, f->root));
    assert_null(p2p_tender_of(tender, NULL));
    assert_null(p2p_tender_of(NULL, f->root));
    assert_int_equal(history(p2p_tender_of(tender, f->root), "a").n, 1);
    p2p_tender_stop(tender);
    p2p_tender_stop(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOT(a_file_that_changed_five_times),
        WITH_ROOT(a_deleted_file_comes_back),
        WITH_ROOT(empty_files_and_odd_names),
        WITH_ROOT(damaged_content_is_not_restored),
        WITH_ROOT(a_damaged_list_is_put_aside),
        WITH_ROOT(versions_at_a_time),
        WITH_ROOT(purged_content_is_gone),
        WITH_ROOT(numbers_are_not_used_again),
        WITH_ROOT(the_floor_takes_only_what_is_old),
        WITH_ROOT(what_others_see),
        WITH_ROOT(nothing_young_is_removed_for_space),
        WITH_ROOT(what_the_owner_deleted_makes_room_first),
        WITH_ROOT(deleted_files_go_after_their_time),
        WITH_ROOT(switched_off),
        cmocka_unit_test(retention_keeps_the_oldest_of_each_interval),
        WITH_ROOT(the_clock_is_never_hurried),
        WITH_ROOT(killed_anywhere_nothing_is_lost),
        WITH_ROOT(rows_and_contents_that_do_not_agree),
        WITH_ROOT(rotten_contents_are_put_aside),
        WITH_ROOT(one_process_removes_at_a_time),
        WITH_ROOT(a_tender_records_what_was_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
