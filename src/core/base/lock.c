/* The functions that the macros of lock.h call. */

#include "p2p/lock.h"

void
p2p_rwlock_prepare(void *rwlock)
{
    pthread_rwlockattr_t attr;

    pthread_rwlockattr_init(&attr);
#ifdef __GLIBC__ /* musl has one kind only */
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
#endif
    pthread_rwlock_init(rwlock, &attr);
    pthread_rwlockattr_destroy(&attr);
}
