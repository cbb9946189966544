/*
 * How a segment is made. The names are sorted by their folded text and copied into one
 * block, so that a rank (the place in this order) is all that a list has to store, and
 * names with the same beginning are neighbors.
 *
 * For each trigram there is a list of the ranks that contain it. The lists are made in
 * two passes over the names, because then each list has its exact size and no memory is
 * moved. The first pass counts: for each trigram the number of names and of bytes that
 * its list will need. Then the lists are laid out one behind the other. The second pass
 * writes them. Ranks ascend, so a list stores the differences, each in 7 bits per byte
 * (LEB128); most of them take one byte. `last` keeps a name that contains a trigram
 * twice from being listed twice.
 */
#include "discovery/index/segment.h"

#include <stdlib.h>
#include <string.h>

#include "discovery/index/fold.h"
#include "p2p/limits.h"

#define MARKED_MAX (P2P_NAME_MAX * FOLD_GROWTH + 3)

/* ---- counting trigrams ---- */

/* The state of one trigram during the two passes. */
struct gather {
    uint32_t key; /* EMPTY: free place */
    uint32_t count;
    uint32_t last; /* the last rank with this trigram, plus 1 */
    uint32_t bytes;
    uint32_t offset;
};
#define EMPTY UINT32_MAX

struct gather_table {
    struct gather *rows;
    uint32_t size, used; /* size is a power of two */
};

static uint32_t
place_of(const struct gather_table *t, uint32_t key)
{
    uint32_t at = (key * 2654435761u) & (t->size - 1);

    while (t->rows[at].key != EMPTY && t->rows[at].key != key)
        at = (at + 1) & (t->size - 1);
    return at;
}

static bool
resize(struct gather_table *t, uint32_t size)
{
    struct gather_table bigger = {.size = size, .used = t->used};

    if ((bigger.rows = malloc(size * sizeof(*bigger.rows))) == NULL)
        return false;
    memset(bigger.rows, 0xff, size * sizeof(*bigger.rows));
    for (uint32_t i = 0; i < t->size; i++)
        if (t->rows[i].key != EMPTY)
            bigger.rows[place_of(&bigger, t->rows[i].key)] = t->rows[i];
    free(t->rows);
    *t = bigger;
    return true;
}

static struct gather *
row_of(struct gather_table *t, uint32_t key)
{
    uint32_t at;

    if (t->used * 2 >= t->size && !resize(t, t->size > 0 ? t->size * 2 : 4096))
        return NULL;
    at = place_of(t, key);
    if (t->rows[at].key == EMPTY) {
        t->rows[at] = (struct gather){.key = key};
        t->used++;
    }
    return &t->rows[at];
}

static unsigned
encoded_length(uint32_t value)
{
    unsigned n = 1;

    while (value >>= 7)
        n++;
    return n;
}

static size_t
mark(const char *folded, char out[MARKED_MAX])
{
    size_t n = strnlen(folded, MARKED_MAX - 3);

    out[0] = SEGMENT_MARK_START;
    memcpy(out + 1, folded, n);
    out[n + 1] = SEGMENT_MARK_END;
    return n + 2;
}

static bool
count_trigrams(const struct segment *s, struct gather_table *t)
{
    char marked[MARKED_MAX];

    for (uint32_t rank = 0; rank < s->count; rank++) {
        size_t n = mark(segment_text(s, rank), marked);

        for (size_t i = 0; i + 3 <= n; i++) {
            struct gather *g = row_of(t, segment_trigram_key(marked + i));

            if (g == NULL)
                return false;
            if (g->last == rank + 1)
                continue;
            g->bytes += encoded_length(rank - (g->last > 0 ? g->last - 1 : 0));
            g->last = rank + 1;
            g->count++;
        }
    }
    return true;
}

/* ---- writing the lists ---- */

static int
compare_trigrams(const void *a, const void *b)
{
    const struct segment_trigram *x = a, *y = b;

    return (x->key > y->key) - (x->key < y->key);
}

static bool
lay_out(struct segment *s, struct gather_table *t)
{
    uint32_t n = 0, offset = 0;

    s->trigrams = malloc((t->used + 1u) * sizeof(*s->trigrams));
    if (s->trigrams == NULL)
        return false;
    for (uint32_t i = 0; i < t->size; i++) {
        struct gather *g = &t->rows[i];

        if (g->key == EMPTY)
            continue;
        s->trigrams[n++] = (struct segment_trigram){g->key, g->count, offset};
        g->offset = offset;
        g->last = 0;
        offset += g->bytes;
    }
    s->n_trigrams = n;
    s->lists_len = offset;
    qsort(s->trigrams, n, sizeof(*s->trigrams), compare_trigrams);
    return (s->lists = malloc(offset + 1u)) != NULL;
}

