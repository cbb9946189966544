/*
 * Restricts system calls with a seccomp allow list (libseccomp). A call that is not in
 * the list fails, but does not end the process: the calls that libraries make change
 * from release to release, and a daemon that dies after an upgrade would be worse,
 * while an error does not help an attacker. Unlisted calls return ENOSYS, so that the C
 * library falls back to an older call. Calls that an attacker would need return EPERM,
 * which is easier to read in a trace.
 */
#include "core/guard/sandbox_internal.h"

#ifdef P2P_WITH_SECCOMP

#include <errno.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

#define SOCK_TYPE_MASK 0xfU

/* Compares argument `n` with `value`, or its bits under a mask. The library's own
 * macros leave a field uninitialized, which clang warns about. */
#define EQUAL(n, value) \
    ((struct scmp_arg_cmp){.arg = (n), .op = SCMP_CMP_EQ, .datum_a = (value)})
#define MASKED(n, mask, value) \
    ((struct scmp_arg_cmp){    \
        .arg = (n), .op = SCMP_CMP_MASKED_EQ, .datum_a = (mask), .datum_b = (value)})

static const char *const allowed[] = {
    /* files: Landlock says which */
    "access",
    "arm_fadvise64_64",
    "close",
    "close_range",
    "copy_file_range",
    "dup",
    "dup2",
    "dup3",
    "faccessat",
    "faccessat2",
    "fadvise64",
    "fadvise64_64",
    "fallocate",
    "fchmod",
    "fcntl",
    "fcntl64",
    "fdatasync",
    "flock",
    "fstat",
    "fstat64",
    "fstatat64",
    "fstatfs",
    "fstatfs64",
    "fsync",
    "ftruncate",
    "ftruncate64",
    "getcwd",
    "getdents64",
    "inotify_add_watch",
    "inotify_init1",
    "inotify_rm_watch",
    "link",
    "linkat",
    "lseek",
    "_llseek",
    "lstat",
    "lstat64",
    "mkdir",
    "mkdirat",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "pipe",
    "pipe2",
    "pread64",
    "preadv",
    "preadv2",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "read",
    "readahead",
    "readlink",
    "readlinkat",
    "readv",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "sendfile",
    "sendfile64",
    "splice",
    "stat",
    "stat64",
    "statfs",
    "statfs64",
    "statx",
    "sync_file_range",
    "sync_file_range2",
    "syncfs",
    "umask",
    "unlink",
    "unlinkat",
    "write",
    "writev",
    /* connections, without listen */
    "accept",
    "accept4",
    "bind",
    "connect",
    "getpeername",
    "getsockname",
    "getsockopt",
    "recv",
    "recvfrom",
    "recvmmsg",
    "recvmmsg_time64",
    "recvmsg",
    "send",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "setsockopt",
    "shutdown",
    /* waiting */
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "eventfd2",
    "poll",
    "ppoll",
    "ppoll_time64",
    "pselect6",
    "pselect6_time64",
    "select",
    "_newselect",
    "signalfd4",
    "timerfd_create",
    "timerfd_gettime",
    "timerfd_gettime64",
    "timerfd_settime",
    "timerfd_settime64",
    /* memory; mmap and mprotect have rules below */
    "brk",
    "madvise",
    "mincore",
    "mlock",
    "mlock2",
    "mlockall",
    "mremap",
    "msync",
    "munlock",
    "munlockall",
    "munmap",
    /* threads; clone is below */
    "arch_prctl",
    "exit",
    "exit_group",
    "futex",
    "futex_time64",
    "get_robust_list",
    "getcpu",
    "getpriority",
    "ioprio_get",
    "ioprio_set",
    "membarrier",
    "restart_syscall",
    "rseq",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "sched_getaffinity",
    "sched_getparam",
    "sched_getscheduler",
    "sched_setaffinity",
    "sched_setscheduler",
    "sched_yield",
    "set_robust_list",
    "set_tid_address",
    "setpriority",
    /* signals of this process; kill has a rule below */
    "pause",
    "rt_sigaction",
    "rt_sigpending",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "rt_sigtimedwait_time64",
    "sigaltstack",
    "sigreturn",
    /* time, random numbers, and ids of the process */
    "capget",
    "clock_getres",
    "clock_getres_time64",
    "clock_gettime",
    "clock_gettime64",
    "clock_nanosleep",
    "clock_nanosleep_time64",
    "getegid",
    "getegid32",
    "geteuid",
    "geteuid32",
    "getgid",
    "getgid32",
    "getgroups",
    "getgroups32",
    "getpgid",
    "getpgrp",
    "getpid",
    "getppid",
    "getrandom",
    "getresgid",
    "getresgid32",
    "getresuid",
    "getresuid32",
    "getrlimit",
    "getrusage",
    "getsid",
    "gettid",
    "gettimeofday",
    "getuid",
    "getuid32",
    "nanosleep",
    "sysinfo",
    "time",
    "times",
    "ugetrlimit",
    "uname",
};

