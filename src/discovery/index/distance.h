/*
 * How far a text is from containing a pattern: the smallest number of edits (insert,
 * delete or change a byte, swap two neighbors) that turn the pattern into some part of
 * the text.
 */
#ifndef P2P_DISCOVERY_DISTANCE_H
#define P2P_DISCOVERY_DISTANCE_H

#include <stddef.h>
#include <stdint.h>

#define DISTANCE_PATTERN_MAX 255u

struct distance_pattern {
    const char *text;
    size_t len;
    uint64_t places[256]; /* positions of each byte in the first 64 */
};

/* `text` has 1..DISTANCE_PATTERN_MAX bytes and is borrowed. */
void distance_prepare(struct distance_pattern *p, const char *text, size_t len);

/* The fewest edits between the pattern and any part of each text. Several texts at once
 * are faster than one after the other. */
#define DISTANCE_AT_ONCE 2
void distance_to_parts_of(const struct distance_pattern *p,
                          const char *const texts[DISTANCE_AT_ONCE],
                          unsigned distances[DISTANCE_AT_ONCE]);

#endif
