/*
 * The work of the dictionary's thread: makes segments of parts, and merges segments.
 *
 * New names go into open parts, which a search has to read from end to end. So full
 * parts are sealed: their names become a segment, which is sorted and has lists of
 * trigrams. A search asks every segment, so there should be few. Therefore a round
 * merges the new names with the smallest segment if it has at most twice as many names
 * as they, then with the next larger one by the same rule, and so on. The sizes of the
 * segments then grow by more than a factor of two from one to the next: there are few
 * segments, and each name is copied only a few times. A round drops names that no peer
 * has any longer.
 *
 * The new segment is built without a lock, from a view that the thread holds. Only the
 * exchange of the view needs the lock of the dictionary.
 */
#include <stdlib.h>
#include <string.h>

#include "discovery/index/dict_internal.h"
#include "p2p/lock.h"
#include "p2p/log.h"

/* The segments and parts that one round merges into one segment. */
struct round {
    struct dict_view *view;
    uint32_t first_segment; /* these and later ones, */
    uint32_t n_parts;       /* and the number of parts, from the first one on */
    struct segment_name *names;
    uint32_t count;
};

/* Chooses what to merge. Segments are kept largest first; a segment is included if the
 * names behind it are at least half as many. */
static void
choose(struct round *r, bool wants_all)
{
    size_t names = 0;

    r->n_parts = r->view->n_parts - 1;
    for (uint32_t i = 0; i < r->n_parts; i++)
        names += r->view->parts[i]->count;
    r->first_segment = r->view->n_segments;
    while (r->first_segment > 0) {
        uint32_t count = r->view->segments[r->first_segment - 1]->segment->count;

        if (!wants_all && count > names * 2 && r->view->n_segments < DICT_SEGMENTS_MAX)
            break;
        names += count;
        r->first_segment--;
    }
    r->count = (uint32_t)names;
}

/* Keeps those of the next `count` names that a peer still has. */
static void
keep_slice(struct dict *d, struct round *r, uint32_t count)
{
    struct segment_name *slice = r->names + r->count;

    d->owner.sift(d->owner.arg, slice, count);
    for (uint32_t i = 0; i < count; i++)
        if (slice[i].weight != DICT_GONE)
            r->names[r->count++] = slice[i];
}

static void
collect_segment(struct dict *d, struct round *r, const struct segment *s)
{
    for (uint32_t i = 0, n; i < s->count; i += n) {
        n = s->count - i < DICT_SLICE ? s->count - i : DICT_SLICE;
        for (uint32_t k = 0; k < n; k++)
            r->names[r->count + k] = (struct segment_name){
                .id = s->ids[i + k], .text = segment_text(s, i + k)};
        keep_slice(d, r, n);
    }
}

static void
collect_part(struct dict *d, struct round *r, const struct dict_part *p)
{
    for (uint32_t i = 0, n; i < p->count; i += n) {
        n = p->count - i < DICT_SLICE ? p->count - i : DICT_SLICE;
        memcpy(r->names + r->count, p->names + i, n * sizeof(p->names[0]));
        keep_slice(d, r, n);
    }
}

/* Lists the names that are still in use; the others are dropped here and now. */
static bool
collect(struct dict *d, struct round *r)
{
    r->names = malloc((r->count + 1u) * sizeof(*r->names));
    if (r->names == NULL)
        return false;
    r->count = 0;
    for (uint32_t i = r->first_segment; i < r->view->n_segments; i++)
        collect_segment(d, r, r->view->segments[i]->segment);
    for (uint32_t i = 0; i < r->n_parts; i++)
        collect_part(d, r, r->view->parts[i]);
    return true;
}

/* Replaces the merged segments and parts by the new segment. */
static bool
publish(struct dict *d, const struct round *r, struct dict_segment *made)
{
    struct dict_segment *segments[DICT_SEGMENTS_MAX + 2];
    struct dict_view *old, *fresh;
    uint32_t n = r->first_segment;

    memcpy(segments, r->view->segments, n * sizeof(segments[0]));
    if (made->segment->count > 0)
        segments[n++] = made;
    p2p_lock(&d->lock);
    old = d->view; /* parts may have been closed since; segments are only ours to change
                    */
    fresh =
        dict_view_new(segments, n, old->parts + r->n_parts, old->n_parts - r->n_parts);
    if (fresh != NULL)
        d->view = fresh;
    p2p_unlock(&d->lock);
    if (fresh == NULL)
        return false;
    dict_release(old);
    return true;
}

/* Calls a function for all names of a segment, a slice at a time. */
static void
for_slices(struct dict *d, const struct segment *s,
           void (*act)(struct dict *d, const struct segment *s, uint32_t first,
                       struct segment_name *names, uint32_t count))
{
    struct segment_name names[DICT_SLICE];

    for (uint32_t i = 0, n; i < s->count; i += n) {
        for (n = 0; n < DICT_SLICE && i + n < s->count; n++)
            names[n] = (struct segment_name){.id = s->ids[i + n],
                                             .text = segment_text(s, i + n)};
        act(d, s, i, names, n);
    }
}

static void
tell_moved(struct dict *d, const struct segment *s, uint32_t first,
           struct segment_name *names, uint32_t count)
{
    (void)s, (void)first;
    d->owner.moved(d->owner.arg, names, count);
}

static void
weigh(struct dict *d, const struct segment *s, uint32_t first,
      struct segment_name *names, uint32_t count)
{
    d->owner.weigh(d->owner.arg, names, count);
    for (uint32_t i = 0; i < count; i++)
        atomic_store_explicit(
            &s->weights[first + i],
            (uint8_t)(names[i].weight != DICT_GONE ? names[i].weight : 0),
            memory_order_relaxed);
}

void
dict_weigh_all(struct dict *d)
{
    struct dict_view *view = dict_acquire(d);

    for (uint32_t i = 0; i < view->n_segments; i++)
        for_slices(d, view->segments[i]->segment, weigh);
    dict_release(view);
}

void
dict_seal(struct dict *d, bool wants_all)
{
    struct round r = {.view = dict_acquire(d)};
    struct dict_segment *made = calloc(1, sizeof(*made));
    bool done = false;

    if (made == NULL)
        goto out;
    atomic_init(&made->refs, 1);
    choose(&r, wants_all);
    if (r.n_parts == 0 && !wants_all) {
        done = true;
        goto out;
    }
    if (!collect(d, &r) || segment_new(r.names, r.count, &made->segment) != P2P_OK ||
        !publish(d, &r, made))
        goto out;
    /* The old texts live as long as r.view does: until every name knows its new one. */
    for_slices(d, made->segment, tell_moved);
    d->owner.settle(d->owner.arg);
    done = true;
out:
    if (!done)
        p2p_log_error(
            "out of memory for the search index: new names stay uncompressed for now");
    dict_segment_release(made);
    dict_release(r.view);
    free(r.names);
}
