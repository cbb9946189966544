// uses tests/unit/fake_peer.c
/* download of a folder: every file of it arrives and is checked, whatever goes wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dl_fixture.h"

#define FILES 150

static uint64_t
size_of(unsigned i)
{
    return i % 50 == 7 ? 0 : 100 + 37 * i + (i % 60 == 11 ? 200000 : 0);
}

static const uint8_t *
data_of(const struct fixture *f, unsigned i)
{
    return f->data + (i % 13 == 5 ? 0 : 97 * i); /* some have the same beginning */
}

static void
add_files(struct fixture *f, unsigned peer, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        char name[64];
        snprintf(name, sizeof(name), "dir/%s%03u", i % 3 == 0 ? "sub/" : "", i);
        fake_peer_add(&f->peers[peer], name, data_of(f, i), size_of(i), CHUNK);
    }
}

/* Two names with the same content, a file that is not in the folder, and a large file.
 */
static void
add_special(struct fixture *f, unsigned peer)
{
    fake_peer_add(&f->peers[peer], "dir/twin-a", f->data, 5000, CHUNK);
    fake_peer_add(&f->peers[peer], "dir/twin-b", f->data, 5000, CHUNK);
    fake_peer_add(&f->peers[peer], "dirt", f->data, 10, CHUNK);
}

static void
assert_file(const struct fixture *f, const char *name, const uint8_t *data,
            uint64_t size)
{
    char path[200];
    uint8_t *got = malloc(size + 1);

    snprintf(path, sizeof(path), "root/%s", name);
    FILE *file = fopen(scratch_path(&f->scratch, path), "re");
    if (file == NULL)
        fail_msg("%s is missing", name);
    assert_int_equal(fread(got, 1, size + 1, file), size);
    assert_memory_equal(got, data, size);
    fclose(file);
    free(got);
}

static void
assert_folder(const struct fixture *f)
{
    for (unsigned i = 0; i < FILES; i++) {
        char name[64];
        snprintf(name, sizeof(name), "dir/%s%03u", i % 3 == 0 ? "sub/" : "", i);
        assert_file(f, name, data_of(f, i), size_of(i));
    }
    assert_file(f, "dir/twin-a", f->data, 5000);
    assert_file(f, "dir/twin-b", f->data, 5000);
    assert_false(scratch_has(&f->scratch, "root/dirt"));
    assert_int_equal(count_private(f), 0);
    assert_int_equal(f->last.files_done, FILES + 2);
    assert_int_equal(f->last.files_total, FILES + 2);
    assert_int_equal(f->last.verified, f->last.size);
}

static void
begin_folder(struct fixture *f, unsigned peers)
{
    start_peers(f, peers);
    f->opt.name = "dir/";
}

static void
every_file_arrives(void **state)
{
    struct fixture *f = *state;

    begin_folder(f, 1);
    add_files(f, 0, 0, FILES);
    add_special(f, 0);
    download(f, P2P_OK);
    assert_folder(f);
    assert_true(f->peers[0].connections <= 5); /* not one handshake per file */
    unsigned long long gets = f->peers[0].gets;
    download(f, P2P_OK); /* all is there */
    assert_folder(f);
    assert_int_equal(f->peers[0].gets, gets);
}

static void
what_is_different_is_kept(void **state)
{
    struct fixture *f = *state;

    begin_folder(f, 1);
    fake_peer_add(&f->peers[0], "dir/a.txt", (const uint8_t *)"theirs", 6, CHUNK);
    scratch_folder(&f->scratch, "root/dir");
    scratch_put(&f->scratch, "root/dir/a.txt", "mine!!");
    download(f, P2P_OK);
    assert_true(scratch_holds(&f->scratch, "root/dir/a.txt", "mine!!"));
    assert_true(scratch_holds(&f->scratch, "root/dir/a (1).txt", "theirs"));
}

