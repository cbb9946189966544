/* share: the order in which files are hashed, the end of jobs, and a full disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <unistd.h>

#include "p2p/clock.h"
#include "share_fixture.h"

#define LARGE (1ull << 37) /* its SHA-256 takes minutes */

static void
make_sparse(const struct shared *f, const char *name, uint64_t size)
{
    scratch_put(&f->scratch, name, "begin");
    assert_int_equal(truncate(scratch_path(&f->scratch, name), (off_t)size), 0);
}

static void
await_found(struct shared *f, const char *name)
{
    AWAIT(shared_find(f, name) == P2P_OK);
}

static void
small_files_do_not_wait_for_large_ones(void **state)
{
    struct shared *f = *state;

    for (int i = 0; i < 4; i++) { /* more than there are threads */
        char name[16];
        snprintf(name, sizeof(name), "s/disk%d", i);
        make_sparse(f, name, LARGE);
    }
    shared_open(f, 0);
    await_found(f, "disk0"); /* a tree of holes, whose SHA-256 takes minutes */
    scratch_put(&f->scratch, "s/note", "hello");
    await_found(f, "note");
    struct p2p_share_entry note = shared_entry(f, "note");
    assert_true(note.sha256_known);
    assert_false(shared_entry(f, "disk0").sha256_known); /* it did not wait for them */
    /* Deletes files to end their jobs, so that the share becomes idle. */
    for (int i = 0; i < 4; i++) {
        char name[16];
        snprintf(name, sizeof(name), "s/disk%d", i);
        assert_int_equal(unlink(scratch_path(&f->scratch, name)), 0);
    }
    shared_settle(f);
    assert_int_equal(shared_count(f), 1);
}

/* Data between holes, so that both kinds of chunk are there, and a mixed one. */
static void
holes_hash_as_the_zeros_they_are(void **state)
{
    struct shared *f = *state;
    const size_t len = 40 * P2P_CHUNK_SIZE_MIN + 7;
    uint8_t *data = calloc(1, len);
    int fd;

    assert_non_null(data);
    make_sparse(f, "s/holes", len);
    fd = open(scratch_path(&f->scratch, "s/holes"), O_WRONLY);
    assert_true(fd >= 0);
    memcpy(data, "begin", 5);
    for (size_t at = 3 * P2P_CHUNK_SIZE_MIN + 100; at < len; at += len / 3) {
        data[at] = 1;
        assert_int_equal(pwrite(fd, data + at, 1, (off_t)at), 1);
    }
    close(fd);
    shared_open(f, P2P_CHUNK_SIZE_MIN);
    shared_settle(f);
    shared_check(f, "holes", data, len);
    free(data);
}

static void
fill(const struct shared *f)
{
    static const char zeros[65536];
    int fd = open(scratch_path(&f->scratch, "s/.fill"), O_WRONLY | O_CREAT, 0600);

    assert_true(fd >= 0);
    while (write(fd, zeros, sizeof(zeros)) > 0)
        ;
    assert_int_equal(errno, ENOSPC);
    close(fd);
}

static void
await_stored_layer(const struct shared *f)
{
    uint64_t until = patience_end_ms();
    bool is_stored = false;

    while (!is_stored) {
        sqlite3 *db;
        sqlite3_stmt *stmt;
        assert_true(p2p_now_ms() < until);
        usleep(50000);
        if (sqlite3_open_v2(scratch_path(&f->scratch, "s/.p2p/index.db"), &db,
                            SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
            sqlite3_prepare_v2(db, "SELECT 1 FROM layers JOIN files USING (name)", -1,
                               &stmt, NULL) == SQLITE_OK) {
            is_stored = sqlite3_step(stmt) == SQLITE_ROW;
            sqlite3_finalize(stmt);
        }
        sqlite3_close(db);
    }
}

static void
note_problem(void *arg, const char *name, const char *reason)
{
    (void)reason;
    if (strcmp(name, "bad:") == 0)
        *(bool *)arg = true;
}

static void
await_problem(struct shared *f)
{
    uint64_t until = patience_end_ms();

    for (bool is_there = false; !is_there; usleep(20000)) {
        assert_true(p2p_now_ms() < until);
        assert_int_equal(p2p_share_problems(f->share, note_problem, &is_there), P2P_OK);
    }
}

/* Listed files can be served: the hashes stay in memory until the index has them. */
static void
a_full_disk_keeps_nobody_from_sharing(void **state)
{
    struct shared *f = *state;
    const size_t len = 1500000;
    uint8_t *data = shared_bytes(len, 7);

    if (mount("tmpfs", scratch_path(&f->scratch, "s"), "tmpfs", 0, "size=6m") != 0)
        skip(); /* not root */
    shared_open(f, 65536);
    shared_settle(f);
    scratch_folder(&f->scratch, "s/.new");
    scratch_put_bytes(&f->scratch, "s/.new/f", data, len);
    fill(f);
    char from[PATH_MAX], to[PATH_MAX];
    snprintf(from, sizeof(from), "%s", scratch_path(&f->scratch, "s/.new/f"));
    snprintf(to, sizeof(to), "%s", scratch_path(&f->scratch, "s/f"));
    assert_int_equal(rename(from, to), 0);
    await_found(f, "f");
    struct p2p_share_entry entry = shared_entry(f, "f");
    struct p2p_digest hashes[23];
    assert_int_equal(entry.geometry.count, 23);
    assert_int_equal(p2p_share_layer(f->share, &entry.root, 0, 23, hashes), P2P_OK);
    scratch_put(&f->scratch, "s/bad:", "");
    assert_int_equal(p2p_share_request_scan(f->share), P2P_OK);
    usleep(100000); /* so that it is likely that the list could not be stored */
    shared_settle(f);
    /* When there is room again, the index gets the hashes, so a restart reads no file.
     */
    assert_int_equal(unlink(scratch_path(&f->scratch, "s/.fill")), 0);
    await_stored_layer(f);
    await_problem(f);
    shared_close(f);
    shared_open(f, 65536);
    shared_settle(f);
    assert_int_equal(shared_hashed(f), 0);
    shared_check(f, "f", data, len);
    free(data);
}

static int
unmount_teardown(void **state)
{
    struct shared *f = *state;

    shared_close(f);
    umount2(scratch_path(&f->scratch, "s"), MNT_DETACH);
    return shared_teardown(state);
}

int
main(void)
{
#define SHARED(test) \
    cmocka_unit_test_setup_teardown(test, shared_setup, shared_teardown)
    const struct CMUnitTest tests[] = {
        SHARED(small_files_do_not_wait_for_large_ones),
        SHARED(holes_hash_as_the_zeros_they_are),
        cmocka_unit_test_setup_teardown(a_full_disk_keeps_nobody_from_sharing,
                                        shared_setup, unmount_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
