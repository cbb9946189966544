/*
 * The owner's work: compares the disk with the catalogue.
 *
 * An event, a scan or a reader makes an item *dirty*. It is examined when its file has
 * been quiet for a moment. If the file is not the one that was hashed, the item is
 * *queued*, then given to the hasher. The results of many items go into the index and
 * the catalogue together (share_pipeline.c).
 *
 * Invariant: every file that differs from its item is dirty, queued, refused, or with
 * the hasher. Events are hints only; a scan of everything restores the invariant when
 * events were lost.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/disk/beneath.h"
#include "core/share/share_internal.h"
#include "p2p/io.h"
#include "p2p/lock.h"
#include "p2p/log.h"

/* Two changes within one tick of the file system's clock have the same time. So a file
 * is hashed only when its last change is older than this. */
#define CLOCK_GRAIN_NS (20 * 1000000ll)
#define COMMIT_MS      50
/* The item of a missing file is kept this long, so that the file's new name can find
 * it. */
#define MISSING_MS 100
/* Periodic full scan, for changes that inotify misses (network file systems). */
#define SCAN_EVERY_MS     (10 * 60 * 1000)
#define SCAN_UNWATCHED_MS 30000
#define SCAN_RETRY_MS     5000
/* Delay of a scan after a change among the files that are not shared; and how rarely
 * such scans run, compared with the time that one takes. */
#define RESCAN_MS     1000
#define RESCAN_FACTOR 20

/* ---- Looking at one file ---- */

static bool
share_now(struct p2p_share *s, struct p2p_item *item)
{
    struct p2p_file_facts facts = item->facts;

    return p2p_catalogue_set_ready(&s->catalogue, item, &facts, NULL) == P2P_OK;
}

static void
hash_again(struct p2p_share *s, struct p2p_item *item,
           const struct p2p_file_state *state)
{
    p2p_catalogue_set_state(&s->catalogue, item, P2P_ITEM_PENDING);
    item->facts.state = *state;
    item->is_written = false;
    p2p_pipeline_want_tree(s, item);
}

static bool
is_too_fresh(const struct p2p_file_state *state)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    int64_t age = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - state->ctime_ns;
    return age >= 0 && age < CLOCK_GRAIN_NS;
}

/* Checks that listed files can still be read, because their permissions may have
 * changed. */
static enum p2p_err
check_readable(const struct p2p_share *s, const struct p2p_item *item,
               const struct stat *st)
{
    struct stat opened;
    int fd;
    enum p2p_err err;

    if ((st->st_mode & 0444) == 0444)
        return P2P_OK;
    err = p2p_root_open_file(s->root, item->name, &fd, &opened);
    p2p_fd_close(&fd);
    return err == P2P_ERR_PERMISSION ? err : P2P_OK;
}

/*
 * The file has other bytes than those that were hashed under this name. It is the same
 * file as another name's when it was renamed or linked: then nothing is read, unless it
 * became unreadable at the same time. The ctime of such a twin is kept when no event
 * told of the change, so that the first reader has the file checked.
 */
static void
on_other_bytes(struct p2p_share *s, struct p2p_item *item, const struct stat *st,
               bool is_told)
{
    const struct p2p_file_state file = p2p_file_state_of(st), *now = &file;
    const struct p2p_item *twin = p2p_catalogue_twin(&s->catalogue, now, item);
    struct p2p_file_state state = *now;
    bool is_same_file = twin && !twin->is_written && !item->is_written &&
                        check_readable(s, item, st) == P2P_OK;

    bool is_unchecked = is_same_file && (twin->is_unchecked ||
                                         (!is_told && s->owner.is_in_doubt &&
                                          now->ctime_ns != twin->facts.state.ctime_ns));

    if (is_same_file && (!is_told || is_unchecked))
        state.ctime_ns = twin->facts.state.ctime_ns;
    if (is_same_file && p2p_pipeline_adopt(s, item, twin, &state)) {
        if (is_unchecked)
            p2p_pipeline_want_check(s, item);
        return;
    }
    p2p_pipeline_cancel(s, item);
    if (!is_too_fresh(now)) {
        hash_again(s, item, now);
        return;
    }
    if (item->state == P2P_ITEM_READY)
        p2p_catalogue_set_state(&s->catalogue, item, P2P_ITEM_PENDING);
    p2p_pipeline_note(s, item, P2P_SETTLE_MS);
}

