#include "peer/history/history.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "p2p/clock.h"
#include "p2p/io.h"
#include "p2p/lock.h"

/* Rows of the mailbox are recorded first; large files that were not hashed wait. */
#define QUICK_READ (16 * P2P_MIB)

/* An old content that is open. */
struct content {
    struct p2p_share_entry entry; /* its name is one that it had */
    struct p2p_digest *layer;     /* owned */
    struct stat st;
    int fd;
    uint64_t checked_ms, used_ms;
};

P2P_MUTEX_KIND(history_lock);
struct history {
    struct p2p_shares *shares;
    struct p2p_tender *tender;
    atomic_bool is_on, is_hashing;
    struct history_lock lock;
    struct content at[HISTORY_MAX] P2P_GUARDED_BY(history_lock);
    size_t count P2P_GUARDED_BY(history_lock);
};

static struct p2p_versions *
versions_of(struct history *h, struct p2p_share *share)
{
    return share != NULL ? p2p_tender_of(h->tender, p2p_share_root(share)) : NULL;
}

enum p2p_err
history_new(struct p2p_shares *shares, struct p2p_tender *tender, struct history **out)
{
    struct history *h = calloc(1, sizeof(*h));

    *out = h;
    if (h == NULL)
        return P2P_ERR_NOMEM;
    h->shares = shares;
    h->tender = tender;
    p2p_mutex_init(&h->lock);
    for (size_t i = 0; i < p2p_shares_folders(shares)->count; i++) {
        struct p2p_versions *v = versions_of(h, p2p_shares_at(shares, i));
        char value[256] = "";
        if (v != NULL &&
            p2p_versions_get(v, "history", value, sizeof(value)) == P2P_OK &&
            strcmp(value, "readers") == 0)
            h->is_on = true;
    }
    return P2P_OK;
}

static void
content_clear(struct content *c)
{
    p2p_fd_close(&c->fd);
    free(c->layer);
    memset(c, 0, sizeof(*c));
    c->fd = -1;
}

void
history_free(struct history *h)
{
    if (h == NULL)
        return;
    p2p_mutex_unshared(&h->lock);
    for (size_t i = 0; i < h->count; i++)
        content_clear(&h->at[i]);
    p2p_mutex_clear(&h->lock);
    free(h);
}

bool
history_is_on(struct history *h)
{
    return h != NULL && h->is_on;
}

/* ---- Lists ---- */

static void
add_old(void *arg, const struct p2p_version *v)
{
    struct history_page *page = arg;

    if (page->count == P2P_HISTORY_MAX) {
        page->next = page->at[page->count - 1].version;
        return;
    }
    page->at[page->count++] = (struct p2p_history_entry){
        .version = v->version,
        .flags = v->is_kept ? P2P_HISTORY_KEPT : 0,
        .size = v->size,
        .mtime_ns = v->mtime_ns > 0 ? (uint64_t)v->mtime_ns : 0,
        .since_s = v->since_s,
        .until_s = v->until_s,
        .root = v->root,
    };
}

static void
note_newest(void *arg, const struct p2p_version *v)
{
    struct p2p_history_entry *current = arg;

    if (current->version <= v->version)
        current->version = v->version + 1;
    current->since_s = v->until_s;
}

/* Its number is that of the index, and above those of all old contents: their numbers
 * are not used again, even if the owner has removed them. */
static enum p2p_err
add_current(struct p2p_versions *v, const char *inner,
            const struct p2p_share_entry *entry, struct history_page *page)
{
    struct p2p_history_entry current = {
        .version = entry->version > 0 ? entry->version : 1,
        .flags = P2P_HISTORY_CURRENT | P2P_HISTORY_KEPT,
        .size = entry->geometry.size,
        .mtime_ns = entry->mtime_s * 1000000000u,
        .since_s = entry->mtime_s,
        .root = entry->root,
    };
    enum p2p_err err = p2p_versions_of(v, inner, 0, 1, note_newest, &current);

    if (err == P2P_OK)
        page->at[page->count++] = current;
    return err;
}

