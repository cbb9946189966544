/*
 * channel_pool - the channels of this process: how many there may be, what their
 * buffers may hold together, and whether all of them have ended. One for a process,
 * since memory is a matter of the process. Internal to this room; what programs use of
 * it is in p2p/reach.h. Thread-safe.
 */
#ifndef P2P_REACH_CHANNEL_POOL_H
#define P2P_REACH_CHANNEL_POOL_H

#include "core/channel/budget.h"

/* Takes the place of one channel, until p2p_channel_pool_leave. False: there are as
 * many as there may be. */
bool p2p_channel_pool_enter(void);
/* Gives the place back. */
void p2p_channel_pool_leave(void);
/* What the buffers of all channels may hold beyond the least that each one has. Lives
 * as long as the process. */
struct p2p_budget *p2p_channel_pool_budget(void);

#endif
