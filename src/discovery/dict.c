#include "discovery/dict.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "discovery/fold.h"
#include "p2p/limits.h"
#include "p2p/log.h"

#define BLOCK_SIZE (64u * 1024)
/* Names looked at under one hold of the owner's lock: some tens of microseconds. */
#define SLICE 256u

struct dict_block {
    struct dict_block *next;
    char bytes[BLOCK_SIZE];
};

struct dict {
    struct dict_owner owner;
    pthread_mutex_t lock; /* view, has_work, is_busy */
    pthread_cond_t work, idle;
    struct dict_view *view;
    struct dict_part *open; /* of the view; only dict_add's thread writes into it */
    pthread_t thread;
    bool has_thread, has_work, is_busy, is_stopping;
    bool wants_all; /* the next round takes in every segment */
};

/* ---- counted things ---- */

static void
part_release(struct dict_part *p)
{
    if (p == NULL || atomic_fetch_sub(&p->refs, 1) > 1)
        return;
    for (struct dict_block *b = p->blocks, *next; b != NULL; b = next) {
        next = b->next;
        free(b);
    }
    free(p);
}

static void
dict_segment_release(struct dict_segment *s)
{
    if (s == NULL || atomic_fetch_sub(&s->refs, 1) > 1)
        return;
    segment_free(s->segment);
    free(s);
}

void
dict_release(struct dict_view *v)
{
    if (v == NULL || atomic_fetch_sub(&v->refs, 1) > 1)
        return;
    for (uint32_t i = 0; i < v->n_segments; i++)
        dict_segment_release(v->segments[i]);
    for (uint32_t i = 0; i < v->n_parts; i++)
        part_release(v->parts[i]);
    free(v->segments);
    free(v->parts);
    free(v);
}

struct dict_view *
dict_acquire(struct dict *d)
{
    struct dict_view *v;

    pthread_mutex_lock(&d->lock);
    v = d->view;
    atomic_fetch_add(&v->refs, 1);
    pthread_mutex_unlock(&d->lock);
    return v;
}

static struct dict_part *
part_new(void)
{
    struct dict_part *p = malloc(sizeof(*p));

    if (p == NULL)
        return NULL;
    atomic_init(&p->count, 0);
    atomic_init(&p->refs, 0);
    p->blocks = NULL;
    p->block_left = 0;
    return p;
}

/* A view of given things, each of which gets one more holder. */
static struct dict_view *
view_new(struct dict_segment **segments, uint32_t n_segments, struct dict_part **parts,
         uint32_t n_parts)
{
    struct dict_view *v = calloc(1, sizeof(*v));

    if (v == NULL)
        return NULL;
    atomic_init(&v->refs, 1);
    v->segments = calloc(n_segments + 1u, sizeof(*v->segments));
    v->parts = calloc(n_parts + 1u, sizeof(*v->parts));
    if (v->segments == NULL || v->parts == NULL) {
        dict_release(v);
        return NULL;
    }
    for (; v->n_segments < n_segments; v->n_segments++) {
        v->segments[v->n_segments] = segments[v->n_segments];
        atomic_fetch_add(&segments[v->n_segments]->refs, 1);
    }
    for (; v->n_parts < n_parts; v->n_parts++) {
        v->parts[v->n_parts] = parts[v->n_parts];
        atomic_fetch_add(&parts[v->n_parts]->refs, 1);
    }
    return v;
}

/* ---- adding ---- */

static char *
part_room(struct dict_part *p, size_t size)
{
    if (p->block_left < size) {
        struct dict_block *b = malloc(sizeof(*b));

        if (b == NULL)
            return NULL;
        b->next = p->blocks;
        p->blocks = b;
        p->block_left = BLOCK_SIZE;
    }
    p->block_left -= size;
    return p->blocks->bytes + BLOCK_SIZE - p->block_left - size;
}

