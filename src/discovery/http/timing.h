/*
 * Durations as a histogram for GET /metrics. Its bounds include the target times of
 * searches. Safe from any thread.
 */
#ifndef P2P_DISCOVERY_TIMING_H
#define P2P_DISCOVERY_TIMING_H

#include <stdatomic.h>

#include "http/metrics.h"

#define TIMING_BOUNDS 10u

struct timing {
    _Atomic uint64_t
        within[TIMING_BOUNDS + 1]; /* one counter for each bound (without the ones
                                    * below), and one for longer times */
    _Atomic uint64_t sum_us;
};

/* Counts one request. From any thread. */
void timing_add(struct timing *t, uint64_t took_us);

/* Writes the samples of one label (such as `mode="exact"`) of the metric `name`. */
void timing_put(struct http_metrics *m, const char *name, const char *label,
                const struct timing *t);

#endif
