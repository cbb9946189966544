/*
 * A sealed part of the name dictionary: names sorted by their folded text, with the
 * lists of which trigram occurs in which. It never changes after it is made, so any
 * number of threads read it without a lock.
 *
 * A trigram is three bytes of 0x02 folded 0x03: the marks let short names and word ends
 * be found, and cannot occur in a name.
 */
#ifndef P2P_DISCOVERY_SEGMENT_H
#define P2P_DISCOVERY_SEGMENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/err.h"

struct segment_name {
    uint32_t id;      /* in the catalogue */
    uint32_t weight;  /* how common it is, 0..SEGMENT_WEIGHT_MAX */
    const char *text; /* stored form (fold.h) */
};
#define SEGMENT_WEIGHT_MAX 255u

struct segment {
    uint32_t count;
    uint32_t *ids; /* by rank */
    /* By rank. The only part that changes: the dictionary's thread updates it. */
    _Atomic uint8_t *weights;
    uint32_t *offsets; /* by rank, of the stored form in blob */
    char *blob;
    size_t blob_len;
    struct segment_trigram *trigrams; /* by key */
    uint32_t n_trigrams;
    uint8_t *lists; /* ranks, ascending: differences as LEB128 */
    size_t lists_len;
};

struct segment_trigram {
    uint32_t key;
    uint32_t count;
    uint32_t offset; /* of its list */
};

/* Copies the texts; sorts `names`. The memory is about 1.6 bytes per trigram, plus the
 * texts. */
P2P_MUST_CHECK enum p2p_err segment_new(struct segment_name *names, uint32_t count,
                                        struct segment **result);
void segment_free(struct segment *s);

static inline const char *
segment_text(const struct segment *s, uint32_t rank)
{
    return s->blob + s->offsets[rank];
}

/* The first rank whose folded text is not below `text` in its first len bytes. */
uint32_t segment_lower_bound(const struct segment *s, const char *text, size_t len);
/* The first rank whose folded text is greater than this text, if only the first len
 * bytes are compared. */
uint32_t segment_upper_bound(const struct segment *s, const char *text, size_t len);

/* The trigram's row, or NULL if no name contains it. */
const struct segment_trigram *segment_find_trigram(const struct segment *s,
                                                   uint32_t key);

static inline uint32_t
segment_trigram_key(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;

    return (uint32_t)u[0] << 16 | (uint32_t)u[1] << 8 | u[2];
}

/* Walks one list: `at` begins at lists + offset, `rank` at 0. */
static inline uint32_t
segment_next_rank(const uint8_t **at, uint32_t rank)
{
    uint32_t delta = 0;
    unsigned shift = 0;
    uint8_t byte;

    do {
        byte = *(*at)++;
        delta |= (uint32_t)(byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80);
    return rank + delta;
}

#define SEGMENT_MARK_START '\x02'
#define SEGMENT_MARK_END   '\x03'

#endif
