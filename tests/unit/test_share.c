/* share: which files are found, hashed, noticed, remembered, and shared between
 * processes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sys/mount.h>
#include <time.h>

#include "core/share/share_internal.h"
#include "p2p/clock.h"
#include "share_fixture.h"

static void
put(struct shared *f, const char *name, const char *text)
{
    char path[P2P_NAME_MAX + 8];

    snprintf(path, sizeof(path), "s/%s", name);
    scratch_put(&f->scratch, path, text);
}

static void
rename_in(struct shared *f, const char *from, const char *to)
{
    char a[64], b[64];

    snprintf(a, sizeof(a), "s/%s", from);
    snprintf(b, sizeof(b), "s/%s", to);
    assert_int_equal(rename(scratch_path(&f->scratch, a), scratch_path(&f->scratch, b)),
                     0);
}

/* ---- hashing ---- */

static void
files_of_every_shape_are_described(void **state)
{
    struct shared *f = *state;
    static const size_t sizes[] = {0,      1,      16383,  16384,   16385,   65536,
                                   65537,  131072, 262144, 262145,  300000,  1 << 20,
                                   655361, 32768,  98304,  5000000, 40000000};
    const size_t count = sizeof(sizes) / sizeof(sizes[0]);
    uint8_t *data = shared_bytes(40000000, 1);

    for (size_t i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof(name), "s/f%zu", sizes[i]);
        scratch_put_bytes(&f->scratch, name, data, sizes[i]);
    }
    shared_open(f, 65536);
    shared_settle(f);
    assert_int_equal(shared_count(f), count);
    for (size_t i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof(name), "f%zu", sizes[i]);
        shared_check(f, name, data, sizes[i]);
        assert_int_equal(shared_entry(f, name).version, 1);
    }
    free(data);
}

static void
lookups_answer_and_refuse(void **state)
{
    struct shared *f = *state;
    uint8_t *data = shared_bytes(200000, 2);
    struct p2p_share_entry entry, by_root;
    struct p2p_digest hashes[4], unknown = {{7}};

    scratch_put_bytes(&f->scratch, "s/a", data, 200000);
    scratch_put_bytes(&f->scratch, "s/copy of a", data, 200000);
    shared_open(f, 65536);
    shared_settle(f);
    entry = shared_entry(f, "a");
    assert_int_equal(entry.geometry.count, 4);
    assert_int_equal(p2p_share_find_root(f->share, &entry.root, &by_root), P2P_OK);
    assert_int_equal(by_root.geometry.size, 200000);
    assert_int_equal(p2p_share_find_root(f->share, &unknown, &by_root),
                     P2P_ERR_NOT_FOUND);
    assert_int_equal(shared_find(f, "b"), P2P_ERR_NOT_FOUND);
    assert_int_equal(shared_find(f, "../s/a"), P2P_ERR_NOT_FOUND);
    assert_int_equal(shared_find(f, ".p2p/index.db"), P2P_ERR_NOT_FOUND);
    assert_int_equal(shared_find(f, ""), P2P_ERR_NOT_FOUND);

    assert_int_equal(p2p_share_layer(f->share, &entry.root, 0, 4, hashes), P2P_OK);
    assert_int_equal(p2p_tree_check_layer(&entry.geometry, hashes, &entry.root),
                     P2P_OK);
    assert_int_equal(p2p_share_layer(f->share, &entry.root, 4, 0, hashes), P2P_OK);
    assert_int_equal(p2p_share_layer(f->share, &entry.root, 4, 1, hashes),
                     P2P_ERR_RANGE);
    assert_int_equal(p2p_share_layer(f->share, &entry.root, 3, 2, hashes),
                     P2P_ERR_RANGE);
    assert_int_equal(p2p_share_layer(f->share, &entry.root, UINT64_MAX, 2, hashes),
                     P2P_ERR_RANGE);
    assert_int_equal(p2p_share_layer(f->share, &unknown, 0, 1, hashes),
                     P2P_ERR_NOT_FOUND);

    /* One of two equal files is deleted: the content is still there. */
    remove(scratch_path(&f->scratch, "s/copy of a"));
    shared_settle(f);
    assert_int_equal(p2p_share_find_root(f->share, &entry.root, &by_root), P2P_OK);
    assert_string_equal(by_root.name, "a");
    free(data);
}

