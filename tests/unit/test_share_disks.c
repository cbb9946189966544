/* Disks beneath the shared folder that are unmounted, or mounted over files: nothing
 * counts as deleted. */
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define QUIET_MS 20 /* missing files are judged sooner */
#include "p2p/clock.h"
#include "share_fixture.h"

/* The folder "disk" is mounted at "s/usb", which has a file of its own beneath. */
static int
setup(void **state)
{
    struct shared *f;

    shared_setup(state);
    f = *state;
    scratch_folder(&f->scratch, "s/usb");
    scratch_folder(&f->scratch, "disk");
    scratch_put(&f->scratch, "s/other", "x");
    scratch_put(&f->scratch, "disk/a", "a");
    scratch_put(&f->scratch, "disk/b", "b");
    return 0;
}

static const char *
path_of(struct shared *f, const char *name, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s", scratch_path(&f->scratch, name));
    return out;
}

static void
mount_at(struct shared *f, const char *disk, const char *place)
{
    char from[PATH_MAX], to[PATH_MAX];

    if (mount(path_of(f, disk, from), path_of(f, place, to), NULL, MS_BIND, NULL) != 0)
        skip(); /* not root */
}

static void
unmount_from(struct shared *f, const char *place)
{
    assert_int_equal(umount2(scratch_path(&f->scratch, place), MNT_DETACH), 0);
}

static int
teardown(void **state)
{
    struct shared *f = *state;

    shared_close(f);
    while (umount2(scratch_path(&f->scratch, "s/usb"), MNT_DETACH) == 0)
        continue;
    return shared_teardown(state);
}

static struct p2p_share_totals
totals_of(struct shared *f)
{
    struct p2p_share_totals totals;

    p2p_share_totals(f->share, &totals);
    return totals;
}

static void
wait_for_away(struct shared *f, uint64_t files)
{
    uint64_t until = patience_end_ms();

    while (totals_of(f).away_files != files) {
        assert_true(p2p_now_ms() < until);
        usleep(10000);
    }
}

static void
wait_for(struct shared *f, const char *name, enum p2p_err err)
{
    uint64_t until = patience_end_ms();

    while (shared_find(f, name) != err) {
        assert_true(p2p_now_ms() < until);
        usleep(10000);
    }
}

struct text {
    char text[1024];
};

static void
add_problem(void *arg, const char *name, const char *reason)
{
    struct text *t = arg;
    size_t len = strlen(t->text);

    snprintf(t->text + len, sizeof(t->text) - len, "%s: %s\n", name, reason);
}

static void
add_disk(void *arg, const char *place, uint64_t files)
{
    struct text *t = arg;
    size_t len = strlen(t->text);

    snprintf(t->text + len, sizeof(t->text) - len, "%s %llu\n", place,
             (unsigned long long)files);
}

/* What people see, once the index has it. */
static void
wait_for_report(struct shared *f, const char *disks, const char *problem)
{
    uint64_t until = patience_end_ms();

    for (;; usleep(10000)) {
        struct text seen = {""}, said = {""}, from_outside = {""};
        const struct p2p_root *root = p2p_share_root(f->share);
        if (p2p_share_disks(f->share, add_disk, &seen) == P2P_OK &&
            p2p_share_disks_at(root, NULL, add_disk, &from_outside) == P2P_OK &&
            p2p_share_problems(f->share, add_problem, &said) == P2P_OK &&
            strcmp(seen.text, disks) == 0 && strcmp(from_outside.text, disks) == 0 &&
            (*problem ? strstr(said.text, problem) != NULL : said.text[0] == '\0'))
            return;
        assert_true(p2p_now_ms() < until);
    }
}

static void
an_unmounted_disk_is_awaited(void **state)
{
    struct shared *f = *state;

    mount_at(f, "disk", "s/usb");
    shared_open(f, 0);
    shared_settle(f);
    assert_int_equal(shared_find(f, "usb/a"), P2P_OK);
    unmount_from(f, "s/usb");
    wait_for_away(f, 2);
    assert_int_equal(shared_find(f, "usb/a"), P2P_ERR_NOT_FOUND);
    assert_int_equal(shared_find(f, "other"), P2P_OK);
    assert_false(totals_of(f).is_away);
    wait_for_report(f, "usb 2\n", "usb: the disk with 2 files is not mounted");
    shared_close(f);
    shared_open(f, 0); /* a restart changes nothing */
    wait_for_report(f, "usb 2\n", "usb: the disk with 2 files is not mounted");
    mount_at(f, "disk", "s/usb");
    wait_for_away(f, 0);
    wait_for(f, "usb/a", P2P_OK);
    wait_for(f, "usb/b", P2P_OK);
    assert_int_equal(shared_entry(f, "usb/a").version, 1);
    assert_int_equal(shared_hashed(f), 0); /* nothing was read again */
    wait_for_report(f, "", "");
}

