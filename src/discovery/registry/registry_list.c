/* Lists of peers in the order of their ids, a page at a time. */
#include <stdlib.h>
#include <string.h>

#include "discovery/registry/registry_internal.h"
#include "p2p/lock.h"

/* Ids read under one hold of the readers' lock. */
#define SLICE 32u

bool
registry_visit_one(struct registry *r, const struct p2p_id *id, registry_visit *visit,
                   void *arg)
{
    struct registry_peer view;
    bool found = false;
    uint32_t at;

    p2p_read_lock(&r->lock);
    if ((at = registry_find(r, id)) != SLAB_NONE) {
        registry_fill_peer(r, at, &view);
        visit(arg, &view);
        found = true;
    }
    p2p_rw_unlock(&r->lock);
    return found;
}

void
registry_let_others_in_unlocks(struct registry_peer *peer)
    P2P_REQUIRES_READ(registry_data_lock)
{
    struct registry *r = peer->registry;
    const struct peer *p = peer_at(r, peer->number);

    p2p_rw_unlock(&r->lock);
    p2p_read_lock(&r->lock);
    peer->files = p->files;
    peer->file_count = p->is_used && p2p_id_equal(&p->id, &peer->id) ? p->count : 0;
}

static int
compare_ids(const struct p2p_id *a, const struct p2p_id *b)
{
    return memcmp(a->b, b->b, sizeof(a->b));
}

static int
compare_id_order(const void *a, const void *b)
{
    return compare_ids(a, b);
}

static int
compare_id_order_down(const void *a, const void *b)
{
    return compare_ids(b, a);
}

/* ---- all peers ---- */

/*
 * by_id is a linear hash over the mirrored first bytes of ids: with L..2L buckets, a
 * bucket is all ids that begin with certain log2(L) bits, or one more where it has been
 * split. So the buckets can be walked in the order of ids.
 */
static uint32_t
mirror(uint32_t value, unsigned bits)
{
    uint32_t out = 0;

    for (unsigned i = 0; i < bits; i++)
        out |= (value >> i & 1) << (bits - 1 - i);
    return out;
}

/* Finds the bucket of the ids that begin with `prefix` (`bits` + 1 bits). */
static uint32_t
bucket_of_prefix(const struct table *t, uint32_t prefix, unsigned bits)
{
    uint32_t wide = mirror(prefix, bits + 1);

    return (wide & (t->level - 1)) < t->split ? wide : wide & (t->level - 1);
}

struct id_slice {
    struct p2p_id ids[SLICE * 4];
    uint32_t count;
    bool is_cut; /* the last bucket has more ids than fit, all above these */
    bool is_last;
};

/* Puts `id` at `at` of a heap with the largest id on top, in place of what is there. */
static void
sift_down(struct p2p_id *heap, uint32_t count, uint32_t at, const struct p2p_id *id)
{
    for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && compare_ids(&heap[child + 1], &heap[child]) > 0)
            child++;
        if (compare_ids(&heap[child], id) <= 0)
            break;
        heap[at] = heap[child];
    }
    heap[at] = *id;
}

/*
 * Collects as many of the smallest ids of a chain as fit. Anyone can make one chain as
 * long as they like. So the ids that do not fit must be those that come later in the
 * order, not those that come later in the chain.
 */
static void
add_chain(const struct registry *r, uint32_t at, const struct p2p_id *after,
          struct id_slice *s)
{
    struct p2p_id *heap = s->ids + s->count;
    uint32_t room = SLICE * 4 - s->count, n = 0;

    for (; at != SLAB_NONE; at = peer_at(r, at)->next) {
        const struct peer *p = peer_at(r, at);

        if (after != NULL && compare_ids(&p->id, after) <= 0)
            continue;
        if (n < room) {
            heap[n++] = p->id;
            /* A list sorted downwards is a heap. */
            if (n == room)
                qsort(heap, n, sizeof(*heap), compare_id_order_down);
            continue;
        }
        s->is_cut = true;
        if (compare_ids(&p->id, &heap[0]) < 0)
            sift_down(heap, n, 0, &p->id);
    }
    qsort(heap, n, sizeof(*heap), compare_id_order);
    s->count += n;
}

/* The next ids after `after`: at least one unless they are at an end. */
static void
next_slice(const struct registry *r, const struct p2p_id *after, struct id_slice *s)
{
    const struct table *t = &r->by_id;
    unsigned bits = (unsigned)__builtin_ctz(t->level);
    uint32_t prefix = 0, last_bucket = SLAB_NONE;

    s->count = 0;
    s->is_cut = false;
    if (after != NULL)
        prefix = (uint32_t)after->b[0] << 24 | (uint32_t)after->b[1] << 16 |
                 (uint32_t)after->b[2] << 8 | after->b[3];
    prefix = after != NULL ? prefix >> (31 - bits) : 0;
    for (; prefix < 2u << bits && s->count < SLICE; prefix++) {
        uint32_t bucket = bucket_of_prefix(t, prefix, bits);

        if (bucket == last_bucket)
            continue; /* not split: both prefixes are the same bucket */
        last_bucket = bucket;
        add_chain(r, *(uint32_t *)slab_at(&t->heads, bucket), after, s);
    }
    s->is_last = prefix == 2u << bits && !s->is_cut;
}

