#include "discovery/search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "discovery/fold.h"
#include "p2p/bytes.h"

/* Matches looked up under one hold of the readers' lock. */
#define SLICE 64u

/* What results are sorted by, and what a cursor is made of. */
struct key {
    uint32_t rank;
    uint32_t sources;
    uint64_t tie; /* of name and content: the same everywhere */
};

/* One content (or, without one, one name) that was found. */
struct group {
    struct key key;
    uint32_t content; /* or SLAB_NONE */
    uint32_t name;    /* the best of its names */
    const char *text; /* of it, in the view */
    uint64_t hash;    /* what groups are found by */
    uint32_t next;
};

struct groups {
    struct group *at;
    uint32_t count, cap;
    uint32_t *heads;
    uint32_t mask;
};

/* ---- grouping ---- */

/* Not table_hash(): cursors have to mean the same in every registry. */
static uint64_t
mix(uint64_t h, const void *data, size_t len)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h ^ h >> 31;
}

static bool
is_same_group(const struct catalogue *c, const struct group *g, const struct file *f)
{
    const struct content *a, *b;

    if (g->content == SLAB_NONE || f->content == SLAB_NONE)
        return g->content == f->content && g->name == f->name;
    if (g->content == f->content)
        return true;
    a = catalogue_content(c, g->content);
    b = catalogue_content(c, f->content);
    return a->size == b->size && memcmp(a->root.b, b->root.b, sizeof(a->root.b)) == 0;
}

static uint64_t
group_hash(const struct catalogue *c, const struct file *f)
{
    if (f->content == SLAB_NONE)
        return mix(1, &f->name, sizeof(f->name));
    return mix(2, catalogue_content(c, f->content)->root.b, P2P_DIGEST_LEN);
}

static bool
groups_grow(struct groups *g)
{
    uint32_t cap = g->cap > 0 ? g->cap * 2 : 256;
    struct group *at = realloc(g->at, cap * sizeof(*at));
    uint32_t *heads = at != NULL ? malloc(cap * 2 * sizeof(*heads)) : NULL;

    if (at != NULL)
        g->at = at;
    if (heads == NULL)
        return false;
    free(g->heads);
    g->cap = cap;
    g->heads = heads;
    g->mask = cap * 2 - 1;
    memset(heads, 0xff, cap * 2 * sizeof(*heads));
    for (uint32_t i = 0; i < g->count; i++) {
        g->at[i].next = heads[g->at[i].hash & g->mask];
        heads[g->at[i].hash & g->mask] = i;
    }
    return true;
}

static struct group *
group_of(const struct catalogue *c, struct groups *g, const struct file *f)
{
    uint64_t hash = group_hash(c, f);
    uint32_t at;

    if (g->count == g->cap && !groups_grow(g))
        return NULL;
    for (at = g->heads[hash & g->mask]; at != SLAB_NONE; at = g->at[at].next)
        if (g->at[at].hash == hash && is_same_group(c, &g->at[at], f))
            return &g->at[at];
    at = g->count++;
    g->at[at] = (struct group){.hash = hash,
                               .content = f->content,
                               .name = SLAB_NONE,
                               .next = g->heads[hash & g->mask]};
    g->heads[hash & g->mask] = at;
    return &g->at[at];
}

/* Adds a file under a name that matched. The best name is the one the group is shown
 * by. */
static bool
add_file(const struct catalogue *c, struct groups *groups, const struct match *m,
         const struct file *f)
{
    struct group *g = group_of(c, groups, f);

    if (g == NULL)
        return false;
    g->key.sources += f->count;
    if (g->name == SLAB_NONE || m->rank < g->key.rank) {
        g->key.rank = m->rank;
        g->name = f->name;
        g->text = m->text;
        g->content = f->content;
    }
    return true;
}

/* The dictionary may be behind: the name has to be the one that was matched. */
static bool
is_current(const struct catalogue *c, const struct match *m)
{
    const char *text = catalogue_name(c, m->id)->text;

    return text != NULL && (text == m->text ||
                            (strcmp(text, m->text) == 0 &&
                             strcmp(fold_spelling(text), fold_spelling(m->text)) == 0));
}

