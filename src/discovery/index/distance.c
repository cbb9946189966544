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

/* A column of the table of edits as bits. */
struct column {
    uint64_t up, down, diagonal, before;
    unsigned distance, best;
};

static struct column
first_column(const struct distance_pattern *p)
{
    return (struct column){
        .up = ~(uint64_t)0, .distance = (unsigned)p->len, .best = (unsigned)p->len};
}

/*
 * The next column, with one word operation per byte of text: Myers 1999 in Hyyrö's form
 * of 2003, with swaps. The first row stays 0, because a match may begin anywhere.
 */
static inline void
next_column(const struct distance_pattern *p, struct column *c, char byte)
{
    uint64_t last = (uint64_t)1 << (p->len - 1), here = p->places[(uint8_t)byte];
    uint64_t swap = ((~c->diagonal & here) << 1) & c->before, right, left;

    c->diagonal = (((here & c->up) + c->up) ^ c->up) | here | c->down | swap;
    right = c->down | ~(c->diagonal | c->up);
    left = c->diagonal & c->up;
    c->distance += (right & last) != 0;
    c->distance -= (left & last) != 0;
    if (c->distance < c->best)
        c->best = c->distance;
    right <<= 1;
    c->up = left << 1 | ~(c->diagonal | right);
    c->down = right & c->diagonal;
    c->before = here;
}

static unsigned
finish_by_bits(const struct distance_pattern *p, struct column *c, const char *text)
{
    for (; *text != '\0'; text++)
        next_column(p, c, *text);
    return c->best;
}

/* Each column needs the one before it, so the processor mostly waits. It computes the
 * columns of two texts in the time of one. */
static void
two_by_bits(const struct distance_pattern *p, const char *const texts[2],
            unsigned distances[2])
{
    const char *a = texts[0], *b = texts[1];
    struct column of_a = first_column(p), of_b = of_a;

    for (; *a != '\0' && *b != '\0'; a++, b++) {
        next_column(p, &of_a, *a);
        next_column(p, &of_b, *b);
    }
    distances[0] = finish_by_bits(p, &of_a, a);
    distances[1] = finish_by_bits(p, &of_b, b);
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

void
distance_to_parts_of(const struct distance_pattern *p,
                     const char *const texts[DISTANCE_AT_ONCE],
                     unsigned distances[DISTANCE_AT_ONCE])
{
    if (p->len <= 64) {
        two_by_bits(p, texts, distances);
        return;
    }
    for (unsigned i = 0; i < DISTANCE_AT_ONCE; i++)
        distances[i] = distance_by_rows(p, texts[i]);
}
