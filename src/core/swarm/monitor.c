/* How the threads of a download wait for each other: one condition variable. */
#include "core/swarm/swarm.h"

void
p2p_dl_wait(struct p2p_download *dl, uint64_t ms)
{
    (void)p2p_wait_until(&dl->changed, &dl->lock, p2p_now_ms() + ms);
}

void
p2p_dl_wake(struct p2p_download *dl)
{
    dl->swarm.is_stirred = true;
    pthread_cond_broadcast(&dl->changed);
}

void
p2p_dl_rest(struct p2p_download *dl)
{
    p2p_lock(&dl->lock);
    if (!dl->swarm.is_stirred)
        p2p_dl_wait(dl, DL_TICK_MS);
    dl->swarm.is_stirred = false;
    p2p_unlock(&dl->lock);
}

void
p2p_dl_wake_waiters(struct p2p_download *dl)
{
    if (dl->swarm.waiters > 0)
        pthread_cond_broadcast(&dl->changed);
}

void
p2p_dl_wait_for_chunk(struct p2p_download *dl, uint64_t ms)
{
    dl->swarm.waiters++;
    p2p_dl_wait(dl, ms);
    dl->swarm.waiters--;
}
