/*
 * The manager thread: starts queued transfers, stops those that should end, retries
 * those that may work later, and frees removed ones. It is the only caller of
 * p2p_download_cancel. A p2p_download is never called with the lock held, because its
 * callbacks take the lock.
 */
#include "ui/transfers/queue.h"

#include <stdio.h>
#include <sys/statvfs.h>
#include <time.h>

#include "p2p/journal.h"
#include "p2p/lock.h"
#include "ui/folders/folders.h"
#include "ui/folders/keeping.h"
#include "ui/folders/place.h"
#include "ui/state/checksums.h"
#include "ui/state/config.h"

#define DISK_CHECK_S 30
#define DISK_SPARE                                                                     \
    (64 * P2P_MIB) /* free space beyond the missing bytes before a download is retried \
                      after a full disk */

/* ---- the common speed limit ---- */

void
ui_queue_apply_rate(struct ui_transfers *ts)
{
    struct ui_settings set;

    ui_config_get(ts->parts.config, &set);
    p2p_rate_set(&ts->rate, p2p_timetable_rate_at(&set.timetable, time(NULL)),
                 p2p_now_ms() * 1000);
}

/* ---- one step each; all under the lock ---- */

static struct ui_transfer *
next_to_start(struct ui_transfers *ts) P2P_REQUIRES(ui_transfers_lock)
{
    struct ui_transfer *best = NULL;

    for (struct ui_transfer *t = ts->first; t != NULL; t = t->next)
        if (t->state == UI_QUEUED && !t->has_thread && !t->is_removed &&
            (best == NULL || ui_transfer_is_before(t, best)))
            best = t;
    return best;
}

static void
start_some(struct ui_transfers *ts) P2P_REQUIRES(ui_transfers_lock)
{
    struct ui_settings set;
    struct ui_transfer *t;

    ui_config_get(ts->parts.config, &set);
    while (!ts->is_stopping && ts->threads < set.max_running &&
           (t = next_to_start(ts)) != NULL)
        ui_run_begin(ts, t);
}

/* The next transfer whose download is to be cancelled; it stays in use until that is
 * done. NULL: none. */
static struct ui_transfer *
take_one_to_stop(struct ui_transfers *ts, struct p2p_download **dl, bool *keeps_data)
{
    struct ui_transfer *t;

    p2p_lock(&ts->lock);
    t = ts->first;
    while (t != NULL && (t->stop == UI_GO_ON || t->dl == NULL || t->is_told))
        t = t->next;
    if (t != NULL) {
        *dl = t->dl;
        *keeps_data = t->stop == UI_STOP_KEEP;
        t->is_told = true;
        t->users++;
    }
    p2p_unlock(&ts->lock);
    return t;
}

/* True: there was one, so look at the list again from the start. */
static bool
stop_one(struct ui_transfers *ts)
{
    struct p2p_download *dl;
    bool keeps_data;
    struct ui_transfer *t = take_one_to_stop(ts, &dl, &keeps_data);

    if (t == NULL)
        return false;
    p2p_download_cancel(dl, keeps_data);
    p2p_lock(&ts->lock);
    t->users--;
    ui_transfers_wake(ts);
    p2p_unlock(&ts->lock);
    return true;
}

/* Deletes what an interrupted download left: opens its journal and discards it. */
static void
delete_data(struct p2p_root *downloads, const struct p2p_digest *root)
{
    struct p2p_journal *journal = NULL;
    struct p2p_journal_info info;
    uint64_t done;

    if (p2p_journal_peek(downloads, root, &info, &done) != P2P_OK ||
        p2p_journal_open(downloads, &info, NULL, &journal) != P2P_OK)
        return;
    p2p_journal_discard(journal);
    p2p_journal_close(journal);
}

/* What is left to do for a transfer that is over, without the lock. */
struct rest_of {
    bool must_delete; /* the data of this root */
    struct p2p_digest root;
    bool must_keep; /* the checksum of the file at this path */
    char path[P2P_NAME_MAX + 1];
    struct p2p_digest sha256;
};