/* Scans soon enough for a person who waits, and rarely enough for a large folder. */
static void
rescan_soon(struct p2p_share *s)
{
    uint64_t due_ms = p2p_now_ms() + RESCAN_MS;
    uint64_t earliest_ms =
        s->owner.last_scan_ms + RESCAN_FACTOR * s->owner.scan_cost_ms;

    if (due_ms < earliest_ms)
        due_ms = earliest_ms;
    if (due_ms < s->owner.next_scan_ms)
        s->owner.next_scan_ms = due_ms;
}

/* The system reports a write only under the name that was used, so the other hard links
 * are examined, too. */
static void
note_links(struct p2p_share *s, const struct p2p_item *item, const struct stat *st)
{
    struct p2p_item *other = NULL;

    if (st->st_nlink < 2)
        return;
    while ((other = p2p_catalogue_by_inode(&s->catalogue, st->st_ino, other)))
        if (other != item && !other->is_dirty)
            p2p_pipeline_note(s, other, P2P_SETTLE_MS);
}

static void
compare_ready(struct p2p_share *s, struct p2p_item *item, const struct stat *st,
              bool is_told)
{
    struct p2p_file_state now = p2p_file_state_of(st);
    enum p2p_file_change change = p2p_file_state_compare(&now, &item->facts.state);

    if (change == P2P_FILE_CHANGED ||
        (change == P2P_FILE_TOUCHED && item->is_written)) {
        on_other_bytes(s, item, st, is_told);
        return;
    }
    bool is_doubtful = item->is_unchecked || (!is_told && s->owner.is_in_doubt);
    if (change == P2P_FILE_TOUCHED && is_doubtful)
        p2p_pipeline_want_check(s, item); /* the old ctime stays until then */
    else if (change == P2P_FILE_TOUCHED && is_told)
        p2p_pipeline_touch(s, item, now.ctime_ns);
    p2p_pipeline_want_sha256(s, item);
}

/*
 * Compares the file with what is known of it. `is_told`: an event named the file, so a
 * write to it would have been noticed, and a new ctime alone does not mean new bytes.
 * Without an event the old ctime stays in the facts: the first reader then has the file
 * checked (p2p_pipeline_recheck). After a time without any events (before the start, or
 * when events were lost) such a file is checked without a reader.
 */
static void
compare(struct p2p_share *s, struct p2p_item *item, const struct stat *st, bool is_told)
{
    struct p2p_file_state now = p2p_file_state_of(st);
    enum p2p_file_change change = p2p_file_state_compare(&now, &item->facts.state);
    bool is_known =
        change == P2P_FILE_SAME || (change == P2P_FILE_TOUCHED && !item->is_written);

    item->seen = s->scan;
    p2p_missing_end(s, item);
    if (change == P2P_FILE_SAME)
        item->is_written = false;
    else if (!is_known)
        note_links(s, item, st);
    if (now.size > P2P_FILE_SIZE_MAX) {
        p2p_pipeline_refuse(s, item, P2P_ERR_TOO_LARGE);
    } else if (is_known && item->state != P2P_ITEM_REFUSED &&
               check_readable(s, item, st) != P2P_OK) {
        item->facts.state.ctime_ns = now.ctime_ns;
        note_links(s, item, st); /* the event named one of them */
        p2p_pipeline_cancel(s, item);
        p2p_pipeline_refuse(s, item, P2P_ERR_PERMISSION);
    } else if (item->state == P2P_ITEM_READY) {
        compare_ready(s, item, st, is_told);
    } else if (item->state == P2P_ITEM_NOTED && item->facts.version > 0 && is_known) {
        if (share_now(s, item)) /* as the index knows it: nothing to read */
            compare_ready(s, item, st, is_told);
    } else if (item->state == P2P_ITEM_PENDING && is_known &&
               (item->job || item->is_queued)) {
        /* A write under another name may be the reason, after the job has read that
         * place: the old time shows it at the end of the job. */
        if (!item->job || st->st_nlink < 2)
            item->facts.state.ctime_ns = now.ctime_ns;
    } else if (item->state == P2P_ITEM_REFUSED && change == P2P_FILE_SAME &&
               (item->problem == P2P_ERR_PERMISSION ||
                item->problem == P2P_ERR_TOO_LARGE)) {
        return;
    } else {
        if (item->state == P2P_ITEM_REFUSED && st->st_nlink > 1)
            rescan_soon(s); /* its other links can be read again, too */
        on_other_bytes(s, item, st, is_told);
    }
}

/* A missing file was removed or renamed. If it was renamed, the events for its new name
 * are about to be examined, and find this item as a twin while it still has its facts.
 */
