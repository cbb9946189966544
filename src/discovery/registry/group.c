/*
 * How a page of results is made. Several matching names can belong to one content, and
 * one name to several contents. So the files of all matches are put into groups, one
 * for each content, with a small hash table. A group keeps the best of its names and
 * counts its sources.
 *
 * The order of groups must be the same in every registry with the same peers, because a
 * cursor from one registry continues a list at another. So it depends only on what
 * peers have registered: on the rank of the match, the number of sources, and then on
 * the tie, a hash of name and content. A page has few groups, and there may be
 * thousands. So they pass through a heap with the size of a page, whose root is the
 * worst group of the page; a group that was on an earlier page is skipped.
 */
#include "discovery/registry/group.h"

#include <stdlib.h>
#include <string.h>

#include "discovery/index/fold.h"
#include "p2p/bytes.h"

/* How many matches are looked up while the readers' lock is held once. */
#define SLICE 64u

/* ---- grouping ---- */

/* Not table_hash(), because cursors must have the same meaning in every registry. */
static uint64_t
mix(uint64_t h, const void *data, size_t len)
{
    const uint8_t *p = data;

    for (; len >= 8; p += 8, len -= 8) {
        h = (h ^ p2p_load_u64(p)) * 0x9e3779b97f4a7c15u;
        h ^= h >> 32;
    }
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

/* The hash of everything that identifies a group: a lying peer may state another size
 * for the same root. */
static uint64_t
group_hash(const struct catalogue *c, const struct file *f)
{
    const struct content *content;
    uint8_t size[8];

    if (f->content == SLAB_NONE)
        return mix(1, &f->name, sizeof(f->name));
    content = catalogue_content(c, f->content);
    p2p_store_u64(size, content->size);
    return mix(mix(2, content->root.b, P2P_DIGEST_LEN), size, sizeof(size));
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

/* The positions of names in the dictionary change, so the order of their bytes decides
 * among names that match equally well. */
static bool
is_better_name(const struct match *m, const struct group *g)
{
    int order;

    if (g->name == SLAB_NONE || m->rank != g->key.rank)
        return g->name == SLAB_NONE || m->rank < g->key.rank;
    order = m->text != g->text ? strcmp(m->text, g->text) : 0;
    return order != 0 ? order < 0
                      : strcmp(fold_spelling(m->text), fold_spelling(g->text)) < 0;
}

/* Adds a file under a matching name. The group is shown with its best name. */
static bool
add_file(const struct catalogue *c, struct groups *groups, const struct match *m,
         const struct file *f)
{
    struct group *g = group_of(c, groups, f);

    if (g == NULL)
        return false;
    g->key.sources += f->count;
    if (is_better_name(m, g)) {
        g->key.rank = m->rank;
        g->name = f->name;
        g->text = m->text;
        g->content = f->content;
    }
    return true;
}

bool
group_is_current(const struct catalogue *c, uint32_t name, const char *matched)
{
    const char *text = catalogue_name(c, name)->text;

    return text != NULL && (text == matched ||
                            (strcmp(text, matched) == 0 &&
                             strcmp(fold_spelling(text), fold_spelling(matched)) == 0));
}

/* Finds the first file of each match. The items are spread over memory, so each step
 * prefetches the memory of the next one, for all matches of the slice at once. */
static void
find_files(const struct catalogue *c, const struct match *m, uint32_t count,
           uint32_t files[SLICE])
{
    for (uint32_t i = 0; i < count; i++)
        __builtin_prefetch(catalogue_name(c, m[i].id));
    for (uint32_t i = 0; i < count; i++) {
        files[i] = SLAB_NONE;
        if (group_is_current(c, m[i].id, m[i].text))
            files[i] = catalogue_name(c, m[i].id)->first_file;
        if (files[i] != SLAB_NONE)
            __builtin_prefetch(catalogue_file(c, files[i]));
    }
    for (uint32_t i = 0; i < count; i++)
        if (files[i] != SLAB_NONE && catalogue_file(c, files[i])->content != SLAB_NONE)
            __builtin_prefetch(
                &catalogue_content(c, catalogue_file(c, files[i])->content)->root);
}

static bool
group_slice(const struct catalogue *c, const struct match *m, uint32_t count,
            struct groups *groups)
{
    uint32_t files[SLICE];
    bool ok = true;

    find_files(c, m, count, files);
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t at = files[i]; ok && at != SLAB_NONE;
             at = catalogue_file(c, at)->next_of_name)
            ok = add_file(c, groups, &m[i], catalogue_file(c, at));
    return ok;
}

bool
groups_of_matches(struct registry *r, const struct match_list *list, struct groups *out)
{
    bool ok = true;

    *out = (struct groups){0};
    for (uint32_t i = 0; ok && i < list->count; i += SLICE) {
        uint32_t n = list->count - i < SLICE ? list->count - i : SLICE;

        ok = group_slice(registry_lock_catalogue(r), &list->at[i], n, out);
        registry_unlock_catalogue(r);
    }
    return ok;
}

void
groups_clear(struct groups *g)
{
    free(g->at);
    free(g->heads);
    *g = (struct groups){0};
}

/* ---- a page ---- */

/* What needs no tie. */
static int
compare_worth(const struct group_key *a, const struct group_key *b)
{
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    return (a->sources < b->sources) - (a->sources > b->sources);
}

static int
compare_keys(const struct group_key *a, const struct group_key *b)
{
    int order = compare_worth(a, b);

    return order != 0 ? order : (a->tie > b->tie) - (a->tie < b->tie);
}

/* The content may be gone meanwhile, and its number in use for another one: then the
 * page is as old as its cursor. */
static void
hash_exactly(struct registry *r, const struct group *g, uint8_t out[GROUP_EXACT])
{
    const char *spelling = fold_spelling(g->text);
    uint8_t of[P2P_DIGEST_LEN + P2P_DIGEST_LEN + 8] = {0};
    struct p2p_digest name = {{0}}, all = {{0}};

    if (g->content != SLAB_NONE) {
        const struct catalogue *c = registry_lock_catalogue(r);
        const struct content *content = catalogue_content(c, g->content);
        memcpy(of + P2P_DIGEST_LEN, content->root.b, P2P_DIGEST_LEN);
        p2p_store_u64(of + 2 * P2P_DIGEST_LEN, content->size);
        registry_unlock_catalogue(r);
    }
    if (p2p_sha256(spelling, strlen(spelling), &name) == P2P_OK) {
        memcpy(of, name.b, sizeof(name.b));
        (void)!p2p_sha256(of, sizeof(of), &all);
    }
    memcpy(out, all.b, GROUP_EXACT);
}

/* Never 0 for two groups: they differ in name, root or size. */
static int
compare_groups(struct registry *r, const struct group *a, const struct group *b)
{
    int order = compare_keys(&a->key, &b->key);
    uint8_t of_a[GROUP_EXACT], of_b[GROUP_EXACT];

    if (order != 0)
        return order;
    hash_exactly(r, a, of_a);
    hash_exactly(r, b, of_b);
    return memcmp(of_a, of_b, GROUP_EXACT);
}

static int
compare_up(const void *a, const void *b, void *registry)
{
    return compare_groups(registry, a, b);
}

static int
compare_down(const void *a, const void *b, void *registry)
{
    return compare_groups(registry, b, a);
}

void
group_cursor_of(struct registry *r, const struct group *g, struct group_cursor *out)
{
    out->key = g->key;
    hash_exactly(r, g, out->exact);
}

/* Orders equal names, whatever their content: the tie begins with their first bytes. */
static void
set_tie(struct group *g)
{
    const char *spelling = fold_spelling(g->text);
    uint64_t lead = 0;

    for (unsigned i = 0, ended = 0; i < 4; i++) {
        ended |= g->text[ended ? 0 : i] == '\0';
        lead = lead << 8 | (ended ? 0 : (uint8_t)g->text[i]);
    }
    g->key.tie = lead << 32 | (mix(g->content == SLAB_NONE ? 0 : g->hash, spelling,
                                   strlen(spelling)) &
                               0xffffffffu);
}

/* Moves the heap's root (the worst of the page) down to its place. */
static void
sift_down(struct registry *r, struct group *heap, uint32_t count)
{
    uint32_t at = 0, child;

    while ((child = at * 2 + 1) < count) {
        struct group swap = heap[at];

        if (child + 1 < count && compare_groups(r, &heap[child], &heap[child + 1]) < 0)
            child++;
        if (compare_groups(r, &swap, &heap[child]) >= 0)
            return;
        heap[at] = heap[child];
        heap[child] = swap;
        at = child;
    }
}

/* True if the group was on an earlier page. The tie is expensive and is seldom
 * needed. */
static bool
is_passed(struct registry *r, struct group *g, const struct group_cursor *after)
{
    uint8_t exact[GROUP_EXACT];
    int order;

    if (after == NULL || compare_worth(&g->key, &after->key) > 0)
        return false;
    set_tie(g);
    order = compare_keys(&g->key, &after->key);
    if (order == 0) {
        hash_exactly(r, g, exact);
        order = memcmp(exact, after->exact, GROUP_EXACT);
    }
    return order <= 0;
}

/* Replaces the worst group of a full page, if it is better. */
static void
replace_worst(struct registry *r, struct group *page, uint32_t limit, struct group *g)
{
    if (compare_worth(&g->key, &page[0].key) > 0)
        return;
    set_tie(g);
    if (compare_groups(r, g, &page[0]) >= 0)
        return;
    page[0] = *g;
    sift_down(r, page, limit);
}

/* A page is short and there are many groups, so they pass through a heap of the page's
 * size. */
uint32_t
groups_choose_page(struct registry *r, struct groups *g,
                   const struct group_cursor *after, uint32_t limit, bool *has_more)
{
    uint32_t kept = 0;

    *has_more = false;
    for (uint32_t i = 0; i < g->count; i++) {
        struct group candidate = g->at[i];

        if (is_passed(r, &candidate, after))
            continue;
        if (kept == limit) {
            *has_more = true;
            replace_worst(r, g->at, limit, &candidate);
            continue;
        }
        set_tie(&candidate);
        g->at[kept++] = candidate;
        /* A list in falling order is a heap. */
        if (kept == limit)
            qsort_r(g->at, kept, sizeof(*g->at), compare_down, r);
    }
    if (kept > 1)
        qsort_r(g->at, kept, sizeof(*g->at), compare_up, r);
    return kept;
}
