/* The catalogue in memory. The loop changes it, under the lock for what readers see. */
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "core/share/share_internal.h"
#include "p2p/bytes.h"

#define ROOT_BUCKETS_MIN 256

struct p2p_file_state
p2p_file_state_of(const struct stat *st)
{
    return (struct p2p_file_state){
        .size = (uint64_t)st->st_size,
        .inode = st->st_ino,
        .mtime_ns = st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
        .ctime_ns = st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec,
    };
}

bool
p2p_file_state_equal(const struct p2p_file_state *a, const struct p2p_file_state *b)
{
    return a->size == b->size && a->inode == b->inode && a->mtime_ns == b->mtime_ns &&
           a->ctime_ns == b->ctime_ns;
}

enum p2p_err
p2p_view_init(struct p2p_view *view)
{
    pthread_rwlockattr_t attr;

    memset(view, 0, sizeof(*view));
    /* Many readers at once must not keep the one writer out for long. */
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&view->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    view->root_buckets = ROOT_BUCKETS_MIN;
    view->by_root = calloc(view->root_buckets, sizeof(*view->by_root));
    return view->by_root ? P2P_OK : P2P_ERR_NOMEM;
}

static void
free_item(void *arg)
{
    struct p2p_item *item = arg;

    free(item->layer);
    free(item);
}

void
p2p_view_clear(struct p2p_view *view)
{
    tdestroy(view->by_name, free_item);
    for (size_t i = 0; i < view->graves_count; i++)
        free_item(view->graves[i]);
    free(view->graves);
    free(view->fresh);
    free(view->sorted);
    free(view->by_root);
    pthread_rwlock_destroy(&view->lock);
}

/* ---- By name ---- */

static int
compare_items(const void *a, const void *b)
{
    return strcmp(((const struct p2p_item *)a)->name,
                  ((const struct p2p_item *)b)->name);
}

/* The tree holds items and is asked with a name: both sides of it are the name. */
static int
compare_name(const void *name, const void *item)
{
    return strcmp(name, ((const struct p2p_item *)item)->name);
}

struct p2p_item *
p2p_view_find(const struct p2p_view *view, const char *name)
{
    void *node = tfind(name, &view->by_name, compare_name);

    return node ? *(struct p2p_item **)node : NULL;
}

struct p2p_item *
p2p_view_get(struct p2p_view *view, const char *name)
{
    struct p2p_item *item = p2p_view_find(view, name);
    size_t len = strlen(name) + 1;

    if (item)
        return item;
    item = calloc(1, sizeof(*item) + len);
    if (!item)
        return NULL;
    memcpy(item->name, name, len);
    pthread_rwlock_wrlock(&view->lock);
    void *node = tsearch(item, &view->by_name, compare_items);
    view->item_count += node != NULL;
    pthread_rwlock_unlock(&view->lock);
    if (node)
        return item;
    free(item);
    return NULL;
}

struct each {
    void (*each)(struct p2p_item *, void *);
    void *arg;
};

static void
visit_node(const void *node, VISIT which, void *arg)
{
    const struct each *e = arg;

    if (which == postorder || which == leaf) /* in order, each once */
        e->each(*(struct p2p_item *const *)node, e->arg);
}

void
p2p_view_each(struct p2p_view *view, void (*each)(struct p2p_item *, void *), void *arg)
{
    struct each e = {each, arg};

    twalk_r(view->by_name, visit_node, &e);
}

/* ---- By root ---- */

static struct p2p_item **
bucket_of(const struct p2p_view *view, const struct p2p_digest *root)
{
    return &view->by_root[p2p_load_u64(root->b) & (view->root_buckets - 1)];
}

static void
link_root(struct p2p_view *view, struct p2p_item *item)
{
    struct p2p_item **bucket = bucket_of(view, &item->facts.root);

    item->next_by_root = *bucket;
    *bucket = item;
}

static void
unlink_root(struct p2p_view *view, struct p2p_item *item)
{
    struct p2p_item **at = bucket_of(view, &item->facts.root);

    while (*at && *at != item)
        at = &(*at)->next_by_root;
    if (*at)
        *at = item->next_by_root;
}

/* Twice the buckets when they fill up; without memory the chains grow instead. */
static void
grow_roots(struct p2p_view *view)
{
    struct p2p_item **old = view->by_root;
    size_t count = view->root_buckets;

    if (view->totals.files < count)
        return;
    view->by_root = calloc(2 * count, sizeof(*old));
    if (!view->by_root) {
        view->by_root = old;
        return;
    }
    view->root_buckets = 2 * count;
    for (size_t i = 0; i < count; i++)
        for (struct p2p_item *item = old[i], *next; item; item = next) {
            next = item->next_by_root;
            link_root(view, item);
        }
    free(old);
}

const struct p2p_item *
p2p_view_by_root(const struct p2p_view *view, const struct p2p_digest *root,
                 const struct p2p_item *previous)
{
    const struct p2p_item *item =
        previous ? previous->next_by_root : *bucket_of(view, root);

    while (item && memcmp(item->facts.root.b, root->b, sizeof(root->b)) != 0)
        item = item->next_by_root;
    return item;
}

/* ---- Changes ---- */

static bool
push(struct p2p_item ***array, size_t *count, size_t *cap, struct p2p_item *item)
{
    if (*count == *cap) {
        size_t more = *cap ? 2 * *cap : 64;
        struct p2p_item **grown = realloc(*array, more * sizeof(*grown));
        if (!grown)
            return false;
        *array = grown;
        *cap = more;
    }
    (*array)[(*count)++] = item;
    return true;
}