static void
on_missing(struct p2p_share *s, struct p2p_item *item)
{
    if (item->is_held)
        return;
    if (!item->is_missing && item->facts.version > 0 &&
        (item->state == P2P_ITEM_READY || item->state == P2P_ITEM_NOTED)) {
        item->is_missing = true;
        p2p_pipeline_cancel(s, item);
        p2p_catalogue_owe(&s->catalogue, item, false);
        p2p_catalogue_set_state(&s->catalogue, item, P2P_ITEM_NOTED);
        p2p_pipeline_note(s, item, MISSING_MS);
        return;
    }
    p2p_missing_add(s, item);
}

static void
examine(struct p2p_share *s, struct p2p_item *item)
{
    struct stat st;
    enum p2p_err err;

    if (item->state == P2P_ITEM_GONE)
        return;
    err = p2p_root_stat(s->root, item->name, &st);
    if (!err)
        compare(s, item, &st, true);
    else if (err == P2P_ERR_NOT_FOUND)
        on_missing(s, item);
    else {
        p2p_missing_end(s, item);
        p2p_pipeline_refuse(s, item, err);
    }
}

static void
examine_due(struct p2p_share *s, bool hurry)
{
    uint64_t now = p2p_now_ms();
    struct p2p_item *all = s->owner.dirty, *item;

    s->owner.dirty = NULL;
    while ((item = all)) {
        all = item->next_dirty;
        if (item->due_ms <= now || hurry || item->state == P2P_ITEM_GONE) {
            item->is_dirty = false;
            examine(s, item);
        } else {
            item->next_dirty = s->owner.dirty;
            s->owner.dirty = item;
        }
    }
}

/* ---- Looking at all of them ---- */

static enum p2p_err
see_file(void *arg, const char *name, const struct stat *st)
{
    struct p2p_share *s = arg;
    struct p2p_item *item = p2p_catalogue_get(&s->catalogue, name);

    if (!item)
        return P2P_ERR_NOMEM;
    item->seen = s->scan; /* also if it is compared later */
    if (!item->is_dirty)
        compare(s, item, st, false);
    return s->catalogue.item_count > P2P_SHARE_FILES_MAX ? P2P_ERR_TOO_LARGE : P2P_OK;
}

static enum p2p_err
see_folder(void *arg, const char *name, int fd)
{
    struct p2p_share *s = arg;

    p2p_watch_add(&s->watch, name, fd);
    return P2P_OK;
}

/* Its files may be there nevertheless. */
static void
see_closed(void *arg, const char *name)
{
    struct p2p_share *s = arg;

    p2p_disks_close(&s->owner.disks, name, s->scan);
}

static void
see_empty(void *arg, const char *name)
{
    struct p2p_share *s = arg;
    enum p2p_err err = p2p_folders_add(s->owner.folders, name, s->scan);

    if (err == P2P_ERR_NAME)
        p2p_problems_add(s->owner.problems, name, "its path is too long");
    else if (err)
        p2p_problems_add(s->owner.problems, name, "there are too many empty folders");
}

static void
see_left_out(void *arg, const char *folder, const char *leaf, const char *reason)
{
    struct p2p_share *s = arg;
    char name[2 * P2P_NAME_MAX + 2];

    snprintf(name, sizeof(name), "%s%s%s", folder, folder[0] ? "/" : "", leaf);
    p2p_problems_add(s->owner.problems, name, reason);
}

static void
walk(struct p2p_share *s, const char *folder)
{
    bool is_all = folder[0] == '\0';
    const struct p2p_walk how = {.file = see_file,
                                 .folder = see_folder,
                                 .closed = is_all ? see_closed : NULL,
                                 .empty = see_empty,
                                 .left_out = is_all ? see_left_out : NULL,
                                 .arg = s};
    uint64_t now = p2p_now_ms();
    size_t skipped;
    enum p2p_err err;

    if (is_all)
        p2p_problems_restart(s->owner.problems);
    err = p2p_root_walk_folder(s->root, folder, &how, &skipped);
    s->owner.has_new_problems = true;
    if (!is_all && skipped > 0)
        rescan_soon(s); /* only scans of everything update the list of problems */
    if (!err && is_all) {
        p2p_share_lose_unseen(s, p2p_missing_add);
        p2p_missing_reopen(s);
        p2p_folders_lose_unseen(s->owner.folders, s->scan);
        s->owner.is_scanned = true;
        if (skipped != s->owner.skipped)
            p2p_log_info("some files are not shared; `p2p share ls --problems` lists "
                         "the reasons files=%zu",
                         skipped);
        s->owner.skipped = skipped;
    } else if (err && err != P2P_ERR_NOT_FOUND && !is_all) {
        rescan_soon(s); /* it tells what cannot be read, and why */
    } else if (err && err != P2P_ERR_NOT_FOUND) {
        p2p_log_warn("the scan of the shared folder did not complete reason=\"%s\"",
                     p2p_err_text(err));
        s->owner.is_scanned = true;
        s->owner.next_scan_ms = now + SCAN_RETRY_MS;
    }
}

