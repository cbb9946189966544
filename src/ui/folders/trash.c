#include "ui/folders/trash.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "p2p/bytes.h"
#include "p2p/lock.h"
#include "p2p/log.h"
#include "p2p/net.h"
#include "ui/folders/folders.h"
#include "ui/folders/keeping.h"
#include "ui/folders/place.h"
#include "ui/folders/upload.h"
#include "ui/state/store.h"
#include "ui/state/watch.h"

#define PRIVATE_LEN 32

struct item {
    struct item *next;
    enum ui_folder folder;
    char *name;
    char private_name[PRIVATE_LEN];
    uint64_t until_s;
};

P2P_MUTEX_KIND(ui_trash_lock);
struct ui_trash {
    struct ui_folders *folders;
    struct ui_trash_lock lock;
    struct item *first P2P_GUARDED_BY(ui_trash_lock);
};

static const char *const kinds[UI_FOLDERS] = {"trash-shared", "trash-downloads"};

/* The folder of this name. It has one: ui_trash_put and load check that. */
static const struct p2p_root *
root_of(const struct ui_trash *trash, enum ui_folder folder, const char *name)
{
    struct ui_spot at;

    return ui_spot_find(trash->folders, folder, name, &at) ? at.root : NULL;
}

/* ---- items; under the lock ---- */

static bool
add(struct ui_trash *trash, enum ui_folder folder, const char *name,
    const char *private_name, uint64_t until_s) P2P_REQUIRES(ui_trash_lock)
{
    struct item *item = calloc(1, sizeof(*item));

    if (item == NULL || (item->name = strdup(name)) == NULL) {
        free(item);
        return false;
    }
    item->folder = folder;
    item->until_s = until_s;
    snprintf(item->private_name, sizeof(item->private_name), "%s", private_name);
    item->next = trash->first;
    trash->first = item;
    return true;
}

static struct item **
find(struct ui_trash *trash, enum ui_folder folder, const char *name)
{
    struct item **at = &trash->first;

    while (*at != NULL && ((*at)->folder != folder || strcmp((*at)->name, name) != 0))
        at = &(*at)->next;
    return at;
}

static void
forget(struct ui_trash *trash, struct item **at)
{
    struct item *item = *at;

    ui_store_remove_note(trash->folders->store, kinds[item->folder], item->name);
    *at = item->next;
    free(item->name);
    free(item);
}

static void
delete_for_good(struct ui_trash *trash, struct item **at)
{
    const struct item *item = *at;
    enum p2p_err err = p2p_root_unlink_private(root_of(trash, item->folder, item->name),
                                               item->private_name);

    if (err != P2P_OK && err != P2P_ERR_NOT_FOUND)
        p2p_log_warn("cannot remove a deleted file from the disk file=%s error=%s",
                     item->private_name, p2p_err_name(err));
    forget(trash, at);
}

/* ---- life ---- */

/* A note about a folder that is not shared now stays in the store until the folder is
 * shared again. */
static void
load_shared(void *arg, const struct ui_note *note) P2P_REQUIRES(ui_trash_lock)
{
    const struct ui_trash *trash = arg;

    if (root_of(trash, UI_SHARED, note->key) != NULL)
        add(arg, UI_SHARED, note->key, note->value, note->time_s);
}

static void
load_downloads(void *arg, const struct ui_note *note) P2P_REQUIRES(ui_trash_lock)
{
    add(arg, UI_DOWNLOADS, note->key, note->value, note->time_s);
}

/* An upload holds a lock on its file. A file without a lock was left by a program that
 * was killed. */
static void
remove_if_abandoned(const struct p2p_root *root, const char *name)
{
    int fd = -1;

    if (p2p_root_open_private(root, name, O_RDWR, &fd) != P2P_OK)
        return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 &&
        p2p_root_unlink_private(root, name) == P2P_OK)
        p2p_log_info("removed an unfinished upload file=%s", name);
    close(fd);
}

