/* patience - how long a test waits for what must come. No result depends on it: it only
 * ends a test that would wait for ever. `make check LIMIT_S=N` gives a slow machine,
 * such as an emulated one, more time. */
#ifndef TESTS_UNIT_PATIENCE_H
#define TESTS_UNIT_PATIENCE_H

#include <stdlib.h>
#include <unistd.h>

#include "p2p/clock.h"

/* Half of the time of the whole program, so that it can still say what did not come. */
static inline unsigned
patience_ms(void)
{
    const char *limit = getenv("LIMIT_S");
    int limit_s = limit != NULL ? atoi(limit) : 0;

    return (unsigned)(limit_s > 0 && limit_s <= 1000000 ? limit_s : 600) * 500;
}

static inline uint64_t
patience_end_ms(void)
{
    return p2p_now_ms() + patience_ms();
}

/* Waits until the claim is true. */
#define AWAIT(claim)                               \
    do {                                           \
        uint64_t end_ms_ = patience_end_ms();      \
        while (!(claim)) {                         \
            if (p2p_now_ms() > end_ms_)            \
                fail_msg("still not: %s", #claim); \
            usleep(2000);                          \
        }                                          \
    } while (0)

#endif
