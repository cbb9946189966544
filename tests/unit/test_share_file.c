/* share: files that change while they are served, and several processes that use one
 * folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "share_fixture.h"

static struct p2p_share_file *
open_file(struct shared *f, const char *name)
{
    struct p2p_share_entry entry = shared_entry(f, name);
    struct p2p_share_file *file;

    assert_int_equal(p2p_share_file_open(f->share, &entry.root, &file), P2P_OK);
    return file;
}

static void
files_are_read_within_their_bounds(void **state)
{
    struct shared *f = *state;
    uint8_t *data = shared_bytes(100000, 1), buf[1000];
    struct p2p_digest unknown = {{1}};
    struct p2p_share_file *file;

    scratch_put_bytes(&f->scratch, "s/f", data, 100000);
    shared_open(f, 16384);
    shared_settle(f);
    file = open_file(f, "f");
    assert_int_equal(p2p_share_file_geometry(file)->size, 100000);
    assert_int_equal(p2p_share_file_geometry(file)->chunk_size, 16384);
    assert_true(p2p_share_file_fd(file) >= 0);
    assert_int_equal(p2p_share_file_read(file, 99000, buf, 1000), P2P_OK);
    assert_memory_equal(buf, data + 99000, 1000);
    assert_int_equal(p2p_share_file_read(file, 100000, buf, 0), P2P_OK);
    assert_int_equal(p2p_share_file_read(file, 99001, buf, 1000), P2P_ERR_RANGE);
    assert_int_equal(p2p_share_file_read(file, UINT64_MAX, buf, 2), P2P_ERR_RANGE);
    assert_int_equal(p2p_share_file_verify(file), P2P_OK);
    p2p_share_file_close(file);
    assert_int_equal(p2p_share_file_open(f->share, &unknown, &file), P2P_ERR_NOT_FOUND);
    assert_null(file);
    p2p_share_file_close(NULL);
    free(data);
}

/* All ways to change a file while it is read. */
enum change { OVERWRITE, APPEND, SHRINK, FORGE_TIMES, CHANGES };

static void
change_file(const struct shared *f, enum change change)
{
    const char *path = scratch_path(&f->scratch, "s/f");
    struct stat st;
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    if (change == SHRINK)
        assert_int_equal(ftruncate(fd, 50000), 0);
    else
        assert_int_equal(pwrite(fd, "XYZ", 3, change == APPEND ? st.st_size : 10), 3);
    if (change == FORGE_TIMES) {
        struct timespec times[2] = {st.st_atim, st.st_mtim};
        assert_int_equal(futimens(fd, times), 0);
    }
    close(fd);
}

static void
changed_files_are_noticed_by_their_readers(void **state)
{
    struct shared *f = *state;
    uint8_t *data = shared_bytes(100000, 1), buf[1000];

    shared_open(f, 16384);
    for (int change = 0; change < CHANGES; change++) {
        scratch_put_bytes(&f->scratch, "s/f", data, 100000);
        shared_settle(f);
        struct p2p_share_entry before = shared_entry(f, "f");
        struct p2p_share_file *file = open_file(f, "f"), *other;
        assert_int_equal(p2p_share_file_read(file, 0, buf, 1000), P2P_OK);
        change_file(f, (enum change)change);
        /* If the times were set back, only the new ctime shows the change, as after a
         * chmod: readers are served, and check the bytes, until the event is seen. */
        if (change == FORGE_TIMES)
            shared_settle(f);
        assert_int_equal(p2p_share_file_read(file, 0, buf, 1000), P2P_ERR_FILE_CHANGED);
        assert_int_equal(p2p_share_file_verify(file), P2P_ERR_FILE_CHANGED);
        assert_int_not_equal(p2p_share_file_open(f->share, &before.root, &other),
                             P2P_OK);
        p2p_share_file_close(file);
        shared_settle(f);
        struct p2p_share_entry after = shared_entry(f, "f");
        assert_memory_not_equal(&after.root, &before.root, sizeof(after.root));
        assert_int_equal(after.version, before.version + 1);
    }
    free(data);
}