static void
sweep_uploads(const struct p2p_root *root)
{
    int fd = openat(p2p_root_fd(root), ".p2p",
                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;

    if (dir == NULL) {
        p2p_fd_close(&fd);
        return;
    }
    while ((entry = readdir(dir)) != NULL)
        if (strncmp(entry->d_name, UI_UPLOAD_PREFIX, strlen(UI_UPLOAD_PREFIX)) == 0)
            remove_if_abandoned(root, entry->d_name);
    closedir(dir);
}

struct ui_trash *
ui_trash_new(struct ui_folders *folders)
{
    struct ui_trash *trash = calloc(1, sizeof(*trash));

    if (trash == NULL)
        return NULL;
    trash->folders = folders;
    p2p_mutex_init(&trash->lock);
    ui_store_load_notes(folders->store, kinds[UI_SHARED], load_shared, trash);
    ui_store_load_notes(folders->store, kinds[UI_DOWNLOADS], load_downloads, trash);
    for (size_t i = 0; i < p2p_shares_folders(folders->shares)->count; i++)
        sweep_uploads(p2p_share_root(p2p_shares_at(folders->shares, i)));
    return trash;
}

void
ui_trash_free(struct ui_trash *trash)
{
    if (trash == NULL)
        return;
    p2p_mutex_unshared(&trash->lock);
    for (struct item *item = trash->first, *next; item != NULL; item = next) {
        next = item->next;
        free(item->name);
        free(item);
    }
    p2p_mutex_clear(&trash->lock);
    free(trash);
}

/* ---- putting, restoring, emptying ---- */

static bool
make_private_name(char out[PRIVATE_LEN])
{
    uint8_t random[8];
    char hex[2 * sizeof(random) + 1];

    if (p2p_random(random, sizeof(random)) != P2P_OK)
        return false;
    p2p_hex_format(random, sizeof(random), hex);
    snprintf(out, PRIVATE_LEN, "trash-%s", hex);
    return true;
}

/* The note comes first: a crash in between leaves a note without a file, and not a file
 * without a note. */
static enum p2p_err
withdraw(struct ui_trash *trash, enum ui_folder folder, const char *name,
         const struct ui_spot *at, uint64_t until_s) P2P_REQUIRES(ui_trash_lock)
{
    struct ui_note note = {.kind = kinds[folder], .key = name, .time_s = until_s};
    char private_name[PRIVATE_LEN];
    struct item **old;
    struct stat st;
    enum p2p_err err = p2p_root_stat(at->root, at->name, &st);

    /* A file of this name was deleted before and can still be restored; it keeps its
     * place. */
    if (err != P2P_OK)
        return err;
    if (!make_private_name(private_name))
        return P2P_ERR_CRYPTO;
    if (*(old = find(trash, folder, name)) != NULL)
        delete_for_good(trash, old);
    note.value = private_name;
    ui_store_put_note(trash->folders->store, &note);
    err = p2p_root_withdraw(at->root, at->name, private_name);
    if (err != P2P_OK || !add(trash, folder, name, private_name, until_s))
        ui_store_remove_note(trash->folders->store, kinds[folder], name);
    return err;
}

enum p2p_err
ui_trash_put(struct ui_trash *trash, enum ui_folder folder, const char *name,
             uint64_t *until_s)
{
    struct ui_spot at;
    enum p2p_err err;

    if (!ui_spot_find(trash->folders, folder, name, &at))
        return P2P_ERR_NOT_FOUND;
    err = ui_keeping_delete(trash->folders, &at, until_s);
    if (err == P2P_OK)
        ui_keeping_tell(trash->folders, name);
    /* If there is no room for it among the versions, a few minutes are better than
     * none. */
    if (err != P2P_OK) {
        *until_s = p2p_time_s() + UI_TRASH_KEEP_S;
        p2p_lock(&trash->lock);
        err = withdraw(trash, folder, name, &at, *until_s);
        p2p_unlock(&trash->lock);
    }
    if (err != P2P_OK && err != P2P_ERR_NOT_FOUND && err != P2P_ERR_NAME) {
        *until_s = 0; /* `.p2p` may be on a full disk: deleting still works */
        err = p2p_root_unlink(at.root, at.name);
    }
    if (err == P2P_OK)
        ui_watch_report(trash->folders->watch, UI_NEWS_OTHER);
    return err;
}

enum p2p_err
ui_trash_restore(struct ui_trash *trash, enum ui_folder folder, const char *name)
{
    char stored[P2P_NAME_MAX + 1];
    enum p2p_err err = P2P_ERR_NOT_FOUND;
    struct ui_spot spot;
    struct item **at;

    if (!ui_spot_find(trash->folders, folder, name, &spot))
        return err;
    if (folder == UI_SHARED && ui_name_is_folder(trash->folders, name))
        return P2P_ERR_EXISTS;

    p2p_lock(&trash->lock);
    at = find(trash, folder, name);
    if (*at != NULL && (*at)->until_s > p2p_time_s()) {
        err = p2p_root_publish(spot.root, (*at)->private_name, spot.name,
                               P2P_CONFLICT_FAIL, stored);
        if (err == P2P_OK)
            forget(trash, at);
    }
    p2p_unlock(&trash->lock);
    if (err == P2P_ERR_NOT_FOUND && ui_spot_find(trash->folders, folder, name, &spot) &&
        (err = ui_keeping_bring_back(trash->folders, &spot)) == P2P_OK)
        ui_keeping_tell(trash->folders, name);
    return err;
}

bool
ui_trash_forget(struct ui_trash *trash, enum ui_folder folder, const char *name)
{
    struct item **at;
    bool found;

    p2p_lock(&trash->lock);
    at = find(trash, folder, name);
    if ((found = *at != NULL))
        delete_for_good(trash, at);
    p2p_unlock(&trash->lock);
    return found;
}

void
ui_trash_expire(struct ui_trash *trash)
{
    uint64_t now_s = p2p_time_s();

    p2p_lock(&trash->lock);
    for (struct item **at = &trash->first; *at != NULL;) {
        if ((*at)->until_s <= now_s)
            delete_for_good(trash, at);
        else
            at = &(*at)->next;
    }
    p2p_unlock(&trash->lock);
}

uint64_t
ui_trash_due_ms(struct ui_trash *trash)
{
    uint64_t now_s = p2p_time_s(), due_s = UINT64_MAX;

    p2p_lock(&trash->lock);
    for (const struct item *item = trash->first; item != NULL; item = item->next)
        if (item->until_s < due_s)
            due_s = item->until_s;
    p2p_unlock(&trash->lock);
    if (due_s == UINT64_MAX)
        return UINT64_MAX;
    return p2p_now_ms() + (due_s > now_s ? (due_s - now_s) * 1000 : 0);
}

bool
ui_trash_drop_first(struct ui_trash *trash)
{
    struct item **first = NULL;

    p2p_lock(&trash->lock);
    for (struct item **at = &trash->first; *at != NULL; at = &(*at)->next)
        if (first == NULL || (*at)->until_s < (*first)->until_s)
            first = at;
    if (first != NULL)
        delete_for_good(trash, first);
    p2p_unlock(&trash->lock);
    return first != NULL;
}

uint64_t
ui_trash_bytes(struct ui_trash *trash)
{
    uint64_t bytes = 0;

    p2p_lock(&trash->lock);
    for (const struct item *item = trash->first; item != NULL; item = item->next) {
        struct stat st;
        int fd = -1;
        if (p2p_root_open_private(root_of(trash, item->folder, item->name),
                                  item->private_name, O_RDONLY, &fd) == P2P_OK &&
            fstat(fd, &st) == 0)
            bytes += (uint64_t)st.st_blocks * 512;
        p2p_fd_close(&fd);
    }
    p2p_unlock(&trash->lock);
    return bytes;
}
