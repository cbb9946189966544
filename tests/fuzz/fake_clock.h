/* fake_clock - the clocks of p2p/clock.h, set by a target. Only the fuzzer moves them,
 * so an input always does the same. */
#ifndef TESTS_FUZZ_FAKE_CLOCK_H
#define TESTS_FUZZ_FAKE_CLOCK_H

#include <stdint.h>

/* CLOCK_MONOTONIC and the time of day, both in ms. */
void fake_clock_set(uint64_t now_ms, uint64_t time_ms);

#endif
