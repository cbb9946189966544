// uses tests/unit/fake_peer.c
/* download: the right file in the end, whatever the sources do, and no other file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "deaf.h"
#include "dl_fixture.h"

static void
one_source(void **state)
{
    struct fixture *f = *state;

    /* With more connections, a busy machine can keep one of them silent for so long
     * that another one asks for its chunk, too. */
    f->opt.connections = 1;
    start_peers(f, 1);
    download(f, P2P_OK);
    assert_complete(f);
    assert_int_equal(f->last.received, f->size);
    stop_peers(f);
    forget_download(f);
    f->opt.connections = 0;
    start_peers(f, 1);
    download(f, P2P_OK);
    assert_complete(f);
    assert_true(f->last.sha256_known);
    assert_memory_equal(&f->last.sha256, &f->peers[0].files[0].sha256, 32);
}

static void
sizes_around_chunks(void **state)
{
    struct fixture *f = *state;
    const uint64_t sizes[] = {
        0,     1,     CHUNK - 1,     CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 1,
        65536, 65537, 17 * CHUNK - 1};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        f->size = sizes[i];
        start_peers(f, 1);
        download(f, P2P_OK);
        assert_complete(f);
        stop_peers(f);
        forget_download(f);
    }
}

/* All of them join before the first one delivers. */
static void
share_the_work(struct fixture *f, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        f->peers[i].manners.together = f->peers;
        f->peers[i].manners.together_count = count;
    }
}

static void
four_sources_share_the_work(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 4; i++)
        f->peers[i].manners.bytes_per_s = 512 << 10;
    share_the_work(f, 4);
    start_peers(f, 4);
    download(f, P2P_OK);
    assert_complete(f);
    for (int i = 0; i < 4; i++)
        assert_true(f->peers[i].sent > f->size / 16);
}

static void
no_sha256_is_computed(void **state)
{
    struct fixture *f = *state;

    f->peers[0].manners.hide_sha256 = true;
    start_peers(f, 1);
    download(f, P2P_OK);
    assert_complete(f);
    assert_memory_equal(&f->last.sha256, &f->peers[0].files[0].sha256, 32);
}

static void
a_dying_source_costs_little(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 2; i++)
        f->peers[i].manners.bytes_per_s = 4 << 20;
    f->peers[0].manners.die_after = f->size / 8;
    start_peers(f, 2);
    download(f, P2P_OK);
    assert_complete(f);
    assert_true(f->last.received <= f->size + f->size / 8 + 4 * CHUNK);
}

static void
a_connection_that_breaks_is_made_again(void **state)
{
    struct fixture *f = *state;

    f->peers[0].manners.drop_every = f->size / 7;
    start_peers(f, 1);
    download(f, P2P_OK);
    assert_complete(f);
    assert_true(f->peers[0].connections > 2);
}

static void
a_stalling_source_loses_its_chunks(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 2; i++)
        f->peers[i].manners.bytes_per_s = 4 << 20;
    f->peers[0].manners.stall_after = f->size / 8;
    start_peers(f, 2);
    download(f, P2P_OK);
    assert_complete(f);
}

static void
a_slow_source_is_helped_out_in_the_end(void **state)
{
    struct fixture *f = *state;

    /* Ten seconds, and more on a machine that is given more time. */
    const unsigned limit_ms = patience_ms() / 30;

    /* More than a second per chunk. Each of its four connections holds at least four
     * chunks: alone it needs 20 s. */
    f->peers[0].manners.bytes_per_s = 10000;
    f->peers[1].manners.bytes_per_s = 16 << 20;
    start_peers(f, 2);
    uint64_t began = p2p_now_ms();
    download(f, P2P_OK);
    assert_complete(f);
    assert_true(p2p_now_ms() - began < limit_ms);
}

/* Another source takes the chunks of a silent one while there is other work; the silent
 * one is told to stop. */
static void
what_another_delivered_is_cancelled(void **state)
{
    struct fixture *f = *state;

    f->size = P2P_MIB;
    f->peers[0].manners.nap_ms = 1500;
    f->peers[1].manners.bytes_per_s = 120000;
    start_peers(f, 2);
    download(f, P2P_OK);
    assert_complete(f);
    assert_true(f->peers[0].cancels > 0);
    assert_true(f->last.sources[0].state != P2P_SRC_DROPPED); /* slow, but honest */
}

static void
a_changed_file_fails_clearly_when_the_root_was_asked_for(void **state)
{
    struct fixture *f = *state;

    f->peers[0].manners.change_after = f->size / 3;
    start_peers(f, 1);
    f->opt.root = &f->peers[0].files[0].root;
    f->opt.restart_ms = 1;
    download(f, P2P_ERR_FILE_CHANGED);
    assert_no_file(f);
    expect_dropped(f, 0, P2P_ERR_FILE_CHANGED);
}

