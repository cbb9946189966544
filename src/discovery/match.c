#include "discovery/match.h"

#include <stdlib.h>
#include <string.h>

#include "discovery/distance.h"

/* Ranks: what a person meant comes first. Errors add RANK_ERROR each. */
enum { RANK_WHOLE = 0, RANK_BEGIN = 1, RANK_WORD = 2, RANK_PART = 3, RANK_ERROR = 4 };

/* Candidates whose distance is computed, of those that share trigrams with the query.
 */
#define VERIFY_MAX 16384u

struct search {
    const char *query;
    size_t len;
    enum match_mode mode;
    unsigned errors; /* allowed */
    struct match_list *out;
    struct distance_pattern pattern; /* of a fuzzy search */
};

static bool
add(struct search *s, uint32_t id, const char *text, unsigned rank)
{
    struct match_list *l = s->out;

    if (l->count == MATCH_NAMES_MAX) {
        l->is_cut = true;
        return true;
    }
    if (l->count == l->cap) {
        uint32_t cap = l->cap * 2 + 64;
        struct match *at = realloc(l->at, cap * sizeof(*at));

        if (at == NULL)
            return false;
        l->at = at;
        l->cap = cap;
    }
    l->at[l->count++] = (struct match){id, (uint16_t)rank, text};
    return true;
}

static bool
is_full(const struct search *s)
{
    return s->out->is_cut;
}

void
match_clear(struct match_list *list)
{
    free(list->at);
    *list = (struct match_list){0};
}

/* ---- one name ---- */

static bool
is_word_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (unsigned char)c >= 0x80;
}

static unsigned
rank_of(const struct search *s, const char *text, const char *found)
{
    if (found == text)
        return text[s->len] == '\0' ? RANK_WHOLE : RANK_BEGIN;
    for (; found != NULL; found = strstr(found + 1, s->query))
        if (!is_word_char(found[-1]))
            return RANK_WORD;
    return RANK_PART;
}

unsigned
match_errors_allowed(size_t len)
{
    if (len < 3)
        return 0;
    return len < 5 ? 1 : len < 12 ? 2 : 3;
}

/* Adds the name if it fits. Every mode comes down to this. */
static bool
try_name(struct search *s, uint32_t id, const char *text)
{
    const char *found;
    unsigned distance;

    switch (s->mode) {
    case MATCH_EXACT:
        return strcmp(text, s->query) != 0 || add(s, id, text, RANK_WHOLE);
    case MATCH_PREFIX:
        return strncmp(text, s->query, s->len) != 0 ||
               add(s, id, text, rank_of(s, text, text));
    case MATCH_SUBSTRING:
        found = strstr(text, s->query);
        return found == NULL || add(s, id, text, rank_of(s, text, found));
    case MATCH_FUZZY:
        if ((found = strstr(text, s->query)) != NULL)
            return add(s, id, text, rank_of(s, text, found));
        distance = distance_to_part_of(&s->pattern, text);
        return distance > s->errors ||
               add(s, id, text, RANK_ERROR * distance + RANK_PART);
    }
    return true;
}

/* ---- sorted: exact, prefix ---- */

static bool
match_sorted(struct search *s, const struct segment *seg)
{
    uint32_t rank = segment_lower_bound(seg, s->query, s->len);

    for (; rank < seg->count && !is_full(s); rank++) {
        const char *text = segment_text(seg, rank);

        if (strncmp(text, s->query, s->len) != 0 ||
            (s->mode == MATCH_EXACT && text[s->len] != '\0'))
            break; /* names that are the query itself come before longer ones */
        if (!try_name(s, seg->ids[rank], text))
            return false;
    }
    return true;
}

/* ---- lists: substring ---- */

#define RAREST 3

