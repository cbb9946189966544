/* The catalogue in memory. The share's loop changes it, under the lock for the fields
 * that readers use. */
#include <search.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/libc.h"
#include "core/share/share_internal.h"
#include "p2p/array.h"
#include "p2p/bytes.h"
#include "p2p/lock.h"

#define BUCKETS_MIN 256

/* Times that do not fit into 64 bits (before 1677, after 2262) become the nearest
 * possible one. */
static int64_t
nanoseconds(const struct timespec *t)
{
    int64_t ns;

    if (__builtin_mul_overflow(t->tv_sec, 1000000000, &ns) ||
        __builtin_add_overflow(ns, t->tv_nsec, &ns))
        return t->tv_sec < 0 ? INT64_MIN : INT64_MAX;
    return ns;
}

struct p2p_file_state
p2p_file_state_of(const struct stat *st)
{
    return (struct p2p_file_state){
        .size = (uint64_t)st->st_size,
        .inode = st->st_ino,
        .mtime_ns = nanoseconds(&st->st_mtim),
        .ctime_ns = nanoseconds(&st->st_ctim),
    };
}

enum p2p_file_change
p2p_file_state_compare(const struct p2p_file_state *a, const struct p2p_file_state *b)
{
    if (a->size != b->size || a->inode != b->inode || a->mtime_ns != b->mtime_ns)
        return P2P_FILE_CHANGED;
    return a->ctime_ns == b->ctime_ns ? P2P_FILE_SAME : P2P_FILE_TOUCHED;
}

enum p2p_err
p2p_catalogue_init(struct p2p_catalogue *catalogue)
{
    memset(catalogue, 0, sizeof(*catalogue));
    p2p_rwlock_init(&catalogue->lock);
    catalogue->buckets = BUCKETS_MIN;
    catalogue->by_root = calloc(catalogue->buckets, sizeof(*catalogue->by_root));
    catalogue->by_inode = calloc(catalogue->buckets, sizeof(*catalogue->by_inode));
    return catalogue->by_root && catalogue->by_inode ? P2P_OK : P2P_ERR_NOMEM;
}

static void
free_item(void *arg)
{
    struct p2p_item *item = arg;

    free(item->layer);
    free(item);
}

void
p2p_catalogue_clear(struct p2p_catalogue *catalogue)
{
    p2p_rwlock_unshared(&catalogue->lock);
    tdestroy(catalogue->by_name, free_item);
    for (size_t i = 0; i < catalogue->graves_count; i++)
        free_item(catalogue->graves[i]);
    free(catalogue->graves);
    free(catalogue->fresh);
    free(catalogue->sorted);
    free(catalogue->by_root);
    free(catalogue->by_inode);
    free(catalogue->folders.text);
    free(catalogue->folders.at);
    p2p_rwlock_clear(&catalogue->lock);
}

/* ---- By name ---- */

static int
compare_items(const void *a, const void *b)
{
    return strcmp(((const struct p2p_item *)a)->name,
                  ((const struct p2p_item *)b)->name);
}

/* The tree contains items and is searched by name, so both arguments point to a
 * name. */
static int
compare_name(const void *name, const void *item)
{
    return strcmp(name, ((const struct p2p_item *)item)->name);
}

struct p2p_item *
p2p_catalogue_find(const struct p2p_catalogue *catalogue, const char *name)
{
    void *node = tfind(name, &catalogue->by_name, compare_name);

    return node ? *(struct p2p_item **)node : NULL;
}

struct p2p_item *
p2p_catalogue_find_own(const struct p2p_catalogue *catalogue, const char *name)
{
    p2p_sole_writer(&catalogue->lock);
    return p2p_catalogue_find(catalogue, name);
}

