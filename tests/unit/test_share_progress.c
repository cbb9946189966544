/* share: the interrupted hashing of a large file continues if the file is the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/share/share_internal.h"
#include "share_fixture.h"

#define CHUNK        P2P_MIB
#define COUNT        80 /* chunks of the file, which is one large hole */
#define SIZE         (COUNT * CHUNK + 5)
#define FALSE_CHUNKS 32 /* two spans */
#define FALSE_BYTE                                                     \
    0xee /* the hashes in the stored progress, which can be recognized \
          */

static void
make_file(struct shared *f)
{
    scratch_put(&f->scratch, "s/f", "begin");
    assert_int_equal(truncate(scratch_path(&f->scratch, "s/f"), SIZE), 0);
    usleep(50000); /* older than the resolution of the clock, so that it is hashed at
                      once */
}

/* An interrupted job. Its hashes are false, so the root shows whether they were used.
 */
static struct p2p_hash_job *
interrupted_job(struct shared *f, bool flat)
{
    struct p2p_hash_job *job = p2p_hash_job_new("f");
    struct stat st;

    assert_non_null(job);
    assert_int_equal(stat(scratch_path(&f->scratch, "s/f"), &st), 0);
    job->state = p2p_file_state_of(&st);
    job->chunk_size = CHUNK;
    job->flat = flat;
    job->layer = malloc((COUNT + 1) * sizeof(*job->layer));
    assert_non_null(job->layer);
    memset(job->layer, FALSE_BYTE, (COUNT + 1) * sizeof(*job->layer));
    return job;
}

/* Stores the progress of a job in two rows, like a program that is killed afterwards.
 */
static void
store(struct shared *f, const struct p2p_hash_job *job)
{
    struct p2p_hash_job *mine = interrupted_job(f, job->flat);
    struct p2p_hash_progress now = {.job = mine};
    struct p2p_root *root;
    struct p2p_index *index;
    struct p2p_progress *progress;

    mine->state = job->state;
    mine->chunk_size = job->chunk_size;
    assert_int_equal(p2p_root_open(scratch_path(&f->scratch, "s"), false, 0755, &root),
                     P2P_OK);
    assert_int_equal(p2p_index_open(root, true, &index), P2P_OK);
    assert_int_equal(p2p_progress_open(index, &progress), P2P_OK);
    assert_int_equal(p2p_index_begin(index), P2P_OK);
    for (uint64_t settled = 16; settled <= FALSE_CHUNKS; settled += 16) {
        now.settled = settled;
        now.flat_state.length = settled * CHUNK;
        memset(now.flat_state.words, FALSE_BYTE, sizeof(now.flat_state.words));
        assert_int_equal(p2p_progress_put(progress, &now), P2P_OK);
    }
    assert_int_equal(p2p_index_commit(index), P2P_OK);
    p2p_progress_close(progress);
    p2p_index_close(index);
    p2p_root_close(root);
    p2p_hash_job_free(mine);
}

static void
run_sql(struct shared *f, const char *sql)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(scratch_path(&f->scratch, "s/.p2p/index.db"), &db),
                     0);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), 0);
    sqlite3_close(db);
}

/* The root of the file if the first `false_chunks` hashes came from the stored
 * progress. */
static struct p2p_digest
root_with(size_t false_chunks)
{
    static uint8_t chunk[CHUNK];
    static struct p2p_digest layer[COUNT + 1];
    struct p2p_digest root;
    struct p2p_chunks g;

    assert_int_equal(p2p_chunks_init(&g, SIZE, CHUNK), P2P_OK);
    for (uint64_t i = 0; i < g.count; i++) {
        memset(chunk, 0, sizeof(chunk));
        if (i == 0)
            memcpy(chunk, "begin", 5);
        if (i > 1 && i < g.count - 1) /* the same zeros again */
            layer[i] = layer[1];
        else
            assert_int_equal(
                p2p_tree_chunk(&g, chunk, p2p_chunk_length(&g, i), &layer[i]), P2P_OK);
    }
    memset(layer, FALSE_BYTE, false_chunks * sizeof(layer[0]));
    assert_int_equal(p2p_tree_root(&g, layer, &root), P2P_OK);
    return root;
}

/* Opens the share: checks that the file has these hashes, and how much was read for its
 * tree. */
static void
expect(struct shared *f, size_t false_chunks)
{
    struct p2p_digest root = root_with(false_chunks);

    shared_open(f, CHUNK);
    shared_settle(f);
    struct p2p_share_entry entry = shared_entry(f, "f");
    assert_memory_equal(entry.root.b, root.b, sizeof(root.b));
    assert_int_equal(shared_hashed(f), SIZE - false_chunks * CHUNK);
    assert_true(entry.sha256_known);
    shared_close(f);
}