static void
write_lists(struct segment *s, struct gather_table *t)
{
    char marked[MARKED_MAX];

    for (uint32_t rank = 0; rank < s->count; rank++) {
        size_t n = mark(segment_text(s, rank), marked);

        for (size_t i = 0; i + 3 <= n; i++) {
            struct gather *g = &t->rows[place_of(t, segment_trigram_key(marked + i))];
            uint32_t delta = rank - (g->last > 0 ? g->last - 1 : 0);

            if (g->last == rank + 1)
                continue;
            g->last = rank + 1;
            for (; delta >= 0x80; delta >>= 7)
                s->lists[g->offset++] = (uint8_t)(delta | 0x80);
            s->lists[g->offset++] = (uint8_t)delta;
        }
    }
}

/* ---- a segment ---- */

static int
compare_names(const void *a, const void *b)
{
    const struct segment_name *x = a, *y = b;
    int order = strcmp(x->text, y->text);

    return order != 0 ? order : (x->id > y->id) - (x->id < y->id);
}

static size_t
stored_size(const char *text)
{
    size_t folded = strlen(text) + 1;

    return folded + strlen(text + folded) + 1;
}

static enum p2p_err
copy_names(struct segment *s, const struct segment_name *names)
{
    size_t used = 0;

    for (uint32_t i = 0; i < s->count; i++)
        s->blob_len += stored_size(names[i].text);
    if (s->blob_len > UINT32_MAX)
        return P2P_ERR_TOO_LARGE;
    s->ids = malloc((s->count + 1u) * sizeof(*s->ids));
    s->weights = malloc(s->count + 1u);
    s->offsets = malloc((s->count + 1u) * sizeof(*s->offsets));
    s->blob = malloc(s->blob_len + 1);
    if (s->ids == NULL || s->weights == NULL || s->offsets == NULL || s->blob == NULL)
        return P2P_ERR_NOMEM;
    for (uint32_t i = 0; i < s->count; i++) {
        size_t n = stored_size(names[i].text);

        s->ids[i] = names[i].id;
        atomic_init(&s->weights[i], (uint8_t)names[i].weight);
        s->offsets[i] = (uint32_t)used;
        memcpy(s->blob + used, names[i].text, n);
        used += n;
    }
    return P2P_OK;
}

enum p2p_err
segment_new(struct segment_name *names, uint32_t count, struct segment **result)
{
    struct gather_table t = {0};
    struct segment *s = NULL;
    enum p2p_err err = P2P_ERR_NOMEM;

    *result = NULL;
    if ((s = calloc(1, sizeof(*s))) == NULL)
        goto out;
    s->count = count;
    qsort(names, count, sizeof(*names), compare_names);
    if ((err = copy_names(s, names)) != P2P_OK)
        goto out;
    err = P2P_ERR_NOMEM;
    if (!count_trigrams(s, &t) || !lay_out(s, &t))
        goto out;
    write_lists(s, &t);
    *result = s;
    s = NULL;
    err = P2P_OK;
out:
    segment_free(s);
    free(t.rows);
    return err;
}

void
segment_free(struct segment *s)
{
    if (s == NULL)
        return;
    free(s->ids);
    free(s->weights);
    free(s->offsets);
    free(s->blob);
    free(s->trigrams);
    free(s->lists);
    free(s);
}

/* The first rank whose text, cut to len, compares above `order` with the given one. */
static uint32_t
first_above(const struct segment *s, const char *text, size_t len, int order)
{
    uint32_t lo = 0, hi = s->count;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (strncmp(segment_text(s, mid), text, len) <= order)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

uint32_t
segment_lower_bound(const struct segment *s, const char *text, size_t len)
{
    return first_above(s, text, len, -1);
}

uint32_t
segment_upper_bound(const struct segment *s, const char *text, size_t len)
{
    return first_above(s, text, len, 0);
}

const struct segment_trigram *
segment_find_trigram(const struct segment *s, uint32_t key)
{
    struct segment_trigram wanted = {.key = key};

    return bsearch(&wanted, s->trigrams, s->n_trigrams, sizeof(wanted),
                   compare_trigrams);
}
