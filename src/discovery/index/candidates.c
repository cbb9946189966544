#include "discovery/index/candidates.h"

#include <stdlib.h>
#include <string.h>

void
candidates_clear(struct candidates *c)
{
    free(c->at);
    *c = (struct candidates){0};
}

static bool
make_room(struct candidates *c, uint32_t more)
{
    uint32_t cap = c->cap;
    struct candidate *at;

    if (c->cap - c->count >= more)
        return true;
    while (cap - c->count < more)
        cap = cap * 2 + 1024;
    if ((at = realloc(c->at, cap * sizeof(*at))) == NULL) {
        c->is_out_of_memory = true;
        return false;
    }
    c->at = at;
    c->cap = cap;
    return true;
}

/* There is room. */
static inline void
add(struct candidates *c, uint32_t rank, uint16_t segment, unsigned order)
{
    c->at[c->count++] = (struct candidate){rank, segment, (uint16_t)order};
    c->having[order]++;
}

/* By weight, the heaviest first. */
static inline unsigned
order_of(const struct segment *s, uint32_t rank, unsigned base)
{
    return base + SEGMENT_WEIGHT_MAX -
           atomic_load_explicit(&s->weights[rank], memory_order_relaxed);
}

/* ---- beginnings ---- */

void
candidates_add_beginnings(struct candidates *c, const struct segment *s,
                          uint16_t segment, const struct candidates_text *text)
{
    uint32_t rank = segment_lower_bound(s, text->text, text->len);
    uint32_t end = segment_upper_bound(s, text->text, text->len);

    if (!make_room(c, end - rank))
        return;
    /* Names that are the text itself come before longer ones. */
    for (; rank < end && segment_text(s, rank)[text->len] == '\0'; rank++)
        add(c, rank, segment, CANDIDATE_WHOLE);
    for (; rank < end; rank++)
        add(c, rank, segment, order_of(s, rank, CANDIDATE_BEGIN));
}

/* ---- parts ---- */

/* Parts of one segment: all ranks but those that begin with the text. */
struct parts {
    struct candidates *c;
    const struct segment *s;
    uint16_t segment;
    uint32_t skip_from, skip_to;
};

static inline void
add_part(struct parts *p, uint32_t rank)
{
    if (rank < p->skip_from || rank >= p->skip_to)
        add(p->c, rank, p->segment, order_of(p->s, rank, CANDIDATE_OTHER));
}

#define RAREST 3

/* Finds the rarest trigrams of the text, rarest first. 0: no name has one of them, so
 * nothing matches. */
static unsigned
rarest_lists(const struct segment *s, const struct candidates_text *text,
             const struct segment_trigram *lists[RAREST])
{
    unsigned n = 0;

    for (size_t i = 0; i + 3 <= text->len; i++) {
        const struct segment_trigram *t =
            segment_find_trigram(s, segment_trigram_key(text->text + i));
        unsigned at;

        if (t == NULL)
            return 0;
        for (at = 0; at < n && lists[at]->count <= t->count; at++)
            if (lists[at] == t)
                break;
        if (at == RAREST || (at < n && lists[at] == t))
            continue;
        n += n < RAREST;
        for (unsigned k = n - 1; k > at; k--)
            lists[k] = lists[k - 1];
        lists[at] = t;
    }
    return n;
}

struct walk {
    const uint8_t *at;
    uint32_t left, rank;
};

static struct walk
walk_from(const struct segment *s, const struct segment_trigram *t)
{
    struct walk w = {.at = s->lists + t->offset, .left = t->count - 1};

    w.rank = segment_next_rank(&w.at, 0);
    return w;
}

/* Moves on to the first rank that is not below `want`; false at the end. */
static inline bool
walk_to(struct walk *w, uint32_t want)
{
    while (w->rank < want) {
        if (w->left == 0)
            return false;
        w->left--;
        w->rank = segment_next_rank(&w->at, w->rank);
    }
    return true;
}

/* A list this many times as long as the shortest one costs more than the comparisons
 * that it saves. */
#define WALK_WORTH 32u

static void
add_common(struct parts *p, const struct segment_trigram *const *lists, unsigned n)
{
    struct walk others[RAREST];
    const uint8_t *at = p->s->lists + lists[0]->offset;
    uint32_t rank = 0, left = lists[0]->count;

    while (n > 1 && lists[n - 1]->count / WALK_WORTH > lists[0]->count)
        n--;
    for (unsigned i = 1; i < n; i++)
        others[i] = walk_from(p->s, lists[i]);
    while (left-- > 0) {
        bool is_in_all = true;

        rank = segment_next_rank(&at, rank);
        for (unsigned k = 1; k < n && is_in_all; k++) {
            if (!walk_to(&others[k], rank))
                return;
            is_in_all = others[k].rank == rank;
        }
        if (is_in_all)
            add_part(p, rank);
    }
}