static void
not_found_is_said(void **state)
{
    struct fixture *f = *state;

    f->peers[0].manners.not_found = true;
    start_peers(f, 1);
    download(f, P2P_ERR_NOT_FOUND);
}

static void
another_file_of_the_name_is_left_alone(void **state)
{
    struct fixture *f = *state;

    f->peers[1].manners.bytes_per_s = 4 << 20;
    f->other_content = 1;
    start_peers(f, 2);
    f->opt.root = &f->peers[0].files[0].root;
    download(f, P2P_OK);
    assert_complete(f);
    expect_dropped(f, 1, P2P_ERR_NOT_FOUND);
}

static void
a_wrong_identity_is_refused(void **state)
{
    struct fixture *f = *state;
    struct p2p_id other = {.b = {1, 2, 3}};

    start_peers(f, 1);
    f->specs[0].id = &other;
    download(f, P2P_ERR_WRONG_PEER);
    assert_no_file(f);
}

static void
nobody_there_is_said(void **state)
{
    struct fixture *f = *state;

    start_peers(f, 1);
    stop_peers(f);
    f->opt.retries = 2;
    download(f, P2P_ERR_UNREACHABLE);
}

static bool
has_verified(struct fixture *f, uint64_t bytes)
{
    struct p2p_download_status status;

    p2p_download_status(f->dl, &status);
    return status.verified >= bytes || status.state == P2P_DL_COMPLETED;
}

/* Aborts early, at any step, and later with more of the file each time, until the
 * download succeeds; what was there is not downloaded again. */
static void
resumes_after_aborts(void **state)
{
    struct fixture *f = *state;

    f->peers[0].manners.bytes_per_s = 1 << 20;
    start_peers(f, 1);
    for (unsigned i = 0; i < 8 && f->last.state != P2P_DL_COMPLETED; i++) {
        begin(f);
        if (i < 4)
            usleep(10000 + 17000 * i);
        else
            AWAIT(has_verified(f, f->size * (i - 3) / 5));
        p2p_download_free(f->dl);
        f->dl = NULL;
    }
    uint64_t sent = f->peers[0].sent;
    assert_true(sent >= f->size * 4 / 5 && sent < 3 * f->size);
    if (f->last.state != P2P_DL_COMPLETED) /* which it can be on a busy machine */
        download(f, P2P_OK);
    assert_complete(f);
    assert_true(f->peers[0].sent - sent < f->size / 2);
}

static void
pauses_and_goes_on(void **state)
{
    struct fixture *f = *state;

    f->peers[0].manners.bytes_per_s = 4 << 20;
    start_peers(f, 1);
    begin(f);
    usleep(150000);
    p2p_download_pause(f->dl);
    wait_for_state(f, P2P_DL_PAUSED);
    unsigned long long sent = f->peers[0].sent;
    usleep(300000);
    assert_true(f->peers[0].sent - sent < 64 * 1024 * 16);
    p2p_download_resume(f->dl);
    end(f, P2P_OK);
    assert_complete(f);
}

/* Resumes before the pause has taken effect, at every stage of the download. */
static void
pauses_of_no_length_stop_nothing(void **state)
{
    struct fixture *f = *state;

    f->peers[0].manners.bytes_per_s = 4 << 20;
    start_peers(f, 1);
    begin(f);
    pause_often(f);
    end(f, P2P_OK);
    assert_complete(f);
}

/* A source that does not even answer the connect: waiting for it would waste ten
 * seconds. */
static void
cancel_does_not_wait_for_a_connect(void **state)
{
    struct fixture *f = *state;
    struct deaf deaf;

    deaf_open(&deaf);
    f->specs[0] = (struct p2p_source_spec){.addr = deaf.addr};
    f->opt.source_count = 1;
    begin(f);
    usleep(50000); /* during the connect; an earlier moment is fine, too */
    uint64_t began_ms = p2p_now_ms();
    p2p_download_cancel(f->dl, false);
    end(f, P2P_ERR_CANCELLED);
    assert_true(p2p_now_ms() < began_ms + P2P_HANDSHAKE_TIMEOUT_MS / 2);
    deaf_close(&deaf);
}

static void
cancel_removes_what_is_there(void **state)
{
    struct fixture *f = *state;

    f->peers[0].manners.bytes_per_s = 2 << 20;
    start_peers(f, 1);
    begin(f);
    wait_for_state(f, P2P_DL_DOWNLOADING);
    p2p_download_cancel(f->dl, false);
    end(f, P2P_ERR_CANCELLED);
    assert_no_file(f);
    assert_int_equal(count_private(f), 0);
}

