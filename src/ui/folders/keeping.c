#include "ui/folders/keeping.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "p2p/clock.h"
#include "p2p/lock.h"
#include "p2p/log.h"
#include "p2p/share.h"
#include "ui/folders/folders.h"

#define TEND_EVERY_MS 60000
#define QUICK_READ    (64 * P2P_MIB) /* what an answer may wait for */

P2P_MUTEX_KIND(ui_keeping_lock);
struct ui_keeping {
    struct kept_folder {
        const struct p2p_root *root;
        struct p2p_versions *versions; /* NULL: it cannot be written to */
    } folders[P2P_SHARES_MAX + 1];
    size_t count;
    struct ui_keeping_lock lock;
    pthread_cond_t news;
    bool stop P2P_GUARDED_BY(ui_keeping_lock);
    bool is_running;
    pthread_t thread;
};

static void *
tend(void *arg)
{
    struct ui_keeping *k = arg;
    bool stop = false;

    while (!stop) {
        uint64_t next_ms = p2p_now_ms() + TEND_EVERY_MS;
        for (size_t i = 0; i < k->count; i++)
            if (k->folders[i].versions != NULL) {
                enum p2p_err err = p2p_versions_tend(k->folders[i].versions);
                if (err != P2P_OK)
                    p2p_log_debug("cannot look after versions error=%s",
                                  p2p_err_name(err));
            }
        p2p_lock(&k->lock);
        while (!k->stop && p2p_now_ms() < next_ms)
            (void)p2p_wait_until(&k->news, &k->lock, next_ms);
        stop = k->stop;
        p2p_unlock(&k->lock);
    }
    return NULL;
}

static void
add_folder(struct ui_keeping *k, const struct p2p_root *root)
{
    struct kept_folder *folder = &k->folders[k->count++];
    enum p2p_err err = p2p_versions_open(root, &folder->versions);

    folder->root = root;

    if (err != P2P_OK)
        p2p_log_warn("no versions are kept in %s: %s", p2p_root_path(root),
                     p2p_err_text(err));
}

struct ui_keeping *
ui_keeping_new(struct ui_folders *folders)
{
    struct ui_keeping *k = calloc(1, sizeof(*k));

    if (k == NULL)
        return NULL;
    p2p_mutex_init(&k->lock);
    p2p_cond_init(&k->news);
    for (size_t i = 0; i < p2p_shares_folders(folders->shares)->count; i++)
        add_folder(k, p2p_share_root(p2p_shares_at(folders->shares, i)));
    add_folder(k, folders->downloads);
    k->is_running = pthread_create(&k->thread, NULL, tend, k) == 0;
    if (!k->is_running)
        p2p_log_warn("cannot start the thread for versions");
    return k;
}

void
ui_keeping_free(struct ui_keeping *k)
{
    if (k == NULL)
        return;
    p2p_lock(&k->lock);
    k->stop = true;
    pthread_cond_broadcast(&k->news);
    p2p_unlock(&k->lock);
    if (k->is_running)
        pthread_join(k->thread, NULL);
    for (size_t i = 0; i < k->count; i++)
        p2p_versions_close(k->folders[i].versions);
    pthread_cond_destroy(&k->news);
    p2p_mutex_clear(&k->lock);
    free(k);
}

struct p2p_versions *
ui_keeping_of(const struct ui_folders *folders, const struct p2p_root *root)
{
    const struct ui_keeping *k = folders->keeping;

    for (size_t i = 0; k != NULL && i < k->count; i++)
        if (k->folders[i].root == root)
            return k->folders[i].versions;
    return NULL;
}

/* ---- Deleting, replacing, bringing back ---- */

/* True if the file can be kept. */
static bool
has_room(const struct ui_folders *folders, const struct ui_spot *at)
{
    struct p2p_versions *v = ui_keeping_of(folders, at->root);
    struct stat st;

    return v != NULL && at->share != NULL &&
           p2p_root_stat(at->root, at->name, &st) == P2P_OK &&
           p2p_versions_has_room(v, (uint64_t)st.st_blocks * 512);
}

enum p2p_err
ui_keeping_delete(const struct ui_folders *folders, const struct ui_spot *at,
                  uint64_t *until_s)
{
    struct p2p_versions *v = ui_keeping_of(folders, at->root);
    struct p2p_mailbox_old old;
    struct p2p_version version;
    enum p2p_err err;

    *until_s = 0;
    if (!has_room(folders, at))
        return P2P_ERR_DISK_FULL;
    p2p_share_describe(at->share, at->name, &old);
    err = p2p_mailbox_take(at->root, at->name, &old);
    if (err != P2P_OK)
        return err;
    *until_s = p2p_time_s();
    if (p2p_versions_settle(v, QUICK_READ) == P2P_OK &&
        p2p_versions_find(v, at->name, P2P_VERSIONS_CURRENT, &version) == P2P_OK &&
        version.stays_until_s > 0)
        *until_s = version.stays_until_s;
    else
        *until_s += 600; /* it is large, and is recorded later */
    return P2P_OK;
}

enum p2p_err
ui_keeping_bring_back(const struct ui_folders *folders, const struct ui_spot *at)
{
    struct p2p_versions *v = ui_keeping_of(folders, at->root);
    struct p2p_versions_restore how = {.name = at->name};
    struct p2p_version version;
    char stored[P2P_NAME_MAX + 1];
    struct stat st;

    if (v == NULL || at->share == NULL ||
        p2p_versions_settle(v, UINT64_MAX) != P2P_OK ||
        p2p_versions_find(v, at->name, P2P_VERSIONS_CURRENT, &version) != P2P_OK ||
        version.end != P2P_MAILBOX_DELETED || !version.is_kept)
        return P2P_ERR_NOT_FOUND;
    if (p2p_root_stat(at->root, at->name, &st) == P2P_OK)
        return P2P_ERR_EXISTS;
    how.version = version.version;
    return p2p_versions_restore(v, &how, stored);
}

enum p2p_err
ui_keeping_overwrite(const struct ui_folders *folders, const struct ui_spot *at,
                     const char *private_name, char *stored)
{
    struct p2p_mailbox_old old;
    enum p2p_err err = P2P_ERR_DISK_FULL;

    if (has_room(folders, at)) {
        p2p_share_describe(at->share, at->name, &old);
        err = p2p_mailbox_publish(at->root, private_name, at->name, &old, stored);
    }
    if (err == P2P_OK || err == P2P_ERR_EXISTS)
        return err;
    return p2p_root_publish(at->root, private_name, at->name, P2P_CONFLICT_OVERWRITE,
                            stored);
}

bool
ui_keeping_make_room(const struct ui_folders *folders, const struct ui_spot *at,
                     uint64_t bytes)
{
    struct p2p_versions *v = ui_keeping_of(folders, at->root);

    return v != NULL && p2p_versions_make_room(v, bytes) > 0;
}

uint64_t
ui_keeping_spare(const struct ui_folders *folders, const struct p2p_root *root)
{
    struct p2p_versions *v = ui_keeping_of(folders, root);

    return v != NULL ? p2p_versions_spare(v) : 0;
}
