/* path: opening, walking, private files; nothing outside the root is touched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "path_fixture.h"

struct swapper {
    int dir;
    atomic_bool stop;
};

static void
roots_open_or_say_why(void **state)
{
    struct fixture *f = *state;
    struct p2p_root *root;

    assert_int_equal(
        p2p_root_open(scratch_path(&f->scratch, "none"), false, 0700, &root),
        P2P_ERR_NOT_FOUND);
    assert_null(root);
    assert_int_equal(
        p2p_root_open(scratch_path(&f->scratch, "canary"), true, 0700, &root),
        P2P_ERR_NOT_FOLDER);
    assert_int_equal(
        p2p_root_open(scratch_path(&f->scratch, "a/b/keys"), true, 0700, &root),
        P2P_OK);
    assert_int_equal(mode_of(f, "a/b/keys"), 0700);
    assert_string_equal(p2p_root_path(root), scratch_path(&f->scratch, "a/b/keys"));
    p2p_root_close(root);
    p2p_root_close(NULL);
}

static void
only_regular_files_open(void **state)
{
    struct fixture *f = *state;
    static const char *const absent[] = {
        "folder",  "link",          "absolute",         "harmless",      "dangling",
        "loop",    "linked/secret", "folderlink/inner", "fifo",          "socket",
        "missing", "file/x",        "folder/missing",   "link/whatever",
    };

    make_tree(f);
    for (int fallback = 0; fallback < 2; fallback++) {
        p2p_path_forbid_openat2(fallback);
        assert_int_equal(try_open(f, "file"), P2P_OK);
        assert_int_equal(try_open(f, "folder/inner"), P2P_OK);
        assert_int_equal(try_open(f, "../canary"), P2P_ERR_NAME);
        for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
            if (try_open(f, absent[i]) != P2P_ERR_NOT_FOUND)
                fail_msg("%s opened (fallback %d)", absent[i], fallback);
        /* Without the name check, too: the resolver alone must be enough. */
        assert_int_equal(
            p2p_path_open_beneath(p2p_root_fd(f->root), "../canary", O_RDONLY, 0), -1);
        assert_int_equal(
            p2p_path_open_beneath(p2p_root_fd(f->root), "/etc/passwd", O_RDONLY, 0),
            -1);
    }
    p2p_path_forbid_openat2(false);
}

struct seen {
    char names[32][64];
    size_t count, folders;
};

static enum p2p_err
note_file(void *arg, const char *name, const struct stat *st)
{
    struct seen *seen = arg;

    assert_true(S_ISREG(st->st_mode));
    assert_true(seen->count < 32);
    snprintf(seen->names[seen->count++], 64, "%s", name);
    return P2P_OK;
}

static enum p2p_err
note_folder(void *arg, const char *name, int fd)
{
    struct seen *seen = arg;
    struct stat st;

    assert_true(fstat(fd, &st) == 0 && S_ISDIR(st.st_mode));
    assert_int_not_equal(name[0], '/');
    seen->folders++;
    return P2P_OK;
}

static bool
was_seen(const struct seen *seen, const char *name)
{
    for (size_t i = 0; i < seen->count; i++)
        if (strcmp(seen->names[i], name) == 0)
            return true;
    return false;
}

static void
walk_sees_files_and_follows_nothing(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {.count = 0};
    struct p2p_walk how = {.file = note_file, .folder = note_folder, .arg = &seen};
    size_t skipped;

    make_tree(f);
    put_private(f, "state", "x");
    scratch_put(&f->scratch, "root/.hidden", "x");
    scratch_put(&f->scratch, "root/bad:name", "x");
    assert_int_equal(p2p_root_walk_folder(f->root, "", &how, &skipped), P2P_OK);
    assert_int_equal(seen.count, 2);
    assert_true(was_seen(&seen, "file") && was_seen(&seen, "folder/inner"));
    assert_int_equal(seen.folders, 2);
    assert_int_equal(skipped, 7 + 2 + 1); /* links, special files, the name with ':' */

    seen.count = 0;
    assert_int_equal(p2p_root_walk_folder(f->root, "folder", &how, NULL), P2P_OK);
    assert_int_equal(seen.count, 1);
    assert_true(was_seen(&seen, "folder/inner"));
    assert_int_equal(p2p_root_walk_folder(f->root, "linked", &how, NULL),
                     P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_root_walk_folder(f->root, "../outside", &how, NULL),
                     P2P_ERR_NAME);
}

static void
walk_depth_is_bounded(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {.count = 0};
    char name[256] = "root";
    size_t skipped;

    for (int depth = 1; depth < 40; depth++) {
        strcat(name, "/d");
        scratch_folder(&f->scratch, name);
    }
    strcat(name, "/deep");
    scratch_put(&f->scratch, name, "x");
    scratch_put(&f->scratch, "root/d/d/shallow", "x");
    assert_int_equal(p2p_root_walk(f->root, note_file, &seen, &skipped), P2P_OK);
    assert_int_equal(seen.count, 1);
    assert_int_equal(skipped, 1);
}

