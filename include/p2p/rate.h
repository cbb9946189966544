/*
 * rate - token buckets, and timetables of rates.
 *
 * A bucket holds bytes, filled at a rate from a clock the caller gives; nothing here
 * waits or sleeps. Burst: the larger of 64 KiB and 20 ms. A bucket of rate 0 is
 * unlimited. Thread-safe (one lock inside).
 */
#ifndef P2P_RATE_H
#define P2P_RATE_H

#include <pthread.h>
#include <stdint.h>

#include "p2p/err.h"
#include "p2p/lock.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

P2P_MUTEX_KIND(p2p_rate_lock);
struct p2p_rate {
    struct p2p_rate_lock lock;
    /* 0: no limit */
    uint64_t bytes_per_s P2P_GUARDED_BY(p2p_rate_lock);
    double tokens P2P_GUARDED_BY(p2p_rate_lock);
    uint64_t last_us P2P_GUARDED_BY(p2p_rate_lock);
    /* A wider bucket that every take has to pass as well (one download within the
     * limit of all); NULL after init; borrowed. */
    struct p2p_rate *parent;
};

/* A full bucket of `bytes_per_s` (0: no limit). `now_us` is p2p_now_us, here and below.
 */
void p2p_rate_init(struct p2p_rate *rate, uint64_t bytes_per_s, uint64_t now_us);
/* Destroys the lock. No thread may use the bucket any longer, as `parent` or directly.
 */
void p2p_rate_clear(struct p2p_rate *rate);
/* Changes the rate. The content of the bucket stays; a debt is cut to one burst of the
 * new rate. */
void p2p_rate_set(struct p2p_rate *rate, uint64_t bytes_per_s, uint64_t now_us);
/* Takes `bytes` when the bucket is not in debt and returns 0; else takes nothing and
 * returns the microseconds until it is worth asking again. */
uint64_t p2p_rate_take(struct p2p_rate *rate, uint64_t bytes, uint64_t now_us);
/* Charges bytes that were sent without a take, here and in the wider buckets. They
 * become a debt that later takes wait for. Negative: the bytes were not sent after all.
 */
void p2p_rate_charge(struct p2p_rate *rate, int64_t bytes);

/* "2M", "off", or "08:00,2M 23:00,off" (local time; the last entry holds over
 * midnight). */
#define P2P_TIMETABLE_MAX 24
struct p2p_timetable {
    struct {
        uint16_t minute; /* of the day */
        uint64_t bytes_per_s;
    } at[P2P_TIMETABLE_MAX];
    unsigned count;
};
/* Reads the texts above. USAGE, RANGE. */
P2P_MUST_CHECK enum p2p_err p2p_timetable_parse(const char *text,
                                                struct p2p_timetable *out);
/* Bytes per second that hold at this minute of the day (0 to 1439); 0: no limit. */
uint64_t p2p_timetable_rate(const struct p2p_timetable *table, unsigned minute_of_day);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
