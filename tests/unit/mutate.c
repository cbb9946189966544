#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mutate.h"

static bool
decode_copy(const uint8_t *valid, size_t len, size_t flipped_bit, decode_fn *decode,
            void *arg)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    bool taken;

    assert_non_null(copy);
    memcpy(copy, valid, len);
    if (flipped_bit / 8 < len)
        copy[flipped_bit / 8] ^= (uint8_t)(1u << flipped_bit % 8);
    taken = decode(arg, len > 0 ? copy : NULL, len);
    free(copy);
    return taken;
}

struct mutation_counts
mutate_all(const void *valid, size_t len, decode_fn *decode, void *arg)
{
    struct mutation_counts taken = {0, 0};

    for (size_t n = 0; n < len; n++)
        taken.prefixes += decode_copy(valid, n, SIZE_MAX, decode, arg);
    for (size_t bit = 0; bit < 8 * len; bit++)
        taken.flips += decode_copy(valid, len, bit, decode, arg);
    return taken;
}
