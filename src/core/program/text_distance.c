#include "core/program/text_distance.h"

#include <string.h>

static char
plain(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    return c == '_' ? '-' : c;
}

static unsigned
least(unsigned a, unsigned b, unsigned c)
{
    unsigned ab = a < b ? a : b;

    return ab < c ? ab : c;
}

unsigned
p2p_text_distance(const char *a, const char *b)
{
    size_t width = strlen(b);
    unsigned row[P2P_TEXT_DISTANCE_MAX + 1];

    if (width > P2P_TEXT_DISTANCE_MAX || strlen(a) > P2P_TEXT_DISTANCE_MAX)
        return P2P_TEXT_DISTANCE_MAX;
    for (size_t k = 0; k <= width; k++)
        row[k] = (unsigned)k;
    for (size_t i = 0; a[i] != '\0'; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i + 1;
        for (size_t k = 1; k <= width; k++) {
            unsigned above = row[k];
            row[k] = least(above + 1, row[k - 1] + 1,
                           diagonal + (plain(a[i]) != plain(b[k - 1])));
            diagonal = above;
        }
    }
    return row[width];
}
