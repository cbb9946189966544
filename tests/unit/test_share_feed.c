/* The list of changes of an index: it goes on, is cut, or begins anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/share/feed.h"
#include "p2p/sqlite.h"

#define DAY_S (24 * 3600)

/* ---- A machine that has run for this long ---- */

static time_t running_s;

int
clock_gettime(clockid_t clock, struct timespec *out)
{
    if (clock != CLOCK_BOOTTIME || running_s == 0)
        return (int)syscall(SYS_clock_gettime, clock, out);
    *out = (struct timespec){.tv_sec = running_s};
    return 0;
}

/* ---- An index ---- */

struct index {
    sqlite3 *db;
    int64_t epoch, last;
};

static void
run(const struct index *index, const char *sql)
{
    if (sqlite3_exec(index->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(index->db));
}

static int
setup(void **state)
{
    static struct index index;

    index = (struct index){.epoch = 1};
    assert_int_equal(sqlite3_open(":memory:", &index.db), SQLITE_OK);
    run(&index, "CREATE TABLE files(name TEXT PRIMARY KEY, root BLOB, change INTEGER);"
                "CREATE TABLE missing(name TEXT PRIMARY KEY, files INTEGER);"
                "CREATE TABLE status(id INTEGER PRIMARY KEY, epoch INTEGER);"
                "INSERT INTO status VALUES(1, 0)");
    assert_int_equal(p2p_feed_prepare(index.db), P2P_OK);
    assert_int_equal(p2p_feed_prepare(index.db), P2P_OK);
    running_s = 1000;
    *state = &index;
    return 0;
}

static int
teardown(void **state)
{
    struct index *index = *state;

    running_s = 0;
    sqlite3_close(index->db);
    return 0;
}

/* As the owner of the index does. */
static void
start(struct index *index)
{
    char sql[80];

    assert_int_equal(p2p_feed_begin(index->db, ++index->epoch, &index->last), P2P_OK);
    snprintf(sql, sizeof(sql), "UPDATE status SET epoch = %lld",
             (long long)index->epoch);
    run(index, sql);
}

static void
change(struct index *index, const char *name, bool is_gone)
{
    char sql[160];

    snprintf(sql, sizeof(sql), "INSERT OR REPLACE INTO files VALUES('%s', %s, %lld)",
             name, is_gone ? "NULL" : "x'01'", (long long)++index->last);
    run(index, sql);
    assert_int_equal(p2p_feed_note(index->db, index->last), P2P_OK);
}

static bool
tell(void *arg, uint64_t at, const char *name, enum p2p_share_change_kind kind)
{
    char *told = arg;
    size_t len = strlen(told);

    (void)at;
    if (strcmp(name, "stop") == 0)
        return false;
    snprintf(told + len, 200 - len, "%c%s", "+-?"[kind], name);
    return true;
}

/* What changed after this place. */
static const char *
told(const struct index *index, uint64_t after, struct p2p_share_feed *feed)
{
    static char text[200];

    text[0] = '\0';
    assert_int_equal(p2p_feed_read(index->db, after, 4, tell, text, feed), P2P_OK);
    return text;
}

static struct p2p_share_feed
place(const struct index *index)
{
    struct p2p_share_feed feed;

    assert_int_equal(p2p_feed_read(index->db, 0, 9, NULL, NULL, &feed), P2P_OK);
    return feed;
}

/* ---- Tests ---- */

static void
it_tells_what_changed(void **state)
{
    struct index *index = *state;
    struct p2p_share_feed feed;

    assert_int_equal(place(index).log, 0); /* nobody has begun it */
    start(index);
    assert_string_equal(told(index, 0, &feed), "");
    assert_true(feed.log != 0 && feed.last == 0 && feed.is_whole);
    change(index, "a", false);
    change(index, "b", false);
    change(index, "a", true);
    run(index, "INSERT INTO missing VALUES('b', 0)");
    assert_string_equal(told(index, 0, &feed), "?b-a");
    assert_true(feed.is_whole && feed.last == 3 && feed.seen == 3);
    assert_string_equal(told(index, 2, &feed), "-a");
    assert_string_equal(told(index, 3, &feed), "");
    assert_string_equal(told(index, 99, &feed), "");
    /* Pages: the visitor says when one is full, and so many rows are looked at. */
    change(index, "stop", false);
    assert_string_equal(told(index, 0, &feed), "?b-a");
    assert_true(!feed.is_whole && feed.seen == 3 && feed.last == 4);
    for (char name[] = "c"; name[0] < 'j'; name[0]++)
        change(index, name, false);
    assert_string_equal(told(index, 4, &feed), "+c+d+e+f");
    assert_true(!feed.is_whole && feed.seen == 8);
}

static void
it_goes_on_after_a_restart(void **state)
{
    struct index *index = *state;

    start(index);
    change(index, "a", false);
    change(index, "a", true);
    struct p2p_share_feed before = place(index);
    start(index);
    struct p2p_share_feed now = place(index);
    assert_true(now.log == before.log && now.last == 2 && now.cut == 0);
    assert_int_equal(index->last, 2); /* not the largest row alone */
    run(index, "DELETE FROM files");
    start(index);
    assert_int_equal(index->last, 2);
    /* After another start of the machine, commits may be lost that others heard of. */
    run(index, "UPDATE feed SET boot = x'00'");
    start(index);
    assert_true(index->last > 1000 && place(index).log == before.log);
}

/* An older program has owned the index, or rows are there that nobody noted. */
static void
it_begins_anew_after_others(void **state)
{
    struct index *index = *state;
    struct p2p_share_feed before;

    start(index);
    change(index, "a", true);
    before = place(index);
    run(index, "UPDATE status SET epoch = 77"); /* while that program runs */
    assert_int_equal(place(index).log, 0);
    start(index);
    assert_true(place(index).log != before.log && place(index).log != 0);
    assert_int_equal(place(index).cut, 1);
    before = place(index);
    run(index, "INSERT INTO files VALUES('z', NULL, 99)");
    start(index);
    assert_true(place(index).log != before.log);
    assert_true(place(index).cut == 99 && index->last == 99);
}

/* Deletions are kept for 90 days in which the machine ran, whatever the wall clock is.
 */
static void
old_deletions_are_cut(void **state)
{
    struct index *index = *state;
    struct p2p_share_feed feed;

    start(index);
    change(index, "old", true);
    running_s += 2 * DAY_S;
    change(index, "a", false);
    change(index, "young", true);
    running_s += 88 * DAY_S;
    start(index);
    assert_string_equal(told(index, 0, &feed), "-old+a-young");
    assert_int_equal(feed.cut, 0);
    running_s += 3 * DAY_S;
    start(index);
    assert_string_equal(told(index, 0, &feed), "+a-young");
    assert_true(feed.cut >= 1 && feed.cut < 3);
    running_s += 365 * DAY_S;
    change(index, "b", false);
    running_s += 91 * DAY_S;
    start(index);
    assert_string_equal(told(index, 0, &feed), "+a+b");
    assert_int_equal(feed.cut, 3);
    /* Nothing more goes, so nothing more is cut. */
    running_s += 200 * DAY_S;
    start(index);
    assert_int_equal(place(index).cut, 3);
    /* The time in which the machine was off does not count. */
    change(index, "last", true);
    run(index, "UPDATE feed SET boot = x'00'");
    running_s += 900 * DAY_S;
    start(index);
    assert_string_equal(told(index, 4, &feed), "-last");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_tells_what_changed, setup, teardown),
        cmocka_unit_test_setup_teardown(it_goes_on_after_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(it_begins_anew_after_others, setup, teardown),
        cmocka_unit_test_setup_teardown(old_deletions_are_cut, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