static enum p2p_err
refuse(void *arg, const char *name, const struct stat *st)
{
    (void)arg, (void)name, (void)st;
    return P2P_ERR_CANCELLED;
}

static void
walk_stops_when_told(void **state)
{
    struct fixture *f = *state;

    make_tree(f);
    assert_int_equal(p2p_root_walk(f->root, refuse, NULL, NULL), P2P_ERR_CANCELLED);
}

static void *
churn_files(void *arg)
{
    struct swapper *s = arg;

    for (unsigned i = 0; !atomic_load(&s->stop); i++) {
        char name[32];
        snprintf(name, sizeof(name), "d%u", i % 8);
        mkdirat(s->dir, name, 0755);
        int fd = openat(s->dir, name, O_RDONLY | O_DIRECTORY);
        close(openat(fd, "file", O_CREAT | O_WRONLY, 0644));
        unlinkat(fd, "file", 0);
        close(fd);
        unlinkat(s->dir, name, AT_REMOVEDIR);
    }
    return NULL;
}

static void
walk_survives_files_that_vanish(void **state)
{
    struct fixture *f = *state;
    struct swapper s = {.dir = p2p_root_fd(f->root)};
    pthread_t thread;

    make_tree(f);
    assert_int_equal(pthread_create(&thread, NULL, churn_files, &s), 0);
    for (int round = 0; round < 500; round++) {
        struct seen seen = {.count = 0};
        assert_int_equal(p2p_root_walk(f->root, note_file, &seen, NULL), P2P_OK);
        assert_true(was_seen(&seen, "file") && was_seen(&seen, "folder/inner"));
    }
    atomic_store(&s.stop, true);
    pthread_join(thread, NULL);
}

static void
private_files_stay_private(void **state)
{
    struct fixture *f = *state;
    static const char *const wrong[] = {"", ".", "..", "../x", "a/b", "/etc/passwd"};
    char path[PATH_MAX];
    int fd;

    put_private(f, "state", "one");
    assert_int_equal(mode_of(f, "root/.p2p"), 0700);
    assert_int_equal(mode_of(f, "root/.p2p/state"), 0600);
    assert_int_equal(try_open(f, ".p2p/state"), P2P_ERR_NAME);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(p2p_root_open_private(f->root, wrong[i], O_RDONLY, &fd),
                         P2P_ERR_NAME);
    assert_int_equal(p2p_root_private_path(f->root, "state", path, sizeof(path)),
                     P2P_OK);
    assert_int_equal(access(path, R_OK), 0);
    assert_int_equal(p2p_root_private_path(f->root, "state", path, 8),
                     P2P_ERR_TOO_LARGE);
    assert_int_equal(p2p_root_unlink_private(f->root, "state"), P2P_OK);
    assert_int_equal(p2p_root_unlink_private(f->root, "state"), P2P_ERR_NOT_FOUND);
}

static void
private_links_are_refused(void **state)
{
    struct fixture *f = *state;
    int fd;

    scratch_folder(&f->scratch, "root/.p2p");
    link_to(f, "../../canary", "root/.p2p/state");
    assert_int_not_equal(
        p2p_root_open_private(f->root, "state", O_WRONLY | O_TRUNC, &fd), P2P_OK);
    assert_int_equal(p2p_root_replace_private(f->root, "state", "new", 3), P2P_OK);
    assert_true(scratch_holds(&f->scratch, "root/.p2p/state", "new"));

    assert_int_equal(rename(scratch_path(&f->scratch, "root/.p2p"),
                            scratch_path(&f->scratch, "elsewhere")),
                     0);
    link_to(f, "../elsewhere", "root/.p2p");
    assert_int_equal(p2p_root_open_private(f->root, "state", O_RDONLY, &fd),
                     P2P_ERR_PERMISSION);
}

static void
make_old(const struct fixture *f, const char *name)
{
    const struct timespec long_ago[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};

    assert_int_equal(utimensat(AT_FDCWD, scratch_path(&f->scratch, name), long_ago, 0),
                     0);
}

static void
sweeping_takes_old_files_of_a_kind(void **state)
{
    struct fixture *f = *state;

    put_private(f, "old.small", "x");
    put_private(f, "new.small", "x");
    put_private(f, "old.part", "x");
    scratch_folder(&f->scratch, "root/.p2p/folder.small");
    link_to(f, "../../canary", "root/.p2p/link.small");
    make_old(f, "root/.p2p/old.small");
    make_old(f, "root/.p2p/old.part");
    make_old(f, "root/.p2p/folder.small");
    p2p_root_sweep_private(f->root, ".small", 2000);
    assert_false(scratch_has(&f->scratch, "root/.p2p/old.small"));
    assert_true(scratch_has(&f->scratch, "root/.p2p/new.small"));
    assert_true(scratch_has(&f->scratch, "root/.p2p/old.part"));
    assert_true(scratch_has(&f->scratch, "root/.p2p/folder.small"));
    assert_true(scratch_has(&f->scratch, "canary"));
}

