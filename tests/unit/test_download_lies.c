// uses tests/unit/fake_peer.c
/* download: peers that lie are named and dropped; the file is correct, or there is no
 * file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dl_fixture.h"
#include "p2p/probe.h"

/* Each lie: if this is the only source, the download fails and names it; beside a good
 * source it is dropped and the file is correct. */
static void
lie(struct fixture *f, struct fake_manners manners, enum p2p_err why)
{
    f->peers[0].manners = manners;
    start_peers(f, 1);
    download(f, why);
    expect_dropped(f, 0, why);
    assert_no_file(f);
    if (strstr(f->last.message, "127.0.0.1") == NULL)
        fail_msg("not named: %s", f->last.message);
    stop_peers(f);
    forget_download(f);

    f->peers[0].manners = manners;
    f->peers[1].manners.hello_after = &f->peers[0];
    f->peers[1].manners.hello_delay_ms = 200; /* so that the liar is asked, too */
    start_peers(f, 2);
    download(f, P2P_OK);
    assert_complete(f);
    expect_dropped(f, 0, why);
}

static void
lies_wrong_bytes(void **state)
{
    lie(*state, (struct fake_manners){.wrong_bytes = true}, P2P_ERR_HASH_MISMATCH);
}

/* Later, when the verifier checks the data in its turn, and no longer the connection
 * immediately. */
static void
lies_after_it_was_trusted(void **state)
{
    lie(*state, (struct fake_manners){.wrong_bytes = true, .honest = 5 * CHUNK},
        P2P_ERR_HASH_MISMATCH);
}

static void
lies_wrong_layer(void **state)
{
    lie(*state, (struct fake_manners){.wrong_layer = true}, P2P_ERR_HASH_MISMATCH);
}

static void
lies_data_nobody_asked_for(void **state)
{
    lie(*state, (struct fake_manners){.unasked = true}, P2P_ERR_PROTOCOL);
}

static void
lies_answers_twice(void **state)
{
    lie(*state, (struct fake_manners){.twice = true}, P2P_ERR_PROTOCOL);
}

/* What the file system of the test says about a file that large. A machine of 32 bits
 * cannot even count the chunks. */
static enum p2p_err
error_of_size(const struct fixture *f, uint64_t size)
{
    struct p2p_probe *probe = NULL;

    if (sizeof(size_t) < 8)
        return P2P_ERR_MALFORMED;
    assert_int_equal(p2p_probe_open(f->opt.downloads, &probe), P2P_OK);
    enum p2p_err err = p2p_probe_size(probe, size);
    p2p_probe_close(probe);
    return err != P2P_OK ? err : P2P_ERR_DISK_TOO_SMALL;
}

/* Its layer would fill the memory. The sentence is about the size, and does not call
 * the only source a liar; beside a good source it is dropped. */
static void
states_a_size_that_cannot_be_stored(void **state)
{
    struct fixture *f = *state;
    const int64_t size = 1ll << 49;
    enum p2p_err why = error_of_size(f, (uint64_t)size);

    f->peers[0].manners.size_lie = size;
    start_peers(f, 1);
    download(f, why);
    expect_dropped(f, 0, why);
    assert_no_file(f);
    if (why != P2P_ERR_MALFORMED) {
        assert_null(strstr(f->last.message, "127.0.0.1"));
        assert_non_null(strstr(f->last.message, "another disk"));
    }
    stop_peers(f);
    forget_download(f);

    f->peers[0].manners.size_lie = size;
    f->peers[1].manners.hello_after = &f->peers[0];
    f->peers[1].manners.hello_delay_ms = 200;
    start_peers(f, 2);
    download(f, P2P_OK);
    assert_complete(f);
    expect_dropped(f, 0, why);
}

/* The stated size is one byte less (the same number of chunks, a layer that folds):
 * only the last chunk shows the lie. */
static void
lies_right_layer_for_another_size(void **state)
{
    struct fixture *f = *state;

    f->size = 20 * CHUNK + 100;
    f->peers[0].manners.size_lie = -1;
    f->peers[1].manners.hello_after = &f->peers[0];
    f->peers[1].manners.hello_delay_ms = 200;
    start_peers(f, 2);
    download(f, P2P_OK);
    assert_complete(f);
    expect_dropped(f, 0, P2P_ERR_HASH_MISMATCH);
}

static void
lies_about_the_sha256(void **state)
{
    lie(*state, (struct fake_manners){.wrong_sha256 = true}, P2P_ERR_HASH_MISMATCH);
}

/* No program has computed the whole-file hash: then the file that is there has none. */
static void
a_stated_sha256_is_not_shown_as_the_files(void **state)
{
    struct fixture *f = *state;

    f->size = 3 * CHUNK;
    f->peers[0].manners.wrong_sha256 = true;
    f->opt.verify = P2P_VERIFY_TREE;
    start_peers(f, 1);
    download(f, P2P_OK);
    assert_false(f->last.sha256_known);
    stop_peers(f);
    forget_download(f);
    f->opt.verify = P2P_VERIFY_FULL;
    start_peers(f, 1);
    download(f, P2P_OK);
    assert_true(f->last.sha256_known);
    assert_memory_equal(&f->last.sha256, &f->peers[0].files[0].sha256, 32);
}

static void
data_after_cancel_is_a_lie(void **state)
{
    struct fixture *f = *state;

    f->size = P2P_MIB;
    f->peers[0].manners.nap_ms = 1500;
    f->peers[0].manners.after_cancel = true;
    f->peers[1].manners.bytes_per_s = 120000;
    start_peers(f, 2);
    download(f, P2P_OK);
    assert_complete(f);
    expect_dropped(f, 0, P2P_ERR_PROTOCOL);
}

static void
one_lies_one_stops_one_is_slow_one_is_good(void **state)
{
    struct fixture *f = *state;

    f->peers[0].manners.wrong_bytes = true;
    f->peers[1].manners.die_after = f->size / 8;
    f->peers[2].manners.bytes_per_s = 50000;
    f->peers[3].manners.bytes_per_s = 8 << 20;
    start_peers(f, 4);
    download(f, P2P_OK);
    assert_complete(f);
    expect_dropped(f, 0, P2P_ERR_HASH_MISMATCH);
}

#ifdef P2P_WITH_ZSTD
static void
a_bomb_does_not_go_off(void **state)
{
    struct fixture *f = *state;

    f->peers[0].manners.zstd_bomb = true;
    start_peers(f, 1);
    download(f, P2P_ERR_PROTOCOL);
    assert_no_file(f);
}
#endif

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(lies_wrong_bytes),
        T(lies_after_it_was_trusted),
        T(lies_wrong_layer),
        T(lies_data_nobody_asked_for),
        T(lies_answers_twice),
        T(lies_right_layer_for_another_size),
        T(states_a_size_that_cannot_be_stored),
        T(lies_about_the_sha256),
        T(a_stated_sha256_is_not_shown_as_the_files),
        T(data_after_cancel_is_a_lie),
        T(one_lies_one_stops_one_is_slow_one_is_good),
#ifdef P2P_WITH_ZSTD
        T(a_bomb_does_not_go_off),
#endif
    };

    p2p_log_init("test_download_lies", P2P_LOG_ERROR);
    if (p2p_crypto_init() != P2P_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