enum p2p_err
history_list(struct history *h, const struct history_asker *asker, const char *name,
             uint32_t before, struct history_page *out)
{
    struct p2p_share_entry entry;
    struct p2p_versions *v;
    const char *inner;
    enum p2p_err err;

    *out = (struct history_page){.count = 0};
    if (!p2p_access_may(asker->rules, &asker->caller, name) ||
        (v = versions_of(h, p2p_shares_of(h->shares, name, &inner))) == NULL)
        return P2P_ERR_NOT_FOUND;
    if ((err = p2p_shares_find_name(h->shares, name, &entry)) != P2P_OK ||
        (err = p2p_versions_settle(v, QUICK_READ)) != P2P_OK)
        return err;
    /* Asked first, because it refuses where nothing is shown. */
    err = p2p_versions_shown(v, inner, 0, 0, add_old, out);
    if (err == P2P_OK && before == 0)
        err = add_current(v, inner, &entry, out);
    if (err == P2P_OK)
        err = p2p_versions_shown(v, inner, before, P2P_HISTORY_MAX, add_old, out);
    h->is_on = h->is_on || err == P2P_OK;
    return err;
}

/* ---- Contents ---- */

static struct content *
find(struct history *h, const struct p2p_digest *root) P2P_REQUIRES(history_lock)
{
    for (size_t i = 0; i < h->count; i++)
        if (memcmp(&h->at[i].entry.root, root, sizeof(*root)) == 0)
            return &h->at[i];
    return NULL;
}

/* A new place, or that of the one that was used longest ago, which moves to `*former`.
 */
static struct content *
place(struct history *h, struct content *former) P2P_REQUIRES(history_lock)
{
    struct content *oldest = &h->at[0];

    if (h->count < HISTORY_MAX)
        return &h->at[h->count++];
    for (size_t i = 1; i < h->count; i++)
        if (h->at[i].used_ms < oldest->used_ms)
            oldest = &h->at[i];
    *former = *oldest;
    return oldest;
}

struct filter {
    struct history *h;
    const struct history_asker *asker;
    const char *folder; /* "" for bare names */
};

/* A name with its folder's. False: it is too long. */
static bool
join(const char *folder, const char *inner, char out[P2P_NAME_MAX + 1])
{
    size_t len = strlen(folder), rest = strlen(inner);
    size_t slash = len > 0;

    if (len + slash + rest > P2P_NAME_MAX)
        return false;
    memcpy(out, folder, len);
    if (slash)
        out[len] = '/';
    memcpy(out + len + slash, inner, rest + 1);
    return true;
}

static bool
allows(void *arg, const char *inner)
{
    const struct filter *f = arg;
    char name[P2P_NAME_MAX + 1];
    struct p2p_share_entry entry;

    return join(f->folder, inner, name) &&
           p2p_access_may(f->asker->rules, &f->asker->caller, name) &&
           p2p_shares_find_name(f->h->shares, name, &entry) != P2P_ERR_NOT_FOUND;
}

/* One content at a time is read. */
static enum p2p_err
open_content(struct history *h, struct p2p_versions *v, const struct p2p_version *found,
             const char *folder)
{
    struct content c = {.fd = -1}, former = {.fd = -1};
    enum p2p_err err;

    if (atomic_exchange(&h->is_hashing, true))
        return P2P_ERR_BUSY;
    err = p2p_versions_open_tree(v, &found->root, &c.fd, &c.entry.geometry, &c.layer);
    atomic_store(&h->is_hashing, false);
    if (err == P2P_OK && fstat(c.fd, &c.st) != 0)
        err = P2P_ERR_SYS;
    if (err != P2P_OK) {
        content_clear(&c);
        return err == P2P_ERR_GONE ? P2P_ERR_NOT_FOUND : err;
    }
    (void)join(folder, found->name, c.entry.name); /* it was allowed */
    c.entry.root = found->root;
    c.entry.version = found->version;
    c.entry.mtime_s = found->mtime_ns > 0 ? (uint64_t)found->mtime_ns / 1000000000 : 0;
    c.checked_ms = c.used_ms = p2p_now_ms();
    p2p_lock(&h->lock);
    if (find(h, &found->root) == NULL)
        *place(h, &former) = c;
    else
        former = c; /* another thread has opened it meanwhile */
    p2p_unlock(&h->lock);
    content_clear(&former);
    return P2P_OK;
}