static void
saved_under_another_name(void **state)
{
    struct fixture *f = *state;

    begin_folder(f, 1);
    fake_peer_add(&f->peers[0], "dir/x/y", (const uint8_t *)"abc", 3, CHUNK);
    f->opt.save_as = "other/place/";
    download(f, P2P_OK);
    assert_true(scratch_holds(&f->scratch, "root/other/place/x/y", "abc"));
}

/* The first peer is asked first. */
static void
download_beside_a_good_peer(struct fixture *f)
{
    f->peers[1].manners.hello_after = &f->peers[0];
    f->peers[1].manners.hello_delay_ms = 200;
    begin_folder(f, 2);
    for (unsigned i = 0; i < 2; i++) {
        add_files(f, i, 0, FILES);
        add_special(f, i);
    }
    download(f, P2P_OK);
    assert_folder(f);
}

static void
a_liar_is_dropped(void **state)
{
    struct fixture *f = *state;

    f->peers[0].manners.wrong_bytes = true;
    download_beside_a_good_peer(f);
    assert_int_equal(f->last.sources[0].state, P2P_SRC_DROPPED);
    assert_int_equal(f->last.sources[0].error, P2P_ERR_HASH_MISMATCH);
}

/* The tree is right, but the stated whole-file hash is wrong: the same result as for a
 * single file. */
static void
a_false_sha256_is_noticed(void **state)
{
    struct fixture *f = *state;

    f->peers[0].manners.wrong_sha256 = true;
    download_beside_a_good_peer(f);
    assert_int_equal(f->last.sources[0].error, P2P_ERR_HASH_MISMATCH);
}

/* No program has requested this hash yet. */
static void
a_false_sha256_is_no_matter_with_the_tree(void **state)
{
    struct fixture *f = *state;

    f->peers[0].manners.wrong_sha256 = true;
    f->opt.verify = P2P_VERIFY_TREE;
    begin_folder(f, 1);
    add_files(f, 0, 0, FILES);
    add_special(f, 0);
    download(f, P2P_OK);
    assert_folder(f);
}

/* The second has only half of the files. */
static void
sources_that_lack_files(void **state)
{
    struct fixture *f = *state;

    f->peers[1].manners.hello_after = &f->peers[0];
    f->peers[1].manners.hello_delay_ms = 300;
    f->peers[0].manners.bytes_per_s = 1 << 20;
    begin_folder(f, 2);
    add_files(f, 0, 0, FILES);
    add_special(f, 0);
    add_files(f, 1, 0, FILES / 2);
    download(f, P2P_OK);
    assert_folder(f);
}

static void
breaking_connections_and_aborts(void **state)
{
    struct fixture *f = *state;

    f->peers[0].manners.drop_every = 400000;
    f->peers[0].manners.bytes_per_s = 2 << 20;
    begin_folder(f, 1);
    add_files(f, 0, 0, FILES);
    add_special(f, 0);
    begin(f);
    usleep(250000);
    p2p_download_free(f->dl);
    f->dl = NULL;
    download(f, P2P_OK);
    assert_folder(f);
}

static void
large_files_have_journals(void **state)
{
    struct fixture *f = *state;
    const uint64_t large = 5 * P2P_MIB;
    uint8_t *data = malloc(large);

    for (uint64_t i = 0; i < large; i++)
        data[i] = (uint8_t)(i * i >> 7);
    begin_folder(f, 1);
    fake_peer_add(&f->peers[0], "dir/large", data, large, CHUNK);
    fake_peer_add(&f->peers[0], "dir/small", data, 100, CHUNK);
    download(f, P2P_OK);
    assert_file(f, "dir/large", data, large);
    assert_file(f, "dir/small", data, 100);
    assert_int_equal(f->last.files_done, 2);
    free(data);
}