/* ---- what is noticed ---- */

static void
changes_are_noticed(void **state)
{
    struct shared *f = *state;
    struct p2p_share_entry first;
    struct p2p_share_totals before, after;

    shared_open(f, 0);
    shared_settle(f);
    assert_int_equal(shared_count(f), 0);
    put(f, "a.txt", "one");
    shared_settle(f);
    first = shared_entry(f, "a.txt");
    assert_int_equal(first.version, 1);
    p2p_share_totals(f->share, &before);

    put(f, "a.txt", "two");
    shared_settle(f);
    shared_check(f, "a.txt", (const uint8_t *)"two", 3);
    assert_int_equal(shared_entry(f, "a.txt").version, 2);
    assert_int_equal(shared_entry(f, "a.txt").geometry.size, 3);
    p2p_share_totals(f->share, &after);
    assert_true(after.generation > before.generation);
    assert_int_equal(after.hashing_files, 0);
    assert_int_equal(after.bytes, 3);

    /* First an editor's way to save: another file is moved over it. Then only the times
     * change. */
    scratch_put(&f->scratch, "new", "three");
    assert_int_equal(
        rename(scratch_path(&f->scratch, "new"), scratch_path(&f->scratch, "s/a.txt")),
        0);
    shared_settle(f);
    assert_int_equal(shared_entry(f, "a.txt").version, 3);
    utimensat(AT_FDCWD, scratch_path(&f->scratch, "s/a.txt"), NULL, 0);
    shared_settle(f);
    assert_int_equal(shared_entry(f, "a.txt").version, 3);

    rename_in(f, "a.txt", "b.txt");
    shared_settle(f);
    assert_int_equal(shared_find(f, "a.txt"), P2P_ERR_NOT_FOUND);
    shared_check(f, "b.txt", (const uint8_t *)"three", 5);
    remove(scratch_path(&f->scratch, "s/b.txt"));
    shared_settle(f);
    assert_int_equal(shared_find(f, "b.txt"), P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_share_find_root(f->share, &first.root, &first),
                     P2P_ERR_NOT_FOUND);
    assert_int_equal(shared_count(f), 0);
}

static void
folders_are_followed_where_they_go(void **state)
{
    struct shared *f = *state;

    scratch_folder(&f->scratch, "s/x");
    put(f, "x/early", "1");
    shared_open(f, 0);
    shared_settle(f);
    scratch_folder(&f->scratch, "s/x/y");
    scratch_folder(&f->scratch, "s/x/y/z");
    put(f, "x/y/z/deep", "2");
    shared_settle(f);
    shared_entry(f, "x/early");
    shared_entry(f, "x/y/z/deep");

    rename_in(f, "x/y", "moved");
    shared_settle(f);
    assert_int_equal(shared_find(f, "x/y/z/deep"), P2P_ERR_NOT_FOUND);
    shared_entry(f, "moved/z/deep");
    put(f, "moved/z/later", "3"); /* under its new name */
    shared_settle(f);
    shared_entry(f, "moved/z/later");
    assert_int_equal(rename(scratch_path(&f->scratch, "s/moved"),
                            scratch_path(&f->scratch, "outside")),
                     0);
    shared_settle(f);
    assert_int_equal(shared_count(f), 1);
    assert_int_equal(rename(scratch_path(&f->scratch, "outside"),
                            scratch_path(&f->scratch, "s/back")),
                     0);
    shared_settle(f);
    shared_entry(f, "back/z/later");
    assert_int_equal(shared_count(f), 3);
}

