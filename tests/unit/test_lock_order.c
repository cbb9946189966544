/* The check of lock orders: what it lets pass, and what it aborts. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/lock_order.h"
#include "p2p/lock.h"

/* Locks of three kinds; the check needs only their addresses. */
static char a1, a2, b, c;
static p2p_lock_order_id id_a, id_b, id_c;

static void
take(const void *lock)
{
    if (lock == &b)
        p2p_lock_order_take(lock, "b", &id_b);
    else if (lock == &c)
        p2p_lock_order_take(lock, "c", &id_c);
    else
        p2p_lock_order_take(lock, "a", &id_a);
}

/* Takes both, and releases them in the order in which they were taken. */
static void
take_both(const void *first, const void *second)
{
    take(first);
    take(second);
    p2p_lock_order_release(first);
    p2p_lock_order_release(second);
}

/* How a process of its own ends, which begins without any order. */
static int
end_of(void (*run)(void))
{
    const struct rlimit no_core = {0, 0};
    pid_t pid = fork();
    int status = 0, null;

    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &no_core);
        null = open("/dev/null", O_WRONLY);
        dup2(null, STDERR_FILENO);
        run();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static void
keep_one_order(void)
{
    take_both(&a1, &b);
    take_both(&b, &c);
    take_both(&a1, &c);
    take_both(&a2, &b); /* another lock of the first kind */
    take(&b);           /* one after the other is no order */
    p2p_lock_order_release(&b);
    take(&a1);
    p2p_lock_order_release(&a1);
}

static void
turn_around(void)
{
    take_both(&a1, &b);
    take_both(&b, &a1);
}

static void
turn_around_with_another_lock_of_the_kind(void)
{
    take_both(&a1, &b);
    take_both(&b, &a2);
}

static void
turn_around_by_a_third_kind(void)
{
    take_both(&a1, &b);
    take_both(&b, &c);
    take_both(&c, &a1);
}

static void
take_two_of_a_kind(void)
{
    take_both(&a1, &a2);
}

static void
try_the_other_way(void)
{
    take_both(&a1, &b);
    take(&b);
    p2p_lock_order_took(&a1, "a", &id_a); /* it did not wait */
    p2p_lock_order_release(&a1);
    p2p_lock_order_release(&b);
}

static void
try_then_take(void)
{
    take_both(&a1, &b);
    p2p_lock_order_took(&b, "b", &id_b);
    take(&a1); /* this one may wait */
}

static void
one_order_passes(void **state)
{
    (void)state;
    assert_int_equal(end_of(keep_one_order), 0);
    assert_int_equal(end_of(try_the_other_way), 0);
}

static void
the_other_order_aborts(void **state)
{
    (void)state;
    assert_int_equal(end_of(turn_around), SIGABRT);
    assert_int_equal(end_of(turn_around_with_another_lock_of_the_kind), SIGABRT);
    assert_int_equal(end_of(turn_around_by_a_third_kind), SIGABRT);
    assert_int_equal(end_of(take_two_of_a_kind), SIGABRT);
    assert_int_equal(end_of(try_then_take), SIGABRT);
}

/* ---- the locks of lock.h ---- */

P2P_MUTEX_KIND(order_outer);
P2P_RWLOCK_KIND(order_inner);
static struct {
    struct order_outer outer;
    struct order_inner inner;
} locks;

static void
take_real_locks_in_two_orders(void)
{
    p2p_lock(&locks.outer);
    p2p_read_lock(&locks.inner);
    p2p_rw_unlock(&locks.inner);
    p2p_unlock(&locks.outer);
    p2p_write_lock(&locks.inner);
    p2p_lock(&locks.outer);
    p2p_unlock(&locks.outer);
    p2p_rw_unlock(&locks.inner);
}

static void
builds_with_sanitizers_and_clang_check_all_locks(void **state)
{
    (void)state;
    p2p_mutex_init(&locks.outer);
    p2p_rwlock_init(&locks.inner);
#if defined(P2P_LOCK_ORDER) && defined(__clang__)
    assert_int_equal(end_of(take_real_locks_in_two_orders), SIGABRT);
#else
    assert_int_equal(end_of(take_real_locks_in_two_orders), 0);
#endif
    p2p_rwlock_clear(&locks.inner);
    p2p_mutex_clear(&locks.outer);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_order_passes),
        cmocka_unit_test(the_other_order_aborts),
        cmocka_unit_test(builds_with_sanitizers_and_clang_check_all_locks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