static bool
trigram_has(uint32_t key, const struct candidates_text *text)
{
    char bytes[3] = {(char)(key >> 16), (char)(key >> 8), (char)key};

    return memmem(bytes, 3, text->text, text->len) != NULL;
}

/* A text of one or two bytes is part of many trigrams: adds the names of all their
 * lists. */
static void
add_short(struct parts *p, const struct candidates_text *text)
{
    const struct segment *s = p->s;
    uint8_t *seen = calloc(s->count + 1u, 1);

    if (seen == NULL) {
        p->c->is_out_of_memory = true;
        return;
    }
    for (uint32_t i = 0; i < s->n_trigrams; i++) {
        const struct segment_trigram *t = &s->trigrams[i];
        const uint8_t *at = s->lists + t->offset;
        uint32_t rank = 0;

        if (!trigram_has(t->key, text))
            continue;
        for (uint32_t k = 0; k < t->count; k++) {
            rank = segment_next_rank(&at, rank);
            seen[rank] = 1;
        }
    }
    for (uint32_t rank = 0; rank < s->count; rank++)
        if (seen[rank])
            add_part(p, rank);
    free(seen);
}

void
candidates_add_parts(struct candidates *c, const struct segment *s, uint16_t segment,
                     const struct candidates_text *text)
{
    struct parts p = {.c = c, .s = s, .segment = segment};
    const struct segment_trigram *lists[RAREST];
    unsigned n = text->len >= 3 ? rarest_lists(s, text, lists) : 0;

    if ((text->len >= 3 && n == 0) || !make_room(c, n > 0 ? lists[0]->count : s->count))
        return;
    p.skip_from = segment_lower_bound(s, text->text, text->len);
    p.skip_to = segment_upper_bound(s, text->text, text->len);
    if (n > 0)
        add_common(&p, lists, n);
    else
        add_short(&p, text);
}

/* ---- similar ---- */

#define SHARED_MAX 255u

/* Finds the names that have at least this many of the text's trigrams, and counts them.
 */
struct tally {
    uint8_t *shared; /* by rank */
    uint32_t at_least[SHARED_MAX + 1];
    unsigned n; /* trigrams of the text */
};

static void
count_shared(struct tally *t, const struct segment *s,
             const struct candidates_text *text)
{
    for (size_t i = 0; i + 3 <= text->len && t->n < SHARED_MAX; i++, t->n++) {
        const struct segment_trigram *list =
            segment_find_trigram(s, segment_trigram_key(text->text + i));
        const uint8_t *at = list != NULL ? s->lists + list->offset : NULL;
        uint32_t rank = 0;

        for (uint32_t k = 0; list != NULL && k < list->count; k++) {
            rank = segment_next_rank(&at, rank);
            t->at_least[++t->shared[rank]]++;
        }
    }
}

/* Most names have none of them, so eight are skipped at once. */
static void
add_counted(struct candidates *c, const struct segment *s, uint16_t segment,
            const struct tally *t, unsigned cut)
{
    for (uint32_t rank = 0; rank < s->count; rank++) {
        uint64_t eight;

        if (rank % 8 == 0) {
            memcpy(&eight, t->shared + rank, sizeof(eight));
            if (eight == 0) {
                rank += 7;
                continue;
            }
        }
        if (t->shared[rank] >= cut)
            add(c, rank, segment, t->n - t->shared[rank]);
    }
}

void
candidates_add_similar(struct candidates *c, const struct segment *s, uint16_t segment,
                       const struct candidates_text *text, unsigned least, uint32_t max)
{
    struct tally t = {.shared = calloc(s->count + 8u, 1)};
    unsigned cut = least;

    if (t.shared == NULL) {
        c->is_out_of_memory = true;
        return;
    }
    count_shared(&t, s, text);
    while (cut < t.n && t.at_least[cut] > max)
        cut++;
    if (make_room(c, t.at_least[cut]))
        add_counted(c, s, segment, &t, cut);
    free(t.shared);
}

/* ---- choosing ---- */

/* A counting sort. Of the last order that does not fit completely, it keeps the
 * candidates that were added first. */
bool
candidates_choose(struct candidates *c, uint32_t max)
{
    uint32_t place[CANDIDATE_ORDERS], kept = 0;
    struct candidate *best;

    if (c->is_out_of_memory)
        return false;
    for (unsigned i = 0; i < CANDIDATE_ORDERS; i++) {
        place[i] = kept;
        kept += c->having[i] < max - kept ? c->having[i] : max - kept;
    }
    if ((best = malloc((kept + 1u) * sizeof(*best))) == NULL)
        return false;
    for (uint32_t i = 0; i < c->count; i++) {
        uint32_t *at = &place[c->at[i].order];

        if (*at < kept)
            best[(*at)++] = c->at[i];
    }
    free(c->at);
    c->at = best;
    c->count = c->cap = kept;
    return true;
}
