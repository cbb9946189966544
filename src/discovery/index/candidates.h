/*
 * Names of sealed segments that may match a text, the most promising first. match.c
 * then examines as many of them as it has time for.
 *
 * Names that begin with the text are certain, because a segment is sorted. All others
 * share trigrams with the text and have to be compared with it.
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

/* Frees the list; it may be used again. */
void candidates_clear(struct candidates *c);

/* Adds the names that begin with the text. */
void candidates_add_beginnings(struct candidates *c, const struct segment *s,
                               uint16_t segment, const struct candidates_text *text);

/* Adds the names that do not begin with the text but may have it inside. */
void candidates_add_parts(struct candidates *c, const struct segment *s,
                          uint16_t segment, const struct candidates_text *text);

/*
 * Adds names that share at least `least` trigrams with the text, ordered by how many
 * (CANDIDATE_WHOLE: all of them). Of the names with the fewest, it adds only so many
 * that there are about `max` in total.
 */
void candidates_add_similar(struct candidates *c, const struct segment *s,
                            uint16_t segment, const struct candidates_text *text,
                            unsigned least, uint32_t max);

/* Sorts the candidates and keeps the best `max`. False: out of memory, now or in an
 * earlier call. */
bool candidates_choose(struct candidates *c, uint32_t max);

#endif
