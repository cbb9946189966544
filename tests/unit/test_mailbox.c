/*
 * mailbox: files that are replaced or deleted go there. A child process is killed
 * before each system call in turn, on file systems that exchange, that only link, and
 * that can do neither; after the next visit nothing is lost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "p2p/mailbox.h"
#include "path_fixture.h"

#define KILLED 99

/* ---- The system calls ---- */

enum file_system { EXCHANGES, LINKS, NEITHER, FILE_SYSTEMS };
static enum file_system file_system;
static int calls_left = -1; /* until the process dies; -1: it lives */
static int refused_call = -1, refused_with;

static bool
step(void)
{
    if (calls_left == 0)
        _exit(KILLED);
    if (calls_left > 0)
        calls_left--;
    if (refused_call >= 0 && refused_call-- == 0) {
        errno = refused_with;
        return false;
    }
    return true;
}

int
renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    if (!step())
        return -1;
    if (((flags & RENAME_EXCHANGE) != 0 && file_system != EXCHANGES) ||
        ((flags & RENAME_NOREPLACE) != 0 && file_system == NEITHER)) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

int
renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return step() ? (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, 0) : -1;
}

int
linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
    if (!step())
        return -1;
    if (file_system == NEITHER) {
        errno = EPERM;
        return -1;
    }
    return (int)syscall(SYS_linkat, from_dir, from, to_dir, to, flags);
}

int
unlinkat(int dir, const char *name, int flags)
{
    return step() ? (int)syscall(SYS_unlinkat, dir, name, flags) : -1;
}

int
fsync(int fd)
{
    (void)fd;
    return step() ? 0 : -1; /* the machine does not lose power here */
}

/* ---- What is where ---- */

struct seen {
    const struct fixture *f;
    size_t count;
    struct p2p_mailbox_note last;
    char text[64];
};

/* Records the file as p2p/versions.h would. */
static enum p2p_err
move_away(void *arg, int in, const char *id, const struct p2p_mailbox_note *note)
{
    struct seen *seen = arg;
    char to[128];

    seen->count++;
    seen->last = *note;
    snprintf(to, sizeof(to), "%s/kept-%zu", seen->f->scratch.dir, seen->count);
    assert_int_equal(syscall(SYS_renameat2, in, id, AT_FDCWD, to, 0), 0);
    return P2P_OK;
}

static struct seen
visit(const struct fixture *f)
{
    struct seen seen = {.f = f};
    size_t left;

    assert_int_equal(p2p_mailbox_visit(f->root, move_away, &seen, &left), P2P_OK);
    return seen;
}