struct p2p_item *
p2p_catalogue_get(struct p2p_catalogue *catalogue, const char *name)
{
    struct p2p_item *item = p2p_catalogue_find_own(catalogue, name);
    size_t len = strlen(name) + 1;

    if (item)
        return item;
    item = calloc(1, sizeof(*item) + len);
    if (!item)
        return NULL;
    memcpy(item->name, name, len);
    p2p_write_lock(&catalogue->lock);
    void *node = tsearch(item, &catalogue->by_name, compare_items);
    catalogue->item_count += node != NULL;
    p2p_rw_unlock(&catalogue->lock);
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
p2p_catalogue_each(struct p2p_catalogue *catalogue,
                   void (*each)(struct p2p_item *, void *), void *arg)
{
    struct each e = {each, arg};

    p2p_sole_writer(&catalogue->lock);
    twalk_r(catalogue->by_name, visit_node, &e);
}

/* ---- By root ---- */

static struct p2p_item **
bucket_of(const struct p2p_catalogue *catalogue, const struct p2p_digest *root)
    P2P_REQUIRES_READ(p2p_catalogue_lock)
{
    return &catalogue->by_root[p2p_load_u64(root->b) & (catalogue->buckets - 1)];
}

static void
link_root(struct p2p_catalogue *catalogue, struct p2p_item *item)
    P2P_REQUIRES(p2p_catalogue_lock)
{
    struct p2p_item **bucket = bucket_of(catalogue, &item->facts.root);

    item->next_by_root = *bucket;
    *bucket = item;
}

static void
unlink_root(struct p2p_catalogue *catalogue, struct p2p_item *item)
    P2P_REQUIRES(p2p_catalogue_lock)
{
    struct p2p_item **at = bucket_of(catalogue, &item->facts.root);

    while (*at && *at != item)
        at = &(*at)->next_by_root;
    if (*at)
        *at = item->next_by_root;
}

static struct p2p_item **
inode_bucket(const struct p2p_catalogue *catalogue, uint64_t inode)
    P2P_REQUIRES_READ(p2p_catalogue_lock)
{
    uint64_t mixed = inode * 0x9e3779b97f4a7c15u; /* Fibonacci hashing, because inode
                                                   * numbers are often consecutive */

    return &catalogue->by_inode[(mixed >> 32) & (catalogue->buckets - 1)];
}

static void
link_inode(struct p2p_catalogue *catalogue, struct p2p_item *item)
    P2P_REQUIRES(p2p_catalogue_lock)
{
    struct p2p_item **bucket = inode_bucket(catalogue, item->facts.state.inode);

    item->next_by_inode = *bucket;
    *bucket = item;
    item->is_by_inode = true;
}

static void
unlink_inode(struct p2p_catalogue *catalogue, struct p2p_item *item)
    P2P_REQUIRES(p2p_catalogue_lock)
{
    struct p2p_item **at = inode_bucket(catalogue, item->facts.state.inode);

    if (!item->is_by_inode)
        return;
    while (*at && *at != item)
        at = &(*at)->next_by_inode;
    if (*at)
        *at = item->next_by_inode;
    item->is_by_inode = false;
}

/* Doubles the buckets when they fill up; without memory, the chains grow instead. */
static void
grow_tables(struct p2p_catalogue *catalogue) P2P_REQUIRES(p2p_catalogue_lock)
{
    size_t count = catalogue->buckets;
    struct p2p_item **roots = catalogue->by_root, **inodes = catalogue->by_inode;

    if (catalogue->item_count < count)
        return;
    catalogue->by_root = calloc(2 * count, sizeof(*roots));
    catalogue->by_inode = calloc(2 * count, sizeof(*inodes));
    if (!catalogue->by_root || !catalogue->by_inode) {
        free(catalogue->by_root);
        free(catalogue->by_inode);
        catalogue->by_root = roots;
        catalogue->by_inode = inodes;
        return;
    }
    catalogue->buckets = 2 * count;
    for (size_t i = 0; i < count; i++) {
        for (struct p2p_item *item = roots[i], *next; item; item = next) {
            next = item->next_by_root;
            link_root(catalogue, item);
        }
        for (struct p2p_item *item = inodes[i], *next; item; item = next) {
            next = item->next_by_inode;
            link_inode(catalogue, item);
        }
    }
    free(roots);
    free(inodes);
}

const struct p2p_item *
p2p_catalogue_by_root(const struct p2p_catalogue *catalogue,
                      const struct p2p_digest *root, const struct p2p_item *previous)
{
    const struct p2p_item *item =
        previous ? previous->next_by_root : *bucket_of(catalogue, root);

    while (item && memcmp(item->facts.root.b, root->b, sizeof(root->b)) != 0)
        item = item->next_by_root;
    return item;
}

const struct p2p_item *
p2p_catalogue_twin(const struct p2p_catalogue *catalogue,
                   const struct p2p_file_state *state, const struct p2p_item *but)
{
    p2p_sole_writer(&catalogue->lock);
    const struct p2p_item *item = *inode_bucket(catalogue, state->inode);
    while (item && (item == but || p2p_file_state_compare(&item->facts.state, state) ==
                                       P2P_FILE_CHANGED))
        item = item->next_by_inode;
    return item;
}

struct p2p_item *
p2p_catalogue_by_inode(const struct p2p_catalogue *catalogue, uint64_t inode,
                       struct p2p_item *previous)
{
    p2p_sole_writer(&catalogue->lock);
    struct p2p_item *item =
        previous ? previous->next_by_inode : *inode_bucket(catalogue, inode);

    while (item && item->facts.state.inode != inode)
        item = item->next_by_inode;
    return item;
}

bool
p2p_catalogue_has_file(struct p2p_catalogue *catalogue, const struct p2p_digest *root,
                       const struct p2p_file_state *state)
{
    const struct p2p_item *item = NULL;

    p2p_read_lock(&catalogue->lock);
    while ((item = p2p_catalogue_by_root(catalogue, root, item)) &&
           p2p_file_state_compare(&item->facts.state, state) == P2P_FILE_CHANGED)
        ;
    p2p_rw_unlock(&catalogue->lock);
    return item != NULL;
}

/* ---- Changes ---- */

static bool
push(struct p2p_item ***array, size_t *count, size_t *cap, struct p2p_item *item)
{
    struct p2p_item **grown = p2p_array_room(*array, *count, cap, sizeof(*grown));
    if (!grown)
        return false;
    *array = grown;
    (*array)[(*count)++] = item;
    return true;
}

/* With the lock: removes the item from the shared ones. */
static void
withdraw(struct p2p_catalogue *catalogue, struct p2p_item *item)
    P2P_REQUIRES(p2p_catalogue_lock)
{
    if (item->state != P2P_ITEM_READY)
        return;
    unlink_root(catalogue, item);
    catalogue->totals.files--;
    catalogue->totals.bytes -= item->facts.state.size;
    catalogue->is_changed = true;
}

enum p2p_err
p2p_catalogue_set_ready(struct p2p_catalogue *catalogue, struct p2p_item *item,
                        const struct p2p_file_facts *facts, struct p2p_digest *layer)
{
    if (!item->is_sorted) {
        if (!push(&catalogue->fresh, &catalogue->fresh_count, &catalogue->fresh_cap,
                  item)) {
            free(layer);
            return P2P_ERR_NOMEM;
        }
        item->is_sorted = true;
    }
    p2p_write_lock(&catalogue->lock);
    withdraw(catalogue, item);
    unlink_inode(catalogue, item);
    free(item->layer);
    item->layer = layer;
    item->facts = *facts;
    item->state = P2P_ITEM_READY;
    grow_tables(catalogue);
    link_root(catalogue, item);
    link_inode(catalogue, item);
    catalogue->totals.files++;
    catalogue->totals.bytes += facts->state.size;
    catalogue->is_changed = true;
    p2p_rw_unlock(&catalogue->lock);
    return P2P_OK;
}

void
p2p_catalogue_set_state(struct p2p_catalogue *catalogue, struct p2p_item *item,
                        enum p2p_item_state state)
{
    p2p_write_lock(&catalogue->lock);
    withdraw(catalogue, item);
    if (state != P2P_ITEM_NOTED)
        unlink_inode(catalogue, item);
    item->state = state;
    p2p_rw_unlock(&catalogue->lock);
}

/* Removes the item from the table by inode, because another file may have this inode
 * now. For a row that will be hashed, the state belongs to the new bytes and the root
 * to the old ones. */
void
p2p_catalogue_hold(struct p2p_catalogue *catalogue, struct p2p_item *item)
{
    p2p_write_lock(&catalogue->lock);
    withdraw(catalogue, item);
    unlink_inode(catalogue, item);
    if (item->state != P2P_ITEM_READY && item->state != P2P_ITEM_NOTED)
        item->facts.state.mtime_ns = INT64_MIN;
    item->state = P2P_ITEM_NOTED;
    p2p_rw_unlock(&catalogue->lock);
}

void
p2p_catalogue_refuse(struct p2p_catalogue *catalogue, struct p2p_item *item,
                     enum p2p_err problem)
{
    p2p_catalogue_owe(catalogue, item, false);
    p2p_catalogue_set_state(catalogue, item, P2P_ITEM_REFUSED);
    item->problem = problem;
}

void
p2p_catalogue_load(struct p2p_catalogue *catalogue, struct p2p_item *item,
                   const struct p2p_file_facts *facts)
{
    p2p_write_lock(&catalogue->lock);
    unlink_inode(catalogue, item);
    item->facts = *facts;
    grow_tables(catalogue);
    link_inode(catalogue, item);
    p2p_rw_unlock(&catalogue->lock);
}

void
p2p_catalogue_touch(struct p2p_catalogue *catalogue, struct p2p_item *item,
                    int64_t ctime_ns)
{
    p2p_write_lock(&catalogue->lock);
    item->facts.state.ctime_ns = ctime_ns;
    p2p_rw_unlock(&catalogue->lock);
}

void
p2p_catalogue_drop_layer(struct p2p_catalogue *catalogue, struct p2p_item *item)
{
    p2p_write_lock(&catalogue->lock);
    free(item->layer);
    item->layer = NULL;
    p2p_rw_unlock(&catalogue->lock);
}

void
p2p_catalogue_set_sha256(struct p2p_catalogue *catalogue, struct p2p_item *item,
                         const struct p2p_digest *sha256)
{
    p2p_write_lock(&catalogue->lock);
    item->facts.sha256 = *sha256;
    item->facts.sha256_known = true;
    catalogue->is_changed = true;
    p2p_rw_unlock(&catalogue->lock);
}

void
p2p_catalogue_count_hashed(struct p2p_catalogue *catalogue, uint64_t bytes)
{
    p2p_write_lock(&catalogue->lock);
    catalogue->totals.hashed_bytes += bytes;
    p2p_rw_unlock(&catalogue->lock);
}

void
p2p_catalogue_remove(struct p2p_catalogue *catalogue, struct p2p_item *item)
{
    p2p_catalogue_owe(catalogue, item, false);
    p2p_write_lock(&catalogue->lock);
    withdraw(catalogue, item);
    unlink_inode(catalogue, item);
    item->state = P2P_ITEM_GONE;
    tdelete(item, &catalogue->by_name, compare_items);
    catalogue->item_count--;
    p2p_rw_unlock(&catalogue->lock);
    /* Lists and queues may still point to the item, so it is freed later. Without
     * memory to remember it, it is leaked. */
    (void)push(&catalogue->graves, &catalogue->graves_count, &catalogue->graves_cap,
               item);
}

void
p2p_catalogue_owe(struct p2p_catalogue *catalogue, struct p2p_item *item, bool owed)
{
    p2p_write_lock(&catalogue->lock);
    if (item->is_owed) {
        catalogue->totals.hashing_files--;
        catalogue->totals.hashing_bytes -= item->owed_bytes;
    }
    item->is_owed = owed;
    item->owed_bytes = owed ? item->facts.state.size : 0;
    catalogue->totals.hashing_files += owed;
    catalogue->totals.hashing_bytes += item->owed_bytes;
    p2p_rw_unlock(&catalogue->lock);
}

/* ---- Commit ---- */

static int
compare_pointers(const void *a, const void *b)
{
    return compare_items(*(struct p2p_item *const *)a, *(struct p2p_item *const *)b);
}

/* Keeps the items that are still shared; the others are removed from the list. */
static void
append(struct p2p_item **out, size_t *count, struct p2p_item *item)
{
    if (item->state == P2P_ITEM_READY)
        out[(*count)++] = item;
    else
        item->is_sorted = false;
}

static size_t
merge(const struct p2p_catalogue *catalogue, struct p2p_item **out)
{
    size_t i = 0, k = 0, count = 0;

    p2p_sole_writer(&catalogue->lock);
    while (i < catalogue->sorted_count && k < catalogue->fresh_count)
        if (compare_items(catalogue->sorted[i], catalogue->fresh[k]) < 0)
            append(out, &count, catalogue->sorted[i++]);
        else
            append(out, &count, catalogue->fresh[k++]);
    while (i < catalogue->sorted_count)
        append(out, &count, catalogue->sorted[i++]);
    while (k < catalogue->fresh_count)
        append(out, &count, catalogue->fresh[k++]);
    return count;
}

static void
bury(struct p2p_catalogue *catalogue)
{
    size_t kept = 0;

    for (size_t i = 0; i < catalogue->graves_count; i++) {
        struct p2p_item *item = catalogue->graves[i];
        if (item->is_sorted || item->is_dirty || item->is_queued || item->job ||
            item->is_unsaved)
            catalogue->graves[kept++] = item;
        else
            free_item(item);
    }
    catalogue->graves_count = kept;
}

static size_t
sorted_count(const struct p2p_catalogue *catalogue)
{
    p2p_sole_writer(&catalogue->lock);
    return catalogue->sorted_count;
}

bool
p2p_catalogue_commit(struct p2p_catalogue *catalogue)
{
    size_t room = sorted_count(catalogue) + catalogue->fresh_count;
    struct p2p_item **merged, **old;

    if (catalogue->is_changed) {
        merged = malloc((room + 1) * sizeof(*merged));
        if (!merged)
            return false; /* the next commit does it */
        qsort(catalogue->fresh, catalogue->fresh_count, sizeof(*catalogue->fresh),
              compare_pointers);
        size_t count = merge(catalogue, merged);
        p2p_write_lock(&catalogue->lock);
        old = catalogue->sorted;
        catalogue->sorted = merged;
        catalogue->sorted_count = count;
        catalogue->totals.generation++;
        p2p_rw_unlock(&catalogue->lock);
        free(old);
        catalogue->fresh_count = 0;
        catalogue->is_changed = false;
        bury(catalogue);
        return true;
    }
    bury(catalogue);
    return false;
}

void
p2p_catalogue_set_folders(struct p2p_catalogue *catalogue, struct p2p_names *names)
{
    struct p2p_names old;

    p2p_write_lock(&catalogue->lock);
    old = catalogue->folders;
    catalogue->folders = *names;
    p2p_rw_unlock(&catalogue->lock);
    *names = (struct p2p_names){0};
    free(old.text);
    free(old.at);
}