static void
only_what_may_be_shared_is(void **state)
{
    struct shared *f = *state;

    scratch_put(&f->scratch, "secret", "secret");
    shared_open(f, 0);
    for (int round = 0; round < 2; round++) { /* by events, then by a scan */
        if (round == 0) {
            put(f, ".hidden", "x");
            put(f, "bad:name", "x");
            put(f, "new\nline", "x");
            scratch_folder(&f->scratch, "s/.folder");
            put(f, ".folder/x", "x");
            assert_int_equal(symlink("../secret", scratch_path(&f->scratch, "s/link")),
                             0);
            assert_int_equal(symlink("..", scratch_path(&f->scratch, "s/up")), 0);
            assert_int_equal(mkfifo(scratch_path(&f->scratch, "s/fifo"), 0644), 0);
            put(f, "good", "x");
        }
        shared_settle(f);
        assert_int_equal(shared_count(f), 1);
        shared_entry(f, "good");
        assert_int_equal(shared_find(f, "link"), P2P_ERR_NOT_FOUND);
        assert_int_equal(shared_find(f, "up/secret"), P2P_ERR_NOT_FOUND);
        shared_close(f);
        shared_open(f, 0);
    }
    /* A file that is replaced by a link is no longer shared. */
    shared_settle(f);
    remove(scratch_path(&f->scratch, "s/good"));
    assert_int_equal(symlink("../secret", scratch_path(&f->scratch, "s/good")), 0);
    shared_settle(f);
    assert_int_equal(shared_count(f), 0);
}

static void
a_file_that_is_being_written_is_not_shared_yet(void **state)
{
    struct shared *f = *state;
    struct p2p_share_entry entry;
    enum p2p_err err;

    put(f, "log", "begin");
    shared_open(f, 0);
    shared_settle(f);
    int fd = open(scratch_path(&f->scratch, "s/log"), O_WRONLY | O_APPEND | O_CLOEXEC);
    int slow =
        open(scratch_path(&f->scratch, "s/slow"), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(write(fd, "x", 1), 1);
        assert_int_equal(write(slow, "x", 1), 1);
        err = p2p_share_find_name(f->share, "slow", &entry);
        assert_int_equal(err, P2P_ERR_BUSY);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        err = p2p_share_find_name(f->share, "log", &entry);
        assert_true(err == P2P_ERR_BUSY || entry.version == 1);
    }
    close(fd);
    close(slow);
    shared_settle(f);
    shared_check(f, "slow", (const uint8_t *)"xxxxxxxxxx", 10);
    shared_check(f, "log", (const uint8_t *)"beginxxxxxxxxxx", 15);
}

struct counter {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int calls;
};

static void
count_call(void *arg)
{
    struct counter *c = arg;

    pthread_mutex_lock(&c->lock);
    c->calls++;
    pthread_cond_signal(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

static void
the_owner_of_the_share_is_told(void **state)
{
    struct shared *f = *state;
    struct counter c = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    struct p2p_share_options opt = {.directory = scratch_path(&f->scratch, "s"),
                                    .on_change = count_call,
                                    .arg = &c};

    assert_int_equal(p2p_share_open(&opt, &f->share), P2P_OK);
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof(name), "f%d", i);
        put(f, name, "x");
    }
    pthread_mutex_lock(&c.lock);
    while (c.calls == 0)
        pthread_cond_wait(&c.changed, &c.lock);
    assert_true(c.calls <= 3); /* one report for many files, not one for each */
    pthread_mutex_unlock(&c.lock);
    shared_close(f);
}

/* ---- what is remembered ---- */

static void
a_restart_reads_nothing_again(void **state)
{
    struct shared *f = *state;
    uint8_t *data = shared_bytes(3000000, 3);
    struct p2p_share_entry before, after;
    struct p2p_digest hashes[46];

    scratch_put_bytes(&f->scratch, "s/big", data, 3000000);
    put(f, "small", "x");
    shared_open(f, 65536);
    shared_settle(f);
    before = shared_entry(f, "big");
    assert_int_equal(shared_hashed(f), 3000001);
    shared_close(f);

    shared_open(f, 65536);
    shared_settle(f);
    after = shared_entry(f, "big");
    assert_int_equal(after.version, 1);
    assert_memory_equal(&after.root, &before.root, sizeof(after.root));
    assert_true(after.sha256_known);
    assert_int_equal(p2p_share_layer(f->share, &after.root, 0, 46, hashes), P2P_OK);
    assert_int_equal(p2p_tree_check_layer(&after.geometry, hashes, &after.root),
                     P2P_OK);
    shared_check(f, "small", (const uint8_t *)"x", 1);
    assert_int_equal(shared_hashed(f), 0);
    free(data);
}