/* Replaces the full open part by an empty one and wakes the thread. */
static bool
open_next_part(struct dict *d)
{
    struct dict_part *part = part_new(), **parts = NULL;
    struct dict_view *old = d->view, *fresh = NULL;

    pthread_mutex_lock(&d->lock);
    old = d->view;
    parts = calloc(old->n_parts + 1u, sizeof(struct dict_part *));
    if (part != NULL && parts != NULL && old->n_parts < DICT_CLOSED_MAX) {
        memcpy(parts, old->parts, old->n_parts * sizeof(struct dict_part *));
        parts[old->n_parts] = part;
        fresh = view_new(old->segments, old->n_segments, parts, old->n_parts + 1);
    }
    if (fresh != NULL) {
        d->view = fresh;
        d->open = part;
        d->has_work = true;
        pthread_cond_signal(&d->work);
    }
    pthread_mutex_unlock(&d->lock);
    free(parts);
    if (fresh == NULL) {
        free(part);
        return false;
    }
    dict_release(old);
    return true;
}

const char *
dict_add(struct dict *d, uint32_t id, const char *text, size_t len)
{
    char stored[P2P_NAME_MAX * (FOLD_GROWTH + 1) + 2];
    struct dict_part *p = d->open;
    uint32_t at = atomic_load(&p->count);
    size_t size;
    char *room;

    if (len > P2P_NAME_MAX)
        return NULL;
    if (at == DICT_OPEN_NAMES) {
        if (!open_next_part(d))
            return NULL;
        p = d->open;
        at = 0;
    }
    size = fold_store(text, len, stored);
    if ((room = part_room(p, size)) == NULL)
        return NULL;
    memcpy(room, stored, size);
    p->names[at] = (struct segment_name){id, room};
    atomic_store_explicit(&p->count, at + 1, memory_order_release);
    return room;
}

/* ---- sealing ---- */

/* What one round turns into one segment. */
struct round {
    struct dict_view *view;
    uint32_t first_segment; /* these and later ones, */
    uint32_t n_parts;       /* and the first so many parts */
    struct segment_name *names;
    uint32_t count;
};

/* Segments are kept largest first; one is taken in once what comes is half its size. */
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

static void
keep_one(struct dict *d, struct round *r, uint32_t id, const char *text)
{
    if (d->owner.keep(d->owner.arg, id, text))
        r->names[r->count++] = (struct segment_name){id, text};
}

/* Lists the names that are still in use; the others are dropped here and now. */
static bool
collect(struct dict *d, struct round *r)
{
    uint32_t seen = 0;

    r->names = malloc((r->count + 1u) * sizeof(*r->names));
    if (r->names == NULL)
        return false;
    r->count = 0;
    d->owner.lock(d->owner.arg);
#define BREATHE()            \
    if (++seen % SLICE == 0) \
    d->owner.unlock(d->owner.arg), d->owner.lock(d->owner.arg)
    for (uint32_t i = r->first_segment; i < r->view->n_segments; i++) {
        const struct segment *s = r->view->segments[i]->segment;

        for (uint32_t k = 0; k < s->count; k++) {
            BREATHE();
            keep_one(d, r, s->ids[k], segment_text(s, k));
        }
    }
    for (uint32_t i = 0; i < r->n_parts; i++) {
        const struct dict_part *p = r->view->parts[i];

        for (uint32_t k = 0; k < p->count; k++) {
            BREATHE();
            keep_one(d, r, p->names[k].id, p->names[k].text);
        }
    }
#undef BREATHE
    d->owner.unlock(d->owner.arg);
    return true;
}

/* Puts the new segment where its ingredients were. */
static bool
publish(struct dict *d, const struct round *r, struct dict_segment *made)
{
    struct dict_segment *segments[DICT_SEGMENTS_MAX + 2];
    struct dict_view *old, *fresh;
    uint32_t n = r->first_segment;

    memcpy(segments, r->view->segments, n * sizeof(segments[0]));
    if (made->segment->count > 0)
        segments[n++] = made;
    pthread_mutex_lock(&d->lock);
    old = d->view; /* parts may have been closed since; segments are only ours to change
                    */
    fresh = view_new(segments, n, old->parts + r->n_parts, old->n_parts - r->n_parts);
    if (fresh != NULL)
        d->view = fresh;
    pthread_mutex_unlock(&d->lock);
    if (fresh == NULL)
        return false;
    dict_release(old);
    return true;
}