/* Resumes before the pause has taken effect, among small files and in a large one. */
static void
pauses_of_no_length_stop_nothing(void **state)
{
    struct fixture *f = *state;
    const uint64_t large = 5 * P2P_MIB;
    uint8_t *data = calloc(1, large);

    f->peers[0].manners.bytes_per_s = 16 << 20;
    begin_folder(f, 1);
    add_files(f, 0, 0, FILES);
    fake_peer_add(&f->peers[0], "dir/large", data, large, CHUNK);
    begin(f);
    pause_often(f);
    end(f, P2P_OK);
    assert_file(f, "dir/large", data, large);
    free(data);
}

struct pauser {
    struct fixture *f;
    atomic_bool has_begun;
    atomic_uint pages;
};

/* Pauses behind the first page, then behind the second one, then behind the third one:
 * the list begins anew each time. */
static void
pause_behind_page(void *arg)
{
    struct pauser *p = arg;
    unsigned page = atomic_fetch_add(&p->pages, 1) + 1;
    struct p2p_download_status status = {.state = P2P_DL_CONNECTING};

    if (page != 1 && page != 3 && page != 6)
        return;
    while (!atomic_load(&p->has_begun))
        usleep(1000);
    p2p_download_pause(p->f->dl);
    while (status.state != P2P_DL_PAUSED) {
        usleep(1000);
        p2p_download_status(p->f->dl, &status);
    }
    p2p_download_resume(p->f->dl);
}

/* If a pause interrupts the reading of a list, the part that was read is not used. */
static void
pauses_while_it_is_listed_lose_no_file(void **state)
{
    enum { COUNT = 450 };
    struct fixture *f = *state;
    struct pauser pauser = {.f = f};

    f->peers[0].manners.on_page = pause_behind_page;
    f->peers[0].manners.page_arg = &pauser;
    begin_folder(f, 1);
    for (unsigned i = 0; i < COUNT; i++) {
        char name[64];
        snprintf(name, sizeof(name), "dir/%04u", i);
        fake_peer_add(&f->peers[0], name, f->data, 0, CHUNK);
    }
    begin(f);
    atomic_store(&pauser.has_begun, true);
    end(f, P2P_OK);
    assert_true(pauser.pages >= 6);
    assert_int_equal(f->last.files_total, COUNT);
    assert_int_equal(f->last.files_done, COUNT);
}

static void
no_such_folder(void **state)
{
    struct fixture *f = *state;

    begin_folder(f, 1);
    fake_peer_add(&f->peers[0], "elsewhere/a", f->data, 100, CHUNK);
    download(f, P2P_ERR_NOT_FOUND);
}

static void
names_from_outside_stay_inside(void **state)
{
    struct fixture *f = *state;

    begin_folder(f, 1);
    fake_peer_add(&f->peers[0], "dir/../../escaped", f->data, 100, CHUNK);
    fake_peer_add(&f->peers[0], "dir/.hidden", f->data, 100, CHUNK);
    fake_peer_add(&f->peers[0], "dir/fine", (const uint8_t *)"ok", 2, CHUNK);
    download(f, P2P_OK);
    assert_int_equal(f->last.files_total, 1);
    assert_true(scratch_holds(&f->scratch, "root/dir/fine", "ok"));
    assert_false(scratch_has(&f->scratch, "escaped"));
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(every_file_arrives),
        T(what_is_different_is_kept),
        T(saved_under_another_name),
        T(a_liar_is_dropped),
        T(a_false_sha256_is_noticed),
        T(a_false_sha256_is_no_matter_with_the_tree),
        T(sources_that_lack_files),
        T(breaking_connections_and_aborts),
        T(large_files_have_journals),
        T(pauses_of_no_length_stop_nothing),
        T(pauses_while_it_is_listed_lose_no_file),
        T(no_such_folder),
        T(names_from_outside_stay_inside),
    };

    p2p_log_init("test_download_folder", P2P_LOG_ERROR);
    if (p2p_crypto_init() != P2P_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
