/*
 * lock - mutexes and read-write locks whose use clang checks.
 *
 * P2P_MUTEX_KIND(queue_lock) declares a type for the locks of one kind, and the name
 * that the annotations use:
 *
 *     P2P_MUTEX_KIND(queue_lock);
 *     struct queue {
 *         struct queue_lock lock;
 *         size_t count P2P_GUARDED_BY(queue_lock);
 *     };
 *     static void push(struct queue *q) P2P_REQUIRES(queue_lock);
 *
 * With clang, -Wthread-safety then refuses a guarded field that is used without its
 * lock, a call of push() without it, a lock that is taken twice, and one that is not
 * released on some path. It knows the kind of lock only, not which object it belongs
 * to. With other compilers the annotations are empty.
 *
 * Builds with clang and sanitizers also check the order of kinds, at run time
 * (core/base/lock_order.h).
 *
 * A function that releases its caller's lock and takes it again cannot be seen by the
 * analysis: its name ends in _unlocks.
 */
#ifndef P2P_LOCK_H
#define P2P_LOCK_H

#include <pthread.h>

#include "p2p/clock.h"

#if defined(__clang__) && !defined(__cplusplus)
#define P2P_LOCK_CHECK(attribute) __attribute__((attribute))
#else
#define P2P_LOCK_CHECK(attribute)
#endif

/* After a field or a variable: it is used under this lock only. The second one: this is
 * true for the memory that the pointer points to. */
#define P2P_GUARDED_BY(kind)    P2P_LOCK_CHECK(guarded_by(kind))
#define P2P_PT_GUARDED_BY(kind) P2P_LOCK_CHECK(pt_guarded_by(kind))
/* After a function: the caller holds the lock. The second one: holding it for reading
 * is enough. */
#define P2P_REQUIRES(kind)      P2P_LOCK_CHECK(requires_capability(kind))
#define P2P_REQUIRES_READ(kind) P2P_LOCK_CHECK(requires_shared_capability(kind))
/* The caller does not hold the lock: the function takes it itself. */
#define P2P_EXCLUDES(kind) P2P_LOCK_CHECK(locks_excluded(kind))
/* The function returns with the lock held, with the lock held for reading, or with the
 * lock released. */
#define P2P_ACQUIRES(kind)      P2P_LOCK_CHECK(acquire_capability(kind))
#define P2P_ACQUIRES_READ(kind) P2P_LOCK_CHECK(acquire_shared_capability(kind))
#define P2P_RELEASES(kind)      P2P_LOCK_CHECK(release_generic_capability(kind))
/* The analysis skips this function. A comment tells why the function is right. */
#define P2P_NO_LOCK_CHECK P2P_LOCK_CHECK(no_thread_safety_analysis)

/* For locks in static memory. */
#define P2P_MUTEX_INITIALIZER     \
    {                             \
        PTHREAD_MUTEX_INITIALIZER \
    }

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* For p2p_rwlock_init: initializes a pthread_rwlock_t, a type that strict C11 does not
 * know. Writers have priority: a stream of readers does not keep a writer waiting. So a
 * thread must not take the lock for reading twice. */
void p2p_rwlock_prepare(void *rwlock);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

/*
 * Of a `struct KIND *lock` of a mutex:
 *
 *   p2p_mutex_init(lock)       makes it. Until the end of this function, guarded fields
 *                              may be used: no other thread knows the object yet.
 *   p2p_mutex_unshared(lock)   does nothing, and allows the same: no other thread uses
 *                              the object any longer.
 *   p2p_mutex_clear(lock)      releases what init made.
 *   p2p_lock(lock), p2p_unlock(lock), p2p_try_lock(lock) (true: taken)
 *   p2p_wait(cond, lock), p2p_wait_until(cond, lock, deadline_ms)
 *                              as p2p_cond_wait_until; the condition variable is made
 *                              by p2p_cond_init
 *
 * Of a read-write lock: p2p_rwlock_init, p2p_rwlock_unshared, p2p_rwlock_clear, and
 *
 *   p2p_read_lock(lock), p2p_write_lock(lock), p2p_rw_unlock(lock)
 *   p2p_sole_writer(lock)      does nothing: this thread is the only one that ever
 *                              writes, so it reads without the lock.
 */
#if defined(__clang__) && !defined(__cplusplus)

#define P2P_LOCK_CALL_(attributes) \
    static inline                  \
        __attribute__((overloadable, unused, no_thread_safety_analysis, attributes))

/* Builds with sanitizers check the order in which locks of different kinds are taken.
 */
#ifdef P2P_LOCK_ORDER
#include "core/base/lock_order.h"
#define P2P_LOCK_ORDER_(call, lock, kind)                  \
    {                                                      \
        static p2p_lock_order_id p2p_lock_id_;             \
        p2p_lock_order_##call(lock, #kind, &p2p_lock_id_); \
    }
#define P2P_LOCK_RELEASE_(lock) p2p_lock_order_release(lock);
#else
#define P2P_LOCK_ORDER_(call, lock, kind)
#define P2P_LOCK_RELEASE_(lock)
#endif

/* This variable is never defined: it represents the lock in the annotations. */
#define P2P_LOCK_KIND_(kind, member) \
    struct kind {                    \
        member;                      \
    };                               \
    extern struct p2p_lock_kind kind