static size_t
entries(const struct fixture *f)
{
    DIR *dir = opendir(scratch_path(&f->scratch, "root/.p2p/versions/in"));
    size_t n = 0;

    if (dir == NULL)
        return 0;
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

/* ---- Killing ---- */

enum act { REPLACE, DELETE };

static void
act_in_child(const struct fixture *f, enum act act, int kill_at)
{
    char stored[P2P_NAME_MAX + 1];
    enum p2p_err err;
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        calls_left = kill_at;
        err = act == REPLACE ? p2p_root_publish(f->root, "part", "a/b.txt",
                                                P2P_CONFLICT_VERSION, stored)
                             : p2p_mailbox_take(f->root, "a/b.txt", NULL);
        _exit(err == P2P_OK ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == KILLED);
    if (WEXITSTATUS(status) == 0)
        calls_left = -2; /* done */
}

static void
clean(const struct fixture *f)
{
    unlink(scratch_path(&f->scratch, "kept-1"));
    unlink(scratch_path(&f->scratch, "kept-2"));
}

/* Either nothing happened, or all of it did. */
static void
check_after(const struct fixture *f, enum act act, bool finished)
{
    struct seen seen = visit(f);
    bool old_is_public = scratch_holds(&f->scratch, "root/a/b.txt", "old"),
         new_is_public = scratch_holds(&f->scratch, "root/a/b.txt", "new!"),
         is_kept = scratch_holds(&f->scratch, "kept-1", "old");

    assert_true(seen.count <= 1);
    assert_int_equal(seen.count, is_kept);
    assert_true(old_is_public != is_kept);
    assert_int_equal(act == REPLACE && is_kept, new_is_public);
    if (finished)
        assert_true(is_kept);
    if (act == REPLACE || !is_kept)
        assert_true(old_is_public || new_is_public);
    if (is_kept) {
        assert_string_equal(seen.last.name, "a/b.txt");
        assert_int_equal(seen.last.end,
                         act == REPLACE ? P2P_MAILBOX_REPLACED : P2P_MAILBOX_DELETED);
    }
    assert_int_equal(visit(f).count, 0); /* a second visit finds nothing new */
}

static void
make_folder(const struct fixture *f)
{
    assert_int_equal(p2p_root_make_folder(f->root, "a"), P2P_OK);
}

static void
kill_at_each_call(const struct fixture *f, enum act act)
{
    int n;

    for (n = 0; n < 200; n++) {
        clean(f);
        scratch_put(&f->scratch, "root/a/b.txt", "old");
        put_private(f, "part", "new!");
        act_in_child(f, act, n);
        bool finished = calls_left == -2;
        calls_left = -1;
        check_after(f, act, finished);
        make_folder(f);
        if (finished)
            break;
    }
    assert_in_range(n, 3, 100);
}

static void
killed_anywhere_nothing_is_lost(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < FILE_SYSTEMS; i++) {
        file_system = (enum file_system)i;
        make_folder(f);
        kill_at_each_call(f, REPLACE);
        make_folder(f);
        kill_at_each_call(f, DELETE);
    }
    file_system = EXCHANGES;
}

static void
refused_calls_lose_nothing(void **state)
{
    static const int errors[] = {ENOSPC, EIO, EACCES};
    struct fixture *f = *state;
    char stored[P2P_NAME_MAX + 1];

    for (int fs = 0; fs < FILE_SYSTEMS; fs++)
        for (int n = 0; n < 24; n++) {
            file_system = (enum file_system)fs;
            make_folder(f);
            clean(f);
            scratch_put(&f->scratch, "root/a/b.txt", "old");
            put_private(f, "part", "new!");
            refused_call = n;
            refused_with = errors[n % 3];
            enum p2p_err err = p2p_root_publish(f->root, "part", "a/b.txt",
                                                P2P_CONFLICT_VERSION, stored);
            refused_call = -1;
            struct seen seen = visit(f);
            bool is_kept = scratch_holds(&f->scratch, "kept-1", "old");
            assert_true(is_kept || scratch_holds(&f->scratch, "root/a/b.txt", "old"));
            assert_int_equal(seen.count, is_kept);
            if (err == P2P_OK)
                assert_true(is_kept &&
                            scratch_holds(&f->scratch, "root/a/b.txt", "new!"));
        }
    file_system = EXCHANGES;
}

/* ---- Without accidents ---- */

static void
versions_of_files_only(void **state)
{
    struct fixture *f = *state;
    char stored[P2P_NAME_MAX + 1];

    make_tree(f);
    put_private(f, "part", "new");
    assert_int_equal(
        p2p_root_publish(f->root, "part", "folder", P2P_CONFLICT_VERSION, stored),
        P2P_ERR_EXISTS);
    assert_int_not_equal(
        p2p_root_publish(f->root, "part", "link", P2P_CONFLICT_VERSION, stored),
        P2P_OK);
    assert_int_equal(p2p_mailbox_take(f->root, "folder", NULL), P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_mailbox_take(f->root, "link", NULL), P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_mailbox_take(f->root, "missing", NULL), P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_mailbox_take(f->root, "../canary", NULL), P2P_ERR_NAME);
    assert_true(scratch_holds(&f->scratch, "root/.p2p/part", "new"));
    assert_int_equal(visit(f).count, 0);
    assert_int_equal(entries(f), 0);
    /* a new name is only published */
    assert_int_equal(
        p2p_root_publish(f->root, "part", "new/x", P2P_CONFLICT_VERSION, stored),
        P2P_OK);
    assert_true(scratch_holds(&f->scratch, "root/new/x", "new"));
    assert_int_equal(visit(f).count, 0);
}