/* Visits one peer of a list and holds the lock only for this visit. False: stop. */
static bool
visit_id(struct registry *r, const struct p2p_id *id, registry_visit *visit, void *arg)
{
    struct registry_peer view;
    bool goes_on = true;
    uint32_t at;

    p2p_read_lock(&r->lock);
    if ((at = registry_find(r, id)) != SLAB_NONE) {
        registry_fill_peer(r, at, &view);
        goes_on = visit(arg, &view);
    }
    p2p_rw_unlock(&r->lock);
    return goes_on;
}

static void
visit_all(struct registry *r, const struct p2p_id *after, registry_visit *visit,
          void *arg)
{
    struct p2p_id last;
    struct id_slice s;
    bool goes_on = true;

    do {
        p2p_read_lock(&r->lock);
        next_slice(r, after, &s);
        p2p_rw_unlock(&r->lock);
        for (uint32_t i = 0; goes_on && i < s.count; i++)
            goes_on = visit_id(r, &s.ids[i], visit, arg);
        if (s.count > 0) {
            last = s.ids[s.count - 1];
            after = &last;
        }
    } while (goes_on && !s.is_last);
}

/* ---- peers of some files ---- */

#define AHEAD 16u /* peers whose memory is prefetched */

struct id_list {
    struct p2p_id *ids;
    size_t count, cap;
};

static bool
add_file(const struct registry *r, const struct file *f, const struct p2p_id *after,
         struct id_list *list)
{
    if (list->cap - list->count < f->count) {
        size_t cap = list->count + f->count;
        struct p2p_id *ids = realloc(list->ids, cap * sizeof(*ids));

        if (ids == NULL)
            return false;
        list->ids = ids;
        list->cap = cap;
    }
    for (uint32_t i = 0; i < f->count; i++) {
        const struct p2p_id *id = &peer_at(r, file_peers(f)[i])->id;

        if (i + AHEAD < f->count)
            __builtin_prefetch(&peer_at(r, file_peers(f)[i + AHEAD])->id);

        if (after == NULL || compare_ids(id, after) > 0)
            list->ids[list->count++] = *id;
    }
    return true;
}

static void
add_content(const struct registry *r, uint32_t content, const struct p2p_id *after,
            struct id_list *list)
{
    uint32_t file = catalogue_content(&r->catalogue, content)->first_file;

    for (; file != SLAB_NONE;
         file = catalogue_file(&r->catalogue, file)->next_of_content)
        if (!add_file(r, catalogue_file(&r->catalogue, file), after, list))
            return;
}

static void
find_ids(const struct registry *r, const struct registry_filter *filter,
         const struct p2p_id *after, struct id_list *list)
{
    const struct catalogue *c = &r->catalogue;
    uint32_t at;

    if (filter->root != NULL) {
        for (at = catalogue_find_root(c, filter->root); at != SLAB_NONE;
             at = catalogue_next_root(c, at))
            add_content(r, at, after, list);
    } else if (filter->sha256 != NULL) {
        for (at = catalogue_find_sha256(c, filter->sha256); at != SLAB_NONE;
             at = catalogue_next_sha256(c, at))
            add_content(r, at, after, list);
    } else {
        at = catalogue_find_name(c, filter->file, strlen(filter->file));
        if (at == SLAB_NONE)
            return;
        for (at = catalogue_name(c, at)->first_file; at != SLAB_NONE;
             at = catalogue_file(c, at)->next_of_name)
            if (!add_file(r, catalogue_file(c, at), after, list))
                return;
    }
}

static void
visit_ids(struct registry *r, const struct id_list *list, registry_visit *visit,
          void *arg)
{
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0 && compare_ids(&list->ids[i - 1], &list->ids[i]) == 0)
            continue;
        if (!visit_id(r, &list->ids[i], visit, arg))
            return;
    }
}

void
registry_visit_peers(struct registry *r, const struct registry_filter *filter,
                     const struct p2p_id *after, registry_visit *visit, void *arg)
{
    struct id_list list = {0};

    if (filter->file == NULL && filter->root == NULL && filter->sha256 == NULL) {
        visit_all(r, after, visit, arg);
        return;
    }
    p2p_read_lock(&r->lock);
    find_ids(r, filter, after, &list);
    p2p_rw_unlock(&r->lock);
    if (list.count > 1)
        qsort(list.ids, list.count, sizeof(*list.ids), compare_id_order);
    visit_ids(r, &list, visit, arg);
    free(list.ids);
}