/* ---- Events ---- */

static void
note_event(struct p2p_share *s, struct p2p_item *item, enum p2p_watch_event event)
{
    uint64_t quiet_ms = p2p_pipeline_quiet_ms(s, item);

    if (event != P2P_WATCH_WRITING && event != P2P_WATCH_CREATED &&
        quiet_ms == s->quiet_ms)
        quiet_ms = P2P_SETTLE_MS;
    p2p_pipeline_note(s, item, quiet_ms);
}

static void
on_write(struct p2p_share *s, struct p2p_item *item, enum p2p_watch_event event)
{
    item->is_written = true;
    if (event == P2P_WATCH_WRITING) {
        /* While a file is being written, it cannot be served, and hashing it would be
         * useless. */
        p2p_pipeline_cancel(s, item);
        if (item->state == P2P_ITEM_READY) {
            p2p_catalogue_set_state(&s->catalogue, item, P2P_ITEM_PENDING);
            p2p_catalogue_owe(&s->catalogue, item, true);
        }
    }
    note_event(s, item, event);
}

/* The system reports a write only under the name that was used. Other hard links of the
 * file have the new bytes, too, and so has a name that it had a moment ago. */
static void
on_write_to_all_links(struct p2p_share *s, struct p2p_item *item,
                      enum p2p_watch_event event)
{
    struct p2p_item *other, *after;
    struct stat st;

    on_write(s, item, event);
    if (p2p_root_stat(s->root, item->name, &st) != P2P_OK)
        return;
    for (other = p2p_catalogue_by_inode(&s->catalogue, st.st_ino, NULL); other;
         other = after) {
        after = p2p_catalogue_by_inode(&s->catalogue, st.st_ino, other);
        if (other != item)
            on_write(s, other, event);
    }
}

static void
on_event(void *arg, enum p2p_watch_event event, const char *name)
{
    struct p2p_share *s = arg;
    struct p2p_item *item;

    if (event == P2P_WATCH_LOST || event == P2P_WATCH_OVERFLOW) {
        s->owner.is_lost = true;
        s->owner.is_in_doubt |= event == P2P_WATCH_OVERFLOW;
        return;
    }
    if (event == P2P_WATCH_LEFT_OUT) {
        rescan_soon(s);
        return;
    }
    if (event != P2P_WATCH_WRITING && event != P2P_WATCH_WRITTEN &&
        !p2p_folders_doubt_above(s->owner.folders, name))
        rescan_soon(s);
    if (event == P2P_WATCH_FOLDER || event == P2P_WATCH_FOLDER_GONE) {
        p2p_folders_remove(s->owner.folders, name);
        if (p2p_disks_is_closed(&s->owner.disks, name))
            rescan_soon(s);
        if (event == P2P_WATCH_FOLDER)
            walk(s, name);
        return;
    }
    item = p2p_catalogue_get(&s->catalogue, name);
    if (!item)
        return;
    if (event == P2P_WATCH_WRITING || event == P2P_WATCH_WRITTEN)
        on_write_to_all_links(s, item, event);
    else
        note_event(s, item, event);
}

/* ---- All of them again ---- */

/* At most a twentieth of the time goes into scans. */
static uint64_t
next_unwatched_ms(uint64_t now, uint64_t cost_ms)
{
    uint64_t pause = 20 * cost_ms;

    if (pause < SCAN_UNWATCHED_MS)
        pause = SCAN_UNWATCHED_MS;
    return now + (pause < SCAN_EVERY_MS ? pause : SCAN_EVERY_MS);
}

