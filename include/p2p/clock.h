/*
 * clock - the clocks of the program, and waiting until a point in time. Deadlines are
 * points of CLOCK_MONOTONIC in milliseconds (p2p_now_ms): they do not move when the
 * wall clock is set. Thread-safe.
 */
#ifndef P2P_CLOCK_H
#define P2P_CLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

#define P2P_NO_DEADLINE UINT64_MAX

/* CLOCK_MONOTONIC in milliseconds, for deadlines. */
uint64_t p2p_now_ms(void);
/* CLOCK_MONOTONIC in microseconds, for rates and round trips. */
uint64_t p2p_now_us(void);
/* CLOCK_REALTIME since 1970 in seconds. */
uint64_t p2p_time_s(void);
/* CLOCK_REALTIME since 1970 in milliseconds. */
uint64_t p2p_time_ms(void);

/* A condition variable that p2p_cond_wait_until may wait on. Release it with
 * pthread_cond_destroy. */
void p2p_cond_init(pthread_cond_t *cond);

/*
 * Waits on `cond` with `lock` held, until a signal or until `deadline_ms`. False if the
 * deadline has passed. P2P_NO_DEADLINE waits without a limit. May return true without a
 * signal, like every condition variable: check the condition again.
 */
bool p2p_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock,
                         uint64_t deadline_ms);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