static void
a_disk_is_missed_at_the_start(void **state)
{
    struct shared *f = *state;

    mount_at(f, "disk", "s/usb");
    shared_open(f, 0);
    shared_settle(f);
    shared_close(f);
    unmount_from(f, "s/usb");
    shared_open(f, 0);
    wait_for_away(f, 2);
    shared_close(f);
    mount_at(f, "disk", "s/usb");
    shared_open(f, 0);
    wait_for_away(f, 0);
    wait_for(f, "usb/a", P2P_OK);
    assert_int_equal(shared_entry(f, "usb/a").version, 1);
    assert_int_equal(shared_hashed(f), 0);
}

/* The number of a name rises when it comes back after a deletion. */
static void
what_is_deleted_on_a_disk_is_deleted(void **state)
{
    struct shared *f = *state;
    uint64_t until = patience_end_ms();

    mount_at(f, "disk", "s/usb");
    shared_open(f, 0);
    shared_settle(f);
    unmount_from(f, "s/usb");
    wait_for_away(f, 2);
    assert_int_equal(unlink(scratch_path(&f->scratch, "disk/b")), 0);
    mount_at(f, "disk", "s/usb");
    wait_for_away(f, 0);
    wait_for(f, "usb/a", P2P_OK);
    assert_int_equal(unlink(scratch_path(&f->scratch, "s/usb/a")), 0);
    for (unsigned round = 0; round < 2; round++) {
        const char *name = round == 0 ? "usb/a" : "usb/b";
        const char *file = round == 0 ? "s/usb/a" : "s/usb/b";
        wait_for(f, name, P2P_ERR_NOT_FOUND);
        do { /* until the deletion was recorded */
            scratch_put(&f->scratch, file, "c");
            wait_for(f, name, P2P_OK);
            if (shared_entry(f, name).version > 1)
                break;
            unlink(scratch_path(&f->scratch, file));
            wait_for(f, name, P2P_ERR_NOT_FOUND);
            assert_true(p2p_now_ms() < until);
        } while (usleep(300000) == 0);
    }
}

static void
the_owner_can_confirm(void **state)
{
    struct shared *f = *state;

    mount_at(f, "disk", "s/usb");
    shared_open(f, 0);
    shared_settle(f);
    unmount_from(f, "s/usb");
    wait_for_away(f, 2);
    assert_int_equal(p2p_share_confirm_at(p2p_share_root(f->share), NULL), P2P_OK);
    wait_for_away(f, 0);
    wait_for_report(f, "", "");
    mount_at(f, "disk", "s/usb");
    wait_for(f, "usb/a", P2P_OK);
    assert_int_equal(shared_entry(f, "usb/a").version, 2);
}

static void
covered_files_are_awaited(void **state)
{
    struct shared *f = *state;

    scratch_put(&f->scratch, "s/usb/under", "x");
    shared_open(f, 0);
    shared_settle(f);
    mount_at(f, "disk", "s/usb");
    wait_for_away(f, 1);
    wait_for(f, "usb/a", P2P_OK);
    assert_int_equal(shared_find(f, "usb/under"), P2P_ERR_NOT_FOUND);
    wait_for_report(f, "usb 1\n", "usb: a disk is mounted over 1 file:");
    shared_close(f);
    shared_open(f, 0);
    wait_for_report(f, "usb 1\n", "usb: a disk is mounted over 1 file:");
    shared_settle(f);
    unmount_from(f, "s/usb"); /* now the others are away */
    wait_for(f, "usb/under", P2P_OK);
    wait_for_away(f, 2);
    wait_for_report(f, "usb 2\n", "usb: the disk with 2 files is not mounted");
    assert_int_equal(shared_entry(f, "usb/under").version, 1);
    assert_int_equal(shared_hashed(f), 0);
}

static void
files_put_in_place_of_a_disk_are_ordinary(void **state)
{
    struct shared *f = *state;

    mount_at(f, "disk", "s/usb");
    shared_open(f, 0);
    shared_settle(f);
    unmount_from(f, "s/usb");
    wait_for_away(f, 2);
    scratch_put(&f->scratch, "s/usb/a", "another");
    wait_for_away(f, 1);
    wait_for(f, "usb/a", P2P_OK);
    assert_int_equal(unlink(scratch_path(&f->scratch, "s/usb/a")), 0);
    wait_for(f, "usb/a", P2P_ERR_NOT_FOUND);
    scratch_put(&f->scratch, "s/usb/new", "new");
    wait_for(f, "usb/new", P2P_OK);
    assert_int_equal(totals_of(f).away_files, 1);
}

