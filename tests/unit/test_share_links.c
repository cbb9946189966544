/* share: a file with two names is written under one of them while the other is being
 * hashed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "p2p/clock.h"
#include "share_fixture.h"

#define SIZE 100000

/* ---- A gate behind the reads of the hasher ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_armed, is_held; /* the first read of a shared file is held */
    char name[8];           /* whose read is held */
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* The last part of the path of an open file: "one", "two", or another. */
static void
name_of(int fd, char out[8])
{
    char link[64], path[4096];

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof(path) - 1);
    path[len > 0 ? len : 0] = '\0';
    const char *slash = strrchr(path, '/');
    snprintf(out, 8, "%.7s", slash ? slash + 1 : path);
}

/* Takes the place of the system's function in this program: what was read is handed
 * out when the gate is open. */
ssize_t
pread(int fd, void *buf, size_t len, off_t at)
{
    struct iovec to = {.iov_base = buf, .iov_len = len};
    ssize_t n = preadv(fd, &to, 1, at);
    char name[8];

    name_of(fd, name);
    bool is_shared = strcmp(name, "one") == 0 || strcmp(name, "two") == 0;
    pthread_mutex_lock(&gate.lock);
    if (gate.is_armed && is_shared) {
        gate.is_armed = false;
        gate.is_held = true;
        memcpy(gate.name, name, sizeof(name));
        pthread_cond_broadcast(&gate.changed);
        while (gate.is_held)
            pthread_cond_wait(&gate.changed, &gate.lock);
    }
    pthread_mutex_unlock(&gate.lock);
    return n;
}

static void
arm(void)
{
    pthread_mutex_lock(&gate.lock);
    gate.is_armed = true;
    pthread_mutex_unlock(&gate.lock);
}

static void
await_held(void)
{
    uint64_t until = patience_end_ms();

    pthread_mutex_lock(&gate.lock);
    while (!gate.is_held) {
        pthread_mutex_unlock(&gate.lock);
        assert_true(p2p_now_ms() < until);
        usleep(2000);
        pthread_mutex_lock(&gate.lock);
    }
    pthread_mutex_unlock(&gate.lock);
}

static void
open_gate(void)
{
    pthread_mutex_lock(&gate.lock);
    gate.is_held = gate.is_armed = false;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

/* ---- A write that only the time of the inode shows ---- */

static void
path_of(struct shared *f, const char *name, char path[64 + PATH_MAX])
{
    char in[64];

    snprintf(in, sizeof(in), "s/%s", name);
    snprintf(path, 64 + PATH_MAX, "%s", scratch_path(&f->scratch, in));
}

static void
write_in_secret(struct shared *f, const char *name, uint8_t *data, uint8_t byte)
{
    char path[64 + PATH_MAX];
    struct stat st;

    path_of(f, name, path);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    data[1000] = byte;
    assert_int_equal(pwrite(fd, &byte, 1, 1000), 1);
    const struct timespec times[2] = {st.st_atim, st.st_mtim};
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

/* Both names of a file that is new or was just written, and the first of them being
 * hashed. Gives the other. */
static const char *
begin(struct shared *f, uint8_t *data, bool is_new)
{
    char one[64 + PATH_MAX], two[64 + PATH_MAX];

    path_of(f, "one", one);
    path_of(f, "two", two);
    shared_open(f, 0);
    for (int round = is_new; round < 2; round++) {
        shared_settle(f);
        if (round == 1)
            arm();
        int fd = open(one, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, data, (size_t)SIZE - 1 + (size_t)round),
                         SIZE - 1 + round);
        if (link(one, two) != 0)
            assert_int_equal(errno, EEXIST);
        close(fd);
    }
    await_held();
    return strcmp(gate.name, "one") == 0 ? "two" : "one";
}

/* Until the other name has the new content: the write was noticed. */
static void
await_content(struct shared *f, const char *name, const uint8_t *data)
{
    uint64_t until = patience_end_ms();
    struct p2p_digest root;
    struct p2p_chunks g;

    assert_int_equal(p2p_chunks_init(&g, SIZE, P2P_CHUNK_SIZE_DEFAULT), P2P_OK);
    assert_int_equal(p2p_tree_chunk(&g, data, SIZE, &root), P2P_OK);
    while (shared_find(f, name) != P2P_OK ||
           memcmp(shared_entry(f, name).root.b, root.b, sizeof(root.b)) != 0) {
        assert_true(p2p_now_ms() < until);
        usleep(5000);
    }
}

static void
written_before_the_hash_is_taken(void **state)
{
    struct shared *f = *state;
    uint8_t *data = shared_bytes(SIZE, 1);
    const char *other = begin(f, data, true);

    write_in_secret(f, other, data, 1);
    open_gate();
    shared_settle(f);
    shared_check(f, "one", data, SIZE);
    shared_check(f, "two", data, SIZE);
    free(data);
}

static void
written_and_noticed_before_the_hash_is_taken(void **state)
{
    struct shared *f = *state;
    uint8_t *data = shared_bytes(SIZE, 2);
    const char *other = begin(f, data, false);

    await_content(f, other, data);
    write_in_secret(f, other, data, 2);
    await_content(f, other, data);
    scratch_put(&f->scratch, "s/later",
                "x"); /* its turn comes after that of the links */
    while (shared_find(f, "later") != P2P_OK)
        usleep(5000);
    open_gate();
    shared_settle(f);
    shared_check(f, "one", data, SIZE);
    shared_check(f, "two", data, SIZE);
    free(data);
}

/* Then the number of names no longer shows that there was another. */
static void
written_under_a_name_that_is_gone(void **state)
{
    struct shared *f = *state;
    uint8_t *data = shared_bytes(SIZE, 3);
    const char *other = begin(f, data, true);
    char path[64 + PATH_MAX];

    write_in_secret(f, other, data, 3);
    path_of(f, other, path);
    assert_int_equal(unlink(path), 0);
    open_gate();
    shared_settle(f);
    shared_check(f, gate.name, data, SIZE);
    assert_int_equal(shared_count(f), 1);
    free(data);
}

int
main(void)
{
#define SHARED(name) \
    cmocka_unit_test_setup_teardown(name, shared_setup, shared_teardown)
    const struct CMUnitTest tests[] = {
        SHARED(written_before_the_hash_is_taken),
        SHARED(written_and_noticed_before_the_hash_is_taken),
        SHARED(written_under_a_name_that_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
