// uses tests/unit/fake_peer.c
/* download: a file that is here has most of the content, so little is fetched; whatever
 * the file and the sources do, the result is right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "deaf.h"
#include "dl_fixture.h"
#include "p2p/msg.h"

#define BLOCK     P2P_BLOCK_SIZE
#define BIG_CHUNK (256 * P2P_KIB)

/* Puts an older version into the folder: the content without `cut` bytes in the
 * middle. */
static void
put_older(struct fixture *f, const char *name, size_t cut)
{
    char path[80];
    uint8_t *old = malloc(SIZE);
    size_t middle = SIZE / 2;

    snprintf(path, sizeof(path), "root/%s", name);
    memcpy(old, f->data, middle);
    memcpy(old + middle, f->data + middle + cut, SIZE - middle - cut);
    scratch_put_bytes(&f->scratch, path, old, SIZE - cut);
    free(old);
}

static void
begin_delta(struct fixture *f, unsigned peers)
{
    for (unsigned i = 0; i < peers; i++) {
        f->peers[i].manners.leaves = true;
        f->chunk_sizes[i] = BIG_CHUNK;
    }
    start_peers(f, peers);
    put_older(f, "film.mkv", 100);
}

/* What came over the network: blocks, and 36 bytes for each leaf of chunks that
 * differ. */
static void
assert_little(const struct fixture *f, uint64_t blocks)
{
    const uint64_t leaves = SIZE / BLOCK + 1;

    assert_in_range(f->last.received, 0, blocks * BLOCK + leaves * P2P_LEAF_LEN);
    assert_true(f->last.reused >= f->size - blocks * BLOCK);
    assert_true(f->last.reused <= f->size);
}

static void
an_insertion(void **state)
{
    struct fixture *f = *state;

    begin_delta(f, 1);
    download(f, P2P_OK);
    assert_complete(f);
    assert_string_equal(f->last.stored, "film (1).mkv");
    assert_little(f, 2);
    assert_int_equal(f->last.sources[0].received + f->last.reused, f->size);
}

/* The file that is replaced is the one that is read. */
static void
a_file_that_is_replaced(void **state)
{
    struct fixture *f = *state;

    begin_delta(f, 1);
    f->opt.conflict = P2P_CONFLICT_OVERWRITE;
    download(f, P2P_OK);
    assert_string_equal(f->last.stored, "film.mkv");
    assert_little(f, 2);
    download(f, P2P_OK);
    assert_true(f->last.already_there);
}

/* The same content has another name here: it is named by the caller. */
static void
a_file_of_another_name(void **state)
{
    struct fixture *f = *state;

    begin_delta(f, 1);
    assert_int_equal(unlink(scratch_path(&f->scratch, "root/film.mkv")), 0);
    scratch_put_bytes(&f->scratch, "root/before.mkv", f->data, f->size);
    f->opt.base = "before.mkv";
    download(f, P2P_OK);
    assert_complete(f);
    assert_int_equal(f->last.received, 0);
    assert_int_equal(f->last.reused, f->size);
    assert_int_equal(f->peers[0].gets, 0);
    assert_int_equal(f->peers[0].leaves_gets, 0);
}

static void
an_edit_smaller_than_a_leaf(void **state)
{
    struct fixture *f = *state;
    uint8_t *old = malloc(SIZE);

    begin_delta(f, 1);
    memcpy(old, f->data, SIZE);
    old[SIZE / 3] ^= 1;
    scratch_put_bytes(&f->scratch, "root/film.mkv", old, SIZE);
    free(old);
    download(f, P2P_OK);
    assert_complete(f);
    assert_int_equal(f->last.received, BLOCK + BIG_CHUNK / BLOCK * P2P_LEAF_LEN);
    assert_int_equal(f->peers[0].gets, 1);
    assert_int_equal(f->peers[0].leaves_gets, 1);
}

static void
an_older_peer(void **state)
{
    struct fixture *f = *state;

    begin_delta(f, 1);
    f->peers[0].manners.leaves = false;
    download(f, P2P_OK);
    assert_complete(f);
    assert_int_equal(f->peers[0].leaves_gets, 0);
    /* Chunks before the change were here. */
    assert_int_equal(f->last.reused, SIZE / 2 / BIG_CHUNK * BIG_CHUNK);
    assert_int_equal(f->last.received, f->size - f->last.reused);
}

static void
a_peer_that_refuses(void **state)
{
    struct fixture *f = *state;
    const unsigned codes[] = {2, 4, 5, 7};

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        begin_delta(f, 1);
        f->peers[0].manners.leaves_refused = codes[i];
        download(f, P2P_OK);
        assert_complete(f);
        assert_in_range(f->peers[0].leaves_gets, 1, 16);
        stop_peers(f);
        forget_download(f);
    }
}

/* Leaves that are not those of the file: the source is a liar, and another one is
 * asked. */
static void
lying_leaves(void **state)
{
    struct fixture *f = *state;

    begin_delta(f, 2);
    f->peers[0].manners.wrong_leaves = true;
    f->peers[1].manners.hello_after = &f->peers[0];
    download(f, P2P_OK);
    assert_complete(f);
    expect_dropped(f, 0, P2P_ERR_HASH_MISMATCH);
    assert_little(f, 2 + BIG_CHUNK / BLOCK);
}

/* Sums that fit nowhere, or everywhere in a file of zeros: what is at its place is
 * found all the same. */