static bool
group_matches(struct registry *r, const struct match_list *list, struct groups *groups)
{
    const struct catalogue *c;
    bool ok = true;

    for (uint32_t i = 0; ok && i < list->count;) {
        c = registry_lock_catalogue(r);
        for (uint32_t end = i + SLICE; ok && i < list->count && i < end; i++) {
            const struct match *m = &list->at[i];
            uint32_t file = SLAB_NONE;

            if (is_current(c, m))
                file = catalogue_name(c, m->id)->first_file;
            for (; ok && file != SLAB_NONE;
                 file = catalogue_file(c, file)->next_of_name)
                ok = add_file(c, groups, m, catalogue_file(c, file));
        }
        registry_unlock_catalogue(r);
    }
    return ok;
}

/* ---- order and cursors ---- */

static int
compare_keys(const struct key *a, const struct key *b)
{
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    if (a->sources != b->sources)
        return a->sources > b->sources ? -1 : 1;
    return (a->tie > b->tie) - (a->tie < b->tie);
}

static int
compare_groups(const void *a, const void *b)
{
    return compare_keys(&((const struct group *)a)->key,
                        &((const struct group *)b)->key);
}

static int
compare_groups_down(const void *a, const void *b)
{
    return compare_groups(b, a);
}

/* Names in order among equals, whatever the content: their first bytes lead the tie. */
static void
set_tie(struct group *g)
{
    uint64_t lead = 0;

    for (unsigned i = 0, ended = 0; i < 4; i++) {
        ended |= g->text[ended ? 0 : i] == '\0';
        lead = lead << 8 | (ended ? 0 : (uint8_t)g->text[i]);
    }
    g->key.tie = lead << 32 |
                 (mix(g->content == SLAB_NONE ? 0 : g->hash, g->text, strlen(g->text)) &
                  0xffffffffu);
}

static void
format_cursor(const struct key *k, char out[SEARCH_CURSOR_MAX])
{
    snprintf(out, SEARCH_CURSOR_MAX, "%x-%x-%llx", k->rank, k->sources,
             (unsigned long long)k->tie);
}

static bool
parse_cursor(const char *text, struct key *k)
{
    char again[SEARCH_CURSOR_MAX];
    unsigned long long tie;

    if (sscanf(text, "%x-%x-%llx", &k->rank, &k->sources, &tie) != 3)
        return false;
    k->tie = tie;
    format_cursor(k, again);
    return strcmp(text, again) == 0;
}

/* Moves the heap's root (the worst of the page) down to its place. */
static void
sift_down(struct group *heap, uint32_t count)
{
    uint32_t at = 0, child;

    while ((child = at * 2 + 1) < count) {
        struct group swap = heap[at];

        if (child + 1 < count && compare_groups(&heap[child], &heap[child + 1]) < 0)
            child++;
        if (compare_groups(&swap, &heap[child]) >= 0)
            return;
        heap[at] = heap[child];
        heap[child] = swap;
        at = child;
    }
}

/*
 * Brings the best groups after `after` to the front, sorted; returns their number. A
 * page is short and the groups are many, so they pass a heap of the page's size.
 */
static uint32_t
choose_page(struct groups *g, const struct key *after, uint32_t limit, bool *has_more)
{
    uint32_t kept = 0;

    *has_more = false;
    for (uint32_t i = 0; i < g->count; i++) {
        struct group candidate = g->at[i];

        set_tie(&candidate);
        if (after != NULL && compare_keys(&candidate.key, after) <= 0)
            continue;
        if (kept < limit) {
            g->at[kept++] = candidate;
            /* A list sorted downwards is a heap. */
            if (kept == limit)
                qsort(g->at, kept, sizeof(*g->at), compare_groups_down);
            continue;
        }
        *has_more = true;
        if (compare_groups(&candidate, &g->at[0]) < 0) {
            g->at[0] = candidate;
            sift_down(g->at, kept);
        }
    }
    if (kept > 1)
        qsort(g->at, kept, sizeof(*g->at), compare_groups);
    return kept;
}

/* ---- results ---- */

static void
add_peers(struct registry *r, const struct file *f, struct search_result *res)
{
    uint32_t before =
        res->n_peers; /* of other names; of one name no peer comes twice */

    for (uint32_t i = 0; i < f->count && res->n_peers < SEARCH_SOURCES; i++) {
        const struct p2p_id *id = registry_id_at(r, file_peers(f)[i]);
        uint32_t k = 0;

        while (k < before && memcmp(res->peers[k].b, id->b, sizeof(id->b)) != 0)
            k++;
        if (k == before)
            res->peers[res->n_peers++] = *id;
    }
}

