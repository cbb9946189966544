/*
 * How a search works. A view consists of open parts and sealed segments. An open part
 * holds a few thousand names in no order, so every name of it is compared with the
 * text. A segment may hold millions, so a search first collects candidates from all
 * segments (candidates.h), sorts them by how promising they are, and then compares only
 * as many as it has time for:
 *
 * - An exact search and a search for beginnings find their names by binary search,
 *   because a segment is sorted.
 * - A search for a part of a name adds the names that contain all trigrams of the text,
 *   unless enough names begin with it.
 * - A fuzzy search collects the names that share enough trigrams with the text that
 *   their distance can be within the allowed errors, and then computes this distance
 *   (distance.h). A text of fewer than three bytes has no trigram, so it is searched as
 *   a part.
 *
 * The result is cut at MATCH_NAMES_MAX names. Its order does not matter here, because
 * group.c sorts what was found.
 */
#include "discovery/index/match.h"

#include <stdlib.h>
#include <string.h>

#include "discovery/index/candidates.h"
#include "discovery/index/distance.h"
#include "discovery/index/hint.h"

const char *const match_mode_names[MATCH_MODES] = {
    [MATCH_EXACT] = "exact",
    [MATCH_PREFIX] = "prefix",
    [MATCH_SUBSTRING] = "substring",
    [MATCH_FUZZY] = "fuzzy",
};

/* Ranks: lower numbers are better matches. Each error adds RANK_ERROR. */
enum { RANK_WHOLE = 0, RANK_BEGIN = 1, RANK_WORD = 2, RANK_PART = 3, RANK_ERROR = 4 };

/* Limits: names whose distance a fuzzy search computes, and names that a substring
 * search examines. */
#define SIMILAR_MAX 16384u
#define PARTS_MAX   65536u

struct search {
    const char *query;
    size_t len;
    enum match_mode mode;
    unsigned errors;            /* allowed */
    uint32_t start, start_mask; /* of names that can match an exact or prefix search */
    uint64_t bytes;             /* hint_bytes of the query */
    bool is_full;
    struct match_list *out;
    const struct distance_pattern *pattern; /* of a fuzzy search */
    /* Names whose distance is computed when there are enough of them. */
    uint32_t waiting_ids[DISTANCE_AT_ONCE];
    const char *waiting[DISTANCE_AT_ONCE];
    unsigned waiting_count;
};