/* Only the inode changes: all bytes stay the same. */
static void
touch_file(const struct shared *f, int how)
{
    char from[PATH_MAX], to[PATH_MAX];

    snprintf(from, sizeof(from), "%s", scratch_path(&f->scratch, "s/f"));
    snprintf(to, sizeof(to), "%s", scratch_path(&f->scratch, "s/g"));
    switch (how) {
    case 0:
        assert_int_equal(chmod(from, 0640), 0);
        return;
    case 1: /* a second name in the folder */
        assert_int_equal(link(from, to), 0);
        return;
    case 2:
        assert_int_equal(unlink(to), 0);
        return;
    case 3: /* a second name in another folder, which no event reports */
        assert_int_equal(link(from, scratch_path(&f->scratch, "elsewhere")), 0);
        return;
    case 4:
        assert_int_equal(rename(from, to), 0);
        return;
    default:
        assert_int_equal(rename(to, from), 0);
    }
}

static void
a_change_of_the_inode_alone_interrupts_nobody(void **state)
{
    struct shared *f = *state;
    uint8_t *data = shared_bytes(100000, 1), buf[1000];

    scratch_put_bytes(&f->scratch, "s/f", data, 100000);
    shared_open(f, 16384);
    shared_settle(f);
    struct p2p_share_entry before = shared_entry(f, "f");
    struct p2p_share_file *file = open_file(f, "f");
    uint64_t read_before = shared_hashed(f);
    for (int how = 0; how < 6; how++) {
        touch_file(f, how);
        assert_int_equal(p2p_share_file_read(file, 0, buf, 1000), P2P_OK);
        assert_memory_equal(buf, data, 1000);
        shared_settle(f);
        assert_int_equal(p2p_share_file_read(file, 0, buf, 1000), P2P_OK);
        assert_int_equal(shared_hashed(f), read_before); /* nothing was read again */
        struct p2p_share_entry now;
        assert_int_equal(p2p_share_find_root(f->share, &before.root, &now), P2P_OK);
        assert_true(now.sha256_known);
        assert_string_equal(now.name, how == 4 ? "g" : now.name);
    }
    p2p_share_file_close(file);
    shared_check(f, "f", data, 100000);
    /* The same after a restart. Writes during that time are not known, so the bytes are
     * checked once: they are the same. */
    shared_close(f);
    assert_int_equal(unlink(scratch_path(&f->scratch, "elsewhere")), 0);
    shared_open(f, 16384);
    shared_settle(f);
    assert_int_equal(shared_hashed(f), 100000);
    p2p_share_file_close(open_file(f, "f"));
    shared_settle(f);
    assert_int_equal(shared_hashed(f), 100000);
    assert_int_equal(shared_entry(f, "f").version, before.version);
    shared_check(f, "f", data, 100000);
    free(data);
}

static void
a_file_that_left_the_folder_is_not_served(void **state)
{
    struct shared *f = *state;
    uint8_t buf[3];

    scratch_put(&f->scratch, "s/f", "old");
    shared_open(f, 0);
    shared_settle(f);
    struct p2p_share_file *file = open_file(f, "f");
    char to[PATH_MAX];
    snprintf(to, sizeof(to), "%s", scratch_path(&f->scratch, "private"));
    assert_int_equal(rename(scratch_path(&f->scratch, "s/f"), to), 0);
    shared_settle(f);
    enum p2p_err err = P2P_OK;
    AWAIT((err = p2p_share_file_read(file, 0, buf, 3)) != P2P_OK);
    assert_int_equal(err, P2P_ERR_FILE_CHANGED);
    p2p_share_file_close(file);
}

static void
await_away(struct shared *f, bool is_away)
{
    struct p2p_share_totals totals;

    for (uint64_t end_ms = patience_end_ms(); p2p_now_ms() < end_ms; usleep(20000)) {
        p2p_share_totals(f->share, &totals);
        if (totals.is_away == is_away)
            return;
    }
    fail_msg("the folder is %s", is_away ? "still shared" : "still away");
}

