/*
 * rate - token buckets, and timetables of rates. A bucket is filled with bytes at a
 * rate, by a clock that the caller passes; nothing here waits. The burst is the larger
 * of 64 KiB and 20 ms. A bucket with rate 0 is unlimited. Thread-safe (one lock
 * inside).
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
    /* A second bucket from which every take must take as well (the limit of all
     * downloads); NULL after init; borrowed. */
    struct p2p_rate *parent;
};

/* Starts with a full bucket of `bytes_per_s` (0: no limit). `now_us` is p2p_now_us,
 * here and below. */
void p2p_rate_init(struct p2p_rate *rate, uint64_t bytes_per_s, uint64_t now_us);
/* Destroys the lock. No thread may use the bucket any longer, neither directly nor as
 * `parent`. */
void p2p_rate_clear(struct p2p_rate *rate);
/* Changes the rate. The bucket keeps its content; a debt is reduced to one burst of the
 * new rate. */
void p2p_rate_set(struct p2p_rate *rate, uint64_t bytes_per_s, uint64_t now_us);
/* Takes `bytes` when the bucket is not in debt and returns 0; else takes nothing and
 * returns the microseconds until it is worth asking again. */
uint64_t p2p_rate_take(struct p2p_rate *rate, uint64_t bytes, uint64_t now_us);
/* Takes bytes that were sent without asking, here and in the parent buckets. They
 * become a debt that later takes wait for. Negative: the bytes were not sent after
 * all. */
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
/* The bytes per second at this minute of the day (0 to 1439); 0: no limit. */
uint64_t p2p_timetable_rate(const struct p2p_timetable *table, unsigned minute_of_day);
/* The bytes per second at this time (seconds since 1970), by the local clock of that
 * day: an hour that is skipped or repeated when the clocks change is what the clock on
 * the wall shows. */
uint64_t p2p_timetable_rate_at(const struct p2p_timetable *table, int64_t time_s);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
