/*
 * share: random operations on a folder. After each burst, the catalogue must contain
 * exactly what is on the disk: every file with its root, its chunks and its SHA-256,
 * and nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

#include "long_tests.h"
#include "share_fixture.h"

#define ROUNDS     40
#define BURST      12
#define NAMES      10
#define FOLDERS    3
#define SIZE_MAX_B 70000
#define CHUNK      16384

struct model {
    struct shared *f;
    uint32_t seed;
    unsigned files_seen;
};

static uint32_t
next(struct model *m, uint32_t below)
{
    m->seed = m->seed * 1664525 + 1013904223;
    return (m->seed >> 8) % below;
}

/* "s/d1/n4" or "s/n4". */
static const char *
some_name(struct model *m)
{
    char name[32];
    uint32_t folder = next(m, FOLDERS), leaf = next(m, NAMES);

    if (folder == 0)
        snprintf(name, sizeof(name), "s/n%u", leaf);
    else
        snprintf(name, sizeof(name), "s/d%u/n%u", folder, leaf);
    return scratch_path(&m->f->scratch, name);
}

static void
write_some(struct model *m, const char *path, int flags)
{
    uint32_t len = next(m, SIZE_MAX_B);
    uint8_t *bytes = shared_bytes(len, m->seed);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);

    if (fd >= 0) {
        assert_int_equal(write(fd, bytes, len), len);
        close(fd);
    }
    free(bytes);
}

/* Writes in place and sets the times back, so that only the event shows the change. Not
 * in the folder that moves: its events are lost until it is watched again. */
static void
write_in_secret(struct model *m, const char *path)
{
    struct stat st;
    int fd = strstr(path, "/d1/") ? -1 : open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    assert_int_equal(fstat(fd, &st), 0);
    if (st.st_size > 0) {
        uint8_t byte = (uint8_t)next(m, 256);
        struct timespec times[2] = {st.st_atim, st.st_mtim};
        assert_int_equal(pwrite(fd, &byte, 1, next(m, (uint32_t)st.st_size)), 1);
        assert_int_equal(futimens(fd, times), 0);
    }
    close(fd);
}

static void
replace(struct model *m, const char *path)
{
    const char *aside = scratch_path(&m->f->scratch, "s/.new");

    write_some(m, aside, O_TRUNC);
    (void)!rename(aside, path);
}

static void
move_folder(struct model *m)
{
    char from[PATH_MAX], to[PATH_MAX];

    snprintf(from, sizeof(from), "%s", scratch_path(&m->f->scratch, "s/d1"));
    snprintf(to, sizeof(to), "%s", scratch_path(&m->f->scratch, "s/moved"));
    if (next(m, 2))
        (void)!rename(from, to);
    else
        (void)!rename(to, from);
    (void)!mkdir(from, 0755);
}

static void
act(struct model *m)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s", some_name(m));
    switch (next(m, 11)) {
    case 0:
    case 1:
        write_some(m, path, O_TRUNC);
        break;
    case 2:
        write_some(m, path, O_APPEND);
        break;
    case 3:
        (void)!truncate(path, next(m, SIZE_MAX_B));
        break;
    case 4:
        (void)!unlink(path);
        break;
    case 5:
        (void)!rename(path, some_name(m));
        break;
    case 6:
        (void)!link(path, some_name(m));
        break;
    case 7:
        (void)!chmod(path, next(m, 2) ? 0600 : 0644);
        break;
    case 8:
        replace(m, path);
        break;
    case 9:
        write_in_secret(m, path);
        break;
    default:
        move_folder(m);
    }
}

static enum p2p_err
check_file(void *arg, const char *name, const struct stat *st)
{
    struct model *m = arg;
    uint8_t *bytes = malloc((size_t)st->st_size + 1);
    char path[P2P_NAME_MAX + 3];
    int fd;

    snprintf(path, sizeof(path), "s/%s", name);
    fd = open(scratch_path(&m->f->scratch, path), O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_non_null(bytes);
    assert_int_equal(read(fd, bytes, (size_t)st->st_size), st->st_size);
    close(fd);
    shared_check(m->f, name, bytes, (size_t)st->st_size);
    free(bytes);
    m->files_seen++;
    return P2P_OK;
}

static void
check_all(struct model *m)
{
    m->files_seen = 0;
    assert_int_equal(p2p_root_walk(p2p_share_root(m->f->share), check_file, m, NULL),
                     P2P_OK);
    assert_int_equal(shared_count(m->f), m->files_seen);
}

static void
the_catalogue_says_what_is_on_disk(void **state)
{
    struct model m = {.f = *state, .seed = 20261127};
    const int rounds = long_tests() ? ROUNDS : 10;

    scratch_folder(&m.f->scratch, "s/d1");
    scratch_folder(&m.f->scratch, "s/d2");
    shared_open(m.f, CHUNK);
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < BURST; i++)
            act(&m);
        if (round % 10 == 9) { /* some changes happen while no program runs */
            shared_settle(m.f);
            shared_close(m.f);
            write_some(&m, some_name(&m), O_TRUNC);
            (void)!rename(some_name(&m), some_name(&m));
            shared_open(m.f, CHUNK);
        }
        shared_settle(m.f);
        check_all(&m);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_catalogue_says_what_is_on_disk,
                                        shared_setup, shared_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
