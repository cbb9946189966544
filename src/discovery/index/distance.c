#include "discovery/index/distance.h"

#include <string.h>

void
distance_prepare(struct distance_pattern *p, const char *text, size_t len)
{
    p->text = text;
    p->len = len;
    memset(p->places, 0, sizeof(p->places));
    for (size_t i = 0; i < len && i < 64; i++)
        p->places[(uint8_t)text[i]] |= (uint64_t)1 << i;
}

/*
 * A column of the table of edits as bits, with one word operation per byte of text:
 * Myers 1999 in Hyyrö's form of 2003, with swaps. The first row stays 0, because a
 * match may begin anywhere.
 */
static unsigned
distance_by_bits(const struct distance_pattern *p, const char *text)
{
    uint64_t up = ~(uint64_t)0, down = 0, diagonal = 0, before = 0;
    uint64_t last = (uint64_t)1 << (p->len - 1);
    unsigned distance = (unsigned)p->len, best = distance;

    for (; *text != '\0'; text++) {
        uint64_t here = p->places[(uint8_t)*text], swap, right, left;

        swap = ((~diagonal & here) << 1) & before;
        diagonal = (((here & up) + up) ^ up) | here | down | swap;
        right = down | ~(diagonal | up);
        left = diagonal & up;
        distance += (right & last) != 0;
        distance -= (left & last) != 0;
        if (distance < best)
            best = distance;
        right <<= 1;
        up = left << 1 | ~(diagonal | right);
        down = right & diagonal;
        before = here;
    }
    return best;
}

/* The same by the definition (Sellers, with Damerau's swap), for longer patterns. */
static unsigned
distance_by_rows(const struct distance_pattern *p, const char *text)
{
    unsigned rows[3][DISTANCE_PATTERN_MAX + 1] = {{0}};
    unsigned *now = rows[0], *last = rows[1], *before = rows[2], best;
    const char *q = p->text;

    for (size_t i = 0; i <= p->len; i++)
        last[i] = (unsigned)i;
    best = last[p->len];
    for (const char *t = text; *t != '\0'; t++) {
        unsigned *spare = before;

        now[0] = 0;
        for (size_t i = 1; i <= p->len; i++) {
            unsigned v = last[i - 1] + (q[i - 1] != *t);

            if (last[i] + 1 < v)
                v = last[i] + 1;
            if (now[i - 1] + 1 < v)
                v = now[i - 1] + 1;
            if (i > 1 && t > text && q[i - 1] == t[-1] && q[i - 2] == *t &&
                before[i - 2] + 1 < v)
                v = before[i - 2] + 1;
            now[i] = v;
        }
        if (now[p->len] < best)
            best = now[p->len];
        before = last;
        last = now;
        now = spare;
    }
    return best;
}

unsigned
distance_to_part_of(const struct distance_pattern *p, const char *text)
{
    return p->len <= 64 ? distance_by_bits(p, text) : distance_by_rows(p, text);
}
