/*
 * journal: the order of writes. The system calls of the module go through this file,
 * which keeps what a disk would have after a power loss: data counts from the
 * beginning of a flush, the journal's own bytes count immediately. This is the worst
 * order: a promise arrives on the disk before the bytes that it promises.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/syscall.h>

#include "core/journal/journal_file.h"
#include "p2p/bytes.h"
#include "p2p/log.h"
#include "p2p/tree.h"
#include "scratch.h"

#define CHUNK       P2P_CHUNK_SIZE_MIN
#define CHUNKS      40
#define SIZE        (CHUNK * CHUNKS)
#define JOURNAL_MAX 8192

struct fixture {
    struct scratch scratch;
    struct p2p_root *root;
    struct p2p_journal_info info;
    struct p2p_digest layer[CHUNKS];
    char part[128], journal[128];
    struct p2p_journal *j;
    uint8_t data[SIZE], disk[SIZE]; /* the file; what of `.part` is on the disk */
    ino_t part_inode, journal_inode;
    uint64_t during_flush; /* a chunk that is written while a flush runs, or CHUNKS */
    char events[64];
    bool watching;
};
static struct fixture *now; /* the hooks have no argument */

static void write_chunk(struct fixture *f, uint64_t i);

static bool
is_inode(int fd, ino_t inode)
{
    struct stat st;

    return now != NULL && now->watching && fstat(fd, &st) == 0 && st.st_ino == inode;
}

static void
note(char event)
{
    size_t len = strlen(now->events);

    assert_true(len + 1 < sizeof(now->events));
    now->events[len] = event;
}

/* Asserts that every chunk that the journal calls durable is on the disk. */
static void
check_promises(int fd)
{
    struct journal_stamp stamp;
    struct journal_page page;

    assert_int_equal(p2p_journal_stamp_read(fd, &stamp), P2P_OK);
    assert_int_equal(p2p_journal_page_read(fd, &stamp, 0, &page), P2P_OK);
    for (size_t i = 0; i < CHUNKS; i++)
        if (page.durable[i / 8] >> (i % 8) & 1)
            assert_memory_equal(now->disk + i * CHUNK, now->data + i * CHUNK, CHUNK);
}

/* ---- The system calls ---- */

ssize_t
pwrite(int fd, const void *buf, size_t len, off_t offset)
{
    ssize_t n = syscall(SYS_pwrite64, fd, buf, len, offset);

    if (is_inode(fd, now ? now->journal_inode : 0))
        check_promises(fd);
    return n;
}

static void
flush_part(int fd)
{
    uint64_t chunk = now->during_flush;

    assert_int_equal(pread(fd, now->disk, SIZE, 0), SIZE);
    now->during_flush = CHUNKS;
    if (chunk < CHUNKS)
        write_chunk(now, chunk);
}

int
fdatasync(int fd)
{
    if (is_inode(fd, now ? now->part_inode : 0))
        flush_part(fd);
    return 0;
}

int
fsync(int fd)
{
    struct stat st;

    if (is_inode(fd, now ? now->part_inode : 0)) {
        flush_part(fd);
        note('F');
    } else if (now && now->watching && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        note('D');
    }
    return 0;
}

int
renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    if (now && now->watching && strstr(from, ".part"))
        note('R');
    return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

int
unlinkat(int dir, const char *name, int flags)
{
    if (now && now->watching && strstr(name, ".journal"))
        note('U');
    return (int)syscall(SYS_unlinkat, dir, name, flags);
}

/* ---- Fixture ---- */

static void
describe(struct fixture *f)
{
    char hex[65];

    assert_int_equal(p2p_chunks_init(&f->info.geometry, SIZE, CHUNK), P2P_OK);
    for (uint64_t i = 0; i < CHUNKS; i++)
        assert_int_equal(
            p2p_tree_chunk(&f->info.geometry, f->data + i * CHUNK, CHUNK, &f->layer[i]),
            P2P_OK);
    assert_int_equal(p2p_tree_root(&f->info.geometry, f->layer, &f->info.root), P2P_OK);
    snprintf(f->info.name, sizeof(f->info.name), "film.mkv");
    p2p_hex_format(f->info.root.b, 32, hex);
    snprintf(f->part, sizeof(f->part), "root/.p2p/%s.part", hex);
    snprintf(f->journal, sizeof(f->journal), "root/.p2p/%s.journal", hex);
}

