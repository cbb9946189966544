#include "peer/offers/offers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "p2p/array.h"
#include "p2p/clock.h"
#include "p2p/io.h"
#include "p2p/lock.h"
#include "p2p/name.h"
#include "p2p/tree.h"

struct file {
    char *name; /* owned; with the offer's number */
    int fd;     /* -1: an empty folder */
    struct stat hashed;
    struct p2p_share_entry *entry; /* owned */
    struct p2p_digest *layer;      /* owned; NULL without a chunk */
};

struct offer {
    LIST_ENTRY(offer) link;
    uint32_t number;
    uint64_t heard_ms;
    struct p2p_id receivers[OFFERS_RECEIVERS_MAX];
    size_t receiver_count;
    /* Sorted by name and (only files) by root once a receiver may download. */
    struct file **files, **by_root;
    size_t count, cap, root_count;
    struct p2p_digest *allowed; /* owned: files of the shares */
    size_t allowed_count;
};

LIST_HEAD(offer_list, offer);

P2P_MUTEX_KIND(offers_lock);
struct offers {
    struct offers_lock lock;
    atomic_size_t count; /* of offers; changed under the lock */
    size_t files P2P_GUARDED_BY(offers_lock);
    size_t layer_bytes P2P_GUARDED_BY(offers_lock);
    struct offer_list list P2P_GUARDED_BY(offers_lock);
};

/* ---- life ---- */

enum p2p_err
offers_new(struct offers **out)
{
    *out = calloc(1, sizeof(**out));
    if (*out == NULL)
        return P2P_ERR_NOMEM;
    p2p_mutex_init(&(*out)->lock);
    return P2P_OK;
}

static size_t
layer_size(const struct p2p_share_entry *entry)
{
    return (size_t)entry->geometry.count * sizeof(struct p2p_digest);
}

static void
free_file(struct file *file)
{
    if (file == NULL)
        return;
    p2p_fd_close(&file->fd);
    free(file->name);
    free(file->entry);
    free(file->layer);
    free(file);
}

/* Moves an offer to the list `out`. */
static void
take_out(struct offers *o, struct offer *offer, struct offer_list *out)
    P2P_REQUIRES(offers_lock)
{
    LIST_REMOVE(offer, link);
    o->count--;
    o->files -= offer->count + offer->allowed_count;
    for (size_t i = 0; i < offer->count; i++)
        o->layer_bytes -= layer_size(offer->files[i]->entry);
    LIST_INSERT_HEAD(out, offer, link);
}

/* Closes the files, so it runs without the lock. */
static void
free_offers(struct offer_list *list)
{
    struct offer *offer;

    while ((offer = LIST_FIRST(list)) != NULL) {
        LIST_REMOVE(offer, link);
        for (size_t i = 0; i < offer->count; i++)
            free_file(offer->files[i]);
        free(offer->files);
        free(offer->by_root);
        free(offer->allowed);
        free(offer);
    }
}

void
offers_free(struct offers *o)
{
    if (o == NULL)
        return;
    p2p_mutex_unshared(&o->lock);
    free_offers(&o->list);
    p2p_mutex_clear(&o->lock);
    free(o);
}

/* True if its program is gone. */
static bool
is_over(const struct offer *offer)
{
    return p2p_now_ms() - offer->heard_ms >= OFFERS_SILENCE_MS;
}

void
offers_sweep(struct offers *o)
{
    struct offer_list over = LIST_HEAD_INITIALIZER(over);
    struct offer *offer, *next;

    if (o == NULL || o->count == 0)
        return;
    p2p_lock(&o->lock);
    for (offer = LIST_FIRST(&o->list); offer != NULL; offer = next) {
        next = LIST_NEXT(offer, link);
        if (is_over(offer))
            take_out(o, offer, &over);
    }
    p2p_unlock(&o->lock);
    free_offers(&over);
}

static struct offer *
find_offer(struct offers *o, uint32_t number) P2P_REQUIRES(offers_lock)
{
    struct offer *offer;

    LIST_FOREACH(offer, &o->list, link)
    {
        if (offer->number == number && !is_over(offer))
            return offer;
    }
    return NULL;
}

/* ---- making ---- */

enum p2p_err
offers_begin(struct offers *o, uint32_t number)
{
    struct offer *offer = calloc(1, sizeof(*offer));
    enum p2p_err err = P2P_OK;

    if (offer == NULL)
        return P2P_ERR_NOMEM;
    offer->number = number;
    offer->heard_ms = p2p_now_ms();
    offers_sweep(o);
    p2p_lock(&o->lock);
    if (find_offer(o, number) != NULL)
        err = P2P_ERR_EXISTS;
    else if (o->count >= OFFERS_MAX)
        err = P2P_ERR_TOO_LARGE;
    if (err == P2P_OK) {
        LIST_INSERT_HEAD(&o->list, offer, link);
        o->count++;
    }
    p2p_unlock(&o->lock);
    if (err != P2P_OK)
        free(offer);
    return err;
}