static void
lying_sums(void **state)
{
    struct fixture *f = *state;

    begin_delta(f, 1);
    f->peers[0].manners.equal_sums = true;
    download(f, P2P_OK);
    assert_complete(f);
    assert_true(f->last.reused > SIZE / 2 - BLOCK);
    stop_peers(f);
    forget_download(f);
    begin_delta(f, 1);
    f->peers[0].manners.equal_sums = true;
    scratch_put_zeros(f, "root/film.mkv", 2 * SIZE);
    download(f, P2P_OK);
    assert_complete(f);
    assert_int_equal(f->last.reused, 0);
}

/* A source that sends wrong bytes between those that were here is found out. */
static void
a_liar_beside_what_is_here(void **state)
{
    struct fixture *f = *state;

    begin_delta(f, 2);
    f->peers[0].manners.wrong_bytes = true;
    f->peers[1].manners.hello_after = &f->peers[0];
    download(f, P2P_OK);
    assert_complete(f);
    expect_dropped(f, 0, P2P_ERR_HASH_MISMATCH);
}

/* Overwritten while it is used: at each event, something else. */
static void
overwrite(void *arg, const struct p2p_download_status *status)
{
    struct fixture *f = arg;
    int fd = open(scratch_path(&f->scratch, "root/film.mkv"), O_WRONLY);

    f->last = *status;
    if (fd < 0 || status->state == P2P_DL_VERIFYING ||
        status->state == P2P_DL_COMPLETED) {
        close(fd);
        return;
    }
    for (uint64_t at = 0; at < SIZE; at += BIG_CHUNK / 2)
        (void)!pwrite(fd, "changed", 7, (off_t)(at + (status->received & 0xff)));
    close(fd);
}

static void
the_file_changes_while_it_is_used(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < 5; i++) {
        begin_delta(f, 1);
        f->peers[0].manners.bytes_per_s = 4 << 20;
        assert_int_equal(p2p_download_start(&f->opt, overwrite, f, &f->dl), P2P_OK);
        end(f, P2P_OK);
        assert_complete(f);
        stop_peers(f);
        forget_download(f);
    }
}

static void
the_file_cannot_be_used(void **state)
{
    struct fixture *f = *state;

    begin_delta(f, 1);
    assert_int_equal(unlink(scratch_path(&f->scratch, "root/film.mkv")), 0);
    assert_int_equal(mkdir(scratch_path(&f->scratch, "root/film.mkv"), 0700), 0);
    download(f, P2P_OK);
    assert_complete(f);
    assert_int_equal(f->last.reused, 0);
    stop_peers(f);
    forget_download(f);
    begin_delta(f, 1);
    scratch_put_bytes(&f->scratch, "root/film.mkv", "", 0);
    download(f, P2P_OK);
    assert_complete(f);
    assert_int_equal(f->last.received, f->size);
}

/* Zeros need no blocks, in the content and in the older file. */
static void
sparse_files(void **state)
{
    struct fixture *f = *state;

    memset(f->data + SIZE / 4, 0, SIZE / 2);
    begin_delta(f, 1);
    put_older(f, "film.mkv", 3 * BLOCK + 1);
    download(f, P2P_OK);
    assert_complete(f);
    assert_in_range(f->last.received, 0, 4 * BLOCK + SIZE / BLOCK * P2P_LEAF_LEN);
    stop_peers(f);
    forget_download(f);
    begin_delta(f, 1);
    scratch_put_zeros(f, "root/film.mkv", SIZE);
    download(f, P2P_OK);
    assert_complete(f);
}

/* Interrupted and continued, it fetches no more than the rest. */
static void
a_resumed_download(void **state)
{
    struct fixture *f = *state;
    uint64_t received;

    begin_delta(f, 1);
    for (size_t at = 0; at < SIZE; at += BIG_CHUNK) /* a block of each chunk differs */
        f->data[at] ^= 0xff;
    stop_peers(f);
    f->peers[0].manners = (struct fake_manners){.leaves = true, .die_after = 4 * BLOCK};
    start_peers(f, 1);
    f->opt.retries = 1;
    begin(f);
    assert_true(p2p_download_wait(f->dl) != P2P_OK);
    p2p_download_free(f->dl);
    f->dl = NULL;
    received = f->last.received;
    stop_peers(f);
    f->peers[0].manners.leaves = true;
    start_peers(f, 1);
    download(f, P2P_OK);
    assert_complete(f);
    assert_in_range(received + f->last.received, 1, 60 * BLOCK);
}

static void
paused_often(void **state)
{
    struct fixture *f = *state;

    begin_delta(f, 2);
    begin(f);
    pause_often(f);
    end(f, P2P_OK);
    assert_complete(f);
}

static void
several_sources(void **state)
{
    struct fixture *f = *state;

    begin_delta(f, 4);
    f->peers[2].manners.leaves = false;
    f->peers[3].manners.wrong_bytes = true;
    download(f, P2P_OK);
    assert_complete(f);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_insertion),
        TEST(a_file_that_is_replaced),
        TEST(a_file_of_another_name),
        TEST(an_edit_smaller_than_a_leaf),
        TEST(an_older_peer),
        TEST(a_peer_that_refuses),
        TEST(lying_leaves),
        TEST(lying_sums),
        TEST(a_liar_beside_what_is_here),
        TEST(the_file_changes_while_it_is_used),
        TEST(the_file_cannot_be_used),
        TEST(sparse_files),
        TEST(a_resumed_download),
        TEST(paused_often),
        TEST(several_sources),
    };

    p2p_log_init("test_download_delta", P2P_LOG_ERROR);
    if (p2p_crypto_init() != P2P_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
