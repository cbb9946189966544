/* long_tests - tests that check a fixed sample, and everything with P2P_LONG_TESTS=1.
 */
#ifndef TESTS_UNIT_LONG_TESTS_H
#define TESTS_UNIT_LONG_TESTS_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static inline bool
long_tests(void)
{
    const char *value = getenv("P2P_LONG_TESTS");

    return value != NULL && strcmp(value, "1") == 0;
}

/* The distance between two samples: 1 for long tests. */
static inline unsigned
long_tests_step(unsigned step)
{
    return long_tests() ? 1 : step;
}

#endif
