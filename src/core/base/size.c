/* Sizes as people read them. */
#include <inttypes.h>
#include <stdio.h>

#include "p2p/bytes.h"

char *
p2p_size_format(uint64_t bytes, char out[P2P_SIZE_TEXT_MAX])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)bytes;
    size_t unit = 0;

    for (; value >= 999.5 && unit < 6; unit++)
        value /= 1000;
    if (unit == 0)
        snprintf(out, P2P_SIZE_TEXT_MAX, "%" PRIu64 " B", bytes);
    else
        snprintf(out, P2P_SIZE_TEXT_MAX, value < 99.95 ? "%.1f %s" : "%.0f %s", value,
                 units[unit]);
    return out;
}