static void
what_is_known_goes_along(void **state)
{
    struct fixture *f = *state;
    struct p2p_mailbox_old old = {.version = 7, .root_known = true};
    struct stat st;
    struct seen seen;

    memset(old.root.b, 0xab, sizeof(old.root.b));
    scratch_put(&f->scratch, "root/name with spaces", "old");
    assert_int_equal(lstat(scratch_path(&f->scratch, "root/name with spaces"), &st), 0);
    old.size = 3;
    old.inode = st.st_ino;
    old.mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    assert_int_equal(p2p_mailbox_take(f->root, "name with spaces", &old), P2P_OK);
    seen = visit(f);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.last.version, 7);
    assert_true(seen.last.root_known);
    assert_memory_equal(seen.last.root.b, old.root.b, sizeof(old.root.b));
    /* a root of another state is not used */
    scratch_put(&f->scratch, "root/b", "other");
    assert_int_equal(p2p_mailbox_take(f->root, "b", &old), P2P_OK);
    seen = visit(f);
    assert_false(seen.last.root_known);
    assert_int_equal(entries(f), 0);
}

/* Another process is in the middle of a step: its note is left alone. */
static void
a_step_that_runs_is_left_alone(void **state)
{
    struct fixture *f = *state;

    scratch_put(&f->scratch, "root/a", "old");
    assert_int_equal(p2p_mailbox_take(f->root, "a", NULL), P2P_OK);
    DIR *dir = opendir(scratch_path(&f->scratch, "root/.p2p/versions/in"));
    int lock = -1;
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        if (strstr(e->d_name, ".note") != NULL)
            lock = openat(dirfd(dir), e->d_name, O_RDWR | O_CLOEXEC);
    closedir(dir);
    assert_true(lock >= 0);
    assert_int_equal(flock(lock, LOCK_EX | LOCK_NB), 0);
    struct seen seen = {.f = f};
    size_t left;
    assert_int_equal(p2p_mailbox_visit(f->root, move_away, &seen, &left), P2P_OK);
    assert_int_equal(seen.count, 0);
    assert_int_equal(left, 1);
    close(lock);
    assert_int_equal(visit(f).count, 1);
}

static void
damaged_notes_are_left(void **state)
{
    struct fixture *f = *state;
    struct seen seen;

    scratch_put(&f->scratch, "root/a", "old");
    assert_int_equal(p2p_mailbox_take(f->root, "a", NULL), P2P_OK);
    scratch_put(&f->scratch, "root/.p2p/versions/in/0123456789abcdef.note", "nonsense");
    scratch_put(&f->scratch, "root/.p2p/versions/in/0123456789abcdef", "content");
    scratch_put(&f->scratch, "root/.p2p/versions/in/0123456789abcd00.note",
                "p2p mailbox 1\nend 2\ndrop 0\nmoving 0\nversion 0\nuntil 1\nsize 1\n"
                "inode 1\nmtime 1\nroot -\nname ../../canary\nend\n");
    scratch_put(&f->scratch, "root/.p2p/versions/in/0123456789abcd00", "x");
    seen = visit(f);
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.last.name, "a");
    assert_true(scratch_holds(&f->scratch, "root/.p2p/versions/in/0123456789abcdef",
                              "content"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOT(killed_anywhere_nothing_is_lost),
        WITH_ROOT(refused_calls_lose_nothing),
        WITH_ROOT(versions_of_files_only),
        WITH_ROOT(what_is_known_goes_along),
        WITH_ROOT(a_step_that_runs_is_left_alone),
        WITH_ROOT(damaged_notes_are_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