static int
setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    uint32_t seed = 1;

    assert_non_null(f);
    scratch_make(&f->scratch);
    assert_int_equal(
        p2p_root_open(scratch_path(&f->scratch, "root"), true, 0700, &f->root), P2P_OK);
    for (size_t i = 0; i < SIZE; i++) {
        seed = seed * 1664525 + 1013904223;
        f->data[i] = (uint8_t)(seed >> 24);
    }
    describe(f);
    f->during_flush = CHUNKS;
    *state = now = f;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;

    now = NULL;
    p2p_root_close(f->root);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

static void
open_journal(struct fixture *f)
{
    struct stat st;

    assert_int_equal(p2p_journal_open(f->root, &f->info, f->layer, &f->j), P2P_OK);
    assert_int_equal(stat(scratch_path(&f->scratch, f->part), &st), 0);
    f->part_inode = st.st_ino;
    assert_int_equal(stat(scratch_path(&f->scratch, f->journal), &st), 0);
    f->journal_inode = st.st_ino;
    f->watching = true;
}

static void
write_chunk(struct fixture *f, uint64_t i)
{
    assert_int_equal(
        p2p_pwrite_full(p2p_journal_fd(f->j), f->data + i * CHUNK, CHUNK, i * CHUNK),
        P2P_OK);
    assert_int_equal(p2p_journal_mark(f->j, i), P2P_OK);
}

static void
rewrite(const struct fixture *f, const char *name, const void *data, size_t len)
{
    int fd = open(scratch_path(&f->scratch, name), O_WRONLY);

    assert_int_equal(p2p_pwrite_full(fd, data, len, 0), P2P_OK);
    close(fd);
}

/* After a restart of the system, "written" means nothing. */
static void
change_boot(const struct fixture *f)
{
    struct journal_stamp stamp;
    int fd = open(scratch_path(&f->scratch, f->journal), O_RDWR);

    assert_int_equal(p2p_journal_stamp_read(fd, &stamp), P2P_OK);
    memset(&stamp.boot, 7, sizeof(stamp.boot));
    assert_int_equal(p2p_journal_stamp_write(fd, &stamp), P2P_OK);
    close(fd);
}

/* The machine starts again with the bytes that had arrived on the disk. */
static void
lose_power(struct fixture *f)
{
    uint8_t journal[JOURNAL_MAX];
    int fd = open(scratch_path(&f->scratch, f->journal), O_RDONLY);
    ssize_t len = read(fd, journal, sizeof(journal));

    close(fd);
    assert_in_range(len, 1, sizeof(journal) - 1);
    f->watching = false;
    p2p_journal_close(f->j); /* it flushes: everything before is made undone */
    rewrite(f, f->journal, journal, (size_t)len);
    rewrite(f, f->part, f->disk, SIZE);
    change_boot(f);
}

/* Everything that the journal promises is there. */
static uint64_t
check_all(struct fixture *f)
{
    uint8_t chunk[CHUNK];
    uint64_t count = 0;

    for (uint64_t i = 0; i < CHUNKS; i++) {
        if (!p2p_journal_has(f->j, i))
            continue;
        assert_int_equal(p2p_pread_full(p2p_journal_fd(f->j), chunk, CHUNK, i * CHUNK),
                         P2P_OK);
        assert_memory_equal(chunk, f->data + i * CHUNK, CHUNK);
        count++;
    }
    return count;
}

/* ---- Tests ---- */