static void
changes_while_away_are_found(void **state)
{
    struct shared *f = *state;

    put(f, "same", "1");
    put(f, "changed", "2");
    put(f, "gone", "3");
    shared_open(f, 0);
    shared_settle(f);
    shared_close(f);
    put(f, "changed", "22");
    put(f, "new", "4");
    remove(scratch_path(&f->scratch, "s/gone"));
    shared_open(f, 0);
    shared_settle(f);
    assert_int_equal(shared_count(f), 3);
    shared_check(f, "changed", (const uint8_t *)"22", 2);
    assert_int_equal(shared_entry(f, "changed").version, 2);
    assert_int_equal(shared_entry(f, "same").version, 1);
    shared_entry(f, "new");
    assert_int_equal(shared_find(f, "gone"), P2P_ERR_NOT_FOUND);
}

static void
a_damaged_index_is_made_anew(void **state)
{
    struct shared *f = *state;
    uint8_t *junk = shared_bytes(200000, 9);
    static const char *const files[] = {"s/.p2p/index.db", "s/.p2p/index.db-wal",
                                        "s/.p2p/index.db-shm"};

    put(f, "f", "content");
    for (size_t round = 0; round < 4; round++) {
        shared_open(f, 0);
        shared_settle(f);
        shared_check(f, "f", (const uint8_t *)"content", 7);
        shared_close(f);
        for (size_t i = 0; i < 3; i++)
            if (round == 3 || round == i)
                scratch_put_bytes(&f->scratch, files[i], junk, 200000);
    }
    shared_open(f, 0);
    shared_settle(f);
    shared_check(f, "f", (const uint8_t *)"content", 7);
    assert_true(scratch_has(&f->scratch, "s/.p2p/index.db.damaged"));
    shared_close(f);
    /* Damage in the middle: the header is good, so the database opens. */
    int fd = open(scratch_path(&f->scratch, "s/.p2p/index.db"), O_WRONLY | O_CLOEXEC);
    assert_true(pwrite(fd, junk, 20000, 4096) == 20000);
    close(fd);
    shared_open(f, 0);
    shared_settle(f);
    shared_check(f, "f", (const uint8_t *)"content", 7);
    free(junk);
}

/* `.p2p` cannot be created or used: the folder is shared nevertheless. */
static void
without_an_index_files_are_shared_all_the_same(void **state)
{
    struct shared *f = *state;
    uint8_t *data = shared_bytes(300000, 4);

    scratch_put(&f->scratch, "s/.p2p", "a file in its place");
    scratch_put_bytes(&f->scratch, "s/f", data, 300000);
    shared_open(f, 65536);
    shared_settle(f);
    shared_check(f, "f", data, 300000);
    put(f, "later", "x");
    shared_settle(f);
    shared_check(f, "later", (const uint8_t *)"x", 1);
    assert_true(scratch_holds(&f->scratch, "s/.p2p", "a file in its place"));
    free(data);
}

/* In a folder that cannot be written to, as for the test above. */
static void
open_with_keys(struct shared *f, struct p2p_share **out)
{
    struct p2p_share_options opt = {.threads = 2, .quiet_ms = QUIET_MS};
    char directory[PATH_MAX], keys[PATH_MAX];

    snprintf(directory, sizeof(directory), "%s", scratch_path(&f->scratch, "s"));
    snprintf(keys, sizeof(keys), "%s", scratch_path(&f->scratch, "k"));
    opt.directory = directory;
    opt.keys_dir = keys;
    opt.program = "test";
    assert_int_equal(p2p_share_open(&opt, out), P2P_OK);
    assert_int_equal(p2p_share_wait_idle(*out, IDLE_MS), P2P_OK);
}

static void
count_problem(void *arg, const char *name, const char *reason)
{
    (void)reason;
    *(size_t *)arg += name[0] != '\0';
}

