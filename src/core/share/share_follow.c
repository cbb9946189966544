/* Follows another process that owns the folder: reads its index as it changes. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/disk/beneath.h"
#include "core/share/share_internal.h"
#include "p2p/lock.h"

#define FOLLOW_MS       100
#define FOLLOW_RETRY_MS 1000
/* How often to check whether the owner has ended without a notice. */
#define FOLLOW_LOOK_MS 5000

static void
on_event(void *arg, enum p2p_watch_event event, const char *name)
{
    (void)event, (void)name;
    ((struct p2p_share *)arg)->follower.is_stale = true;
}

static void
watch_index(struct p2p_share *s)
{
    int dir;

    if (s->watch.fd < 0)
        p2p_watch_open(&s->watch);
    if (p2p_path_private_dir(p2p_share_private(s), &dir))
        return;
    p2p_watch_add(&s->watch, "", dir);
    close(dir);
}

/* An owner that found a damaged index has made a new one with the same name. */
static bool
is_replaced(struct p2p_share *s)
{
    struct stat st = {.st_ino = 0};
    int fd;

    if (p2p_root_open_private(p2p_share_private(s), P2P_INDEX_FILE, O_PATH, &fd) ==
        P2P_OK) {
        if (fstat(fd, &st) != 0)
            st.st_ino = 0;
        close(fd);
    }
    bool changed = st.st_ino != s->follower.index_inode;
    s->follower.index_inode = st.st_ino;
    return changed;
}

static enum p2p_err
apply_row(void *arg, const char *name, const struct p2p_file_facts *facts,
          bool is_missing)
{
    struct p2p_share *s = arg;
    bool is_there = facts && !is_missing;
    struct p2p_item *item = is_there ? p2p_catalogue_get(&s->catalogue, name)
                                     : p2p_catalogue_find_own(&s->catalogue, name);

    s->follower.has_removed |= !facts;
    if (!item)
        return is_there ? P2P_ERR_NOMEM : P2P_OK;
    if (!is_there) {
        p2p_catalogue_remove(&s->catalogue, item);
        return P2P_OK;
    }
    item->seen = s->scan;
    return p2p_catalogue_set_ready(&s->catalogue, item, facts, NULL);
}

static void
show_hashing(struct p2p_share *s, const struct p2p_index_status *status)
{
    p2p_write_lock(&s->catalogue.lock);
    s->catalogue.totals.hashing_files = (uint64_t)status->hashing_files;
    s->catalogue.totals.hashing_bytes = (uint64_t)status->hashing_bytes;
    p2p_rw_unlock(&s->catalogue.lock);
}

static void
lose(struct p2p_share *s, struct p2p_item *item)
{
    p2p_catalogue_remove(&s->catalogue, item);
}

/* The owner's record is its own: both programs have one. */
static void
note_place(struct p2p_share *s, uint64_t missing_files)
{
    uint64_t files = p2p_catalogue_own_files(&s->catalogue);
    bool is_confirmed = atomic_exchange(&s->mail.confirmed, false);

    p2p_share_set_emptied(s, missing_files);
    if (files > 0)
        s->follower.has_removed = false;
    if (files > 0 || (missing_files == 0 && s->follower.has_removed) || is_confirmed)
        p2p_record_set(s->record, files, false);
}

static void
add_files(void *sum, const char *place, uint64_t files)
{
    (void)place;
    *(uint64_t *)sum += files;
}

static enum p2p_err
read_changes(struct p2p_share *s, struct p2p_index_status *status)
{
    enum p2p_err err = p2p_index_get_status(p2p_share_own_index(s), status);
    bool is_anew = status->epoch != s->follower.epoch;
    uint64_t missing_files = 0, away_files = 0;

    if (err)
        return err;
    if (is_anew) {
        s->follower.last_change = 0;
        s->scan++;
    }
    err = p2p_index_load(p2p_share_own_index(s), s->follower.last_change, apply_row, s,
                         &s->follower.last_change);
    if (!err)
        err = p2p_index_get_emptied(p2p_share_own_index(s), &missing_files);
    if (!err)
        err = p2p_folders_load(p2p_share_own_index(s), &s->catalogue,
                               &s->follower.folders_version);
    if (!err)
        err = p2p_disks_read(p2p_share_own_index(s), add_files, &away_files);
    if (err)
        return err;
    if (is_anew)
        p2p_share_lose_unseen(s, lose);
    s->follower.epoch = status->epoch;
    show_hashing(s, status);
    note_place(s, missing_files);
    p2p_share_set_away_files(s, away_files);
    return P2P_OK;
}

bool
p2p_follow_round(struct p2p_share *s, uint64_t *due_ms)
{
    struct p2p_index_status status = {.hashing_files = 1};
    uint64_t now = p2p_now_ms();
    bool hurry = atomic_exchange(&s->mail.hurry, false);
    enum p2p_err err = P2P_OK;

    if (!s->watch.folders)
        watch_index(s);
    p2p_watch_read(&s->watch, on_event, s);
    *due_ms = now + FOLLOW_LOOK_MS;
    if (s->follower.is_stale && !hurry && now < s->follower.due_ms) {
        *due_ms = s->follower.due_ms;
        return false;
    }
    if (s->follower.is_stale) /* check once more soon: an ending owner releases the lock
                               * after its files */
        *due_ms = now + FOLLOW_MS;
    s->follower.is_stale = false;
    if (is_replaced(s) || !p2p_share_own_index(s))
        err = p2p_share_open_index(s);
    if (!err && p2p_share_own_index(s))
        err = read_changes(s, &status);
    s->follower.due_ms = now + FOLLOW_MS;
    if (err) { /* the owner is about to create or repair it */
        s->follower.is_stale = true;
        s->follower.index_inode = 0;
        *due_ms = s->follower.due_ms = now + FOLLOW_RETRY_MS;
        return false;
    }
    if (p2p_catalogue_commit(&s->catalogue) && s->callback_due_ms == 0)
        s->callback_due_ms = now + P2P_SHARE_DEBOUNCE_MS;
    return status.hashing_files == 0;
}
