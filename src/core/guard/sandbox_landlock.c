/*
 * Restricts the file system with Landlock (landlock(7)): every right that is handled
 * here is refused except beneath the folders of the rules. Constants that are newer
 * than the oldest supported headers are written as numbers.
 */
#include <errno.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/guard/sandbox_internal.h"

/* Before version 2, files could not be moved between folders, as downloads must be. */
enum { ABI_MIN = 2, ABI_TRUNCATE = 3, ABI_NET = 4, ABI_IOCTL = 5, ABI_SCOPE = 6 };

#define FS_TRUNCATE  (1ULL << 14)
#define FS_IOCTL_DEV (1ULL << 15)
#define NET_BIND_TCP (1ULL << 0)
#define SCOPE_ALL    (3ULL << 0) /* abstract Unix sockets, signals */

struct ruleset_attr {
    uint64_t handled_access_fs;
    uint64_t handled_access_net;
    uint64_t scoped;
};

#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
/* Creating links, devices, sockets and pipes is never needed. */
#define FS_WRITE                                                      \
    (FS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE |          \
     LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |      \
     LANDLOCK_ACCESS_FS_REFER)
#define FS_OF_FILES \
    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE)

static int
landlock_abi(void)
{
    long abi =
        syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    return abi > 0 ? (int)abi : 0;
}

int
p2p_sandbox_landlock_abi(void)
{
    int abi = landlock_abi();

    return abi >= ABI_MIN ? abi : 0;
}

static int
create_ruleset(int abi, uint64_t *handled_fs)
{
    struct ruleset_attr attr = {
        .handled_access_fs = (LANDLOCK_ACCESS_FS_REFER << 1) - 1,
    };
    size_t size = sizeof(attr.handled_access_fs);

    if (abi >= ABI_TRUNCATE)
        attr.handled_access_fs |= FS_TRUNCATE;
    if (abi >= ABI_IOCTL)
        attr.handled_access_fs |= FS_IOCTL_DEV;
    /* The listening sockets are open already, and no others are needed. */
    if (abi >= ABI_NET) {
        attr.handled_access_net = NET_BIND_TCP;
        size = offsetof(struct ruleset_attr, scoped);
    }
    if (abi >= ABI_SCOPE) {
        attr.scoped = SCOPE_ALL;
        size = sizeof(attr);
    }
    *handled_fs = attr.handled_access_fs;
    return (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
}

static int
add_rule(int ruleset, uint64_t handled_fs, int fd, enum p2p_sandbox_access access)
{
    struct landlock_path_beneath_attr attr = {
        .allowed_access =
            handled_fs & (access == P2P_SANDBOX_WRITE ? FS_WRITE : FS_READ),
        .parent_fd = fd,
    };
    struct stat st;

    if (fstat(fd, &st) != 0)
        return -1;
    if (!S_ISDIR(st.st_mode))
        attr.allowed_access &= FS_OF_FILES;
    return (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
                        &attr, 0);
}

enum p2p_err
p2p_sandbox_enter_landlock(const struct p2p_sandbox_rules *rules, int *abi)
{
    uint64_t handled_fs = 0;
    enum p2p_err err = P2P_OK;
    int ruleset;

    *abi = 0;
    if (p2p_sandbox_landlock_abi() == 0)
        return P2P_ERR_UNSUPPORTED;
    if ((ruleset = create_ruleset(landlock_abi(), &handled_fs)) < 0)
        return p2p_err_from_errno(errno);
    for (size_t i = 0; i < rules->count && err == P2P_OK; i++)
        if (add_rule(ruleset, handled_fs, rules->at[i].fd, rules->at[i].access) != 0)
            err = p2p_err_from_errno(errno);
    if (err == P2P_OK && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        err = p2p_err_from_errno(errno);
    close(ruleset);
    if (err == P2P_OK)
        *abi = landlock_abi();
    return err;
}