static void
the_index_of_a_read_only_folder_is_in_the_keys_folder(void **state)
{
    struct shared *f = *state;
    struct p2p_share_totals totals;
    struct p2p_share *second;
    struct p2p_root *root;
    char keys[PATH_MAX];
    uint64_t missing = 1;
    size_t problems = 0;

    scratch_folder(&f->scratch, "k");
    scratch_put(&f->scratch, "s/.p2p", "a file in its place");
    put(f, "f", "content");
    put(f, "wrong:name", "x");
    open_with_keys(f, &f->share);
    shared_check(f, "f", (const uint8_t *)"content", 7);
    /* A second program follows the first one. */
    open_with_keys(f, &second);
    p2p_share_totals(second, &totals);
    assert_true(totals.files == 1 && totals.hashed_bytes == 0);
    /* Others find the index, too, and can leave a message. */
    assert_int_equal(p2p_root_open(scratch_path(&f->scratch, "s"), false, 0755, &root),
                     P2P_OK);
    snprintf(keys, sizeof(keys), "%s", scratch_path(&f->scratch, "k"));
    assert_int_equal(p2p_share_problems_at(root, keys, count_problem, &problems),
                     P2P_OK);
    assert_int_equal(problems, 1);
    assert_int_equal(p2p_share_missing_at(root, keys, &missing), P2P_OK);
    assert_int_equal(missing, 0);
    assert_int_equal(p2p_share_request_scan_at(root, keys), P2P_OK);
    assert_int_equal(p2p_share_request_scan(second), P2P_OK);
    assert_int_equal(p2p_share_problems_at(root, NULL, count_problem, &problems),
                     P2P_ERR_PERMISSION);
    p2p_root_close(root);
    p2p_share_close(second);
    shared_close(f);
    /* Nothing is hashed again. */
    open_with_keys(f, &f->share);
    p2p_share_totals(f->share, &totals);
    assert_true(totals.files == 1 && totals.hashed_bytes == 0);
    assert_true(scratch_holds(&f->scratch, "s/.p2p", "a file in its place"));
}

/* Two folders do not get one index; a folder that can be written to keeps its own. */
static void
each_folder_has_an_index_of_its_own(void **state)
{
    struct shared *f = *state;
    struct p2p_root *root, *aside, *other;
    char keys[PATH_MAX];

    scratch_folder(&f->scratch, "k");
    scratch_folder(&f->scratch, "s/two");
    snprintf(keys, sizeof(keys), "%s", scratch_path(&f->scratch, "k"));
    assert_int_equal(p2p_root_open(scratch_path(&f->scratch, "s"), false, 0755, &root),
                     P2P_OK);
    assert_int_equal(p2p_share_open_private(root, keys, &aside), P2P_OK);
    assert_null(aside);
    assert_int_equal(p2p_share_find_private(root, keys, &aside), P2P_OK);
    assert_null(aside);
    assert_false(scratch_has(&f->scratch, "k/folders"));
    assert_int_equal(rmdir(scratch_path(&f->scratch, "s/.p2p")), 0);
    scratch_put(&f->scratch, "s/.p2p", "a file in its place");
    assert_int_equal(p2p_share_find_private(root, keys, &aside), P2P_OK);
    assert_null(aside); /* nobody has shared it */
    assert_int_equal(p2p_share_open_private(root, NULL, &aside), P2P_OK);
    assert_null(aside);
    assert_int_equal(p2p_share_open_private(root, keys, &aside), P2P_OK);
    assert_non_null(aside);
    p2p_root_close(root);
    scratch_put(&f->scratch, "s/two/.p2p", "a file in its place");
    assert_int_equal(
        p2p_root_open(scratch_path(&f->scratch, "s/two"), false, 0755, &root), P2P_OK);
    assert_int_equal(p2p_share_open_private(root, keys, &other), P2P_OK);
    assert_string_not_equal(p2p_root_path(aside), p2p_root_path(other));
    p2p_root_close(root);
    p2p_root_close(aside);
    p2p_root_close(other);
}

/* ---- many ---- */