static void
scan_all(struct p2p_share *s)
{
    struct p2p_watch old = {.fd = -1};
    uint64_t now = p2p_now_ms();
    int private_dir = -1;

    if (s->owner.is_lost || s->watch.is_incomplete) {
        old = s->watch;
        p2p_watch_open(&s->watch);
    }
    if (p2p_path_private_dir(p2p_share_private(s), &private_dir) == P2P_OK)
        p2p_watch_add_private(&s->watch, private_dir);
    p2p_fd_close(&private_dir);
    s->owner.is_in_doubt |= !s->owner.is_scanned;
    s->owner.is_lost = false;
    s->owner.next_scan_ms = now + SCAN_EVERY_MS;
    p2p_missing_look(s);
    s->scan++;
    walk(s, "");
    s->owner.is_in_doubt = false;
    /* Handles writes that happened before the new watches were set; some names may be
     * old ones. */
    p2p_watch_read(&old, on_event, s);
    p2p_watch_close(&old);
    if (p2p_root_unlink_private(p2p_share_private(s), P2P_CONFIRM_REQUEST) == P2P_OK)
        p2p_missing_confirm(s, now);
    s->owner.last_scan_ms = p2p_now_ms();
    s->owner.scan_cost_ms = s->owner.last_scan_ms - now;
    if (s->watch.is_incomplete)
        s->owner.next_scan_ms = next_unwatched_ms(now, s->owner.scan_cost_ms);
}

/* ---- Rounds ---- */

/* Commits at once when the hasher is idle, and at intervals while it is busy. */
static void
commit(struct p2p_share *s, uint64_t now)
{
    if (p2p_pipeline_is_busy(s) && now < s->owner.last_commit_ms + COMMIT_MS)
        return;
    if (s->owner.has_new_problems && s->owner.is_scanned)
        p2p_pipeline_store_problems(s);
    if (s->owner.is_scanned && p2p_folders_take_changed(s->owner.folders))
        p2p_pipeline_store_folders(s);
    if (s->owner.is_scanned && s->owner.disks.is_changed)
        p2p_pipeline_store_disks(s);
    p2p_pipeline_commit(s);
    if (p2p_catalogue_commit(&s->catalogue) && s->callback_due_ms == 0)
        s->callback_due_ms = now + P2P_SHARE_DEBOUNCE_MS;
    s->owner.last_commit_ms = now;
}

/* Takes the name that a reader left in a slot of the mailbox. */
static struct p2p_item *
take_told(struct p2p_share *s, char slot[P2P_NAME_MAX + 1])
{
    char name[P2P_NAME_MAX + 1];

    p2p_lock(&s->mail.lock);
    strcpy(name, slot);
    slot[0] = '\0';
    p2p_unlock(&s->mail.lock);
    return name[0] ? p2p_catalogue_find_own(&s->catalogue, name) : NULL;
}

static void
check_touched(struct p2p_share *s, struct p2p_item *item)
{
    struct stat st;

    if (p2p_root_stat(s->root, item->name, &st) != P2P_OK)
        return; /* the event for that is on its way */
    struct p2p_file_state now = p2p_file_state_of(&st);
    if (p2p_file_state_compare(&now, &item->facts.state) == P2P_FILE_TOUCHED)
        p2p_pipeline_recheck(s, item, &now);
}

static void
heed_readers(struct p2p_share *s)
{
    struct p2p_item *suspect = take_told(s, s->mail.suspect);
    struct p2p_item *doubtful = take_told(s, s->mail.doubtful);
    struct p2p_item *unchecked = take_told(s, s->mail.unchecked);

    if (suspect && !suspect->is_dirty)
        p2p_pipeline_note(s, suspect, P2P_SETTLE_MS);
    if (doubtful && doubtful->state == P2P_ITEM_READY)
        hash_again(s, doubtful, &doubtful->facts.state);
    /* A dirty item is examined anyway, and its event has more information than the
     * reader. */
    if (unchecked && unchecked->state == P2P_ITEM_READY && !unchecked->is_dirty)
        check_touched(s, unchecked);
}

static void
sooner(uint64_t *due_ms, uint64_t ms)
{
    if (ms < *due_ms)
        *due_ms = ms;
}

