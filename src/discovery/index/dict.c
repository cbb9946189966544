#include <stdlib.h>
#include <string.h>

#include "discovery/index/dict_internal.h"
#include "discovery/index/fold.h"
#include "discovery/index/hint.h"
#include "p2p/limits.h"
#include "p2p/lock.h"
#include "p2p/log.h"

#define BLOCK_SIZE (64u * 1024)

struct dict_block {
    struct dict_block *next;
    char bytes[BLOCK_SIZE];
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

void
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

    p2p_lock(&d->lock);
    v = d->view;
    atomic_fetch_add(&v->refs, 1);
    p2p_unlock(&d->lock);
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

struct dict_view *
dict_view_new(struct dict_segment **segments, uint32_t n_segments,
              struct dict_part **parts, uint32_t n_parts)
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
    struct dict_view *old, *fresh = NULL;

    p2p_lock(&d->lock);
    old = d->view;
    parts = calloc(old->n_parts + 1u, sizeof(struct dict_part *));
    if (part != NULL && parts != NULL && old->n_parts < DICT_CLOSED_MAX) {
        memcpy(parts, old->parts, old->n_parts * sizeof(struct dict_part *));
        parts[old->n_parts] = part;
        fresh = dict_view_new(old->segments, old->n_segments, parts, old->n_parts + 1);
    }
    if (fresh != NULL) {
        d->view = fresh;
        d->open = part;
        d->work |= DICT_SEAL;
        pthread_cond_signal(&d->wake);
    }
    p2p_unlock(&d->lock);
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
    p->names[at] = (struct segment_name){.id = id, .text = room};
    p->starts[at] = hint_start(room, strlen(room));
    p->bytes[at] = hint_bytes(room);
    atomic_store_explicit(&p->count, at + 1, memory_order_release);
    return room;
}

/* ---- the thread ---- */

/* This thread must not have a lower priority than the others. It holds the owner's lock
 * for short times; with a low priority it could be delayed while it holds the lock, and
 * all that wait for the lock with it. */
static void *
dict_main(void *arg)
{
    struct dict *d = arg;
    unsigned work;

    p2p_lock(&d->lock);
    while (!d->is_stopping) {
        if (d->work == 0) {
            d->is_busy = false;
            pthread_cond_broadcast(&d->idle);
            p2p_wait(&d->wake, &d->lock);
            continue;
        }
        work = d->work;
        d->work = 0;
        d->is_busy = true;
        p2p_unlock(&d->lock);
        if (work & (DICT_SEAL | DICT_COMPACT))
            dict_seal(d, work & DICT_COMPACT);
        if (work & DICT_REWEIGH)
            dict_weigh_all(d);
        p2p_lock(&d->lock);
    }
    p2p_unlock(&d->lock);
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
    p2p_mutex_init(&d->lock);
    pthread_cond_init(&d->wake, NULL);
    pthread_cond_init(&d->idle, NULL);
    if ((d->open = part_new()) == NULL ||
        (d->view = dict_view_new(NULL, 0, &d->open, 1)) == NULL) {
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
    p2p_lock(&d->lock);
    d->is_stopping = true;
    pthread_cond_signal(&d->wake);
    p2p_unlock(&d->lock);
    if (d->has_thread)
        pthread_join(d->thread, NULL);
    p2p_mutex_unshared(&d->lock);
    dict_release(d->view);
    p2p_mutex_clear(&d->lock);
    pthread_cond_destroy(&d->wake);
    pthread_cond_destroy(&d->idle);
    free(d);
}

static void
ask_for(struct dict *d, enum dict_work work)
{
    p2p_lock(&d->lock);
    d->work |= work;
    pthread_cond_signal(&d->wake);
    p2p_unlock(&d->lock);
}

void
dict_compact(struct dict *d)
{
    ask_for(d, DICT_COMPACT);
}

void
dict_reweigh(struct dict *d)
{
    ask_for(d, DICT_REWEIGH);
}

void
dict_settle(struct dict *d)
{
    p2p_lock(&d->lock);
    while (d->work != 0 || d->is_busy)
        p2p_wait(&d->idle, &d->lock);
    p2p_unlock(&d->lock);
}

void
dict_stats(struct dict *d, struct dict_stats *out)
{
    struct dict_view *v = dict_acquire(d);

    *out = (struct dict_stats){.segments = v->n_segments};
    for (uint32_t i = 0; i < v->n_segments; i++) {
        const struct segment *s = v->segments[i]->segment;

        out->names += s->count;
        out->bytes += s->blob_len + s->lists_len + s->count * 9u +
                      s->n_trigrams * sizeof(*s->trigrams);
    }
    for (uint32_t i = 0; i < v->n_parts; i++)
        out->waiting += v->parts[i]->count;
    out->names += out->waiting;
    dict_release(v);
}