/* Its server has ended, as that of a network folder. */
static void
a_dead_disk_is_awaited(void **state)
{
    struct shared *f = *state;
    char options[128];
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

    scratch_put(&f->scratch, "s/usb/a", "a");
    scratch_put(&f->scratch, "s/usb/b", "b");
    shared_open(f, 0);
    shared_settle(f);
    snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
    if (fd < 0 ||
        mount("dead", scratch_path(&f->scratch, "s/usb"), "fuse.dead", 0, options) != 0)
        skip(); /* not root, or no FUSE */
    close(fd);
    wait_for_away(f, 2);
    assert_int_equal(shared_find(f, "other"), P2P_OK);
    scratch_put(&f->scratch, "s/z", "z");
    wait_for(f, "z", P2P_OK);
    wait_for_report(f, "usb 2\n", "usb: Transport endpoint is not connected");
    shared_close(f);
    shared_open(f, 0);
    shared_settle(f);
    wait_for_report(f, "usb 2\n", "usb: Transport endpoint is not connected");
    unmount_from(f, "s/usb");
    wait_for_away(f, 0);
    wait_for(f, "usb/a", P2P_OK);
    wait_for(f, "usb/b", P2P_OK);
    assert_int_equal(shared_entry(f, "usb/a").version, 1);
    assert_int_equal(shared_hashed(f), 0);
}

/* As root, permissions count for nothing. */
static void
become(uid_t uid, struct shared *f)
{
    static const char *const own[] = {"",        "s",       "s/usb",
                                      "s/other", "s/usb/a", "s/usb/b"};

    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]) && uid != 0; i++)
        if (chown(scratch_path(&f->scratch, own[i]), uid, (gid_t)-1) != 0)
            skip();
    if (seteuid(uid) != 0)
        skip();
}

static void
wait_for_version(struct shared *f, const char *name, uint32_t version)
{
    uint64_t until = patience_end_ms();

    while (shared_find(f, name) != P2P_OK || shared_entry(f, name).version != version) {
        assert_true(p2p_now_ms() < until);
        usleep(10000);
    }
}

static void
a_folder_without_permission_is_awaited(void **state)
{
    struct shared *f = *state;
    bool is_root = geteuid() == 0;
    char usb[PATH_MAX];

    path_of(f, "s/usb", usb);
    scratch_put(&f->scratch, "s/usb/a", "a");
    scratch_put(&f->scratch, "s/usb/b", "b");
    if (is_root)
        become(65534, f);
    shared_open(f, 0);
    shared_settle(f);
    for (unsigned round = 0; round < 2; round++) {
        assert_int_equal(chmod(usb, 0), 0);
        p2p_share_rescan(f->share);
        wait_for_away(f, 2);
        assert_int_equal(shared_find(f, "other"), P2P_OK);
        wait_for_report(f, "usb 2\n", "usb: Permission denied");
        if (round == 1) /* while nobody can see it */
            assert_int_equal(rename(usb, scratch_path(&f->scratch, "s/.aside")), 0);
        else
            assert_int_equal(chmod(usb, 0755), 0);
        wait_for_away(f, 0);
        if (round == 0) {
            wait_for_version(f, "usb/a", 1);
            wait_for_version(f, "usb/b", 1);
        }
    }
    wait_for_report(f, "", ""); /* it is gone, so its files are */
    scratch_folder(&f->scratch, "s/usb");
    scratch_put(&f->scratch, "s/usb/a", "another");
    wait_for_version(f, "usb/a", 2);
    shared_close(f);
    if (is_root)
        become(0, f);
    chmod(scratch_path(&f->scratch, "s/.aside"), 0755);
}

/* They do not fill the list: nothing is absent because of them. */
static void
many_closed_folders_leave_room(void **state)
{
    struct shared *f = *state;
    bool is_root = geteuid() == 0;
    char name[32];

    scratch_put(&f->scratch, "s/usb/a", "a");
    scratch_put(&f->scratch, "s/usb/b", "b");
    if (is_root)
        become(65534, f);
    for (unsigned i = 0; i < 70; i++) {
        snprintf(name, sizeof(name), "s/closed %u", i);
        scratch_folder(&f->scratch, name);
        assert_int_equal(chmod(scratch_path(&f->scratch, name), 0), 0);
    }
    shared_open(f, 0);
    shared_settle(f);
    assert_int_equal(chmod(scratch_path(&f->scratch, "s/usb"), 0), 0);
    p2p_share_rescan(f->share);
    wait_for_away(f, 2);
    shared_close(f);
    if (is_root)
        become(0, f);
    chmod(scratch_path(&f->scratch, "s/usb"), 0755);
    for (unsigned i = 0; i < 70; i++) {
        snprintf(name, sizeof(name), "s/closed %u", i);
        chmod(scratch_path(&f->scratch, name), 0755);
    }
}

#define ON_DISK(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        ON_DISK(an_unmounted_disk_is_awaited),
        ON_DISK(a_disk_is_missed_at_the_start),
        ON_DISK(what_is_deleted_on_a_disk_is_deleted),
        ON_DISK(the_owner_can_confirm),
        ON_DISK(covered_files_are_awaited),
        ON_DISK(files_put_in_place_of_a_disk_are_ordinary),
        ON_DISK(a_dead_disk_is_awaited),
        ON_DISK(a_folder_without_permission_is_awaited),
        ON_DISK(many_closed_folders_leave_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
