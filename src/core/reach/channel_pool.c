#include "core/reach/channel_pool.h"

#include "p2p/limits.h"
#include "p2p/lock.h"
#include "p2p/reach.h"

P2P_MUTEX_KIND(p2p_channel_pool_lock);
static struct p2p_channel_pool_lock lock = P2P_MUTEX_INITIALIZER;
static unsigned open_count P2P_GUARDED_BY(p2p_channel_pool_lock);
static unsigned open_max P2P_GUARDED_BY(p2p_channel_pool_lock) = P2P_CHANNELS_MAX;
static struct p2p_budget budget = {P2P_CHANNEL_MEMORY};

void
p2p_reach_limit_channels(unsigned channels, size_t memory)
{
    p2p_lock(&lock);
    open_max = channels;
    p2p_unlock(&lock);
    atomic_store(&budget.left, memory);
}

bool
p2p_channel_pool_enter(void)
{
    p2p_lock(&lock);
    bool has_place = open_count < open_max;
    open_count += has_place;
    p2p_unlock(&lock);
    return has_place;
}

void
p2p_channel_pool_leave(void)
{
    p2p_lock(&lock);
    open_count--;
    p2p_unlock(&lock);
}

struct p2p_budget *
p2p_channel_pool_budget(void)
{
    return &budget;
}

/* Asks now and then: a condition variable in static memory would keep the wrong clock.
 */
bool
p2p_reach_settle(uint64_t timeout_ms)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    uint64_t end_ms = p2p_now_ms() + timeout_ms;

    for (;;) {
        p2p_lock(&lock);
        bool has_settled = open_count == 0;
        p2p_unlock(&lock);
        if (has_settled || p2p_now_ms() >= end_ms)
            return has_settled;
        (void)nanosleep(&pause, NULL);
    }
}
