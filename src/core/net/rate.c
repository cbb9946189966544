#include "p2p/rate.h"
#include "p2p/lock.h"

enum { BURST_MIN = 64 * 1024, BURST_US = 20000 };
#define US_PER_S 1e6

static double
max_of(double a, double b)
{
    return a > b ? a : b;
}

static double
burst(uint64_t bytes_per_s)
{
    return max_of(BURST_MIN, (double)bytes_per_s * (BURST_US / US_PER_S));
}

/* Adds the tokens since the last call. A clock that went back adds none. */
static void
fill(struct p2p_rate *rate, uint64_t now_us) P2P_REQUIRES(p2p_rate_lock)
{
    double rate_now = (double)rate->bytes_per_s;

    if (now_us > rate->last_us) {
        rate->tokens += rate_now * ((double)(now_us - rate->last_us) / US_PER_S);
        rate->last_us = now_us;
    }
    if (rate->tokens > burst(rate->bytes_per_s))
        rate->tokens = burst(rate->bytes_per_s);
}

void
p2p_rate_init(struct p2p_rate *rate, uint64_t bytes_per_s, uint64_t now_us)
{
    *rate = (struct p2p_rate){
        .lock = P2P_MUTEX_INITIALIZER,
        .bytes_per_s = bytes_per_s,
        .tokens = burst(bytes_per_s),
        .last_us = now_us,
    };
}

void
p2p_rate_clear(struct p2p_rate *rate)
{
    p2p_mutex_clear(&rate->lock);
}

void
p2p_rate_set(struct p2p_rate *rate, uint64_t bytes_per_s, uint64_t now_us)
{
    p2p_lock(&rate->lock);
    fill(rate, now_us);
    rate->bytes_per_s = bytes_per_s;
    /* A debt made at a high rate would take too long to pay off at a much lower one:
     * limit it. */
    rate->tokens = bytes_per_s == 0 ? 0 : max_of(rate->tokens, -burst(bytes_per_s));
    p2p_unlock(&rate->lock);
}

static uint64_t
take(struct p2p_rate *rate, uint64_t bytes, uint64_t now_us)
{
    uint64_t wait_us = 0;

    p2p_lock(&rate->lock);
    if (rate->bytes_per_s != 0) {
        fill(rate, now_us);
        if (rate->tokens >= 0)
            rate->tokens -= (double)bytes;
        else
            wait_us =
                (uint64_t)(-rate->tokens / (double)rate->bytes_per_s * US_PER_S) + 1;
    }
    p2p_unlock(&rate->lock);
    return wait_us;
}

static void
charge_one(struct p2p_rate *rate, int64_t bytes)
{
    p2p_lock(&rate->lock);
    if (rate->bytes_per_s != 0)
        rate->tokens -= (double)bytes;
    p2p_unlock(&rate->lock);
}

void
p2p_rate_charge(struct p2p_rate *rate, int64_t bytes)
{
    for (; rate != NULL; rate = rate->parent)
        charge_one(rate, bytes);
}

uint64_t
p2p_rate_take(struct p2p_rate *rate, uint64_t bytes, uint64_t now_us)
{
    uint64_t wait_us = take(rate, bytes, now_us);

    if (wait_us == 0 && rate->parent != NULL) {
        wait_us = p2p_rate_take(rate->parent, bytes, now_us);
        if (wait_us > 0)
            charge_one(rate, -(int64_t)bytes);
    }
    return wait_us;
}