static void
smaller_chunks_at_another_source(void **state)
{
    struct fixture *f = *state;

    f->peers[0].manners.bytes_per_s = 4 << 20;
    f->peers[1].manners.bytes_per_s = 4 << 20;
    f->chunk_sizes[0] = 4 * CHUNK;
    share_the_work(f, 2);
    start_peers(f, 2);
    download(f, P2P_OK);
    assert_complete(f);
    assert_true(f->peers[0].sent > 0 && f->peers[1].sent > 0);
}

#ifdef P2P_WITH_ZSTD
static void
compressed_data(void **state)
{
    struct fixture *f = *state;

    memset(f->data, 'a', f->size / 2);
    f->peers[0].manners.zstd = true;
    start_peers(f, 1);
    download(f, P2P_OK);
    assert_complete(f);
}
#endif

static void
the_rate_limit_holds(void **state)
{
    struct fixture *f = *state;
    struct p2p_rate rate;

    p2p_rate_init(&rate, 4 << 20, 0);
    f->opt.rate = &rate;
    start_peers(f, 1);
    uint64_t began = p2p_now_ms();
    download(f, P2P_OK);
    uint64_t ms = p2p_now_ms() - began;
    assert_complete(f);
    /* This does not measure the speed: it must be far below unlimited, and the download
     * must not stop. */
    assert_true(ms > f->size * 1000 / (4 << 20) / 2);
    p2p_rate_clear(&rate);
}

static void
an_existing_file_is_not_touched(void **state)
{
    struct fixture *f = *state;

    scratch_put(&f->scratch, "root/film.mkv", "mine");
    start_peers(f, 1);
    download(f, P2P_OK);
    assert_true(scratch_holds(&f->scratch, "root/film.mkv", "mine"));
    assert_string_equal(f->last.stored, "film (1).mkv");
    assert_complete(f);
}

static void
a_full_disk_pauses_until_there_is_room(void **state)
{
    struct fixture *f = *state;
    const char *root = scratch_path(&f->scratch, "root");

    if (mount("none", root, "tmpfs", 0, "size=6m") != 0) {
        print_message("skipped: mounting a tmpfs needs root\n");
        return;
    }
    f->mounted = true;
    reopen_root(f);
    scratch_put_zeros(f, "root/ballast", 5 << 20);
    start_peers(f, 1);
    begin(f);
    wait_for_state(f, P2P_DL_PAUSED);
    struct p2p_download_status status;
    p2p_download_status(f->dl, &status);
    assert_int_equal(status.error, P2P_ERR_DISK_FULL);
    assert_non_null(strstr(status.message, "disk is full"));
    unlink(scratch_path(&f->scratch, "root/ballast"));
    end(f, P2P_OK);
    assert_complete(f);
}

static void
wrong_options_are_refused(void **state)
{
    struct fixture *f = *state;
    struct p2p_download *dl;

    start_peers(f, 1);
    f->opt.name = "../film.mkv";
    assert_int_equal(p2p_download_start(&f->opt, NULL, NULL, &dl), P2P_ERR_NAME);
    f->opt.name = "film.mkv";
    f->opt.save_as = "/etc/passwd";
    assert_int_equal(p2p_download_start(&f->opt, NULL, NULL, &dl), P2P_ERR_NAME);
    f->opt.save_as = NULL;
    f->opt.connections = 17;
    assert_int_equal(p2p_download_start(&f->opt, NULL, NULL, &dl), P2P_ERR_USAGE);
    f->opt.connections = 0;
    f->opt.source_count = 0;
    assert_int_equal(p2p_download_start(&f->opt, NULL, NULL, &dl), P2P_ERR_USAGE);
    assert_null(dl);
}

int
main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(one_source),
        T(sizes_around_chunks),
        T(four_sources_share_the_work),
        T(no_sha256_is_computed),
        T(a_dying_source_costs_little),
        T(a_connection_that_breaks_is_made_again),
        T(a_stalling_source_loses_its_chunks),
        T(a_slow_source_is_helped_out_in_the_end),
        T(what_another_delivered_is_cancelled),
        T(a_changed_file_fails_clearly_when_the_root_was_asked_for),
        T(not_found_is_said),
        T(another_file_of_the_name_is_left_alone),
        T(a_wrong_identity_is_refused),
        T(nobody_there_is_said),
        T(resumes_after_aborts),
        T(pauses_and_goes_on),
        T(pauses_of_no_length_stop_nothing),
        T(cancel_does_not_wait_for_a_connect),
        T(cancel_removes_what_is_there),
        T(smaller_chunks_at_another_source),
#ifdef P2P_WITH_ZSTD
        T(compressed_data),
#endif
        T(the_rate_limit_holds),
        T(an_existing_file_is_not_touched),
        T(a_full_disk_pauses_until_there_is_room),
        T(wrong_options_are_refused),
    };

    p2p_log_init("test_download", P2P_LOG_ERROR);
    if (p2p_crypto_init() != P2P_OK)
        return 1;
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
