#include "ui/folders/keeping.h"

#include <sys/stat.h>

#include "p2p/clock.h"
#include "p2p/share.h"
#include "ui/folders/folders.h"
#include "ui/reply/json.h"
#include "ui/state/events.h"
#include "ui/state/watch.h"

#define QUICK_READ \
    (64 * P2P_MIB) /* size of files that are read while an answer waits */

void
ui_keeping_tell(const struct ui_folders *folders, const char *name)
{
    struct http_json_out o;

    if (folders->events == NULL)
        return;
    ui_json_begin(&o, 64);
    ui_json_text(&o, "name", name);
    http_json_end(&o, '}');
    ui_event_publish(folders->events, "versions", &o);
}

static void
on_change(void *arg, const struct p2p_root *root)
{
    const struct ui_folders *folders = arg;

    if (root != folders->downloads)
        ui_watch_report(folders->watch, UI_NEWS_VERSIONS);
}

struct p2p_tender *
ui_keeping_new(struct ui_folders *folders)
{
    struct p2p_tender_options opt = {
        .count = 0, .on_change = on_change, .arg = folders};
    struct p2p_tender *tender;
    size_t count = p2p_shares_folders(folders->shares)->count;

    for (size_t i = 0; i < count; i++) {
        opt.shares[opt.count] = p2p_shares_at(folders->shares, i);
        opt.roots[opt.count] = p2p_share_root(opt.shares[opt.count]);
        opt.count++;
    }
    opt.roots[opt.count++] = folders->downloads;
    return p2p_tender_start(&opt, &tender) == P2P_OK ? tender : NULL;
}

struct p2p_versions *
ui_keeping_of(const struct ui_folders *folders, const struct p2p_root *root)
{
    return p2p_tender_of(folders->keeping, root);
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

/* Its versions, if the folder is on the disk of the downloads; NULL: it is not. */
static struct p2p_versions *
versions_beside_downloads(const struct ui_folders *folders, size_t i)
{
    const struct p2p_root *root = p2p_share_root(p2p_shares_at(folders->shares, i));
    struct stat downloads, shared;

    if (fstat(p2p_root_fd(folders->downloads), &downloads) != 0 ||
        fstat(p2p_root_fd(root), &shared) != 0 || shared.st_dev != downloads.st_dev)
        return NULL;
    return ui_keeping_of(folders, root);
}

bool
ui_keeping_make_room_for_downloads(const struct ui_folders *folders, uint64_t bytes)
{
    size_t count = p2p_shares_folders(folders->shares)->count;
    uint64_t spare = 0, freed = 0;
    struct p2p_versions *v;

    for (size_t i = 0; i < count; i++)
        if ((v = versions_beside_downloads(folders, i)) != NULL)
            spare += p2p_versions_spare(v);
    if (spare < bytes) /* it would be for nothing */
        return false;
    for (size_t i = 0; i < count && freed < bytes; i++)
        if ((v = versions_beside_downloads(folders, i)) != NULL)
            freed += p2p_versions_make_room(v, bytes - freed);
    return freed > 0;
}