/* It is open already. False: it is not, or it stands for another name. */
static bool
confirm(struct history *h, const struct p2p_digest *root)
{
    struct content *c;

    p2p_lock(&h->lock);
    c = find(h, root);
    if (c != NULL)
        c->checked_ms = c->used_ms = p2p_now_ms();
    p2p_unlock(&h->lock);
    return c != NULL;
}

static void
forget(struct history *h, const struct p2p_digest *root)
{
    struct content former = {.fd = -1};
    struct content *c;

    p2p_lock(&h->lock);
    if ((c = find(h, root)) != NULL) {
        former = *c;
        *c = h->at[--h->count];
        h->at[h->count] = (struct content){.fd = -1};
    }
    p2p_unlock(&h->lock);
    content_clear(&former);
}

enum p2p_err
history_seek(struct history *h, const struct history_asker *asker,
             const struct p2p_digest *root)
{
    const struct p2p_shares_folders *folders = p2p_shares_folders(h->shares);
    struct p2p_version found;
    enum p2p_err err = P2P_ERR_NOT_FOUND;

    for (size_t i = 0; i < folders->count; i++) {
        struct filter f = {.h = h, .asker = asker, .folder = folders->at[i].name};
        struct p2p_versions *v = versions_of(h, p2p_shares_at(h->shares, i));
        if (v == NULL || p2p_versions_shown_root(v, root, allows, &f, &found) != P2P_OK)
            continue;
        return confirm(h, root) ? P2P_OK : open_content(h, v, &found, f.folder);
    }
    forget(h, root);
    return err;
}

/* The content, confirmed a moment ago, for a client who may see its file. */
static enum p2p_err
look_up(struct history *h, const struct history_asker *asker,
        const struct p2p_digest *root, struct content **out) P2P_REQUIRES(history_lock)
{
    struct content *c = find(h, root);
    uint64_t now_ms = p2p_now_ms();

    *out = c;
    if (c == NULL || now_ms - c->checked_ms > HISTORY_KNOWN_MS)
        return P2P_ERR_BUSY;
    if (!p2p_access_may(asker->rules, &asker->caller, c->entry.name))
        return P2P_ERR_NOT_FOUND;
    c->used_ms = now_ms;
    return P2P_OK;
}

enum p2p_err
history_find_root(struct history *h, const struct history_asker *asker,
                  const struct p2p_digest *root, struct p2p_share_entry *out)
{
    struct content *c;

    p2p_lock(&h->lock);
    enum p2p_err err = look_up(h, asker, root, &c);
    if (err == P2P_OK)
        *out = c->entry;
    p2p_unlock(&h->lock);
    return err;
}

enum p2p_err
history_layer(struct history *h, const struct history_asker *asker,
              const struct p2p_digest *root, uint64_t first, uint32_t count,
              struct p2p_digest *out)
{
    struct content *c;

    p2p_lock(&h->lock);
    enum p2p_err err = look_up(h, asker, root, &c);
    if (err == P2P_OK &&
        (first > c->entry.geometry.count || count > c->entry.geometry.count - first))
        err = P2P_ERR_RANGE;
    if (err == P2P_OK)
        memcpy(out, c->layer + first, count * sizeof(*out));
    p2p_unlock(&h->lock);
    return err;
}

enum p2p_err
history_file_open(struct history *h, const struct history_asker *asker,
                  const struct p2p_digest *root, struct p2p_share_file **out)
{
    struct content found = {.fd = -1};
    struct content *c;
    int fd = -1;

    *out = NULL;
    p2p_lock(&h->lock);
    enum p2p_err err = look_up(h, asker, root, &c);
    if (err == P2P_OK && (fd = fcntl(c->fd, F_DUPFD_CLOEXEC, 0)) < 0)
        err = p2p_err_from_errno(errno);
    if (err == P2P_OK)
        found = *c;
    p2p_unlock(&h->lock);
    if (err == P2P_OK)
        err = p2p_share_file_adopt(fd, &found.st, &found.entry, out);
    if (err != P2P_OK)
        p2p_fd_close(&fd);
    return err;
}