static bool
add(struct search *s, uint32_t id, const char *text, unsigned rank)
{
    struct match_list *l = s->out;

    if (l->count == MATCH_NAMES_MAX) {
        s->is_full = l->is_cut = true;
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
    return s->is_full;
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

/* Like strstr(), which is slow for names of some dozens of bytes: it prepares for long
 * texts. Compares four bytes at each place, then the rest. */
static const char *
find_query(const struct search *s, const char *text)
{
    size_t len = s->len >= 4 ? strlen(text) : 0;
    uint32_t first, here;

    if (s->len < 4)
        return strstr(text, s->query);
    memcpy(&first, s->query, 4);
    for (const char *end = text + len; (size_t)(end - text) >= s->len; text++) {
        memcpy(&here, text, 4);
        if (here == first && memcmp(text + 4, s->query + 4, s->len - 4) == 0)
            return text;
    }
    return NULL;
}

static unsigned
rank_of(const struct search *s, const char *text, const char *found)
{
    if (found == text)
        return text[s->len] == '\0' ? RANK_WHOLE : RANK_BEGIN;
    for (; found != NULL; found = find_query(s, found + 1))
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

static bool
try_waiting(struct search *s)
{
    unsigned distances[DISTANCE_AT_ONCE], count = s->waiting_count;

    s->waiting_count = 0;
    for (unsigned i = count; i < DISTANCE_AT_ONCE; i++)
        s->waiting[i] = "";
    distance_to_parts_of(s->pattern, s->waiting, distances);
    for (unsigned i = 0; i < count; i++)
        if (distances[i] <= s->errors && !add(s, s->waiting_ids[i], s->waiting[i],
                                              RANK_ERROR * distances[i] + RANK_PART))
            return false;
    return true;
}

static bool
try_distance(struct search *s, uint32_t id, const char *text)
{
    s->waiting_ids[s->waiting_count] = id;
    s->waiting[s->waiting_count++] = text;
    return s->waiting_count < DISTANCE_AT_ONCE || try_waiting(s);
}

/* Adds the name if it matches. All modes use this function. */
static bool
try_name(struct search *s, uint32_t id, const char *text)
{
    const char *found;

    switch (s->mode) {
    case MATCH_EXACT:
        return strcmp(text, s->query) != 0 || add(s, id, text, RANK_WHOLE);
    case MATCH_PREFIX:
        return strncmp(text, s->query, s->len) != 0 ||
               add(s, id, text, rank_of(s, text, text));
    case MATCH_SUBSTRING:
        found = find_query(s, text);
        return found == NULL || add(s, id, text, rank_of(s, text, found));
    case MATCH_FUZZY:
        if ((found = find_query(s, text)) != NULL)
            return add(s, id, text, rank_of(s, text, found));
        return try_distance(s, id, text);
    }
    return true;
}

/* ---- segments ---- */

static bool
match_exactly(struct search *s, const struct segment *seg)
{
    uint32_t rank = segment_lower_bound(seg, s->query, s->len);

    for (; rank < seg->count && !is_full(s); rank++) {
        const char *text = segment_text(seg, rank);

        if (strcmp(text, s->query) != 0)
            break;
        if (!add(s, seg->ids[rank], text, RANK_WHOLE))
            return false;
    }
    return true;
}

/* Memory is prefetched this many candidates ahead: first the place of the text, then
 * the text. */
#define AHEAD 12u

static void
prefetch_place(const struct dict_view *view, const struct candidate *c)
{
    const struct segment *seg = view->segments[c->segment]->segment;

    __builtin_prefetch(&seg->offsets[c->rank]);
    __builtin_prefetch(&seg->ids[c->rank]);
}

static void
prefetch_text(const struct dict_view *view, const struct candidate *c)
{
    __builtin_prefetch(segment_text(view->segments[c->segment]->segment, c->rank));
}

static bool
try_candidate(struct search *s, const struct dict_view *view, const struct candidate *c)
{
    const struct segment *seg = view->segments[c->segment]->segment;
    const char *text = segment_text(seg, c->rank);

    if (s->mode == MATCH_FUZZY && c->order > CANDIDATE_WHOLE)
        return try_distance(s, seg->ids[c->rank], text);
    if (s->mode != MATCH_FUZZY && c->order < CANDIDATE_OTHER)
        return add(s, seg->ids[c->rank], text,
                   c->order == CANDIDATE_WHOLE ? RANK_WHOLE : RANK_BEGIN);
    return try_name(s, seg->ids[c->rank], text);
}

static bool
try_candidates(struct search *s, const struct dict_view *view,
               const struct candidates *c)
{
    bool ok = true;

    for (uint32_t i = 0; ok && i < c->count && !is_full(s); i++) {
        if (i + 2 * AHEAD < c->count)
            prefetch_place(view, &c->at[i + 2 * AHEAD]);
        if (i + AHEAD < c->count)
            prefetch_text(view, &c->at[i + AHEAD]);
        ok = try_candidate(s, view, &c->at[i]);
    }
    return ok;
}

/* Names that contain the text come after those that begin with it. If there are enough
 * of the latter, the former are not searched. */
static void
find_parts(const struct search *s, const struct dict_view *view, struct candidates *c)
{
    const struct candidates_text text = {s->query, s->len};

    for (uint16_t i = 0; i < view->n_segments; i++)
        candidates_add_beginnings(c, view->segments[i]->segment, i, &text);
    if (s->mode == MATCH_PREFIX || c->count > MATCH_NAMES_MAX)
        return;
    for (uint16_t i = 0; i < view->n_segments; i++)
        candidates_add_parts(c, view->segments[i]->segment, i, &text);
    s->out->is_cut = c->count > PARTS_MAX;
}

/* An edit destroys at most three trigrams, a swap four. A name that shares fewer than
 * the rest cannot match. */
static void
find_similar(const struct search *s, const struct dict_view *view, struct candidates *c)
{
    const struct candidates_text text = {s->query, s->len};
    unsigned n = (unsigned)s->len - 2, spoiled = 4 * s->errors;

    for (uint16_t i = 0; i < view->n_segments; i++)
        candidates_add_similar(c, view->segments[i]->segment, i, &text,
                               n > spoiled ? n - spoiled : 1, SIMILAR_MAX);
}

static bool
match_segments(struct search *s, const struct dict_view *view)
{
    bool is_similar = s->mode == MATCH_FUZZY && s->len >= 3, ok;
    struct candidates c = {0};

    if (is_similar)
        find_similar(s, view, &c);
    else
        find_parts(s, view, &c);
    ok = candidates_choose(&c, is_similar ? SIMILAR_MAX : PARTS_MAX) &&
         try_candidates(s, view, &c);
    candidates_clear(&c);
    return ok;
}

/* ---- a view ---- */

static bool
may_match(const struct search *s, const struct dict_part *p, uint32_t i)
{
    if (s->mode == MATCH_EXACT || s->mode == MATCH_PREFIX)
        return ((p->starts[i] ^ s->start) & s->start_mask) == 0;
    return !hint_misses_more(s->bytes, p->bytes[i], s->errors);
}

/* A part is not sorted, so every name that may match is examined. */
static bool
match_part(struct search *s, const struct dict_part *p)
{
    uint32_t count = atomic_load_explicit(&p->count, memory_order_acquire);

    for (uint32_t i = 0; i < count && !is_full(s); i++)
        if (may_match(s, p, i) && !try_name(s, p->names[i].id, p->names[i].text))
            return false;
    return true;
}

static struct search
begin_search(enum match_mode mode, const char *query, struct match_list *out)
{
    size_t len = strlen(query);
    uint32_t all = UINT32_MAX;

    return (struct search){
        .query = query,
        .len = len,
        .mode = mode,
        .errors = mode == MATCH_FUZZY ? match_errors_allowed(len) : 0,
        .start = hint_start(query, len),
        .start_mask = mode == MATCH_EXACT ? all : hint_start((const char *)&all, len),
        .bytes = hint_bytes(query),
        .out = out,
    };
}

bool
match_names(const struct dict_view *view, enum match_mode mode, const char *query,
            struct match_list *out)
{
    struct distance_pattern
        pattern; /* two kilobytes, which most searches do not need */
    struct search s = begin_search(mode, query, out);
    bool ok = true;

    *out = (struct match_list){0};
    if (mode == MATCH_FUZZY) {
        distance_prepare(&pattern, query, s.len);
        s.pattern = &pattern;
    }
    for (uint32_t i = 0; ok && i < view->n_parts; i++)
        ok = match_part(&s, view->parts[i]);
    if (mode != MATCH_EXACT)
        ok = ok && match_segments(&s, view);
    for (uint32_t i = 0; ok && mode == MATCH_EXACT && i < view->n_segments; i++)
        ok = match_exactly(&s, view->segments[i]->segment);
    ok = ok && (s.waiting_count == 0 || try_waiting(&s));
    if (!ok)
        match_clear(out);
    return ok;
}
