/* The time of day at a registry, from the Date of its answers. */
#include "core/registry/discovery_internal.h"
#include "p2p/clock.h"
#include "p2p/lock.h"

uint64_t
p2p_registry_now_ms(const struct p2p_registry *r)
{
    if (r->date_s == 0)
        return p2p_time_ms();
    return (uint64_t)r->date_s * 1000 + (p2p_now_ms() - r->date_at_ms);
}

uint64_t
p2p_registry_time_ms(struct p2p_discovery *d, const struct p2p_registry *r)
{
    uint64_t ms;

    p2p_lock(&d->lock);
    ms = p2p_registry_now_ms(r);
    p2p_unlock(&d->lock);
    return ms;
}