static const char *const refused[] = {
    "add_key",
    "bpf",
    "chmod",
    "chown",
    "chroot",
    "delete_module",
    "execve",
    "execveat",
    "fchmodat",
    "fchownat",
    "finit_module",
    "fork",
    "fsmount",
    "fsopen",
    "init_module",
    "io_uring_setup",
    "kcmp",
    "keyctl",
    "lchown",
    "listen",
    "memfd_create",
    "mknod",
    "mknodat",
    "mount",
    "move_mount",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pidfd_getfd",
    "pidfd_open",
    "pidfd_send_signal",
    "pivot_root",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "reboot",
    "removexattr",
    "request_key",
    "seccomp",
    "setdomainname",
    "setgid",
    "setgroups",
    "sethostname",
    "setns",
    "setpgid",
    "setresgid",
    "setresuid",
    "setsid",
    "setuid",
    "setxattr",
    "shmat",
    "shmget",
    "symlink",
    "symlinkat",
    "umount2",
    "unshare",
    "userfaultfd",
    "vfork",
};

/* TIOCSTI on the terminal could type commands for the user. */
static const unsigned long ioctls[] = {
    FIONREAD, FIONBIO,      TCGETS,       TIOCGWINSZ,
    FICLONE,  FICLONERANGE, SIOCGIFINDEX, SIOCGIFNAME,
};

static const int prctls[] = {
    PR_SET_NAME,     PR_GET_NAME,    PR_SET_VMA,          PR_GET_DUMPABLE,
    PR_CAPBSET_READ, PR_GET_SECCOMP, PR_GET_NO_NEW_PRIVS,
};

static int
add_list(scmp_filter_ctx ctx, uint32_t action, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int call = seccomp_syscall_resolve_name(names[i]);
        int rc = call == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(ctx, action, call, 0);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Allows sockets of a family with this type (without flags) and protocol. */
static int
add_socket(scmp_filter_ctx ctx, int family, unsigned type, int protocol)
{
    return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 3,
                            EQUAL(0, (unsigned)family), MASKED(1, SOCK_TYPE_MASK, type),
                            EQUAL(2, (unsigned)protocol));
}

/* A socket pair has no other end. A datagram pair could get one: sendto and connect
 * give it any other end (unix(7)), such as the journal or the service manager. */
static int
add_pair(scmp_filter_ctx ctx, unsigned type)
{
    return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 2,
                            EQUAL(0, AF_UNIX), MASKED(1, SOCK_TYPE_MASK, type));
}

static int
add_sockets(scmp_filter_ctx ctx)
{
    static const struct {
        unsigned type;
        int protocol;
    } kinds[] = {
        {SOCK_STREAM, 0},
        {SOCK_STREAM, IPPROTO_TCP},
        {SOCK_DGRAM, 0},
        {SOCK_DGRAM, IPPROTO_UDP},
    };
    int rc = 0;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && rc == 0; i++) {
        rc = add_socket(ctx, AF_INET, kinds[i].type, kinds[i].protocol);
        if (rc == 0)
            rc = add_socket(ctx, AF_INET6, kinds[i].type, kinds[i].protocol);
    }
    /* Lists of interfaces and addresses: NETLINK_ROUTE. */
    if (rc == 0)
        rc = add_socket(ctx, AF_NETLINK, SOCK_RAW, 0);
    if (rc == 0)
        rc = add_socket(ctx, AF_NETLINK, SOCK_DGRAM, 0);
    if (rc == 0)
        rc = add_pair(ctx, SOCK_STREAM);
    if (rc == 0)
        rc = add_pair(ctx, SOCK_SEQPACKET);
    return rc;
}

