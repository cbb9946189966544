/* dl_fixture - a downloads directory, an identity and up to four peers that have the
 * same file. */
#ifndef P2P_DL_FIXTURE_H
#define P2P_DL_FIXTURE_H

#include <dirent.h>
#include <sys/mount.h>

#include "fake_peer.h"
#include "keys_fixture.h"
#include "p2p/download.h"
#include "p2p/log.h"
#include "p2p/net.h"
#include "patience.h"

#define CHUNK     P2P_CHUNK_SIZE_MIN
#define SIZE      (3 * P2P_MIB + 777)
#define PEERS_MAX 4

struct fixture {
    struct scratch scratch;
    struct keys *keys;
    struct p2p_root *root;
    uint8_t *data, *other;
    uint64_t size;
    uint32_t chunk_sizes[PEERS_MAX];
    unsigned
        other_content; /* this peer (not peer 0) has a different file under the name */
    struct fake_peer peers[PEERS_MAX];
    struct p2p_source_spec specs[PEERS_MAX];
    unsigned peer_count;
    struct p2p_download_options opt;
    struct p2p_download *dl;
    struct p2p_download_status last;
    bool mounted;
};

static UNUSED_OK void
reopen_root(struct fixture *f)
{
    p2p_root_close(f->root);
    assert_int_equal(
        p2p_root_open(scratch_path(&f->scratch, "root"), true, 0700, &f->root), P2P_OK);
    f->opt.downloads = f->root;
}

static UNUSED_OK int
setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    uint32_t seed = 7;

    assert_non_null(f);
    scratch_make(&f->scratch);
    f->size = SIZE;
    f->data = malloc(SIZE);
    f->other = malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++) {
        seed = seed * 1664525 + 1013904223;
        f->data[i] = (uint8_t)(seed >> 24);
        f->other[i] = (uint8_t)(seed >> 16);
    }
    for (int i = 0; i < PEERS_MAX; i++)
        f->chunk_sizes[i] = CHUNK;
    void *keys = NULL;
    keys_setup(&keys);
    /* However slow the self-test says that this is on a busy machine. */
    setenv("P2P_SHA256_STITCHED", "yes", 1);
    f->keys = keys;
    reopen_root(f);
    f->opt.identity = f->keys->identity;
    f->opt.name = "film.mkv";
    f->opt.conflict = P2P_CONFLICT_RENAME;
    f->opt.sources = f->specs;
    f->opt.timeout_ms = 10000;
    *state = f;
    return 0;
}

static UNUSED_OK void
start_peers(struct fixture *f, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct fake_peer *p = &f->peers[i];
        struct fake_manners manners = p->manners;
        *p = (struct fake_peer){.manners = manners};
        fake_peer_start(p);
        fake_peer_add(p, "film.mkv",
                      f->other_content == i && i > 0 ? f->other : f->data, f->size,
                      f->chunk_sizes[i]);
        f->specs[i] = fake_peer_spec(p);
    }
    f->peer_count = count;
    f->opt.source_count = count;
}

static UNUSED_OK void
stop_peers(struct fixture *f)
{
    for (unsigned i = 0; i < f->peer_count; i++) {
        fake_peer_stop(&f->peers[i]);
        f->peers[i].manners = (struct fake_manners){0};
    }
    f->peer_count = 0;
}

static UNUSED_OK void
on_event(void *arg, const struct p2p_download_status *status)
{
    struct fixture *f = arg;

    f->last = *status;
}

static UNUSED_OK void
begin(struct fixture *f)
{
    assert_int_equal(p2p_download_start(&f->opt, on_event, f, &f->dl), P2P_OK);
}

static UNUSED_OK void
end(struct fixture *f, enum p2p_err expected)
{
    enum p2p_err err = p2p_download_wait(f->dl);

    p2p_download_free(f->dl);
    f->dl = NULL;
    if (err != expected)
        fail_msg("download ended with %s (%s): %s", p2p_err_name(err),
                 p2p_download_state_name(f->last.state), f->last.message);
    if (err == P2P_OK)
        assert_int_equal(f->last.state, P2P_DL_COMPLETED);
}

static UNUSED_OK void
download(struct fixture *f, enum p2p_err expected)
{
    begin(f);
    end(f, expected);
}

static UNUSED_OK void
wait_for_state(struct fixture *f, enum p2p_download_state wanted)
{
    struct p2p_download_status status;
    uint64_t end_ms = patience_end_ms();

    while (p2p_now_ms() < end_ms) {
        p2p_download_status(f->dl, &status);
        if (status.state == wanted)
            return;
        assert_true(status.state != P2P_DL_FAILED && status.state != P2P_DL_COMPLETED);
        usleep(10000);
    }
    fail_msg("still %s", p2p_download_state_name(status.state));
}

/* Resumes before the pause has taken effect, again and again. */
static UNUSED_OK void
pause_often(struct fixture *f)
{
    for (unsigned i = 0; i < 40; i++) {
        usleep(10000);
        p2p_download_pause(f->dl);
        usleep(i * 250);
        p2p_download_resume(f->dl);
    }
}

static UNUSED_OK unsigned
count_private(const struct fixture *f)
{
    DIR *dir = opendir(scratch_path(&f->scratch, "root/.p2p"));
    unsigned count = 0;

    if (dir == NULL)
        return 0;
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        count += e->d_name[0] != '.';
    closedir(dir);
    return count;
}

/* The stored file is correct, and no temporary file is left. */
static UNUSED_OK void
assert_complete(const struct fixture *f)
{
    char name[P2P_NAME_MAX + 8];
    uint8_t *got = malloc(f->size + 1);

    snprintf(name, sizeof(name), "root/%s", f->last.stored);
    FILE *file = fopen(scratch_path(&f->scratch, name), "re");
    assert_non_null(file);
    assert_int_equal(fread(got, 1, f->size + 1, file), f->size);
    assert_memory_equal(got, f->data, f->size);
    fclose(file);
    free(got);
    assert_int_equal(count_private(f), 0);
    assert_int_equal(f->last.verified, f->size);
}

static UNUSED_OK void
expect_dropped(const struct fixture *f, unsigned peer, enum p2p_err why)
{
    const struct p2p_source_status *s = &f->last.sources[peer];

    assert_int_equal(s->state, P2P_SRC_DROPPED);
    if (s->error != why)
        fail_msg("dropped for %s", p2p_err_name(s->error));
}

static UNUSED_OK void
assert_no_file(const struct fixture *f)
{
    assert_false(scratch_has(&f->scratch, "root/film.mkv"));
}

static UNUSED_OK void
scratch_put_zeros(struct fixture *f, const char *name, size_t len)
{
    void *zeros = calloc(1, len);

    scratch_put_bytes(&f->scratch, name, zeros, len);
    free(zeros);
}

/* Makes it look as if the file had never been downloaded. */
static UNUSED_OK void
forget_download(struct fixture *f)
{
    p2p_root_close(f->root);
    f->root = NULL;
    nftw(scratch_path(&f->scratch, "root"), scratch_remove_entry, 16,
         FTW_DEPTH | FTW_PHYS);
    reopen_root(f);
}

static UNUSED_OK int
teardown(void **state)
{
    struct fixture *f = *state;
    void *keys = f->keys;

    p2p_download_free(f->dl);
    stop_peers(f);
    p2p_root_close(f->root);
    if (f->mounted)
        umount(scratch_path(&f->scratch, "root"));
    keys_teardown(&keys);
    scratch_remove(&f->scratch);
    free(f->data);
    free(f->other);
    free(f);
    return 0;
}

#endif
