#include "ui/pictures/confine.h"

#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/base/libc.h"

#define MEMORY  (512ull << 20)
#define SECONDS 10
#define NOBODY  65534u

#if defined(__x86_64__) && defined(__ILP32__)
#define ARCH 0u /* x32: no filter is known */
#elif defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__i386__)
#define ARCH AUDIT_ARCH_I386
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#elif defined(__arm__)
#define ARCH AUDIT_ARCH_ARM
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCH AUDIT_ARCH_RISCV64
#else
#define ARCH 0u
#endif

#define LOAD(field) \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
#define ALLOW(nr)                                              \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(nr), 0, 1), \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define DIE BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
#ifdef __NR_mmap2
#define MAP __NR_mmap2
#else
#define MAP __NR_mmap
#endif
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LOW 0
#else
#define LOW 4
#endif
#define LOAD_ARGUMENT(i)               \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, \
             (uint32_t)(offsetof(struct seccomp_data, args) + 8 * (i) + LOW))

/* Any other call ends the process. Memory is neither of a file nor executable. */
static bool
filter_calls(void)
{
    struct sock_filter code[] = {
        LOAD(arch),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
        DIE,
        LOAD(nr),
        ALLOW(__NR_read),
        ALLOW(__NR_write),
        ALLOW(__NR_brk),
        ALLOW(__NR_munmap),
        ALLOW(__NR_mremap),
        ALLOW(__NR_madvise),
        ALLOW(__NR_futex),
        ALLOW(__NR_rt_sigreturn),
        ALLOW(__NR_exit),
        ALLOW(__NR_exit_group),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MAP, 1, 0),
        DIE,
        LOAD_ARGUMENT(2),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1),
        DIE,
        LOAD_ARGUMENT(3),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, MAP_ANONYMOUS, 1, 0),
        DIE,
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

    return ARCH != 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

static bool
give_up_root(void)
{
    if (geteuid() != 0)
        return true;
    return setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
           setresuid(NOBODY, NOBODY, NOBODY) == 0;
}

bool
ui_confine(int in, int out, bool filter)
{
    const struct rlimit none = {0, 0}, two = {2, 2}, seconds = {SECONDS, SECONDS},
                        memory = {MEMORY, MEMORY};
    struct itimerval timer = {.it_value = {.tv_sec = SECONDS}};

    /* `in` and `out` are above 1: the standard descriptors are open. */
    if (dup2(in, 0) != 0 || dup2(out, 1) != 1)
        return false;
    closefrom(2);
    if (setitimer(ITIMER_REAL, &timer, NULL) != 0 ||
        setrlimit(RLIMIT_CORE, &none) != 0 || setrlimit(RLIMIT_CPU, &seconds) != 0 ||
        setrlimit(RLIMIT_FSIZE, &none) != 0 || setrlimit(RLIMIT_NOFILE, &two) != 0)
        return false;
    if (!filter) /* sanitizers reserve more memory than this */
        return true;
    return setrlimit(RLIMIT_AS, &memory) == 0 && give_up_root() &&
           setrlimit(RLIMIT_NPROC, &none) == 0 &&
           prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 &&
           prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && filter_calls();
}
