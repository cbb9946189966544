#include "core/channel/budget.h"

bool
p2p_budget_take(struct p2p_budget *b, size_t bytes)
{
    size_t left;

    if (b == NULL)
        return true;
    left = atomic_load(&b->left);
    do {
        if (bytes > left / 2)
            return false;
    } while (!atomic_compare_exchange_weak(&b->left, &left, left - bytes));
    return true;
}

void
p2p_budget_give(struct p2p_budget *b, size_t bytes)
{
    if (b != NULL)
        atomic_fetch_add(&b->left, bytes);
}