static void
a_scan_can_be_asked_for(void **state)
{
    struct shared *f = *state;
    uint64_t until = patience_end_ms();
    char mounted[PATH_MAX];

    /* No event reports that something is mounted over a watched folder. */
    scratch_folder(&f->scratch, "s/net");
    shared_open(f, 0);
    shared_settle(f);
    snprintf(mounted, sizeof(mounted), "%s", scratch_path(&f->scratch, "s/net"));
    if (mount("tmpfs", mounted, "tmpfs", 0, "size=1m") != 0)
        skip(); /* not root */
    scratch_put(&f->scratch, "s/net/a", "x");
    assert_int_equal(p2p_share_request_scan(f->share), P2P_OK);
    while (shared_find(f, "net/a") != P2P_OK) {
        assert_true(p2p_now_ms() < until);
        usleep(20000);
    }
    umount2(mounted, MNT_DETACH);
}

static void
wait_for(struct shared *f, const char *name, enum p2p_err err)
{
    uint64_t until = patience_end_ms();

    while (shared_find(f, name) != err) {
        assert_true(p2p_now_ms() < until);
        usleep(20000);
    }
}

static void
mounts_beneath_are_noticed(void **state)
{
    struct shared *f = *state;
    char place[PATH_MAX];

    scratch_folder(&f->scratch, "s/a disk");
    put(f, "a disk/under", "x");
    put(f, "other", "x");
    shared_open(f, 0);
    shared_settle(f);
    snprintf(place, sizeof(place), "%s", scratch_path(&f->scratch, "s/a disk"));
    if (mount("tmpfs", place, "tmpfs", 0, "size=1m") != 0)
        skip(); /* not root */
    wait_for(f, "a disk/under", P2P_ERR_NOT_FOUND);
    put(f, "a disk/on it", "x");
    wait_for(f, "a disk/on it", P2P_OK);
    assert_int_equal(umount2(place, MNT_DETACH), 0);
    wait_for(f, "a disk/under", P2P_OK);
    wait_for(f, "a disk/on it", P2P_ERR_NOT_FOUND);
    assert_int_equal(shared_find(f, "other"), P2P_OK);
}

static void
thousands_of_files_page_in_order(void **state)
{
    struct shared *f = *state;
    enum { FILES = 1000, PAGE = 64 };
    struct p2p_share_entry *page = calloc(PAGE, sizeof(*page));
    char after[P2P_NAME_MAX + 1] = "", name[64];
    size_t count, seen = 0;

    scratch_folder(&f->scratch, "s/d");
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof(name), i % 2 ? "f%d" : "d/%d", i);
        put(f, name, name);
        if (i == FILES / 2)
            shared_open(f, 0); /* half by the scan, half by events */
    }
    shared_settle(f);
    assert_int_equal(shared_count(f), FILES);
    do {
        assert_int_equal(p2p_share_list(f->share, after, page, PAGE, &count), P2P_OK);
        for (size_t i = 0; i < count; i++) {
            assert_true(strcmp(after, page[i].name) < 0);
            strcpy(after, page[i].name);
            assert_true(page[i].sha256_known);
        }
        seen += count;
    } while (count > 0);
    assert_int_equal(seen, FILES);
    shared_check(f, "d/42", (const uint8_t *)"d/42", 4);
    free(page);
}

int
main(void)
{
#define SHARED(test) \
    cmocka_unit_test_setup_teardown(test, shared_setup, shared_teardown)
    const struct CMUnitTest tests[] = {
        SHARED(files_of_every_shape_are_described),
        SHARED(lookups_answer_and_refuse),
        SHARED(changes_are_noticed),
        SHARED(folders_are_followed_where_they_go),
        SHARED(only_what_may_be_shared_is),
        SHARED(a_file_that_is_being_written_is_not_shared_yet),
        SHARED(the_owner_of_the_share_is_told),
        SHARED(a_restart_reads_nothing_again),
        SHARED(changes_while_away_are_found),
        SHARED(a_damaged_index_is_made_anew),
        SHARED(without_an_index_files_are_shared_all_the_same),
        SHARED(the_index_of_a_read_only_folder_is_in_the_keys_folder),
        SHARED(each_folder_has_an_index_of_its_own),
        SHARED(a_scan_can_be_asked_for),
        SHARED(mounts_beneath_are_noticed),
        SHARED(thousands_of_files_page_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
