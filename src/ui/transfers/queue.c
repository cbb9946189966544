/*
 * The manager thread: starts queued transfers, stops those that should end, retries
 * those that may work later, and frees removed ones. It is the only caller of
 * p2p_download_cancel. A p2p_download is never called with the lock held, because its
 * callbacks take the lock.
 */
#include "ui/transfers/queue.h"

#include <sys/statvfs.h>
#include <time.h>

#include "p2p/journal.h"
#include "p2p/lock.h"
#include "ui/app.h"
#include "ui/folders/place.h"
#include "ui/state/config.h"

#define DISK_CHECK_S 30
#define DISK_SPARE                                                                     \
    (64 * P2P_MIB) /* free space beyond the missing bytes before a download is retried \
                      after a full disk */

/* ---- the common speed limit ---- */

static unsigned
minute_of_day(void)
{
    time_t now = time(NULL);
    struct tm local;

    localtime_r(&now, &local);
    return (unsigned)(local.tm_hour * 60 + local.tm_min);
}

void
ui_queue_apply_rate(struct ui_transfers *ts)
{
    struct ui_settings set;

    ui_config_get(ts->app->config, &set);
    p2p_rate_set(&ts->rate, p2p_timetable_rate(&set.timetable, minute_of_day()),
                 p2p_now_ms() * 1000);
}

/* ---- one step each; all under the lock ---- */

static struct ui_transfer *
next_to_start(struct ui_transfers *ts)
{
    struct ui_transfer *best = NULL;

    for (struct ui_transfer *t = ts->first; t != NULL; t = t->next)
        if (t->state == UI_QUEUED && !t->has_thread && !t->is_removed &&
            (best == NULL || ui_transfer_is_before(t, best)))
            best = t;
    return best;
}

static void
start_some(struct ui_transfers *ts)
{
    struct ui_settings set;
    struct ui_transfer *t;

    ui_config_get(ts->app->config, &set);
    while (!ts->is_stopping && ts->threads < set.max_running &&
           (t = next_to_start(ts)) != NULL)
        ui_run_begin(ts, t);
}

/* Releases the lock while it cancels a download. True: it did, so look at the list
 * again from the start. */
static bool
stop_one(struct ui_transfers *ts)
{
    struct ui_transfer *t = ts->first;
    struct p2p_download *dl;
    bool keeps_data;

    while (t != NULL && (t->stop == UI_GO_ON || t->dl == NULL || t->is_told))
        t = t->next;
    if (t == NULL)
        return false;
    dl = t->dl;
    keeps_data = t->stop == UI_STOP_KEEP;
    t->is_told = true;
    t->is_in_use = true;
    p2p_unlock(&ts->lock);
    p2p_download_cancel(dl, keeps_data);
    p2p_lock(&ts->lock);
    t->is_in_use = false;
    pthread_cond_broadcast(&ts->changed);
    return true;
}

/* Deletes what an interrupted download left: opens its journal and discards it. */
static void
delete_data(struct ui_app *app, const struct p2p_digest *root)
{
    struct p2p_journal *journal = NULL;
    struct p2p_journal_info info;
    uint64_t done;

    if (p2p_journal_peek(app->downloads, root, &info, &done) != P2P_OK ||
        p2p_journal_open(app->downloads, &info, NULL, &journal) != P2P_OK)
        return;
    p2p_journal_discard(journal);
    p2p_journal_close(journal);
}

static bool
clean_one(struct ui_transfers *ts)
{
    struct ui_transfer *t = ts->first;
    struct p2p_digest root;
    bool must_delete;

    while (t != NULL && (t->has_thread || (!t->is_removed && !t->is_discarding)))
        t = t->next;
    if (t == NULL)
        return false;
    must_delete = t->is_discarding && t->root_known;
    root = t->root;
    t->is_discarding = false;
    if (t->is_removed) {
        ui_transfers_unlink(ts, t);
        ui_transfer_free(t);
    }
    if (must_delete) {
        p2p_unlock(&ts->lock);
        delete_data(ts->app, &root);
        p2p_lock(&ts->lock);
    }
    return true;
}

static bool
has_space_for(struct ui_transfers *ts, const struct ui_transfer *t)
{
    struct statvfs fs;
    uint64_t missing = t->size > t->verified ? t->size - t->verified : 0;

    return fstatvfs(p2p_root_fd(ts->app->downloads), &fs) == 0 &&
           (uint64_t)fs.f_bavail * fs.f_frsize > missing + DISK_SPARE;
}

/* A folder that was moved away is still writable: running downloads would be stored
 * there. */
static void
pause_when_away(struct ui_transfers *ts)
{
    if (ts->threads == 0 || !ui_folder_is_away(ts->app, UI_DOWNLOADS))
        return;
    for (struct ui_transfer *t = ts->first; t != NULL; t = t->next)
        if (t->dl != NULL && t->stop == UI_GO_ON && ui_state_is_running(t->state))
            ui_run_give_way(ts, t, P2P_ERR_AWAY, "");
}

static void
retry_due(struct ui_transfers *ts, uint64_t now_s)
{
    for (struct ui_transfer *t = ts->first; t != NULL; t = t->next) {
        if (t->retry_at_s == 0 || t->retry_at_s > now_s || t->is_removed)
            continue;
        if (t->error == P2P_ERR_DISK_FULL && !has_space_for(ts, t)) {
            t->retry_at_s = now_s + DISK_CHECK_S;
            continue;
        }
        if (t->error == P2P_ERR_AWAY && ui_folder_is_away(ts->app, UI_DOWNLOADS)) {
            t->retry_at_s = now_s + UI_PLACE_CHECK_S;
            continue;
        }
        ui_transfer_enqueue(ts, t);
        ui_transfers_save(ts, t);
    }
}

/* Seconds until something is due; 0: nothing is. */
static uint64_t
next_due(struct ui_transfers *ts, uint64_t now_s)
{
    struct ui_settings set;
    uint64_t due = UINT64_MAX;

    for (const struct ui_transfer *t = ts->first; t != NULL; t = t->next)
        if (t->retry_at_s != 0 && !t->is_removed && t->retry_at_s < due)
            due = t->retry_at_s;
    if (ts->threads > 0 && due > now_s + UI_PLACE_CHECK_S)
        due = now_s + UI_PLACE_CHECK_S;
    ui_config_get(ts->app->config, &set);
    if (ts->threads > 0 && set.timetable.count > 1 && due > now_s + 60)
        due = now_s + 60;
    if (due == UINT64_MAX)
        return 0;
    return due > now_s ? due - now_s : 1;
}

static void
sleep_until_due(struct ui_transfers *ts)
{
    uint64_t seconds = next_due(ts, p2p_time_s());

    (void)p2p_wait_until(&ts->changed, &ts->lock,
                         seconds == 0 ? P2P_NO_DEADLINE
                                      : p2p_now_ms() + seconds * 1000);
}

static bool
has_work(struct ui_transfers *ts)
{
    bool some = false;

    while (stop_one(ts) || clean_one(ts))
        some = true;
    return some;
}

void *
ui_queue_main(void *transfers)
{
    struct ui_transfers *ts = transfers;

    p2p_lock(&ts->lock);
    while (!ts->is_stopping || ts->threads > 0) {
        ui_queue_apply_rate(ts);
        pause_when_away(ts);
        retry_due(ts, p2p_time_s());
        start_some(ts);
        /* The lock was released meanwhile, so a change may have signaled when no thread
         * was waiting. */
        if (!has_work(ts) && (!ts->is_stopping || ts->threads > 0))
            sleep_until_due(ts);
    }
    p2p_unlock(&ts->lock);
    return NULL;
}