/* Takes what is over out of the list. The proof of a file's content outlives the row: a
 * transfer stays in the list until its checksum is stored. */
static bool
take_one_to_clean(struct ui_transfers *ts, struct rest_of *out)
    P2P_REQUIRES(ui_transfers_lock)
{
    struct ui_transfer *t = ts->first;

    while (t != NULL && (t->has_thread || (!t->is_removed && !t->is_discarding)))
        t = t->next;
    if (t == NULL)
        return false;
    out->must_delete = t->is_discarding && t->root_known;
    out->root = t->root;
    t->is_discarding = false;
    out->must_keep = t->is_removed && !t->is_checksum_kept &&
                     t->state == UI_COMPLETED && t->sha256_known && t->path[0] != '\0';
    if (out->must_keep) {
        snprintf(out->path, sizeof(out->path), "%s", t->path);
        out->sha256 = t->sha256;
        t->is_checksum_kept = true;
    } else if (t->is_removed) {
        ui_transfers_unlink(ts, t);
        ui_transfer_free(t);
    }
    return true;
}

static bool
clean_one(struct ui_transfers *ts)
{
    struct p2p_root *downloads = ts->parts.folders->downloads;
    struct rest_of rest = {.must_delete = false};

    p2p_lock(&ts->lock);
    bool found = take_one_to_clean(ts, &rest);
    p2p_unlock(&ts->lock);
    if (rest.must_delete)
        delete_data(downloads, &rest.root);
    if (rest.must_keep)
        ui_checksum_keep(ts->parts.store, downloads, rest.path, &rest.sha256);
    return found;
}

/* The downloads folder, looked at without the lock: the file system may be slow. */
struct place {
    bool is_away;
    bool is_known; /* how many bytes are free */
    uint64_t free_bytes;
};

static struct place
look_at_place(const struct ui_folders *folders)
{
    struct place place = {.is_away = ui_folder_is_away(folders, UI_DOWNLOADS)};
    struct statvfs fs;

    place.is_known = fstatvfs(p2p_root_fd(folders->downloads), &fs) == 0;
    if (place.is_known)
        place.free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    return place;
}

/* Without what other downloads need. */
static uint64_t
missing_bytes(const struct ui_transfer *t)
{
    return t->size > t->verified ? t->size - t->verified : 0;
}

/* Notes how much space old versions have to free for this transfer. */
static void
want_room(struct ui_transfers *ts, const struct place *place, struct ui_transfer *t)
    P2P_REQUIRES(ui_transfers_lock)
{
    uint64_t needed = missing_bytes(t) + P2P_MIB;

    t->wants_room = false;
    if (place->is_known && needed > place->free_bytes && ts->missing == 0)
        ts->missing = needed - place->free_bytes;
}

static bool
has_space_for(const struct place *place, const struct ui_transfer *t)
{
    return place->is_known && place->free_bytes > missing_bytes(t) + DISK_SPARE;
}

/* A folder that was moved away is still writable: running downloads would be stored
 * there. */
static void
pause_when_away(struct ui_transfers *ts, const struct place *place)
    P2P_REQUIRES(ui_transfers_lock)
{
    if (ts->threads == 0 || !place->is_away)
        return;
    for (struct ui_transfer *t = ts->first; t != NULL; t = t->next)
        if (t->dl != NULL && t->stop == UI_GO_ON && ui_state_is_running(t->state))
            ui_run_give_way(ts, t, P2P_ERR_AWAY, "");
}