/* A share is a path, not the folder that was there before. */
static void
a_folder_that_was_moved_away_is_not_shared_from_its_new_place(void **state)
{
    struct shared *f = *state;
    struct p2p_share_entry page[4];
    struct p2p_share_file *file;
    char here[PATH_MAX], away[PATH_MAX], buf[3];
    size_t count;

    scratch_put(&f->scratch, "s/f", "one");
    shared_open(f, 0);
    shared_settle(f);
    struct p2p_share_entry entry = shared_entry(f, "f");
    file = open_file(f, "f");
    snprintf(here, sizeof(here), "%s", scratch_path(&f->scratch, "s"));
    snprintf(away, sizeof(away), "%s", scratch_path(&f->scratch, "private"));
    assert_int_equal(rename(here, away), 0);
    scratch_put(&f->scratch, "private/secret", "two");
    await_away(f, true);
    assert_int_equal(p2p_share_list(f->share, "", page, 4, &count), P2P_OK);
    assert_int_equal(count, 0);
    assert_int_equal(shared_find(f, "f"), P2P_ERR_NOT_FOUND);
    assert_int_equal(shared_find(f, "secret"), P2P_ERR_NOT_FOUND);
    assert_int_equal(shared_count(f), 0);
    assert_int_equal(p2p_share_file_read(file, 0, buf, 3), P2P_ERR_FILE_CHANGED);
    p2p_share_file_close(file);
    assert_int_equal(p2p_share_file_open(f->share, &entry.root, &file),
                     P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_share_find_root(f->share, &entry.root, &entry),
                     P2P_ERR_NOT_FOUND);
    /* The folder is back, with the new file; the old file is not read a second time. */
    assert_int_equal(unlink(scratch_path(&f->scratch, "private/secret")), 0);
    scratch_put(&f->scratch, "private/new", "new");
    assert_int_equal(rename(away, here), 0);
    await_away(f, false);
    shared_settle(f);
    shared_check(f, "f", (const uint8_t *)"one", 3);
    shared_check(f, "new", (const uint8_t *)"new", 3);
    assert_true(shared_hashed(f) <=
                9); /* "secret" may have been hashed before the check */
}

/* A renamed folder keeps the hashes of its files. */
static void
renamed_folders_are_not_read_again(void **state)
{
    struct shared *f = *state;
    uint8_t *data = shared_bytes(100000, 1);
    char from[PATH_MAX], to[PATH_MAX];

    scratch_folder(&f->scratch, "s/old");
    scratch_put_bytes(&f->scratch, "s/old/a", data, 100000);
    scratch_put_bytes(&f->scratch, "s/old/b", data, 50000);
    shared_open(f, 16384);
    shared_settle(f);
    uint64_t read_before = shared_hashed(f);
    snprintf(from, sizeof(from), "%s", scratch_path(&f->scratch, "s/old"));
    snprintf(to, sizeof(to), "%s", scratch_path(&f->scratch, "s/new"));
    assert_int_equal(rename(from, to), 0);
    shared_settle(f);
    assert_int_equal(shared_hashed(f), read_before);
    assert_int_equal(shared_find(f, "old/a"), P2P_ERR_NOT_FOUND);
    shared_check(f, "new/a", data, 100000);
    shared_check(f, "new/b", data, 50000);
    /* The same while no program runs. */
    shared_close(f);
    assert_int_equal(rename(to, from), 0);
    shared_open(f, 16384);
    shared_settle(f);
    assert_int_equal(shared_hashed(f), 0);
    shared_check(f, "old/a", data, 100000);
    free(data);
}

/* A reader that opened a file keeps reading it after it was replaced or deleted. */
static void
replaced_files_end_with_their_readers(void **state)
{
    struct shared *f = *state;
    struct p2p_share_file *file, *other;
    struct p2p_share_entry entry;
    char buf[3];

    scratch_put(&f->scratch, "s/f", "old");
    shared_open(f, 0);
    shared_settle(f);
    entry = shared_entry(f, "f");
    file = open_file(f, "f");
    scratch_put(&f->scratch, "new", "new");
    assert_int_equal(
        rename(scratch_path(&f->scratch, "new"), scratch_path(&f->scratch, "s/f")), 0);
    /* Its last link is removed, which counts as a change: the bytes are sent or
     * refused, but never those of the new file. */
    if (p2p_share_file_read(file, 0, buf, 3) == P2P_OK)
        assert_memory_equal(buf, "old", 3);
    p2p_share_file_close(file);
    enum p2p_err err = p2p_share_file_open(f->share, &entry.root, &other);
    assert_true(err == P2P_ERR_FILE_CHANGED || err == P2P_ERR_NOT_FOUND);
    shared_settle(f);
    assert_int_equal(p2p_share_file_open(f->share, &entry.root, &other),
                     P2P_ERR_NOT_FOUND);
}