static void
sweeping_takes_what_writers_of_a_file_left(void **state)
{
    struct fixture *f = *state;

    put_private(f, "s.journal", "x");
    put_private(f, "s.journal.123-0.new", "x");
    put_private(f, "other.journal.123-0.new", "x");
    p2p_root_sweep_aside(f->root, "s.journal");
    assert_true(scratch_has(&f->scratch, "root/.p2p/s.journal"));
    assert_false(scratch_has(&f->scratch, "root/.p2p/s.journal.123-0.new"));
    assert_true(scratch_has(&f->scratch, "root/.p2p/other.journal.123-0.new"));
}

static void
replace_writes_whole_files(void **state)
{
    struct fixture *f = *state;
    DIR *dir;
    int entries = 0;

    assert_int_equal(p2p_root_replace_private(f->root, "s", "first", 5), P2P_OK);
    assert_int_equal(p2p_root_replace_private(f->root, "s", "2", 1), P2P_OK);
    assert_true(scratch_holds(&f->scratch, "root/.p2p/s", "2"));
    assert_int_equal(mode_of(f, "root/.p2p/s"), 0600);
    dir = opendir(scratch_path(&f->scratch, "root/.p2p"));
    for (struct dirent *e; (e = readdir(dir));)
        entries += e->d_name[0] != '.';
    closedir(dir);
    assert_int_equal(entries, 1); /* nothing left aside */
}

static void
a_root_knows_whether_it_is_at_its_path(void **state)
{
    struct fixture *f = *state;
    char here[PATH_MAX], there[PATH_MAX];

    snprintf(here, sizeof(here), "%s", scratch_path(&f->scratch, "root"));
    snprintf(there, sizeof(there), "%s", scratch_path(&f->scratch, "moved"));
    assert_true(p2p_root_is_in_place(f->root));
    assert_int_equal(rename(here, there), 0);
    assert_false(p2p_root_is_in_place(f->root));
    assert_int_equal(mkdir(here, 0755), 0); /* another one */
    assert_false(p2p_root_is_in_place(f->root));
    assert_int_equal(rmdir(here), 0);
    assert_int_equal(rename(there, here), 0);
    assert_true(p2p_root_is_in_place(f->root));
}

static void
a_missing_root_creates_nothing(void **state)
{
    struct fixture *f = *state;
    char path[PATH_MAX], near[PATH_MAX], real[PATH_MAX], expected[PATH_MAX + 16];
    struct p2p_root *root;
    int fd;

    snprintf(near, sizeof(near), "%s", scratch_path(&f->scratch, "root"));
    snprintf(path, sizeof(path), "%s", scratch_path(&f->scratch, "disk/shared"));
    assert_true(p2p_root_is_missing(path));
    assert_false(p2p_root_is_missing(near));
    assert_int_equal(p2p_root_open_away(path, near, &root), P2P_OK);
    assert_false(scratch_has(&f->scratch, "disk"));
    assert_string_equal(p2p_root_path(root), path);
    assert_false(p2p_root_is_in_place(root));
    assert_int_not_equal(p2p_root_open_private(root, "x", O_WRONLY | O_CREAT, &fd),
                         P2P_OK);
    assert_int_not_equal(p2p_root_make_folder(root, "x"), P2P_OK);
    p2p_root_close(root);
    assert_int_equal(p2p_root_open_away(path, path, &root), P2P_ERR_NOT_FOUND);
    assert_null(root);

    /* The path of a missing folder is the one it has when it is there. */
    assert_int_equal(p2p_root_resolve(path, real), P2P_OK);
    assert_non_null(realpath(scratch_path(&f->scratch, "."), near));
    snprintf(expected, sizeof(expected), "%s/disk/shared", near);
    assert_string_equal(real, expected);
    scratch_folder(&f->scratch, "disk");
    scratch_folder(&f->scratch, "disk/shared");
    assert_int_equal(p2p_root_resolve(path, real), P2P_OK);
    assert_string_equal(real, expected);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOT(roots_open_or_say_why),
        WITH_ROOT(a_root_knows_whether_it_is_at_its_path),
        WITH_ROOT(a_missing_root_creates_nothing),
        WITH_ROOT(only_regular_files_open),
        WITH_ROOT(walk_sees_files_and_follows_nothing),
        WITH_ROOT(walk_depth_is_bounded),
        WITH_ROOT(walk_stops_when_told),
        WITH_ROOT(walk_survives_files_that_vanish),
        WITH_ROOT(private_files_stay_private),
        WITH_ROOT(private_links_are_refused),
        WITH_ROOT(sweeping_takes_old_files_of_a_kind),
        WITH_ROOT(sweeping_takes_what_writers_of_a_file_left),
        WITH_ROOT(replace_writes_whole_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