bool
p2p_scan_round(struct p2p_share *s, uint64_t *due_ms)
{
    uint64_t now = p2p_now_ms();
    bool hurry = atomic_exchange(&s->mail.hurry, false);

    p2p_watch_read(&s->watch, on_event, s);
    p2p_folders_examine(s->owner.folders, s->root, s->scan);
    heed_readers(s);
    if (s->owner.is_lost || now >= s->owner.next_scan_ms ||
        (hurry && s->watch.is_incomplete))
        scan_all(s);
    examine_due(s, hurry);
    p2p_pipeline_collect(s);
    p2p_pipeline_feed(s);
    p2p_pipeline_resave(s, now);
    if (p2p_pipeline_is_busy(s) && p2p_progress_is_due(s->owner.progress, now))
        p2p_pipeline_save(s);
    else if (s->owner.is_scanned && !s->owner.dirty && !p2p_pipeline_is_busy(s))
        p2p_pipeline_clear_saved(s);
    *due_ms = s->owner.next_scan_ms;
    p2p_missing_round(s, now, due_ms);
    commit(s, now);

    for (const struct p2p_item *item = s->owner.dirty; item; item = item->next_dirty)
        sooner(due_ms, item->due_ms);
    if (p2p_pipeline_is_busy(s))
        sooner(due_ms, p2p_progress_due_ms(s->owner.progress));
    if (s->owner.resave_ms > 0)
        sooner(due_ms, s->owner.resave_ms);
    if (s->owner.is_in_transaction || s->catalogue.is_changed)
        sooner(due_ms, s->owner.last_commit_ms + COMMIT_MS);
    return s->owner.is_scanned && !s->owner.is_lost && !s->owner.dirty &&
           !p2p_pipeline_is_busy(s) && !s->owner.is_in_transaction &&
           !s->catalogue.is_changed;
}

/* ---- Beginning and end ---- */

/* Files that the index knows are NOTED until the scan finds them on disk. */
static enum p2p_err
load_row(void *arg, const char *name, const struct p2p_file_facts *facts,
         bool is_missing)
{
    struct p2p_share *s = arg;
    struct p2p_item *item = facts ? p2p_catalogue_get(&s->catalogue, name) : NULL;

    if (item && item->state == P2P_ITEM_NOTED)
        p2p_catalogue_load(&s->catalogue, item, facts);
    if (item && is_missing && !item->is_held)
        p2p_missing_load(s, item);
    return !facts || item ? P2P_OK : P2P_ERR_NOMEM;
}

enum p2p_err
p2p_scan_start(struct p2p_share *s)
{
    int64_t last_change;
    uint64_t missing_files = 0;
    enum p2p_err err =
        p2p_index_load(p2p_share_own_index(s), 0, load_row, s, &last_change);

    if (!err)
        err = p2p_index_get_emptied(p2p_share_own_index(s), &missing_files);
    p2p_share_set_emptied(s, missing_files);
    if (!err)
        err = p2p_disks_load(&s->owner.disks, p2p_share_own_index(s),
                             p2p_root_fd(s->root), s->scan);
    s->owner.must_recount = true;
    p2p_share_set_away_files(s, p2p_disks_files(&s->owner.disks));
    if (err) /* what could not be loaded is hashed again */
        p2p_pipeline_warn(s, err);
    if (!p2p_index_is_in_memory(
            p2p_share_own_index(s))) /* an index in memory needs no saved progress */
        err = p2p_progress_open(p2p_share_own_index(s), &s->owner.progress);
    if (err)
        p2p_pipeline_warn(s, err);
    err = p2p_problems_new(&s->owner.problems);
    if (!err)
        err = p2p_folders_new(&s->owner.folders);
    if (err)
        return err;
    p2p_watch_open(&s->watch);
    p2p_mounts_open(&s->mounts, p2p_root_fd(s->root));
    s->owner.is_lost = false;
    s->owner.is_scanned = false;
    s->owner.next_scan_ms = 0;
    return p2p_hasher_new(s->root, s->threads, s->mail.wake_fd, &s->owner.hasher);
}

void
p2p_scan_stop(struct p2p_share *s)
{
    if (s->owner.hasher) {                      /* keeps finished and begun work */
        p2p_watch_read(&s->watch, on_event, s); /* the last writes */
        p2p_pipeline_collect(s);
        if (s->owner.progress)
            p2p_pipeline_save(s);
        p2p_pipeline_doubt_pending(s);
        if (p2p_catalogue_own_files(&s->catalogue) > 0)
            p2p_record_set(s->record, p2p_catalogue_own_files(&s->catalogue), true);
        p2p_pipeline_commit(s);
    }
    p2p_hasher_free(s->owner.hasher);
    s->owner.hasher = NULL;
    p2p_progress_close(s->owner.progress);
    s->owner.progress = NULL;
    p2p_problems_free(s->owner.problems);
    s->owner.problems = NULL;
    p2p_folders_free(s->owner.folders);
    s->owner.folders = NULL;
    p2p_disks_clear(&s->owner.disks);
}
