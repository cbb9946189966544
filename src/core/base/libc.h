/*
 * libc - what glibc has and other C libraries (musl) lack. With glibc this header is
 * empty.
 */
#ifndef P2P_CORE_LIBC_H
#define P2P_CORE_LIBC_H

#include <features.h>

#ifndef __GLIBC__
#include <search.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif
#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE 2
#endif
#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

static inline void
closefrom(int low)
{
    (void)syscall(SYS_close_range, (unsigned)low, ~0U, 0U);
}

static inline int
renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

static inline ssize_t
preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    return syscall(SYS_preadv2, fd, iov, count, (long)offset,
                   (long)((uint64_t)offset >> 32), flags);
}

static inline const char *
strerrordesc_np(int errnum)
{
    return strerror(errnum);
}

/* twalk gives its callback no argument of the caller. */
struct p2p_twalk {
    void (*visit)(const void *node, VISIT which, void *closure);
    void *closure;
};
static inline struct p2p_twalk *
p2p_twalk_of_thread(void)
{
    static _Thread_local struct p2p_twalk walk;

    return &walk;
}

static inline void
p2p_twalk_visit(const void *node, VISIT which, int depth)
{
    const struct p2p_twalk *walk = p2p_twalk_of_thread();

    (void)depth;
    walk->visit(node, which, walk->closure);
}

static inline void
twalk_r(const void *root, void (*visit)(const void *node, VISIT which, void *closure),
        void *closure)
{
    *p2p_twalk_of_thread() = (struct p2p_twalk){visit, closure};
    twalk(root, p2p_twalk_visit);
}
#endif

#endif