/* The whole name, checked; *returns owned*. */
static enum p2p_err
make_name(uint32_t number, const char *name, bool is_folder, char **out)
{
    char folder[P2P_NAME_SENT_LEN + 1];
    size_t len;

    *out = NULL;
    if (asprintf(out, "%s%s", p2p_name_sent(number, folder), name) < 0) {
        *out = NULL;
        return P2P_ERR_NOMEM;
    }
    len = strlen(*out);
    if (is_folder && (*out)[len - 1] == '/')
        len--;
    return p2p_name_check(*out, len, true);
}

static enum p2p_err
make_file(uint32_t number, struct offers_file *from, struct file **out)
{
    struct file *file = calloc(1, sizeof(*file));
    bool is_folder = from->fd < 0;
    enum p2p_err err = P2P_ERR_NOMEM;

    *out = NULL;
    if (file == NULL)
        return err;
    file->fd = -1;
    file->layer = from->layer;
    from->layer = NULL;
    file->hashed = from->hashed;
    if ((file->entry = malloc(sizeof(*file->entry))) != NULL)
        err = make_name(number, from->name, is_folder, &file->name);
    if (err == P2P_OK) {
        *file->entry = from->entry;
        memcpy(file->entry->name, file->name, strlen(file->name) + 1);
        file->fd = is_folder ? -1 : fcntl(from->fd, F_DUPFD_CLOEXEC, 0);
        if (!is_folder && file->fd < 0)
            err = p2p_err_from_errno(errno);
    }
    if (err != P2P_OK)
        free_file(file);
    else
        *out = file;
    return err;
}

static enum p2p_err
append(struct offer *offer, struct file *file)
{
    struct file **grown =
        p2p_array_room(offer->files, offer->count, &offer->cap, sizeof(*grown));
    if (grown == NULL)
        return P2P_ERR_NOMEM;
    offer->files = grown;
    offer->files[offer->count++] = file;
    return P2P_OK;
}

enum p2p_err
offers_add(struct offers *o, uint32_t number, struct offers_file *from)
{
    struct file *file;
    struct offer *offer;
    enum p2p_err err = make_file(number, from, &file);

    if (err != P2P_OK)
        return err;
    offers_sweep(o);
    p2p_lock(&o->lock);
    offer = find_offer(o, number);
    if (offer == NULL || offer->by_root != NULL)
        err = P2P_ERR_NOT_FOUND;
    else if (offer->count >= OFFERS_FILES_MAX || o->files >= OFFERS_FILES_IN_ALL ||
             o->layer_bytes + layer_size(file->entry) > OFFERS_LAYERS_MAX)
        err = P2P_ERR_TOO_LARGE;
    if (err == P2P_OK)
        err = append(offer, file);
    if (err == P2P_OK) {
        offer->heard_ms = p2p_now_ms();
        o->files++;
        o->layer_bytes += layer_size(file->entry);
    }
    p2p_unlock(&o->lock);
    if (err != P2P_OK)
        free_file(file);
    return err;
}

static int
by_name(const void *a, const void *b)
{
    return strcmp((*(struct file *const *)a)->name, (*(struct file *const *)b)->name);
}

static int
compare_roots(const struct p2p_digest *a, const struct p2p_digest *b)
{
    return memcmp(a->b, b->b, sizeof(a->b));
}

static int
by_root(const void *a, const void *b)
{
    return compare_roots(&(*(struct file *const *)a)->entry->root,
                         &(*(struct file *const *)b)->entry->root);
}

/* Nothing is added any longer. */
static enum p2p_err
arrange(struct offer *offer)
{
    if (offer->by_root != NULL)
        return P2P_OK;
    offer->by_root = calloc(offer->count + 1, sizeof(struct file *));
    if (offer->by_root == NULL)
        return P2P_ERR_NOMEM;
    if (offer->count > 0)
        qsort(offer->files, offer->count, sizeof(struct file *), by_name);
    for (size_t i = 0; i < offer->count; i++)
        if (offer->files[i]->fd >= 0)
            offer->by_root[offer->root_count++] = offer->files[i];
    if (offer->root_count > 0)
        qsort(offer->by_root, offer->root_count, sizeof(struct file *), by_root);
    return P2P_OK;
}

static bool
is_receiver(const struct offer *offer, const struct p2p_id *peer)
{
    for (size_t i = 0; i < offer->receiver_count; i++)
        if (p2p_id_equal(&offer->receivers[i], peer))
            return true;
    return false;
}