static void
of_equal_files_an_unchanged_one_is_served(void **state)
{
    struct shared *f = *state;
    struct p2p_share_entry entry;
    struct p2p_share_file *file;
    char buf[4];

    scratch_put(&f->scratch, "s/a", "same");
    scratch_put(&f->scratch, "s/b", "same");
    shared_open(f, 0);
    shared_settle(f);
    entry = shared_entry(f, "a");
    for (int i = 0; i < 2; i++) {
        remove(scratch_path(&f->scratch, i ? "s/a" : "s/b"));
        enum p2p_err err = p2p_share_file_open(f->share, &entry.root, &file);
        if (i == 0) {
            assert_int_equal(err, P2P_OK);
            assert_int_equal(p2p_share_file_read(file, 0, buf, 4), P2P_OK);
            assert_memory_equal(buf, "same", 4);
            p2p_share_file_close(file);
        } else {
            assert_true(err == P2P_ERR_FILE_CHANGED || err == P2P_ERR_NOT_FOUND);
        }
    }
}

/* Rewrites the file again and again, each time with one letter only, and now and then
 * not before it was read well. */
struct rewriter {
    const struct shared *f;
    atomic_bool stop;
    atomic_uint good;
};

static void *
rewrite_forever(void *arg)
{
    struct rewriter *r = arg;
    char *letters = malloc(200000);

    for (unsigned i = 0; letters && !atomic_load(&r->stop); i++) {
        int fd = open(scratch_path(&r->f->scratch, "s/f"), O_WRONLY | O_CLOEXEC);
        memset(letters, 'a' + (int)(i % 26), 200000);
        if (write(fd, letters, 200000) != 200000)
            break;
        close(fd);
        nanosleep(&(struct timespec){.tv_nsec = 1000000l * (i % 8) * 10}, NULL);
        for (unsigned good = r->good; i % 8 == 7 && r->good == good && !r->stop;)
            usleep(1000);
    }
    free(letters);
    return NULL;
}

static void
what_is_read_well_fits_the_root(void **state)
{
    struct shared *f = *state;
    struct rewriter r = {.f = f};
    uint8_t *buf = malloc(200000);
    uint64_t end_ms = patience_end_ms();
    pthread_t thread;

    memset(buf, 'a', 200000);
    scratch_put_bytes(&f->scratch, "s/f", buf, 200000);
    shared_open(f, 65536);
    shared_settle(f);
    assert_int_equal(pthread_create(&thread, NULL, rewrite_forever, &r), 0);
    for (int i = 0; i < 400 || (r.good == 0 && p2p_now_ms() < end_ms); i++) {
        struct p2p_share_entry entry;
        struct p2p_share_file *file;
        struct p2p_digest layer[4], root;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        if (p2p_share_find_name(f->share, "f", &entry) != P2P_OK ||
            p2p_share_file_open(f->share, &entry.root, &file) != P2P_OK)
            continue;
        if (p2p_share_file_read(file, 0, buf, 200000) == P2P_OK) {
            for (uint64_t k = 0; k < 4; k++)
                assert_int_equal(p2p_tree_chunk(&entry.geometry, buf + k * 65536,
                                                p2p_chunk_length(&entry.geometry, k),
                                                &layer[k]),
                                 P2P_OK);
            assert_int_equal(p2p_tree_root(&entry.geometry, layer, &root), P2P_OK);
            assert_memory_equal(&root, &entry.root, sizeof(root));
            r.good++;
        }
        p2p_share_file_close(file);
    }
    atomic_store(&r.stop, true);
    pthread_join(thread, NULL);
    assert_true(r.good > 0);
    free(buf);
}

/* ---- the index ---- */

static void
sql(const struct shared *f, const char *text)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(scratch_path(&f->scratch, "s/.p2p/index.db"), &db),
                     0);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* Layers that were lost or changed in the index are never given out. */
static void
wrong_layers_are_mended(void **state)
{
    struct shared *f = *state;
    static const char *const damage[] = {
        "DELETE FROM layers",
        "UPDATE layers SET hashes = zeroblob(64)",
        "UPDATE layers SET hashes = zeroblob(length(hashes))",
    };
    uint8_t *data = shared_bytes(100000, 5);
    struct p2p_digest hash;

    scratch_put_bytes(&f->scratch, "s/f", data, 100000);
    for (size_t i = 0; i < 3; i++) {
        shared_open(f, 16384);
        shared_settle(f);
        shared_close(f);
        sql(f, damage[i]);
        shared_open(f, 16384);
        shared_settle(f);
        struct p2p_share_entry entry = shared_entry(f, "f");
        assert_int_equal(p2p_share_layer(f->share, &entry.root, 0, 1, &hash),
                         P2P_ERR_BUSY);
        shared_settle(f);
        shared_check(f, "f", data, 100000);
        assert_int_equal(shared_entry(f, "f").version, 1);
        shared_close(f);
    }
    free(data);
}

