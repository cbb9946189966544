/* journal: everything that it promises is there, and it promises nothing that is not
 * there, whatever happened to the files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/mount.h>
#include <sys/wait.h>

#include "core/journal/journal_file.h"
#include "p2p/bytes.h"
#include "p2p/log.h"
#include "p2p/tree.h"
#include "scratch.h"

#define CHUNK  P2P_CHUNK_SIZE_MIN
#define CHUNKS 40
#define SIZE   (CHUNK * (CHUNKS - 1) + 1000)

struct fixture {
    struct scratch scratch;
    struct p2p_root *root;
    uint8_t data[SIZE];
    struct p2p_journal_info info;
    struct p2p_digest layer[CHUNKS];
    char part[128], journal[128];
};

static void
fill(struct fixture *f, uint32_t seed)
{
    for (size_t i = 0; i < SIZE; i++) {
        seed = seed * 1664525 + 1013904223;
        f->data[i] = (uint8_t)(seed >> 24);
    }
}

static void
describe(struct fixture *f, uint64_t size)
{
    struct p2p_chunks *g = &f->info.geometry;
    char hex[65];

    assert_int_equal(p2p_chunks_init(g, size, CHUNK), P2P_OK);
    for (uint64_t i = 0; i < g->count; i++)
        assert_int_equal(p2p_tree_chunk(g, f->data + i * CHUNK, p2p_chunk_length(g, i),
                                        &f->layer[i]),
                         P2P_OK);
    assert_int_equal(p2p_tree_root(g, f->layer, &f->info.root), P2P_OK);
    snprintf(f->info.name, sizeof(f->info.name), "film.mkv");
    p2p_hex_format(f->info.root.b, 32, hex);
    snprintf(f->part, sizeof(f->part), "root/.p2p/%s.part", hex);
    snprintf(f->journal, sizeof(f->journal), "root/.p2p/%s.journal", hex);
}

static int
setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    scratch_make(&f->scratch);
    assert_int_equal(
        p2p_root_open(scratch_path(&f->scratch, "root"), true, 0700, &f->root), P2P_OK);
    fill(f, 1);
    describe(f, SIZE);
    *state = f;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;

    p2p_root_close(f->root);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

static struct p2p_journal *
open_journal(struct fixture *f)
{
    struct p2p_journal *j = NULL;

    assert_int_equal(p2p_journal_open(f->root, &f->info, f->layer, &j), P2P_OK);
    return j;
}

static void
write_chunk(struct fixture *f, struct p2p_journal *j, uint64_t i)
{
    assert_int_equal(p2p_pwrite_full(p2p_journal_fd(j), f->data + i * CHUNK,
                                     p2p_chunk_length(&f->info.geometry, i), i * CHUNK),
                     P2P_OK);
    assert_int_equal(p2p_journal_mark(j, i), P2P_OK);
}

static void
finish(struct fixture *f, struct p2p_journal *j)
{
    char stored[P2P_NAME_MAX + 1];
    uint8_t *got = malloc(SIZE + 1);

    for (uint64_t i = 0; i < f->info.geometry.count; i++)
        if (!p2p_journal_has(j, i))
            write_chunk(f, j, i);
    assert_int_equal(p2p_journal_finish(j, P2P_CONFLICT_FAIL, stored), P2P_OK);
    p2p_journal_close(j);
    FILE *file = fopen(scratch_path(&f->scratch, "root/film.mkv"), "re");
    assert_non_null(file);
    assert_int_equal(fread(got, 1, SIZE + 1, file), f->info.geometry.size);
    assert_memory_equal(got, f->data, f->info.geometry.size);
    fclose(file);
    free(got);
    assert_false(scratch_has(&f->scratch, f->part));
    assert_false(scratch_has(&f->scratch, f->journal));
}

/* Changes `len` bytes at `offset` of a file. */
static void
damage(struct fixture *f, const char *name, long offset, const void *bytes, size_t len)
{
    FILE *file = fopen(scratch_path(&f->scratch, name), "r+e");

    assert_non_null(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static void
closes_and_resumes(void **state)
{
    struct fixture *f = *state;
    struct p2p_journal *j = open_journal(f);
    struct p2p_journal_info info;
    uint64_t bytes;

    assert_int_equal(p2p_journal_done_count(j), 0);
    write_chunk(f, j, 3);
    write_chunk(f, j, CHUNKS - 1);
    assert_int_equal(p2p_journal_done_bytes(j), CHUNK + 1000);
    p2p_journal_close(j);
    assert_false(scratch_has(&f->scratch, "root/film.mkv"));

    assert_int_equal(p2p_journal_peek(f->root, &f->info.root, &info, &bytes), P2P_OK);
    assert_string_equal(info.name, "film.mkv");
    assert_int_equal(info.geometry.size, SIZE);
    assert_int_equal(bytes, CHUNK + 1000);

    j = open_journal(f);
    assert_int_equal(p2p_journal_doubted(j), 0);
    assert_true(p2p_journal_has(j, 3));
    assert_false(p2p_journal_has(j, 4));
    assert_int_equal(p2p_journal_done_count(j), 2);
    finish(f, j);
    assert_int_equal(p2p_journal_peek(f->root, &f->info.root, &info, &bytes),
                     P2P_ERR_NOT_FOUND);
}

/* kill -9: nothing is closed or flushed; all marked chunks count. */
static void
survives_a_kill(void **state)
{
    struct fixture *f = *state;
    int status;
    pid_t child = fork();

    if (child == 0) {
        struct p2p_journal *j = open_journal(f);
        for (uint64_t i = 0; i < 17; i++)
            write_chunk(f, j, i * 2 % CHUNKS);
        raise(SIGKILL);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    struct p2p_journal *j = open_journal(f);
    assert_int_equal(p2p_journal_doubted(j), 0);
    assert_int_equal(p2p_journal_done_count(j), 17);
    finish(f, j);
}

static void
only_one_may_open(void **state)
{
    struct fixture *f = *state;
    struct p2p_journal *j = open_journal(f), *second = NULL;

    assert_int_equal(p2p_journal_open(f->root, &f->info, f->layer, &second),
                     P2P_ERR_BUSY);
    assert_null(second);
    p2p_journal_close(j);
    p2p_journal_close(open_journal(f));
}

/* As after a power loss: the stamp has another boot id. Durable chunks count, written
 * ones are checked, and those whose bytes were lost do not count. */
static void
another_boot_doubts_what_was_not_durable(void **state)
{
    struct fixture *f = *state;
    struct p2p_journal *j = open_journal(f);
    static const uint8_t lost[CHUNK];
    struct journal_stamp stamp;

    write_chunk(f, j, 0);
    write_chunk(f, j, 1);
    assert_int_equal(p2p_journal_checkpoint(j), P2P_OK);
    p2p_journal_close(j);
    int fd = open(scratch_path(&f->scratch, f->journal), O_RDWR);
    struct journal_page page;
    assert_int_equal(p2p_journal_stamp_read(fd, &stamp), P2P_OK);
    assert_int_equal(p2p_journal_page_read(fd, &stamp, 0, &page), P2P_OK);
    assert_int_equal(page.durable[0], 3);
    page.written[0] = 0x1f; /* 2, 3, 4 were written, too, ... */
    assert_int_equal(p2p_journal_page_write(fd, &stamp, 0, &page), P2P_OK);
    memset(&stamp.boot, 7, sizeof(stamp.boot));
    assert_int_equal(p2p_journal_stamp_write(fd, &stamp), P2P_OK);
    close(fd);
    damage(f, f->part, 2 * CHUNK, f->data + 2 * CHUNK, CHUNK); /* ... 2 arrived, */
    damage(f, f->part, 3 * CHUNK, lost, CHUNK); /* 3 did not arrive, 4 is a hole */

    j = open_journal(f);
    assert_int_equal(p2p_journal_done_count(j), 2);
    assert_int_equal(p2p_journal_doubted(j), 3);
    write_chunk(f, j, 7); /* the doubted chunks are not forgotten */
    p2p_journal_close(j);
    j = open_journal(f);
    assert_int_equal(p2p_journal_doubted(j), 3);
    assert_int_equal(p2p_journal_recheck(j, NULL, NULL), P2P_OK);
    assert_int_equal(p2p_journal_doubted(j), 0);
    assert_true(p2p_journal_has(j, 2));
    assert_false(p2p_journal_has(j, 3));
    assert_false(p2p_journal_has(j, 4));
    p2p_journal_close(j);
    j = open_journal(f);
    assert_int_equal(p2p_journal_doubted(j), 0);
    finish(f, j);
}

/* Whichever byte of the journal is wrong: existing chunks are found again, and nothing
 * false is believed. */
static void
a_damaged_journal_is_repaired(void **state)
{
    struct fixture *f = *state;
    static const uint8_t wrong[] = {0xa5, 0x5a, 0xff};
    const long places[] = {0, 20, 30, 511, 512, 600, 1000, 2050, 2100, 2400};

    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        struct p2p_journal *j = open_journal(f);
        assert_int_equal(p2p_journal_recheck(j, NULL, NULL), P2P_OK);
        if (!p2p_journal_has(j, 5))
            write_chunk(f, j, 5);
        write_chunk(f, j, 6);
        p2p_journal_close(j);
        damage(f, f->part, 6 * CHUNK + 9, wrong,
               3); /* a durable mark for bytes that are wrong */
        damage(f, f->journal, places[i], wrong, 3);
        j = open_journal(f);
        if (p2p_journal_doubted(j) == 0)
            fail_msg("damage at %ld was not seen", places[i]);
        assert_false(p2p_journal_has(j, 5));
        assert_int_equal(p2p_journal_recheck(j, NULL, NULL), P2P_OK);
        assert_true(p2p_journal_has(j, 5));
        assert_false(p2p_journal_has(j, 6));
        assert_int_equal(p2p_journal_done_count(j), 1);
        p2p_journal_close(j);
    }
}

static void
a_truncated_journal_is_repaired(void **state)
{
    struct fixture *f = *state;
    struct stat st;

    p2p_journal_close(open_journal(f));
    assert_int_equal(stat(scratch_path(&f->scratch, f->journal), &st), 0);
    for (off_t len = st.st_size - 1; len >= 0; len -= 97) {
        struct p2p_journal *j = open_journal(f);
        assert_int_equal(p2p_journal_recheck(j, NULL, NULL), P2P_OK);
        if (!p2p_journal_has(j, 2))
            write_chunk(f, j, 2);
        p2p_journal_close(j);
        assert_int_equal(truncate(scratch_path(&f->scratch, f->journal), len), 0);
        j = open_journal(f);
        assert_int_equal(p2p_journal_recheck(j, NULL, NULL), P2P_OK);
        assert_true(p2p_journal_has(j, 2));
        assert_int_equal(p2p_journal_done_count(j), 1);
        p2p_journal_close(j);
    }
}

static void
truncated_data_are_not_believed(void **state)
{
    struct fixture *f = *state;
    struct p2p_journal *j = open_journal(f);

    write_chunk(f, j, 0);
    write_chunk(f, j, 30);
    p2p_journal_close(j);
    assert_int_equal(truncate(scratch_path(&f->scratch, f->part), 2 * CHUNK), 0);
    j = open_journal(f);
    assert_int_equal(p2p_journal_recheck(j, NULL, NULL), P2P_OK);
    assert_true(p2p_journal_has(j, 0));
    assert_false(p2p_journal_has(j, 30));
    finish(f, j);
}

/* The data file was replaced by another file of the same size. */
static void
another_inode_is_not_believed(void **state)
{
    struct fixture *f = *state;
    struct p2p_journal *j = open_journal(f);
    uint8_t *other = calloc(1, SIZE);

    write_chunk(f, j, 0);
    write_chunk(f, j, 1);
    p2p_journal_close(j);
    memcpy(other + CHUNK, f->data + CHUNK, CHUNK);
    scratch_put_bytes(&f->scratch, "other", other, SIZE);
    free(other);
    assert_int_equal(
        rename(scratch_path(&f->scratch, "other"), scratch_path(&f->scratch, f->part)),
        0);
    j = open_journal(f);
    assert_int_equal(p2p_journal_done_count(j), 0);
    assert_int_equal(p2p_journal_recheck(j, NULL, NULL), P2P_OK);
    assert_false(p2p_journal_has(j, 0));
    assert_true(p2p_journal_has(j, 1));
    finish(f, j);
}

/* The same root with a size that is one less: (root, size) are one value. */
static void
another_size_is_checked_again(void **state)
{
    struct fixture *f = *state;
    struct p2p_journal *j = open_journal(f);
    struct p2p_journal_info other = f->info;
    struct p2p_digest layer[CHUNKS];

    write_chunk(f, j, 0);
    write_chunk(f, j, CHUNKS - 1);
    p2p_journal_close(j);
    memcpy(layer, f->layer, sizeof(layer));
    other.geometry.size--;
    assert_int_equal(p2p_journal_open(f->root, &other, layer, &j), P2P_OK);
    assert_int_equal(p2p_journal_recheck(j, NULL, NULL), P2P_OK);
    assert_true(p2p_journal_has(j, 0));
    assert_false(p2p_journal_has(j, CHUNKS - 1));
    p2p_journal_close(j);
}

static bool
stop_at_once(void *arg)
{
    (void)arg;
    return true;
}

static void
doubts_and_stops(void **state)
{
    struct fixture *f = *state;
    static const uint8_t wrong[] = {1, 2, 3};
    struct p2p_journal *j = open_journal(f);

    for (uint64_t i = 0; i < CHUNKS; i++)
        write_chunk(f, j, i);
    damage(f, f->part, 11 * CHUNK, wrong, 3);
    p2p_journal_doubt_all(j);
    assert_int_equal(p2p_journal_done_count(j), 0);
    assert_int_equal(p2p_journal_recheck(j, stop_at_once, NULL), P2P_ERR_CANCELLED);
    assert_int_equal(p2p_journal_doubted(j), CHUNKS);
    char stored[P2P_NAME_MAX + 1];
    assert_int_equal(p2p_journal_finish(j, P2P_CONFLICT_FAIL, stored), P2P_ERR_CORRUPT);
    assert_int_equal(p2p_journal_recheck(j, NULL, NULL), P2P_OK);
    assert_int_equal(p2p_journal_done_count(j), CHUNKS - 1);
    assert_false(p2p_journal_has(j, 11));
    finish(f, j);
}

static void
discards(void **state)
{
    struct fixture *f = *state;
    struct p2p_journal *j = open_journal(f);

    write_chunk(f, j, 0);
    p2p_journal_discard(j);
    p2p_journal_close(j);
    assert_false(scratch_has(&f->scratch, f->part));
    assert_false(scratch_has(&f->scratch, f->journal));
}

/* Without a layer (protocol 1), chunks cannot be checked, so the download does not
 * resume. */
static void
without_a_layer_it_begins_again(void **state)
{
    struct fixture *f = *state;
    struct p2p_journal *j = NULL;

    for (int round = 0; round < 2; round++) {
        assert_int_equal(p2p_journal_open(f->root, &f->info, NULL, &j), P2P_OK);
        assert_int_equal(p2p_journal_done_count(j), 0);
        assert_int_equal(p2p_journal_doubted(j), 0);
        write_chunk(f, j, 1);
        p2p_journal_close(j);
    }
}

static void
an_empty_file_is_done(void **state)
{
    struct fixture *f = *state;

    describe(f, 0);
    finish(f, open_journal(f));
}

static void
a_full_disk_is_told_at_once(void **state)
{
    struct fixture *f = *state;
    const char *small = scratch_path(&f->scratch, "small");
    struct p2p_journal *j = NULL;
    struct p2p_root *root;

    scratch_folder(&f->scratch, "small");
    if (mount("none", small, "tmpfs", 0, "size=400k") != 0) {
        print_message("skipped: mounting a tmpfs needs root\n");
        return;
    }
    assert_int_equal(p2p_root_open(small, true, 0700, &root), P2P_OK);
    assert_int_equal(p2p_journal_open(root, &f->info, f->layer, &j), P2P_ERR_DISK_FULL);
    assert_null(j);
    char part[200];
    snprintf(part, sizeof(part), "small/%s", f->part + 5);
    assert_false(scratch_has(&f->scratch, part));
    p2p_root_close(root);
    umount(scratch_path(&f->scratch, "small"));
}

static void
zeros_need_no_room(void **state)
{
    struct fixture *f = *state;
    uint64_t zeros = 1;

    assert_int_equal(p2p_journal_zero_bytes(&f->info.geometry, NULL, &zeros), P2P_OK);
    assert_int_equal(zeros, 0);
    assert_int_equal(p2p_journal_zero_bytes(&f->info.geometry, f->layer, &zeros),
                     P2P_OK);
    assert_int_equal(zeros, 0);
    memset(f->data + CHUNK, 0, 2 * CHUNK);
    memset(f->data + 5 * CHUNK, 0, CHUNK - 1);
    memset(f->data + (CHUNKS - 1) * CHUNK, 0, 1000); /* the short last one */
    describe(f, SIZE);
    assert_int_equal(p2p_journal_zero_bytes(&f->info.geometry, f->layer, &zeros),
                     P2P_OK);
    assert_int_equal(zeros, 2 * CHUNK);
    f->info.geometry.size = 1ull << 50; /* does not fit anywhere */
    f->info.zero_bytes = f->info.geometry.size - 1000;
    assert_int_equal(p2p_journal_check_room(f->root, &f->info), P2P_OK);
    f->info.zero_bytes = 0;
    assert_int_equal(p2p_journal_check_room(f->root, &f->info), P2P_ERR_DISK_TOO_SMALL);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(closes_and_resumes),
        T(survives_a_kill),
        T(only_one_may_open),
        T(another_boot_doubts_what_was_not_durable),
        T(a_damaged_journal_is_repaired),
        T(a_truncated_journal_is_repaired),
        T(truncated_data_are_not_believed),
        T(another_inode_is_not_believed),
        T(another_size_is_checked_again),
        T(doubts_and_stops),
        T(discards),
        T(without_a_layer_it_begins_again),
        T(an_empty_file_is_done),
        T(a_full_disk_is_told_at_once),
        T(zeros_need_no_room),
    };

    p2p_log_init("test_journal", P2P_LOG_ERROR);
    if (p2p_crypto_init() != P2P_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
