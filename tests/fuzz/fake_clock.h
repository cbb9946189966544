/* fake_clock - the clocks of p2p/clock.h as a target sets them. Only the fuzzer moves
 * them, so that an input does the same every time. */
#ifndef TESTS_FUZZ_FAKE_CLOCK_H
#define TESTS_FUZZ_FAKE_CLOCK_H

#include <stdint.h>

/* CLOCK_MONOTONIC and the time of day, both in ms. */
void fake_clock_set(uint64_t now_ms, uint64_t time_ms);

#endif