enum p2p_err
offers_allow(struct offers *o, uint32_t number, const struct p2p_digest *roots,
             size_t count)
{
    enum p2p_err err = P2P_OK;
    struct p2p_digest *grown;
    struct offer *offer;

    offers_sweep(o);
    p2p_lock(&o->lock);
    if ((offer = find_offer(o, number)) == NULL)
        err = P2P_ERR_NOT_FOUND;
    else if (count > OFFERS_FILES_MAX - offer->allowed_count ||
             o->files + count > OFFERS_FILES_IN_ALL)
        err = P2P_ERR_TOO_LARGE;
    else if ((grown = realloc(offer->allowed, (offer->allowed_count + count + 1) *
                                                  sizeof(*grown))) == NULL)
        err = P2P_ERR_NOMEM;
    else {
        offer->allowed = grown;
        if (count > 0)
            memcpy(grown + offer->allowed_count, roots, count * sizeof(*roots));
        offer->allowed_count += count;
        o->files += count;
        offer->heard_ms = p2p_now_ms();
    }
    p2p_unlock(&o->lock);
    return err;
}

static bool
is_allowed(const struct offer *offer, const struct p2p_digest *root)
{
    for (size_t i = 0; i < offer->allowed_count; i++)
        if (compare_roots(&offer->allowed[i], root) == 0)
            return true;
    return false;
}

bool
offers_allows(struct offers *o, const struct p2p_id *peer,
              const struct p2p_digest *root)
{
    struct offer *offer;
    bool found = false;

    if (o == NULL || peer == NULL || o->count == 0)
        return false;
    p2p_lock(&o->lock);
    LIST_FOREACH(offer, &o->list, link)
    {
        found = found || (!is_over(offer) && is_receiver(offer, peer) &&
                          is_allowed(offer, root));
    }
    p2p_unlock(&o->lock);
    return found;
}

enum p2p_err
offers_open(struct offers *o, uint32_t number, const struct p2p_id *peer)
{
    enum p2p_err err = P2P_ERR_NOT_FOUND;
    struct offer *offer;

    p2p_lock(&o->lock);
    if ((offer = find_offer(o, number)) != NULL)
        err = arrange(offer);
    if (err == P2P_OK && !is_receiver(offer, peer)) {
        if (offer->receiver_count == OFFERS_RECEIVERS_MAX)
            err = P2P_ERR_TOO_LARGE;
        else
            offer->receivers[offer->receiver_count++] = *peer;
    }
    if (offer != NULL)
        offer->heard_ms = p2p_now_ms();
    p2p_unlock(&o->lock);
    return err;
}

enum p2p_err
offers_renew(struct offers *o, uint32_t number)
{
    struct offer *offer;

    p2p_lock(&o->lock);
    if ((offer = find_offer(o, number)) != NULL)
        offer->heard_ms = p2p_now_ms();
    p2p_unlock(&o->lock);
    return offer != NULL ? P2P_OK : P2P_ERR_NOT_FOUND;
}

bool
offers_exists(struct offers *o, uint32_t number)
{
    p2p_lock(&o->lock);
    bool exists = find_offer(o, number) != NULL;
    p2p_unlock(&o->lock);
    return exists;
}

bool
offers_end(struct offers *o, uint32_t number)
{
    struct offer_list ended = LIST_HEAD_INITIALIZER(ended);
    struct offer *offer;

    p2p_lock(&o->lock);
    if ((offer = find_offer(o, number)) != NULL)
        take_out(o, offer, &ended);
    p2p_unlock(&o->lock);
    free_offers(&ended);
    return offer != NULL;
}

/* ---- looking up ---- */

/* Most of the time there is none. */
static bool
may_have(struct offers *o, const struct p2p_id *peer)
{
    return o != NULL && peer != NULL && atomic_load(&o->count) > 0;
}

/* The next offer for this peer behind `offer` (NULL: the first one). */
static struct offer *
next_for(struct offers *o, const struct p2p_id *peer, struct offer *offer)
    P2P_REQUIRES(offers_lock)
{
    offer = offer == NULL ? LIST_FIRST(&o->list) : LIST_NEXT(offer, link);
    while (offer != NULL && (is_over(offer) || !is_receiver(offer, peer)))
        offer = LIST_NEXT(offer, link);
    return offer;
}

bool
offers_has(struct offers *o, const struct p2p_id *peer)
{
    if (!may_have(o, peer))
        return false;
    p2p_lock(&o->lock);
    bool has = next_for(o, peer, NULL) != NULL;
    p2p_unlock(&o->lock);
    return has;
}