static void
tell_moved(struct dict *d, const struct segment *s)
{
    for (uint32_t i = 0; i < s->count; i += SLICE) {
        d->owner.lock(d->owner.arg);
        for (uint32_t k = i; k < s->count && k < i + SLICE; k++)
            d->owner.moved(d->owner.arg, s->ids[k], segment_text(s, k));
        d->owner.unlock(d->owner.arg);
    }
}

static void
seal(struct dict *d, bool wants_all)
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
    tell_moved(d, made->segment);
    done = true;
out:
    if (!done)
        p2p_log_error("out of memory for the search index: names wait unsealed");
    dict_segment_release(made);
    dict_release(r.view);
    free(r.names);
}

static void *
dict_main(void *arg)
{
    struct dict *d = arg;
    bool wants_all;

    pthread_mutex_lock(&d->lock);
    while (!d->is_stopping) {
        if (!d->has_work) {
            d->is_busy = false;
            pthread_cond_broadcast(&d->idle);
            pthread_cond_wait(&d->work, &d->lock);
            continue;
        }
        wants_all = d->wants_all;
        d->has_work = d->wants_all = false;
        d->is_busy = true;
        pthread_mutex_unlock(&d->lock);
        seal(d, wants_all);
        pthread_mutex_lock(&d->lock);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

/* ---- life ---- */

enum p2p_err
dict_open(const struct dict_owner *owner, struct dict **result)
{
    struct dict *d = calloc(1, sizeof(*d));

    *result = NULL;
    if (d == NULL)
        return P2P_ERR_NOMEM;
    d->owner = *owner;
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->work, NULL);
    pthread_cond_init(&d->idle, NULL);
    if ((d->open = part_new()) == NULL ||
        (d->view = view_new(NULL, 0, &d->open, 1)) == NULL) {
        free(d->open);
        free(d);
        return P2P_ERR_NOMEM;
    }
    d->has_thread = pthread_create(&d->thread, NULL, dict_main, d) == 0;
    if (!d->has_thread) {
        dict_close(d);
        return P2P_ERR_SYS;
    }
    *result = d;
    return P2P_OK;
}

void
dict_close(struct dict *d)
{
    if (d == NULL)
        return;
    pthread_mutex_lock(&d->lock);
    d->is_stopping = true;
    pthread_cond_signal(&d->work);
    pthread_mutex_unlock(&d->lock);
    if (d->has_thread)
        pthread_join(d->thread, NULL);
    dict_release(d->view);
    pthread_mutex_destroy(&d->lock);
    pthread_cond_destroy(&d->work);
    pthread_cond_destroy(&d->idle);
    free(d);
}

void
dict_compact(struct dict *d)
{
    pthread_mutex_lock(&d->lock);
    d->has_work = d->wants_all = true;
    pthread_cond_signal(&d->work);
    pthread_mutex_unlock(&d->lock);
}

void
dict_settle(struct dict *d)
{
    pthread_mutex_lock(&d->lock);
    while (d->has_work || d->is_busy)
        pthread_cond_wait(&d->idle, &d->lock);
    pthread_mutex_unlock(&d->lock);
}

void
dict_stats(struct dict *d, struct dict_stats *out)
{
    struct dict_view *v = dict_acquire(d);

    *out = (struct dict_stats){.segments = v->n_segments};
    for (uint32_t i = 0; i < v->n_segments; i++) {
        const struct segment *s = v->segments[i]->segment;

        out->names += s->count;
        out->bytes += s->blob_len + s->lists_len + s->count * 8u +
                      s->n_trigrams * sizeof(*s->trigrams);
    }
    for (uint32_t i = 0; i < v->n_parts; i++)
        out->waiting += v->parts[i]->count;
    out->names += out->waiting;
    dict_release(v);
}