/* With the lock: out of what is shared. */
static void
withdraw(struct p2p_view *view, struct p2p_item *item)
{
    if (item->state != P2P_ITEM_READY)
        return;
    unlink_root(view, item);
    view->totals.files--;
    view->totals.bytes -= item->facts.state.size;
    view->is_changed = true;
}

enum p2p_err
p2p_view_set_ready(struct p2p_view *view, struct p2p_item *item,
                   const struct p2p_file_facts *facts, struct p2p_digest *layer)
{
    if (!item->is_sorted) {
        if (!push(&view->fresh, &view->fresh_count, &view->fresh_cap, item)) {
            free(layer);
            return P2P_ERR_NOMEM;
        }
        item->is_sorted = true;
    }
    pthread_rwlock_wrlock(&view->lock);
    withdraw(view, item);
    free(item->layer);
    item->layer = layer;
    item->facts = *facts;
    item->state = P2P_ITEM_READY;
    grow_roots(view);
    link_root(view, item);
    view->totals.files++;
    view->totals.bytes += facts->state.size;
    view->is_changed = true;
    pthread_rwlock_unlock(&view->lock);
    return P2P_OK;
}

void
p2p_view_set_state(struct p2p_view *view, struct p2p_item *item,
                   enum p2p_item_state state)
{
    pthread_rwlock_wrlock(&view->lock);
    withdraw(view, item);
    item->state = state;
    pthread_rwlock_unlock(&view->lock);
}

void
p2p_view_set_sha256(struct p2p_view *view, struct p2p_item *item,
                    const struct p2p_digest *sha256)
{
    pthread_rwlock_wrlock(&view->lock);
    item->facts.sha256 = *sha256;
    item->facts.sha256_known = true;
    view->is_changed = true;
    pthread_rwlock_unlock(&view->lock);
}

void
p2p_view_count_hashed(struct p2p_view *view, uint64_t bytes)
{
    pthread_rwlock_wrlock(&view->lock);
    view->totals.hashed_bytes += bytes;
    pthread_rwlock_unlock(&view->lock);
}

void
p2p_view_remove(struct p2p_view *view, struct p2p_item *item)
{
    p2p_view_owe(view, item, false);
    pthread_rwlock_wrlock(&view->lock);
    withdraw(view, item);
    item->state = P2P_ITEM_GONE;
    tdelete(item, &view->by_name, compare_items);
    view->item_count--;
    pthread_rwlock_unlock(&view->lock);
    /* Lists and queues may still point to it. Without memory for the grave it is
     * leaked. */
    (void)push(&view->graves, &view->graves_count, &view->graves_cap, item);
}

void
p2p_view_owe(struct p2p_view *view, struct p2p_item *item, bool owed)
{
    pthread_rwlock_wrlock(&view->lock);
    if (item->is_owed) {
        view->totals.hashing_files--;
        view->totals.hashing_bytes -= item->owed_bytes;
    }
    item->is_owed = owed;
    item->owed_bytes = owed ? item->facts.state.size : 0;
    view->totals.hashing_files += owed;
    view->totals.hashing_bytes += item->owed_bytes;
    pthread_rwlock_unlock(&view->lock);
}

/* ---- Commit ---- */

static int
compare_pointers(const void *a, const void *b)
{
    return compare_items(*(struct p2p_item *const *)a, *(struct p2p_item *const *)b);
}

/* Appends what is still shared; the others lose their place. */
static void
append(struct p2p_item **out, size_t *count, struct p2p_item *item)
{
    if (item->state == P2P_ITEM_READY)
        out[(*count)++] = item;
    else
        item->is_sorted = false;
}

static size_t
merge(const struct p2p_view *view, struct p2p_item **out)
{
    size_t i = 0, k = 0, count = 0;

    while (i < view->sorted_count && k < view->fresh_count)
        if (compare_items(view->sorted[i], view->fresh[k]) < 0)
            append(out, &count, view->sorted[i++]);
        else
            append(out, &count, view->fresh[k++]);
    while (i < view->sorted_count)
        append(out, &count, view->sorted[i++]);
    while (k < view->fresh_count)
        append(out, &count, view->fresh[k++]);
    return count;
}

static void
bury(struct p2p_view *view)
{
    size_t kept = 0;

    for (size_t i = 0; i < view->graves_count; i++) {
        struct p2p_item *item = view->graves[i];
        if (item->is_sorted || item->is_dirty || item->is_queued ||
            item->is_with_hasher)
            view->graves[kept++] = item;
        else
            free_item(item);
    }
    view->graves_count = kept;
}

bool
p2p_view_commit(struct p2p_view *view)
{
    size_t room = view->sorted_count + view->fresh_count;
    struct p2p_item **merged, **old;

    if (view->is_changed) {
        merged = malloc((room + 1) * sizeof(*merged));
        if (!merged)
            return false; /* the next commit does it */
        qsort(view->fresh, view->fresh_count, sizeof(*view->fresh), compare_pointers);
        size_t count = merge(view, merged);
        pthread_rwlock_wrlock(&view->lock);
        old = view->sorted;
        view->sorted = merged;
        view->sorted_count = count;
        view->totals.generation++;
        pthread_rwlock_unlock(&view->lock);
        free(old);
        view->fresh_count = 0;
        view->is_changed = false;
        bury(view);
        return true;
    }
    bury(view);
    return false;
}