static void
hashing_goes_on_where_it_was(void **state)
{
    struct shared *f = *state;

    make_file(f);
    struct p2p_hash_job *job = interrupted_job(f, false);
    store(f, job);
    expect(f, FALSE_CHUNKS);
    run_sql(f, "DELETE FROM files"); /* and when it is done, nothing is left of it */
    expect(f, 0);
    p2p_hash_job_free(job);
}

static void
the_whole_hash_goes_on_where_it_was(void **state)
{
    struct shared *f = *state;
    struct p2p_sha256_state false_state = {.length = FALSE_CHUNKS * CHUNK};
    struct p2p_digest right;
    struct p2p_sha256 *sha;
    static const uint8_t zeros[CHUNK];

    make_file(f);
    struct p2p_hash_job *job = interrupted_job(f, true);
    store(f, job);
    memset(false_state.words, FALSE_BYTE, sizeof(false_state.words));
    assert_int_equal(p2p_sha256_new(&sha), P2P_OK);
    assert_int_equal(p2p_sha256_restore(sha, &false_state), P2P_OK);
    for (size_t left = SIZE - FALSE_CHUNKS * CHUNK; left > 0;) {
        size_t len = left < CHUNK ? left : CHUNK;
        assert_int_equal(p2p_sha256_update(sha, zeros, len), P2P_OK);
        left -= len;
    }
    assert_int_equal(p2p_sha256_peek(sha, &right), P2P_OK);
    p2p_sha256_free(sha);

    shared_open(f, CHUNK);
    shared_settle(f);
    assert_memory_equal(shared_entry(f, "f").sha256.b, right.b, sizeof(right.b));
    p2p_hash_job_free(job);
}

static void
another_file_begins_anew(void **state)
{
    struct shared *f = *state;

    make_file(f);
    for (int what = 0; what < 5; what++) {
        struct p2p_hash_job *job = interrupted_job(f, false);
        job->state.size += what == 0;
        job->state.mtime_ns += what == 1;
        job->state.ctime_ns += what == 2;
        job->state.inode += what == 3;
        job->chunk_size *= what == 4 ? 2 : 1;
        store(f, job);
        p2p_hash_job_free(job);
        expect(f, 0);
        run_sql(f, "DELETE FROM files");
    }
}

static void
damaged_progress_is_not_believed(void **state)
{
    static const struct {
        const char *sql;
        size_t believed;
    } damage[] = {
        {"UPDATE progress SET sum = zeroblob(32) WHERE at = 0", 0},
        {"UPDATE progress SET sum = zeroblob(32) WHERE at > 0", 16},
        {"UPDATE progress SET bytes = zeroblob(100000)", 0},
        {"UPDATE progress SET bytes = x''", 0},
        {"UPDATE progress SET at = 1 WHERE at = 0", 0},
        {"UPDATE progress SET at = 15 WHERE at = 16", 16},
        {"DELETE FROM progress WHERE at = 0", 0},
        {"UPDATE progress SET at = -1 WHERE at = 0", 0},
    };
    struct shared *f = *state;

    make_file(f);
    struct p2p_hash_job *job = interrupted_job(f, false);
    for (size_t i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
        store(f, job);
        run_sql(f, damage[i].sql);
        expect(f, damage[i].believed);
        run_sql(f, "DELETE FROM files");
    }
    p2p_hash_job_free(job);
}

/* The last span is hashed again, because one job has to finish the file. */
static void
all_of_it_stored_still_ends(void **state)
{
    struct shared *f = *state;

    make_file(f);
    struct p2p_hash_job *job = interrupted_job(f, false);
    struct p2p_hash_progress now = {.job = job, .settled = COUNT + 1};
    struct p2p_root *root;
    struct p2p_index *index;
    struct p2p_progress *progress;
    assert_int_equal(p2p_root_open(scratch_path(&f->scratch, "s"), false, 0755, &root),
                     P2P_OK);
    assert_int_equal(p2p_index_open(root, true, &index), P2P_OK);
    assert_int_equal(p2p_progress_open(index, &progress), P2P_OK);
    assert_int_equal(p2p_progress_put(progress, &now), P2P_OK);
    p2p_progress_close(progress);
    p2p_index_close(index);
    p2p_root_close(root);
    p2p_hash_job_free(job);
    expect(f, COUNT);
}

int
main(void)
{
#define SHARED(test) \
    cmocka_unit_test_setup_teardown(test, shared_setup, shared_teardown)
    const struct CMUnitTest tests[] = {
        SHARED(hashing_goes_on_where_it_was),
        SHARED(the_whole_hash_goes_on_where_it_was),
        SHARED(another_file_begins_anew),
        SHARED(damaged_progress_is_not_believed),
        SHARED(all_of_it_stored_still_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