/* Memory is never both writable and executable, so that no new code can be brought
 * in. */
static int
add_memory(scmp_filter_ctx ctx)
{
    static const char *const maps[] = {"mmap", "mmap2"};
    int rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                              MASKED(2, PROT_EXEC, 0));

    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]) && rc == 0; i++) {
        int call = seccomp_syscall_resolve_name(maps[i]);
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 1, MASKED(2, PROT_EXEC, 0));
        if (rc == 0)
            rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 1,
                                  MASKED(2, PROT_WRITE, 0));
    }
    return rc;
}

/* Allows new threads but no new processes, and signals to this process only. */
static int
add_process(scmp_filter_ctx ctx)
{
    static const char *const times[] = {"utimensat", "utimensat_time64"};
    const scmp_datum_t self = (scmp_datum_t)getpid();
    int rc = seccomp_rule_add(
        ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
        MASKED(0, CLONE_THREAD | CLONE_VM | CLONE_NEWUSER, CLONE_THREAD | CLONE_VM));

    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(kill), 1, EQUAL(0, self));
    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, EQUAL(0, self));
    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, EQUAL(0, 0));
    /* futimens: the times of an open file, not of a path */
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]) && rc == 0; i++) {
        int call = seccomp_syscall_resolve_name(times[i]);
        if (call != __NR_SCMP_ERROR)
            rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 1, EQUAL(1, 0));
    }
    return rc;
}

static int
add_controls(scmp_filter_ctx ctx)
{
    int rc = 0;

    for (size_t i = 0; i < sizeof(ioctls) / sizeof(ioctls[0]) && rc == 0; i++)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                              MASKED(1, 0xffffffffU, ioctls[i]));
    for (size_t i = 0; i < sizeof(prctls) / sizeof(prctls[0]) && rc == 0; i++)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
                              EQUAL(0, (scmp_datum_t)prctls[i]));
    return rc;
}

static int
load(scmp_filter_ctx ctx)
{
    int rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 0); /* it is set already */

    /* Builds a tree instead of a chain, so that a call needs few comparisons. Older
     * versions of the library cannot do this. */
    (void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (rc == 0)
        rc = add_list(ctx, SCMP_ACT_ALLOW, allowed,
                      sizeof(allowed) / sizeof(allowed[0]));
    if (rc == 0)
        rc = add_list(ctx, SCMP_ACT_ERRNO(EPERM), refused,
                      sizeof(refused) / sizeof(refused[0]));
    if (rc == 0)
        rc = add_sockets(ctx);
    if (rc == 0)
        rc = add_memory(ctx);
    if (rc == 0)
        rc = add_process(ctx);
    if (rc == 0)
        rc = add_controls(ctx);
    return rc == 0 ? seccomp_load(ctx) : rc;
}

bool
p2p_sandbox_has_seccomp(void)
{
    return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0;
}

enum p2p_err
p2p_sandbox_enter_seccomp(void)
{
    scmp_filter_ctx ctx;
    int rc;

    if (!p2p_sandbox_has_seccomp())
        return P2P_ERR_UNSUPPORTED;
    if ((ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS))) == NULL)
        return P2P_ERR_NOMEM;
    rc = load(ctx);
    seccomp_release(ctx);
    return rc == 0 ? P2P_OK : p2p_err_from_errno(-rc);
}

#else

bool
p2p_sandbox_has_seccomp(void)
{
    return false;
}

enum p2p_err
p2p_sandbox_enter_seccomp(void)
{
    return P2P_ERR_UNSUPPORTED;
}

#endif