/* The first file whose name is not before `name`. */
static size_t
name_place(const struct offer *offer, const char *name)
{
    size_t from = 0, to = offer->count;

    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (strcmp(offer->files[middle]->name, name) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

enum p2p_err
offers_find_name(struct offers *o, const struct p2p_id *peer, const char *name,
                 struct p2p_share_entry *out)
{
    enum p2p_err err = P2P_ERR_NOT_FOUND;
    struct offer *offer = NULL;

    if (!may_have(o, peer))
        return err;
    p2p_lock(&o->lock);
    while (err != P2P_OK && (offer = next_for(o, peer, offer)) != NULL) {
        size_t i = name_place(offer, name);
        if (i == offer->count || strcmp(offer->files[i]->name, name) != 0 ||
            offer->files[i]->fd < 0)
            continue;
        *out = *offer->files[i]->entry;
        err = P2P_OK;
    }
    p2p_unlock(&o->lock);
    return err;
}

static const struct file *
find_root(struct offers *o, const struct p2p_id *peer, const struct p2p_digest *root)
    P2P_REQUIRES(offers_lock)
{
    struct offer *offer = NULL;

    while ((offer = next_for(o, peer, offer)) != NULL) {
        size_t from = 0, to = offer->root_count;
        while (from < to) {
            size_t middle = from + (to - from) / 2;
            int order = compare_roots(&offer->by_root[middle]->entry->root, root);
            if (order == 0)
                return offer->by_root[middle];
            if (order < 0)
                from = middle + 1;
            else
                to = middle;
        }
    }
    return NULL;
}

enum p2p_err
offers_find_root(struct offers *o, const struct p2p_id *peer,
                 const struct p2p_digest *root, struct p2p_share_entry *out)
{
    const struct file *file;

    if (!may_have(o, peer))
        return P2P_ERR_NOT_FOUND;
    p2p_lock(&o->lock);
    if ((file = find_root(o, peer, root)) != NULL)
        *out = *file->entry;
    p2p_unlock(&o->lock);
    return file != NULL ? P2P_OK : P2P_ERR_NOT_FOUND;
}

enum p2p_err
offers_layer(struct offers *o, const struct p2p_id *peer, const struct p2p_digest *root,
             uint64_t first, uint32_t count, struct p2p_digest *out)
{
    enum p2p_err err = P2P_ERR_NOT_FOUND;
    const struct file *file;

    if (!may_have(o, peer))
        return err;
    p2p_lock(&o->lock);
    if ((file = find_root(o, peer, root)) != NULL) {
        uint64_t chunks = file->entry->geometry.count;
        err = first <= chunks && count <= chunks - first ? P2P_OK : P2P_ERR_RANGE;
        if (err == P2P_OK && count > 0)
            memcpy(out, file->layer + first, count * sizeof(*out));
    }
    p2p_unlock(&o->lock);
    return err;
}

enum p2p_err
offers_file_open(struct offers *o, const struct p2p_id *peer,
                 const struct p2p_digest *root, struct p2p_share_file **out)
{
    enum p2p_err err = P2P_ERR_NOT_FOUND;
    struct p2p_share_entry entry;
    const struct file *file;
    struct stat hashed;
    int fd = -1;

    *out = NULL;
    if (!may_have(o, peer))
        return err;
    p2p_lock(&o->lock);
    if ((file = find_root(o, peer, root)) != NULL) {
        entry = *file->entry;
        hashed = file->hashed;
        fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 0);
        err = fd >= 0 ? P2P_OK : p2p_err_from_errno(errno);
    }
    p2p_unlock(&o->lock);
    if (err == P2P_OK)
        err = p2p_share_file_adopt(fd, &hashed, &entry, out);
    if (err != P2P_OK)
        p2p_fd_close(&fd);
    return err;
}

/* Offers are in no order, so the page is the smallest names of all. There are few. */
size_t
offers_list(struct offers *o, const struct p2p_id *peer, const char *after,
            struct p2p_share_entry *out, size_t max)
{
    char place[P2P_NAME_MAX + 8];
    size_t n = 0;

    if (!may_have(o, peer))
        return 0;
    snprintf(place, sizeof(place), "%s", after);
    p2p_lock(&o->lock);
    while (n < max) {
        struct offer *offer = NULL;
        const struct file *next = NULL;
        while ((offer = next_for(o, peer, offer)) != NULL) {
            size_t i = name_place(offer, place);
            if (i < offer->count && strcmp(offer->files[i]->name, place) == 0)
                i++;
            if (i < offer->count &&
                (next == NULL || strcmp(offer->files[i]->name, next->name) < 0))
                next = offer->files[i];
        }
        if (next == NULL)
            break;
        out[n++] = *next->entry;
        snprintf(place, sizeof(place), "%s", next->name);
    }
    p2p_unlock(&o->lock);
    return n;
}