static void
retry_due(struct ui_transfers *ts, const struct place *place, uint64_t now_s)
    P2P_REQUIRES(ui_transfers_lock)
{
    for (struct ui_transfer *t = ts->first; t != NULL; t = t->next) {
        if (t->wants_room && !t->is_removed)
            want_room(ts, place, t);
        if (t->retry_at_s == 0 || t->retry_at_s > now_s || t->is_removed)
            continue;
        if (t->error == P2P_ERR_DISK_FULL && !has_space_for(place, t)) {
            t->retry_at_s = now_s + DISK_CHECK_S;
            continue;
        }
        if (t->error == P2P_ERR_AWAY && place->is_away) {
            t->retry_at_s = now_s + UI_PLACE_CHECK_S;
            continue;
        }
        ui_transfer_enqueue(ts, t);
        ui_transfers_save(ts, t);
    }
}

/* Seconds until something is due; 0: nothing is. */
static uint64_t
next_due(struct ui_transfers *ts, uint64_t now_s) P2P_REQUIRES(ui_transfers_lock)
{
    struct ui_settings set;
    uint64_t due = UINT64_MAX;

    for (const struct ui_transfer *t = ts->first; t != NULL; t = t->next)
        if (t->retry_at_s != 0 && !t->is_removed && t->retry_at_s < due)
            due = t->retry_at_s;
    if (ts->threads > 0 && due > now_s + UI_PLACE_CHECK_S)
        due = now_s + UI_PLACE_CHECK_S;
    ui_config_get(ts->parts.config, &set);
    if (ts->threads > 0 && set.timetable.count > 1 && due > now_s + 60)
        due = now_s + 60;
    if (due == UINT64_MAX)
        return 0;
    return due > now_s ? due - now_s : 1;
}

static void
sleep_until_due(struct ui_transfers *ts) P2P_REQUIRES(ui_transfers_lock)
{
    uint64_t seconds = next_due(ts, p2p_time_s());

    (void)p2p_wait_until(&ts->changed, &ts->lock,
                         seconds == 0 ? P2P_NO_DEADLINE
                                      : p2p_now_ms() + seconds * 1000);
}

/* What is decided under the lock. False: the manager is to end. */
static bool
decide(struct ui_transfers *ts, const struct place *place)
{
    p2p_lock(&ts->lock);
    bool goes_on = !ts->is_stopping || ts->threads > 0;
    if (goes_on) {
        ts->is_stirred = false;
        ui_queue_apply_rate(ts);
        pause_when_away(ts, place);
        retry_due(ts, place, p2p_time_s());
        start_some(ts);
    }
    p2p_unlock(&ts->lock);
    return goes_on;
}

/* Old versions make room for a download, those of deleted files first. True: some did.
 */
static bool
make_room(struct ui_transfers *ts)
{
    p2p_lock(&ts->lock);
    uint64_t missing = ts->missing;
    ts->missing = 0;
    p2p_unlock(&ts->lock);
    if (missing == 0 || !ui_keeping_make_room_for_downloads(ts->parts.folders, missing))
        return false;
    p2p_lock(&ts->lock);
    for (struct ui_transfer *t = ts->first; t != NULL; t = t->next)
        if (t->error == P2P_ERR_DISK_FULL && t->retry_at_s != 0 && !t->is_removed)
            ui_transfer_enqueue(ts, t);
    p2p_unlock(&ts->lock);
    return true;
}

/* What takes time. True: something was done, so decide again. */
static bool
work(struct ui_transfers *ts)
{
    bool some = make_room(ts);

    while (stop_one(ts) || clean_one(ts))
        some = true;
    return some;
}

static void
rest(struct ui_transfers *ts)
{
    p2p_lock(&ts->lock);
    if (!ts->is_stirred && (!ts->is_stopping || ts->threads > 0))
        sleep_until_due(ts);
    p2p_unlock(&ts->lock);
}

void *
ui_queue_main(void *transfers)
{
    struct ui_transfers *ts = transfers;
    struct place place = look_at_place(ts->parts.folders);

    while (decide(ts, &place)) {
        if (!work(ts))
            rest(ts);
        place = look_at_place(ts->parts.folders);
    }
    while (clean_one(ts))
        ;
    return NULL;
}