/* The query's rarest trigrams; *missing when one is nowhere: then nothing matches. */
static unsigned
rarest_lists(const struct search *s, const struct segment *seg,
             const struct segment_trigram *lists[RAREST], bool *missing)
{
    unsigned n = 0;

    *missing = false;
    for (size_t i = 0; i + 3 <= s->len; i++) {
        const struct segment_trigram *t =
            segment_find_trigram(seg, segment_trigram_key(s->query + i));
        unsigned at;

        if (t == NULL) {
            *missing = true;
            return 0;
        }
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

/* Moves on to the first rank that is not below `want`; false at the end. */
static bool
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

static bool
match_lists(struct search *s, const struct segment *seg)
{
    const struct segment_trigram *lists[RAREST];
    struct walk others[RAREST] = {0};
    bool missing;
    unsigned n = rarest_lists(s, seg, lists, &missing);
    const uint8_t *at;
    uint32_t rank = 0;

    if (missing)
        return true;
    for (unsigned i = 1; i < n; i++) {
        others[i] =
            (struct walk){seg->lists + lists[i]->offset, lists[i]->count - 1, 0};
        others[i].rank = segment_next_rank(&others[i].at, 0);
    }
    at = seg->lists + lists[0]->offset;
    for (uint32_t i = 0; i < lists[0]->count && !is_full(s); i++) {
        bool is_in_all = true;

        rank = segment_next_rank(&at, rank);
        for (unsigned k = 1; k < n && is_in_all; k++) {
            if (!walk_to(&others[k], rank))
                return true;
            is_in_all = others[k].rank == rank;
        }
        if (is_in_all && !try_name(s, seg->ids[rank], segment_text(seg, rank)))
            return false;
    }
    return true;
}

/* ---- one or two bytes ---- */

static bool
trigram_has(uint32_t key, const char *query, size_t len)
{
    char bytes[3] = {(char)(key >> 16), (char)(key >> 8), (char)key};

    return memmem(bytes, 3, query, len) != NULL;
}

/* A text this short is a part of trigrams: every name of each of their lists matches.
 */
static bool
match_short(struct search *s, const struct segment *seg)
{
    uint8_t *seen = calloc(seg->count / 8 + 1, 1);
    bool ok = seen != NULL;

    for (uint32_t i = 0; ok && i < seg->n_trigrams && !is_full(s); i++) {
        const struct segment_trigram *t = &seg->trigrams[i];
        const uint8_t *at = seg->lists + t->offset;
        uint32_t rank = 0;

        if (!trigram_has(t->key, s->query, s->len))
            continue;
        for (uint32_t k = 0; ok && k < t->count && !is_full(s); k++) {
            rank = segment_next_rank(&at, rank);
            if (seen[rank / 8] >> (rank % 8) & 1)
                continue;
            seen[rank / 8] |= (uint8_t)(1 << (rank % 8));
            ok = try_name(s, seg->ids[rank], segment_text(seg, rank));
        }
    }
    free(seen);
    return ok;
}

/* ---- counts: fuzzy ---- */

/* How many of the query's trigrams each name has; returns the number of trigrams. */
static unsigned
count_shared(const struct search *s, const struct segment *seg, uint8_t *shared)
{
    unsigned n = 0;

    for (size_t i = 0; i + 3 <= s->len && n < 255; i++, n++) {
        const struct segment_trigram *t =
            segment_find_trigram(seg, segment_trigram_key(s->query + i));
        const uint8_t *at;
        uint32_t rank = 0;

        if (t == NULL)
            continue;
        at = seg->lists + t->offset;
        for (uint32_t k = 0; k < t->count; k++) {
            rank = segment_next_rank(&at, rank);
            shared[rank]++;
        }
    }
    return n;
}

/* The lowest count worth a look, so that at most VERIFY_MAX names get one. */
static unsigned
cut_off(const uint8_t *shared, uint32_t count, unsigned least)
{
    uint32_t having[256] = {0}, sum = 0;
    unsigned cut = 255;

    for (uint32_t i = 0; i < count; i++)
        having[shared[i]]++;
    for (; cut > least; cut--) {
        sum += having[cut];
        if (sum + having[cut - 1] > VERIFY_MAX)
            break;
    }
    return cut;
}

/* An edit spoils three trigrams at most, a swap four: fewer shared ones cannot match.
 */
static bool
match_counts(struct search *s, const struct segment *seg)
{
    uint8_t *shared = calloc(seg->count + 1u, 1);
    unsigned n, spoiled = 4 * s->errors, cut;
    bool ok = true;

    if (shared == NULL)
        return false;
    n = count_shared(s, seg, shared);
    cut = cut_off(shared, seg->count, n > spoiled ? n - spoiled : 1);
    for (uint32_t rank = 0; ok && rank < seg->count && !is_full(s); rank++)
        if (shared[rank] >= cut)
            ok = try_name(s, seg->ids[rank], segment_text(seg, rank));
    free(shared);
    return ok;
}

/* ---- a view ---- */

static bool
match_segment(struct search *s, const struct segment *seg)
{
    if (s->mode == MATCH_EXACT || s->mode == MATCH_PREFIX)
        return match_sorted(s, seg);
    if (s->len < 3)
        return match_short(s, seg);
    return s->mode == MATCH_SUBSTRING ? match_lists(s, seg) : match_counts(s, seg);
}

/* Parts are small and young: every name is looked at. */
static bool
match_part(struct search *s, const struct dict_part *p)
{
    uint32_t count = atomic_load_explicit(&p->count, memory_order_acquire);

    for (uint32_t i = 0; i < count && !is_full(s); i++)
        if (!try_name(s, p->names[i].id, p->names[i].text))
            return false;
    return true;
}

bool
match_names(const struct dict_view *view, enum match_mode mode, const char *query,
            struct match_list *out)
{
    struct search s = {.query = query,
                       .len = strlen(query),
                       .mode = mode,
                       .errors = match_errors_allowed(strlen(query)),
                       .out = out};
    bool ok = true;

    *out = (struct match_list){0};
    if (mode == MATCH_FUZZY)
        distance_prepare(&s.pattern, query, s.len);
    for (uint32_t i = 0; ok && i < view->n_segments; i++)
        ok = match_segment(&s, view->segments[i]->segment);
    for (uint32_t i = 0; ok && i < view->n_parts; i++)
        ok = match_part(&s, view->parts[i]);
    if (!ok)
        match_clear(out);
    return ok;
}