static void
senseless_rows_are_hashed_again(void **state)
{
    struct shared *f = *state;
    static const char *const damage[] = {
        "UPDATE files SET chunk_size = 12345", "UPDATE files SET size = -1",
        "UPDATE files SET root = x'00'",       "UPDATE files SET sha256 = 'text'",
        "UPDATE files SET version = 0",        "UPDATE files SET name = '../canary'",
        "UPDATE files SET name = x'ff00'",     "UPDATE files SET inode = inode + 1",
    };

    scratch_put(&f->scratch, "s/f", "content");
    for (size_t i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
        shared_open(f, 0);
        shared_settle(f);
        shared_close(f);
        sql(f, damage[i]);
        shared_open(f, 0);
        shared_settle(f);
        assert_int_equal(shared_count(f), 1);
        shared_check(f, "f", (const uint8_t *)"content", 7);
        assert_int_equal(shared_hashed(f), 7);
        shared_close(f);
    }
}

/* Opens the share until the files in the folder are hashed, and closes it. */
static void
look(struct shared *f)
{
    shared_open(f, 0);
    shared_settle(f);
    shared_close(f);
}

/* The folder has the second version of "a" and the first version of "b". Both are
 * removed, in this order. */
static void
remove_two(struct shared *f)
{
    scratch_put(&f->scratch, "s/stays", "the folder is never empty");
    scratch_put(&f->scratch, "s/a", "one");
    scratch_put(&f->scratch, "s/b", "b");
    look(f);
    scratch_put(&f->scratch, "s/a", "two");
    look(f);
    remove(scratch_path(&f->scratch, "s/a"));
    remove(scratch_path(&f->scratch, "s/b"));
    sql(f, "UPDATE files SET root = NULL, sha256 = NULL,"
           " change = change + CASE name WHEN 'a' THEN 100 ELSE 200 END"
           " WHERE name <> 'stays'");
    sql(f, "UPDATE feed SET last = (SELECT max(change) FROM files)");
}

static void
a_name_that_comes_back_goes_on_with_its_numbers(void **state)
{
    struct shared *f = *state;

    remove_two(f);
    look(f); /* a restart forgets nothing */
    scratch_put(&f->scratch, "s/a", "three");
    scratch_put(&f->scratch, "s/b", "b");
    scratch_put(&f->scratch, "s/c", "new");
    shared_open(f, 0);
    shared_settle(f);
    assert_int_equal(shared_entry(f, "a").version, 3);
    assert_int_equal(shared_entry(f, "b").version, 2);
    assert_int_equal(shared_entry(f, "c").version, 1);
    assert_int_equal(shared_entry(f, "stays").version, 1);
}

/* After 90 days of a running machine. Here "a" was removed that long ago, and "b" when
 * that day had begun. */
static void
removed_files_are_forgotten_in_the_end(void **state)
{
    struct shared *f = *state;

    remove_two(f);
    sql(f, "INSERT INTO feed_days SELECT clock_s / 86400 - 90, last - 1 FROM feed");
    look(f);
    scratch_put(&f->scratch, "s/a", "three");
    scratch_put(&f->scratch, "s/b", "b");
    shared_open(f, 0);
    shared_settle(f);
    assert_int_equal(shared_entry(f, "a").version, 1);
    assert_int_equal(shared_entry(f, "b").version, 2);
}

/* ---- several processes ---- */

