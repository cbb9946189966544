/* Opens and closes a share, and answers questions about it. */
#include "p2p/share.h"
#include "p2p/clock.h"
#include "p2p/io.h"
#include "p2p/lock.h"
#include "p2p/log.h"
#include "p2p/mailbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "core/share/share_internal.h"

#define QUIET_MS 500

/* ---- Open and close ---- */

static void
init_locks(struct p2p_share *s)
{
    p2p_mutex_init(&s->mail.lock);
    p2p_mutex_init(&s->layers.lock);
    p2p_rwlock_init(&s->index_lock);
    p2p_cond_init(&s->mail.idle);
}

static enum p2p_err
start_loop(struct p2p_share *s)
{
    sigset_t all, old;

    s->mail.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (s->mail.wake_fd < 0)
        return p2p_err_from_errno(errno);
    sigfillset(&all); /* signals are for the program's own threads */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = pthread_create(&s->thread, NULL, p2p_share_loop, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    s->is_running = !failed;
    return p2p_err_from_errno(failed);
}

/* If that fails, too, the index is in memory. */
static void
open_aside(struct p2p_share *s, const char *keys_dir)
{
    enum p2p_err err = p2p_share_open_private(s->root, keys_dir, &s->aside);

    if (err)
        p2p_log_warn("cannot keep the index of the read-only folder %s in the keys "
                     "folder reason=\"%s\"",
                     p2p_root_path(s->root), p2p_err_text(err));
    else if (s->aside)
        p2p_log_info("the shared folder %s is read-only: its index is in %s",
                     p2p_root_path(s->root), p2p_root_path(s->aside));
}

enum p2p_err
p2p_share_open(const struct p2p_share_options *opt, struct p2p_share **out)
{
    struct p2p_share *s;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    enum p2p_err err;

    *out = NULL;
    if (opt->chunk_size != 0 && !p2p_chunk_size_is_valid(opt->chunk_size))
        return P2P_ERR_RANGE;
    s = calloc(1, sizeof(*s));
    if (!s)
        return P2P_ERR_NOMEM;
    init_locks(s);
    s->chunk_size = opt->chunk_size ? opt->chunk_size : P2P_CHUNK_SIZE_DEFAULT;
    s->threads = opt->threads ? opt->threads : cores > 0 ? (unsigned)cores : 1;
    s->quiet_ms = opt->quiet_ms ? opt->quiet_ms : QUIET_MS;
    s->on_change = opt->on_change;
    s->arg = opt->arg;
    s->mail.wake_fd = s->lock_fd = s->watch.fd = s->mounts.fd = -1;
    err = p2p_catalogue_init(&s->catalogue);
    if (!err && opt->keys_dir &&
        p2p_share_is_missing(opt->keys_dir, opt->program, opt->directory))
        err = p2p_root_open_away(opt->directory, opt->keys_dir, &s->root);
    else if (!err)
        err = p2p_root_open(opt->directory, true, 0755, &s->root);
    if (!err && opt->keys_dir)
        err = p2p_record_open(opt->keys_dir, opt->program, opt->directory, &s->record);
    if (!err)
        open_aside(s, opt->keys_dir);
    if (!err)
        err = start_loop(s);
    if (err) {
        p2p_share_close(s);
        return err;
    }
    *out = s;
    return P2P_OK;
}

void
p2p_share_close(struct p2p_share *s)
{
    if (!s)
        return;
    if (s->is_running) {
        atomic_store(&s->mail.stop, true);
        p2p_share_wake(s);
        pthread_join(s->thread, NULL);
    }
    p2p_rwlock_unshared(&s->index_lock);
    p2p_mutex_unshared(&s->layers.lock);
    p2p_index_close(s->index);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    if (s->mail.wake_fd >= 0)
        close(s->mail.wake_fd);
    p2p_catalogue_clear(&s->catalogue);
    for (size_t i = 0; i < P2P_LAYERS_CACHED; i++)
        free(s->layers.slots[i].hashes);
    p2p_record_close(s->record);
    p2p_root_close(s->aside);
    p2p_root_close(s->root);
    pthread_cond_destroy(&s->mail.idle);
    p2p_rwlock_clear(&s->index_lock);
    p2p_mutex_clear(&s->layers.lock);
    p2p_mutex_clear(&s->mail.lock);
    free(s);
}

const struct p2p_root *
p2p_share_root(const struct p2p_share *share)
{
    return share->root;
}

/* ---- Looking up ---- */

static void
fill_entry(const struct p2p_item *item, struct p2p_share_entry *out)
{
    const struct p2p_file_facts *f = &item->facts;

    strcpy(out->name, item->name); /* checked names only: P2P_NAME_MAX at most */
    if (p2p_chunks_init(&out->geometry, f->state.size, f->chunk_size) != P2P_OK)
        memset(&out->geometry, 0, sizeof(out->geometry)); /* was checked before */
    out->mtime_s =
        f->state.mtime_ns > 0 ? (uint64_t)(f->state.mtime_ns / 1000000000) : 0;
    out->version = f->version;
    out->root = f->root;
    out->sha256 = f->sha256;
    out->sha256_known = f->sha256_known;
}

/* One that cannot be read will not be shared later, either: a follower knows only this
 * way. */
static bool
is_readable(struct p2p_share *s, const char *name)
{
    struct stat st;
    int fd;
    bool is_there = p2p_root_open_file(s->root, name, &fd, &st) == P2P_OK;

    p2p_fd_close(&fd);
    return is_there;
}

enum p2p_err
p2p_share_find_name(struct p2p_share *s, const char *name, struct p2p_share_entry *out)
{
    enum p2p_err err = P2P_ERR_NOT_FOUND;

    memset(out, 0, sizeof(*out));
    if (p2p_share_is_away(s))
        return P2P_ERR_NOT_FOUND;
    p2p_read_lock(&s->catalogue.lock);
    const struct p2p_item *item = p2p_catalogue_find(&s->catalogue, name);
    bool is_refused = item && item->state == P2P_ITEM_REFUSED;
    if (item && item->state == P2P_ITEM_READY) {
        fill_entry(item, out);
        err = P2P_OK;
    }
    p2p_rw_unlock(&s->catalogue.lock);
    /* True if the file exists, but is not hashed or not even noticed yet. */
    if (err && !is_refused && is_readable(s, name))
        err = P2P_ERR_BUSY;
    return err;
}

void
p2p_share_describe(struct p2p_share *s, const char *name, struct p2p_mailbox_old *out)
{
    memset(out, 0, sizeof(*out));
    p2p_read_lock(&s->catalogue.lock);
    const struct p2p_item *item = p2p_catalogue_find(&s->catalogue, name);
    if (item && item->state == P2P_ITEM_READY) {
        const struct p2p_file_facts *facts = &item->facts;
        *out = (struct p2p_mailbox_old){.version = facts->version,
                                        .root_known = true,
                                        .root = facts->root,
                                        .size = facts->state.size,
                                        .inode = facts->state.inode,
                                        .mtime_ns = facts->state.mtime_ns};
    }
    p2p_rw_unlock(&s->catalogue.lock);
}

enum p2p_err
p2p_share_find_root_if(struct p2p_share *s, const struct p2p_digest *root,
                       p2p_share_allows *allows, void *arg, struct p2p_share_entry *out)
{
    memset(out, 0, sizeof(*out));
    if (p2p_share_is_away(s))
        return P2P_ERR_NOT_FOUND;
    p2p_read_lock(&s->catalogue.lock);
    const struct p2p_item *item = p2p_catalogue_by_root(&s->catalogue, root, NULL);
    for (int i = 1; item && !allows(arg, item->name); i++)
        item = i < P2P_SHARE_NAMES_MAX
                   ? p2p_catalogue_by_root(&s->catalogue, root, item)
                   : NULL;
    if (item)
        fill_entry(item, out);
    p2p_rw_unlock(&s->catalogue.lock);
    return item ? P2P_OK : P2P_ERR_NOT_FOUND;
}

static bool
allow_any(void *arg, const char *name)
{
    (void)arg, (void)name;
    return true;
}

enum p2p_err
p2p_share_find_root(struct p2p_share *s, const struct p2p_digest *root,
                    struct p2p_share_entry *out)
{
    return p2p_share_find_root_if(s, root, allow_any, NULL, out);
}

/* The first place in `sorted` with a name after `after`. */
static size_t
place_after(const struct p2p_catalogue *catalogue, const char *after)
    P2P_REQUIRES_READ(p2p_catalogue_lock)
{
    size_t low = 0, high = catalogue->sorted_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(catalogue->sorted[middle]->name, after) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The first empty folder with a name after `after`. */
static size_t
folder_after(const struct p2p_names *folders, const char *after)
{
    size_t low = 0, high = folders->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(folders->at[middle], after) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void
fill_folder(const char *name, struct p2p_share_entry *out)
{
    memset(out, 0, sizeof(*out));
    strcpy(out->name, name); /* P2P_NAME_MAX at most, as for files */
}

static enum p2p_err
list(struct p2p_share *s, const char *after, bool with_folders,
     struct p2p_share_entry *out, size_t max, size_t *count)
{
    *count = 0;
    if (p2p_share_is_away(s))
        return P2P_OK;
    p2p_read_lock(&s->catalogue.lock);
    const struct p2p_names *folders = &s->catalogue.folders;
    size_t i = place_after(&s->catalogue, after);
    size_t k = with_folders ? folder_after(folders, after) : folders->count;
    for (; i < s->catalogue.sorted_count && *count < max; i++) {
        const struct p2p_item *item = s->catalogue.sorted[i];
        while (k < folders->count && *count < max &&
               strcmp(folders->at[k], item->name) < 0)
            fill_folder(folders->at[k++], &out[(*count)++]);
        if (item->state == P2P_ITEM_READY && *count < max)
            fill_entry(item, &out[(*count)++]);
    }
    while (k < folders->count && *count < max)
        fill_folder(folders->at[k++], &out[(*count)++]);
    p2p_rw_unlock(&s->catalogue.lock);
    return P2P_OK;
}

enum p2p_err
p2p_share_list(struct p2p_share *s, const char *after, struct p2p_share_entry *out,
               size_t max, size_t *count)
{
    return list(s, after, false, out, max, count);
}

enum p2p_err
p2p_share_list_all(struct p2p_share *s, const char *after, struct p2p_share_entry *out,
                   size_t max, size_t *count)
{
    return list(s, after, true, out, max, count);
}

#define CHANGES_LOOKED 4096 /* rows that one question looks at */

void
p2p_share_changes(struct p2p_share *s, uint64_t after, p2p_share_visit_change *visit,
                  void *arg, struct p2p_share_feed *out)
{
    enum p2p_err err = P2P_ERR_NOT_FOUND;

    p2p_read_lock(&s->index_lock);
    if (s->index && !p2p_share_is_away(s))
        err = p2p_index_changes(s->index, after, CHANGES_LOOKED, visit, arg, out);
    p2p_rw_unlock(&s->index_lock);
    if (err)
        *out = (struct p2p_share_feed){.log = 0};
}

/* ---- Layers ---- */

static bool
copy_cached(struct p2p_layer_cache *cache, const struct p2p_digest *root,
            const struct p2p_chunks *g, uint64_t first, uint32_t count,
            struct p2p_digest *out)
{
    bool found = false;

    p2p_lock(&cache->lock);
    for (size_t i = 0; i < P2P_LAYERS_CACHED && !found; i++)
        if (cache->slots[i].hashes && cache->slots[i].count == g->count &&
            memcmp(cache->slots[i].root.b, root->b, sizeof(root->b)) == 0) {
            memcpy(out, cache->slots[i].hashes + first, count * sizeof(*out));
            found = true;
        }
    p2p_unlock(&cache->lock);
    return found;
}

/* Takes `hashes`. */
static void
cache_layer(struct p2p_layer_cache *cache, const struct p2p_digest *root,
            uint64_t count, struct p2p_digest *hashes)
{
    p2p_lock(&cache->lock);
    unsigned i = cache->next++ % P2P_LAYERS_CACHED;
    free(cache->slots[i].hashes);
    cache->slots[i].hashes = hashes;
    cache->slots[i].root = *root;
    cache->slots[i].count = count;
    p2p_unlock(&cache->lock);
}

static enum p2p_err
load_layer(struct p2p_share *s, const char *name, const struct p2p_chunks *g,
           const struct p2p_digest *root)
{
    struct p2p_digest *hashes = calloc((size_t)g->count, sizeof(*hashes));
    enum p2p_err err = hashes ? P2P_ERR_NOT_FOUND : P2P_ERR_NOMEM;

    p2p_read_lock(&s->index_lock);
    if (hashes && s->index)
        err = p2p_index_layer(s->index, name, g, root, hashes);
    p2p_rw_unlock(&s->index_lock);
    if (!err) {
        cache_layer(&s->layers, root, g->count, hashes);
        return P2P_OK;
    }
    free(hashes);
    if (err == P2P_ERR_NOMEM)
        return err;
    p2p_share_tell(s, s->mail.doubtful, name);
    return P2P_ERR_BUSY;
}

enum p2p_err
p2p_share_layer(struct p2p_share *s, const struct p2p_digest *root, uint64_t first,
                uint32_t count, struct p2p_digest *out)
{
    struct p2p_share_entry entry;
    struct p2p_chunks *g = &entry.geometry;
    bool is_done = false;
    enum p2p_err err = P2P_OK;

    memset(&entry, 0, sizeof(entry));
    if (p2p_share_is_away(s))
        return P2P_ERR_NOT_FOUND;
    p2p_read_lock(&s->catalogue.lock);
    const struct p2p_item *item = p2p_catalogue_by_root(&s->catalogue, root, NULL);
    if (item)
        fill_entry(item, &entry);
    else
        err = P2P_ERR_NOT_FOUND;
    if (!err && (first > g->count || count > g->count - first))
        err = P2P_ERR_RANGE;
    if (!err && item->layer) { /* only while the index cannot be written */
        memcpy(out, item->layer + first, count * sizeof(*out));
        is_done = true;
    }
    p2p_rw_unlock(&s->catalogue.lock);
    if (err || is_done || count == 0)
        return err;
    if (g->count == 1) {
        *out = *root;
        return P2P_OK;
    }
    while (!err && !copy_cached(&s->layers, root, g, first, count, out))
        err = load_layer(s, entry.name, g, root);
    return err;
}

/* ---- Problems ---- */

enum p2p_err
p2p_share_problems(struct p2p_share *s, p2p_share_visit_problem *visit, void *arg)
{
    enum p2p_err err = P2P_ERR_BUSY;

    p2p_read_lock(&s->index_lock);
    if (s->index)
        err = p2p_problems_read(s->index, visit, arg);
    p2p_rw_unlock(&s->index_lock);
    return err;
}

/* Opening would create a missing index, which only the owner may do. */
static enum p2p_err
open_existing(const struct p2p_root *root, struct p2p_index **out)
{
    int fd;
    enum p2p_err err = p2p_root_open_private(root, P2P_INDEX_FILE, O_PATH, &fd);

    *out = NULL;
    if (err)
        return err;
    p2p_fd_close(&fd);
    return p2p_index_open(root, false, out);
}

static enum p2p_err
open_at(const struct p2p_root *root, const char *keys_dir, struct p2p_index **out)
{
    struct p2p_root *aside;
    enum p2p_err err = p2p_share_find_private(root, keys_dir, &aside);

    *out = NULL;
    if (!err)
        err = open_existing(aside ? aside : root, out);
    p2p_root_close(aside);
    return err;
}

/* Leaves an empty file for the process that scans the folder. */
static enum p2p_err
leave_note(const struct p2p_root *root, const char *keys_dir, const char *name)
{
    struct p2p_root *aside;
    enum p2p_err err = p2p_share_find_private(root, keys_dir, &aside);

    if (!err)
        err = p2p_root_replace_private(aside ? aside : root, name, "", 0);
    p2p_root_close(aside);
    return err;
}

enum p2p_err
p2p_share_problems_at(const struct p2p_root *root, const char *keys_dir,
                      p2p_share_visit_problem *visit, void *arg)
{
    struct p2p_index *index;
    enum p2p_err err = open_at(root, keys_dir, &index);

    if (err)
        return err;
    err = p2p_problems_read(index, visit, arg);
    p2p_index_close(index);
    return err;
}

enum p2p_err
p2p_share_disks(struct p2p_share *s, p2p_share_visit_disk *visit, void *arg)
{
    enum p2p_err err = P2P_ERR_BUSY;

    p2p_read_lock(&s->index_lock);
    if (s->index)
        err = p2p_disks_read(s->index, visit, arg);
    p2p_rw_unlock(&s->index_lock);
    return err;
}

enum p2p_err
p2p_share_disks_at(const struct p2p_root *root, const char *keys_dir,
                   p2p_share_visit_disk *visit, void *arg)
{
    struct p2p_index *index;
    enum p2p_err err = open_at(root, keys_dir, &index);

    if (err)
        return err;
    err = p2p_disks_read(index, visit, arg);
    p2p_index_close(index);
    return err;
}

enum p2p_err
p2p_share_request_scan(const struct p2p_share *s)
{
    return p2p_root_replace_private(p2p_share_private(s), P2P_SCAN_REQUEST, "", 0);
}

enum p2p_err
p2p_share_request_scan_at(const struct p2p_root *root, const char *keys_dir)
{
    return leave_note(root, keys_dir, P2P_SCAN_REQUEST);
}

/* ---- Missing files ---- */

enum p2p_err
p2p_share_confirm(struct p2p_share *s)
{
    enum p2p_err err = P2P_OK;

    if (atomic_load(&s->is_follower))
        err =
            p2p_root_replace_private(p2p_share_private(s), P2P_CONFIRM_REQUEST, "", 0);
    atomic_store(&s->mail.confirmed, true);
    p2p_share_rescan(s);
    return err;
}

enum p2p_err
p2p_share_confirm_at(const struct p2p_root *root, const char *keys_dir)
{
    return leave_note(root, keys_dir, P2P_CONFIRM_REQUEST);
}

enum p2p_err
p2p_share_missing_at(const struct p2p_root *root, const char *keys_dir, uint64_t *files)
{
    struct p2p_index *index;
    enum p2p_err err = open_at(root, keys_dir, &index);

    *files = 0;
    if (err)
        return err;
    err = p2p_index_get_emptied(index, files);
    p2p_index_close(index);
    return err;
}

/* ---- The loop ---- */

void
p2p_share_rescan(struct p2p_share *s)
{
    atomic_store(&s->mail.hurry, true);
    p2p_share_wake(s);
}

enum p2p_err
p2p_share_wait_idle(struct p2p_share *s, uint64_t timeout_ms)
{
    uint64_t until_ms = p2p_now_ms() + timeout_ms;
    bool in_time = true;

    p2p_lock(&s->mail.lock);
    uint64_t wanted = ++s->mail.idle_wanted;
    p2p_share_wake(s);
    while (s->mail.idle_reached < wanted && in_time)
        in_time = p2p_wait_until(&s->mail.idle, &s->mail.lock, until_ms);
    p2p_unlock(&s->mail.lock);
    return in_time ? P2P_OK : P2P_ERR_TIMEOUT;
}
