/*
 * Names of sealed segments that may fit a text, the most promising first: what match.c
 * then looks at, as far as it has time for.
 *
 * Beginnings are certain, they follow from the order of a segment; the rest share
 * trigrams with the text and have to be compared with it.
 */
#ifndef P2P_DISCOVERY_CANDIDATES_H
#define P2P_DISCOVERY_CANDIDATES_H

#include "discovery/index/segment.h"

/* How promising, best first. */
enum {
    CANDIDATE_WHOLE = 0, /* the name is the text */
    CANDIDATE_BEGIN = 1, /* begins with it; by weight */
    CANDIDATE_OTHER = CANDIDATE_BEGIN + SEGMENT_WEIGHT_MAX + 1, /* by weight */
    CANDIDATE_ORDERS = CANDIDATE_OTHER + SEGMENT_WEIGHT_MAX + 1,
};

struct candidate {
    uint32_t rank;
    uint16_t segment; /* as the caller counts them */
    uint16_t order;
};

struct candidates {
    struct candidate *at;
    uint32_t count, cap;
    uint32_t having[CANDIDATE_ORDERS];
    bool is_out_of_memory;
};

struct candidates_text {
    const char *text; /* folded */
    size_t len;
};

void candidates_clear(struct candidates *c);

/* Adds the names that begin with the text. */
void candidates_add_beginnings(struct candidates *c, const struct segment *s,
                               uint16_t segment, const struct candidates_text *text);

/* Adds the names that do not begin with the text but may have it inside. */
void candidates_add_parts(struct candidates *c, const struct segment *s,
                          uint16_t segment, const struct candidates_text *text);

/*
 * Adds names that share trigrams with the text, ordered by how many (CANDIDATE_WHOLE:
 * all of them): at least `least`, and of so many names that have the fewest about max.
 */
void candidates_add_similar(struct candidates *c, const struct segment *s,
                            uint16_t segment, const struct candidates_text *text,
                            unsigned least, uint32_t max);

/* Sorts them, keeps the best `max`; false: out of memory, then or before. */
bool candidates_choose(struct candidates *c, uint32_t max);

#endif