/* Locks belong to open files, so two shares in one process behave as two processes. */
static void
one_hashes_and_the_others_follow(void **state)
{
    struct shared *f = *state, other = {.scratch = f->scratch};
    uint8_t *data = shared_bytes(100000, 6);

    scratch_put_bytes(&f->scratch, "s/f", data, 100000);
    shared_open(f, 16384);
    shared_settle(f);
    shared_open(&other, 16384);
    AWAIT(shared_find(&other, "f") == P2P_OK);
    shared_check(&other, "f", data, 100000);
    scratch_put(&f->scratch, "s/g", "later");
    AWAIT(shared_find(&other, "g") == P2P_OK);
    scratch_put(&f->scratch, "s/g", "changed");
    AWAIT(shared_entry(&other, "f").version == 1 &&
          shared_find(&other, "g") == P2P_OK && shared_entry(&other, "g").version == 2);
    remove(scratch_path(&f->scratch, "s/f"));
    AWAIT(shared_count(&other) == 1);
    assert_int_equal(shared_find(&other, "f"), P2P_ERR_NOT_FOUND);
    assert_int_equal(shared_hashed(&other), 0);

    /* The owner ends, and the follower becomes the owner. */
    shared_close(f);
    scratch_put(&f->scratch, "s/h", "mine");
    AWAIT(shared_find(&other, "h") == P2P_OK);
    shared_settle(&other);
    shared_check(&other, "h", (const uint8_t *)"mine", 4);
    assert_int_equal(shared_hashed(&other), 4);
    assert_int_equal(shared_count(&other), 2);
    shared_close(&other);
    free(data);
}

static void
own_until_killed(struct shared *f, int ready)
{
    shared_open(f, 0);
    if (p2p_share_wait_idle(f->share, IDLE_MS) == P2P_OK && write(ready, "r", 1) == 1)
        pause();
    _exit(1);
}

static void
an_owner_that_is_killed_loses_nothing(void **state)
{
    struct shared *f = *state;
    int ready[2], status;
    char c;

    scratch_put(&f->scratch, "s/f", "content");
    for (int round = 0; round < 3; round++) {
        assert_int_equal(pipe(ready), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            own_until_killed(f, ready[1]);
        close(ready[1]);
        assert_int_equal(read(ready[0], &c, 1), 1);
        close(ready[0]);
        shared_open(f, 0); /* follows at first */
        AWAIT(shared_find(f, "f") == P2P_OK);
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        scratch_put(&f->scratch, "s/after", round % 2 ? "odd" : "even");
        AWAIT(shared_find(f, "after") == P2P_OK);
        shared_settle(f);
        shared_check(f, "f", (const uint8_t *)"content", 7);
        assert_int_equal(shared_entry(f, "f").version, 1);
        assert_true(shared_hashed(f) <= 4);
        shared_close(f);
    }
}

/* From now on, this thread and its children see a system that is out of watches. */
static bool
use_up_watches(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_inotify_add_watch, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSPC),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

static int
open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;

    while (dir != NULL && readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

enum { NO_FILTERS = 77 };

static void
follow_without_watches(struct shared *f)
{
    struct shared other = {.scratch = f->scratch};
    int before;

    shared_open(f, 0);
    shared_settle(f);
    if (!use_up_watches())
        _exit(NO_FILTERS);
    shared_open(&other, 0);
    shared_settle(&other);
    before = open_descriptors();
    for (int round = 0; round < 20; round++)
        shared_settle(&other);
    _exit(open_descriptors() > before + 2);
}

static void
followers_without_watches_lose_no_descriptors(void **state)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        follow_without_watches(*state);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == NO_FILTERS)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

int
main(void)
{
#define SHARED(test) \
    cmocka_unit_test_setup_teardown(test, shared_setup, shared_teardown)
    const struct CMUnitTest tests[] = {
        SHARED(an_owner_that_is_killed_loses_nothing),
        SHARED(followers_without_watches_lose_no_descriptors),
        SHARED(files_are_read_within_their_bounds),
        SHARED(changed_files_are_noticed_by_their_readers),
        SHARED(a_change_of_the_inode_alone_interrupts_nobody),
        SHARED(a_file_that_left_the_folder_is_not_served),
        SHARED(renamed_folders_are_not_read_again),
        SHARED(a_folder_that_was_moved_away_is_not_shared_from_its_new_place),
        SHARED(replaced_files_end_with_their_readers),
        SHARED(of_equal_files_an_unchanged_one_is_served),
        SHARED(what_is_read_well_fits_the_root),
        SHARED(wrong_layers_are_mended),
        SHARED(senseless_rows_are_hashed_again),
        SHARED(a_name_that_comes_back_goes_on_with_its_numbers),
        SHARED(removed_files_are_forgotten_in_the_end),
        SHARED(one_hashes_and_the_others_follow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
