#include "discovery/http/timing.h"

#include <stdio.h>

static const struct {
    uint64_t us;
    const char *text; /* seconds */
} bounds[TIMING_BOUNDS] = {
    {500, "0.0005"}, {1000, "0.001"},  {2000, "0.002"}, {5000, "0.005"},
    {10000, "0.01"}, {15000, "0.015"}, {30000, "0.03"}, {60000, "0.06"},
    {100000, "0.1"}, {500000, "0.5"},
};

void
timing_add(struct timing *t, uint64_t took_us)
{
    unsigned i = 0;

    while (i < TIMING_BOUNDS && took_us > bounds[i].us)
        i++;
    atomic_fetch_add_explicit(&t->within[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&t->sum_us, took_us, memory_order_relaxed);
}

void
timing_put(struct http_metrics *m, const char *name, const char *label,
           const struct timing *t)
{
    char bucket[64], count[64], sum[64], labels[96];
    uint64_t so_far = 0;

    snprintf(bucket, sizeof(bucket), "%s_bucket", name);
    snprintf(count, sizeof(count), "%s_count", name);
    snprintf(sum, sizeof(sum), "%s_sum", name);
    for (unsigned i = 0; i <= TIMING_BOUNDS; i++) {
        so_far += atomic_load_explicit(&t->within[i], memory_order_relaxed);
        snprintf(labels, sizeof(labels), "%s,le=\"%s\"", label,
                 i < TIMING_BOUNDS ? bounds[i].text : "+Inf");
        http_metrics_sample(m, bucket, labels, so_far);
    }
    http_metrics_sample_us(m, sum, label, atomic_load(&t->sum_us));
    http_metrics_sample(m, count, label, so_far);
}