#define P2P_MUTEX_KIND(kind)                                                           \
    P2P_LOCK_KIND_(kind, pthread_mutex_t mutex);                                       \
    P2P_LOCK_CALL_(assert_capability(kind)) void p2p_mutex_init(struct kind *lock)     \
    {                                                                                  \
        pthread_mutex_init(&lock->mutex, NULL);                                        \
    }                                                                                  \
    P2P_LOCK_CALL_(assert_capability(kind)) void p2p_mutex_unshared(struct kind *lock) \
    {                                                                                  \
        (void)lock;                                                                    \
    }                                                                                  \
    P2P_LOCK_CALL_(acquire_capability(kind)) void p2p_lock(struct kind *lock)          \
    {                                                                                  \
        P2P_LOCK_ORDER_(take, lock, kind)                                              \
        pthread_mutex_lock(&lock->mutex);                                              \
    }                                                                                  \
    P2P_LOCK_CALL_(release_capability(kind)) void p2p_unlock(struct kind *lock)        \
    {                                                                                  \
        P2P_LOCK_RELEASE_(lock)                                                        \
        pthread_mutex_unlock(&lock->mutex);                                            \
    }                                                                                  \
    P2P_LOCK_CALL_(try_acquire_capability(true, kind))                                 \
    bool p2p_try_lock(struct kind *lock)                                               \
    {                                                                                  \
        if (pthread_mutex_trylock(&lock->mutex) != 0)                                  \
            return false;                                                              \
        P2P_LOCK_ORDER_(took, lock, kind)                                              \
        return true;                                                                   \
    }                                                                                  \
    P2P_LOCK_CALL_(requires_capability(kind))                                          \
    bool p2p_wait_until(pthread_cond_t *cond, struct kind *lock, uint64_t deadline_ms) \
    {                                                                                  \
        return p2p_cond_wait_until(cond, &lock->mutex, deadline_ms);                   \
    }                                                                                  \
    extern struct p2p_lock_kind kind

#define P2P_RWLOCK_KIND(kind)                                                       \
    P2P_LOCK_KIND_(kind, pthread_rwlock_t rwlock);                                  \
    P2P_LOCK_CALL_(assert_capability(kind)) void p2p_rwlock_init(struct kind *lock) \
    {                                                                               \
        p2p_rwlock_prepare(&lock->rwlock);                                          \
    }                                                                               \
    P2P_LOCK_CALL_(assert_capability(kind))                                         \
    void p2p_rwlock_unshared(struct kind *lock)                                     \
    {                                                                               \
        (void)lock;                                                                 \
    }                                                                               \
    P2P_LOCK_CALL_(assert_shared_capability(kind))                                  \
    void p2p_sole_writer(const struct kind *lock)                                   \
    {                                                                               \
        (void)lock;                                                                 \
    }                                                                               \
    P2P_LOCK_CALL_(acquire_shared_capability(kind))                                 \
    void p2p_read_lock(struct kind *lock)                                           \
    {                                                                               \
        P2P_LOCK_ORDER_(take, lock, kind)                                           \
        pthread_rwlock_rdlock(&lock->rwlock);                                       \
    }                                                                               \
    P2P_LOCK_CALL_(acquire_capability(kind)) void p2p_write_lock(struct kind *lock) \
    {                                                                               \
        P2P_LOCK_ORDER_(take, lock, kind)                                           \
        pthread_rwlock_wrlock(&lock->rwlock);                                       \
    }                                                                               \
    P2P_LOCK_CALL_(release_generic_capability(kind))                                \
    void p2p_rw_unlock(struct kind *lock)                                           \
    {                                                                               \
        P2P_LOCK_RELEASE_(lock)                                                     \
        pthread_rwlock_unlock(&lock->rwlock);                                       \
    }                                                                               \
    extern struct p2p_lock_kind kind

struct P2P_LOCK_CHECK(capability("mutex")) p2p_lock_kind {
    int unused;
};

#else

#define P2P_MUTEX_KIND(kind)   \
    struct kind {              \
        pthread_mutex_t mutex; \
    }
#define P2P_RWLOCK_KIND(kind)    \
    struct kind {                \
        pthread_rwlock_t rwlock; \
    }

#define p2p_mutex_init(lock)     ((void)pthread_mutex_init(&(lock)->mutex, NULL))
#define p2p_mutex_unshared(lock) ((void)(lock))
#define p2p_lock(lock)           ((void)pthread_mutex_lock(&(lock)->mutex))
#define p2p_unlock(lock)         ((void)pthread_mutex_unlock(&(lock)->mutex))
#define p2p_try_lock(lock)       (pthread_mutex_trylock(&(lock)->mutex) == 0)
#define p2p_wait_until(cond, lock, deadline_ms) \
    p2p_cond_wait_until(cond, &(lock)->mutex, deadline_ms)

#define p2p_rwlock_init(lock)     p2p_rwlock_prepare(&(lock)->rwlock)
#define p2p_rwlock_unshared(lock) ((void)(lock))
#define p2p_sole_writer(lock)     ((void)(lock))
#define p2p_read_lock(lock)       ((void)pthread_rwlock_rdlock(&(lock)->rwlock))
#define p2p_write_lock(lock)      ((void)pthread_rwlock_wrlock(&(lock)->rwlock))
#define p2p_rw_unlock(lock)       ((void)pthread_rwlock_unlock(&(lock)->rwlock))

#endif

#define p2p_mutex_clear(lock)  ((void)pthread_mutex_destroy(&(lock)->mutex))
#define p2p_rwlock_clear(lock) ((void)pthread_rwlock_destroy(&(lock)->rwlock))
#define p2p_wait(cond, lock)   ((void)p2p_wait_until(cond, lock, P2P_NO_DEADLINE))

#endif
