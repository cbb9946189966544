/*
 * budget - bytes that all channels of a process may hold together. A channel begins
 * with little, and asks for more when its path needs it. It gets at most half of what
 * is left, so that one more channel always gets something. Thread-safe.
 */
#ifndef P2P_CHANNEL_BUDGET_H
#define P2P_CHANNEL_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct p2p_budget {
    _Atomic size_t left;
};

/* Takes so many bytes; false: it is more than half of what is left. NULL has no end. */
bool p2p_budget_take(struct p2p_budget *b, size_t bytes);
/* Gives back what was taken. NULL is fine. */
void p2p_budget_give(struct p2p_budget *b, size_t bytes);

#endif
