/*
 * How long something took: a histogram for GET /metrics. Its bounds include the times
 * the searches are meant to keep to. Safe from any thread.
 */
#ifndef P2P_DISCOVERY_TIMING_H
#define P2P_DISCOVERY_TIMING_H

#include <stdatomic.h>

#include "http/metrics.h"

#define TIMING_BOUNDS 10u

struct timing {
    _Atomic uint64_t
        within[TIMING_BOUNDS + 1]; /* each bound, not the ones below; more */
    _Atomic uint64_t sum_us;
};

void timing_add(struct timing *t, uint64_t took_us);

/* The samples of one label (as `mode="exact"`) of the family `name`. */
void timing_put(struct http_metrics *m, const char *name, const char *label,
                const struct timing *t);

#endif