static void
a_promise_follows_its_flush(void **state)
{
    struct fixture *f = *state;

    open_journal(f);
    write_chunk(f, 0);
    write_chunk(f, 1);
    f->during_flush = 2; /* too late for the running flush */
    assert_int_equal(p2p_journal_checkpoint(f->j), P2P_OK);
    lose_power(f);
    open_journal(f);
    assert_int_equal(p2p_journal_done_count(f->j), 2);
    assert_int_equal(p2p_journal_doubted(f->j), 1);
    assert_int_equal(p2p_journal_recheck(f->j, NULL, NULL), P2P_OK);
    assert_int_equal(check_all(f), 2);
    p2p_journal_close(f->j);
}

static void
power_goes_at_any_moment(void **state)
{
    struct fixture *f = *state;
    uint32_t seed = 5;
    uint64_t kept = 0;

    for (int round = 0; round < 100; round++) {
        open_journal(f);
        assert_int_equal(p2p_journal_recheck(f->j, NULL, NULL), P2P_OK);
        kept += check_all(f);
        for (int step = 0; step < 12; step++) {
            seed = seed * 1664525 + 1013904223;
            uint64_t chunk = seed >> 8 & 31;
            if (seed >> 28 == 0)
                f->during_flush = chunk;
            if (seed >> 29 == 0)
                assert_int_equal(p2p_journal_checkpoint(f->j), P2P_OK);
            else if (!p2p_journal_has(f->j, chunk))
                write_chunk(f, chunk);
        }
        lose_power(f);
        if (round % 10 == 9) { /* sometimes everything starts from the beginning */
            assert_int_equal(unlink(scratch_path(&f->scratch, f->part)), 0);
            assert_int_equal(unlink(scratch_path(&f->scratch, f->journal)), 0);
            memset(f->disk, 0, SIZE);
        }
    }
    assert_true(kept > 100); /* at least some chunks are kept */
}

/* Bad chunks lose their durable mark on disk before they are written again. */
static void
a_promise_is_taken_back_on_disk(void **state)
{
    struct fixture *f = *state;
    static const uint8_t bad[CHUNK];

    open_journal(f);
    for (uint64_t i = 0; i < CHUNKS; i++)
        write_chunk(f, i);
    assert_int_equal(p2p_journal_checkpoint(f->j), P2P_OK);
    f->watching = false;
    assert_int_equal(p2p_pwrite_full(p2p_journal_fd(f->j), bad, CHUNK, 39 * CHUNK),
                     P2P_OK);
    p2p_journal_doubt_all(f->j);
    assert_int_equal(p2p_journal_recheck(f->j, NULL, NULL), P2P_OK);
    assert_int_equal(p2p_journal_done_count(f->j), CHUNKS - 1);
    int fd = open(scratch_path(&f->scratch, f->journal), O_RDONLY);
    struct journal_stamp stamp;
    struct journal_page page;
    assert_int_equal(p2p_journal_stamp_read(fd, &stamp), P2P_OK);
    assert_int_equal(p2p_journal_page_read(fd, &stamp, 0, &page), P2P_OK);
    close(fd);
    assert_int_equal(page.durable[39 / 8] >> 39 % 8 & 1, 0);
    assert_int_equal(page.written[39 / 8], 0x7f);
    p2p_journal_close(f->j);
}

/* First data, name and folder; only then may the journal be removed. */
static void
publishing_is_in_order(void **state)
{
    struct fixture *f = *state;
    char stored[P2P_NAME_MAX + 1];

    open_journal(f);
    for (uint64_t i = 0; i < CHUNKS; i++)
        write_chunk(f, i);
    assert_int_equal(p2p_journal_finish(f->j, P2P_CONFLICT_RENAME, stored), P2P_OK);
    assert_memory_equal(f->disk, f->data, SIZE);
    assert_string_equal(f->events, "FRDDU");
    f->watching = false;
    p2p_journal_close(f->j);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_promise_follows_its_flush),
        T(power_goes_at_any_moment),
        T(a_promise_is_taken_back_on_disk),
        T(publishing_is_in_order),
    };

    p2p_log_init("test_journal_order", P2P_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
