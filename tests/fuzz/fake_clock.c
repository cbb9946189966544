#include "fake_clock.h"

#include <stdatomic.h>

#include "p2p/clock.h"

static _Atomic uint64_t mono_ms, wall_ms;

void
fake_clock_set(uint64_t now_ms, uint64_t time_ms)
{
    mono_ms = now_ms;
    wall_ms = time_ms;
}

uint64_t
p2p_now_ms(void)
{
    return mono_ms;
}

uint64_t
p2p_now_us(void)
{
    return mono_ms * 1000;
}

uint64_t
p2p_time_s(void)
{
    return wall_ms / 1000;
}

uint64_t
p2p_time_ms(void)
{
    return wall_ms;
}

void
p2p_cond_init(pthread_cond_t *cond)
{
    pthread_cond_init(cond, NULL);
}

/* Waiting does not let a fake deadline pass. */
bool
p2p_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t deadline_ms)
{
    (void)deadline_ms;
    return pthread_cond_wait(cond, lock) == 0;
}