/* All contents of this root and size: they differ in the SHA-256 that was claimed. */
static void
fill_content(struct registry *r, const struct catalogue *c, uint32_t first,
             struct search_result *res)
{
    const struct content *shown = catalogue_content(c, first);
    uint32_t at = catalogue_find_root(c, &shown->root), file;

    res->has_content = true;
    res->size = shown->size;
    res->root = shown->root;
    res->sha256 = shown->sha256;
    for (; at != SLAB_NONE; at = catalogue_next_root(c, at)) {
        if (catalogue_content(c, at)->size != shown->size)
            continue;
        file = catalogue_content(c, at)->first_file;
        for (; file != SLAB_NONE; file = catalogue_file(c, file)->next_of_content)
            add_peers(r, catalogue_file(c, file), res);
    }
}

/* With the lock held. False: it is gone meanwhile. */
static bool
fill_result(struct registry *r, const struct catalogue *c, const struct group *g,
            struct search_result *res)
{
    struct match m = {.id = g->name, .text = g->text};
    uint32_t file;

    if (!is_current(c, &m))
        return false;
    file = catalogue_name(c, g->name)->first_file;
    while (file != SLAB_NONE && catalogue_file(c, file)->content != g->content)
        file = catalogue_file(c, file)->next_of_name;
    if (file == SLAB_NONE)
        return false;
    res->name = strdup(fold_spelling(g->text));
    res->peers = malloc(SEARCH_SOURCES * sizeof(*res->peers));
    if (res->name == NULL || res->peers == NULL)
        return false;
    res->sources = g->key.sources;
    if (g->content != SLAB_NONE)
        fill_content(r, c, g->content, res);
    else
        add_peers(r, catalogue_file(c, file), res);
    return true;
}

static bool
fill_page(struct registry *r, const struct group *groups, uint32_t count,
          struct search_results *out)
{
    out->at = calloc(count + 1u, sizeof(*out->at));
    if (out->at == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        struct search_result *res = &out->at[out->count];

        if (fill_result(r, registry_lock_catalogue(r), &groups[i], res))
            out->count++;
        else {
            free(res->name);
            free(res->peers);
            *res = (struct search_result){0};
        }
        registry_unlock_catalogue(r);
    }
    return true;
}

void
search_results_clear(struct search_results *results)
{
    for (uint32_t i = 0; i < results->count; i++) {
        free(results->at[i].name);
        free(results->at[i].peers);
    }
    free(results->at);
    *results = (struct search_results){0};
}

static enum p2p_err
search_view(struct registry *r, const struct dict_view *view,
            const struct search_query *q, const char *folded, const struct key *after,
            struct search_results *out)
{
    enum p2p_err err = P2P_ERR_NOMEM;
    struct match_list list = {0};
    struct groups groups = {0};
    bool has_more;
    uint32_t n;

    if (!match_names(view, q->mode, folded, &list) || !group_matches(r, &list, &groups))
        goto out;
    n = choose_page(&groups, after, q->limit, &has_more);
    if (!fill_page(r, groups.at, n, out))
        goto out;
    if (has_more && n > 0)
        format_cursor(&groups.at[n - 1].key, out->next);
    out->is_cut = list.is_cut;
    err = P2P_OK;
out:
    match_clear(&list);
    free(groups.at);
    free(groups.heads);
    return err;
}

enum p2p_err
search_run(struct registry *r, const struct search_query *q, struct search_results *out)
{
    char folded[MATCH_QUERY_MAX * FOLD_GROWTH + 1];
    size_t len = strlen(q->text);
    struct dict_view *view;
    struct key after;
    enum p2p_err err;

    *out = (struct search_results){0};
    if (len == 0 || len > MATCH_QUERY_MAX)
        return P2P_ERR_RANGE;
    len = fold_text(q->text, len, folded);
    if (len == 0 || len > MATCH_QUERY_MAX)
        return P2P_ERR_RANGE;
    if (q->cursor != NULL && !parse_cursor(q->cursor, &after))
        return P2P_ERR_MALFORMED;
    view = dict_acquire(registry_dict(r));
    err = search_view(r, view, q, folded, q->cursor != NULL ? &after : NULL, out);
    dict_release(view);
    return err;
}
