/* The control thread: lets the workers fetch until the task is done, waits while the
 * user paused it or the disk is full, and decides when it is over. */
#include "core/swarm/swarm.h"

#include <stdio.h>

#include "p2p/probe.h"

#define REPORT_MS     250
#define DISK_POLL_MS  2000
#define QUOTA_POLL_MS 20000

bool
p2p_dl_is_stopping(const struct p2p_download *dl)
{
    return dl->wants.pause || dl->wants.cancel;
}

bool
p2p_dl_should_stop(void *arg)
{
    struct p2p_download *dl = arg;

    p2p_lock(&dl->lock);
    bool stop = p2p_dl_is_stopping(dl);
    p2p_unlock(&dl->lock);
    return stop;
}

/* ---- Fetching ---- */

void
p2p_dl_tick(struct p2p_download *dl)
{
    uint64_t now = p2p_now_ms();

    p2p_lock(&dl->lock);
    p2p_dl_sample(dl);
    if (dl->task->on_tick != NULL)
        dl->task->on_tick(dl);
    bool is_due = now - dl->report.reported_ms >= REPORT_MS;
    if (is_due)
        dl->report.reported_ms = now;
    p2p_unlock(&dl->lock);
    if (is_due)
        p2p_dl_report(dl);
    p2p_dl_rest(dl);
}

/* The reason why the workers must stop, if there is one. */
static enum p2p_err
reason_to_stop(struct p2p_download *dl)
{
    enum p2p_err err;

    p2p_lock(&dl->lock);
    err = p2p_dl_is_stopping(dl) ? P2P_ERR_CANCELLED : dl->swarm.local_error;
    p2p_unlock(&dl->lock);
    return err;
}

/* Starts the workers that should run. */
static enum p2p_err
start_workers(struct p2p_download *dl)
{
    enum p2p_err err;

    p2p_lock(&dl->lock);
    err = p2p_dl_hopeless(dl);
    if (err == P2P_OK)
        p2p_dl_spawn_workers(dl);
    if (err == P2P_OK)
        p2p_dl_send_scouts(dl);
    p2p_unlock(&dl->lock);
    return err;
}

/* P2P_OK: the workers have downloaded everything that they can. */
static enum p2p_err
fetch(struct p2p_download *dl)
{
    bool is_done = false;
    enum p2p_err err;

    for (;;) {
        (void)p2p_dl_workers_reap(dl);
        err = reason_to_stop(dl);
        if (err == P2P_OK)
            err = dl->task->step(dl, &is_done);
        if (err != P2P_OK || is_done)
            return err;
        err = start_workers(dl);
        if (err != P2P_OK)
            return err;
        p2p_dl_tick(dl);
    }
}

static enum p2p_err
run_once(struct p2p_download *dl)
{
    if (dl->task->begin != NULL)
        dl->task->begin(dl);
    p2p_lock(&dl->lock);
    dl->swarm.local_error = P2P_OK;
    dl->report.reported_ms = 0;
    p2p_unlock(&dl->lock);
    p2p_dl_enter(dl, P2P_DL_CONNECTING);
    return dl->task->finish(dl, fetch(dl));
}

/* ---- Waiting ---- */

static void
pause_with(struct p2p_download *dl, enum p2p_err err, const char *message)
{
    p2p_lock(&dl->lock);
    p2p_dl_set_error(dl, err, "%s", message);
    bool is_new = p2p_dl_set_state(dl, P2P_DL_PAUSED);
    p2p_unlock(&dl->lock);
    if (is_new)
        p2p_dl_report(dl);
}

/* Stays PAUSED until the user resumes or cancels. */
static void
wait_paused(struct p2p_download *dl)
{
    pause_with(dl, P2P_OK, "paused");
    p2p_lock(&dl->lock);
    while (dl->wants.pause && !dl->wants.cancel)
        p2p_dl_wait(dl, 1000);
    p2p_unlock(&dl->lock);
}

static void
explain_missing_space(struct p2p_download *dl, enum p2p_err err, bool has_room,
                      char *out, size_t cap)
{
    char size[P2P_SIZE_TEXT_MAX], whole[P2P_SIZE_TEXT_MAX];
    uint64_t disk = p2p_root_disk_bytes(dl->opt.downloads);

    p2p_lock(&dl->lock);
    uint64_t needed = dl->task->bytes_to_come(dl);
    p2p_unlock(&dl->lock);
    p2p_size_format(needed, size);

    if (err == P2P_ERR_QUOTA)
        snprintf(out, cap,
                 "the disk quota is used up: %s are needed; the download "
                 "continues automatically when there is room",
                 size);
    else if (err == P2P_ERR_NO_INODES)
        snprintf(out, cap,
                 "the file system has no room for more files (no free inodes): "
                 "delete some; the download continues automatically");
    else if (has_room)
        snprintf(
            out, cap,
            "the file system says that it is full, although it reports enough free "
            "space for %s: a quota may be used up; the download is retried "
            "automatically",
            size);
    else if (needed > disk && disk > 0)
        snprintf(
            out, cap,
            "the disk is full: %s are needed, and it has %s in total; the download "
            "continues automatically when the disk is larger",
            size, p2p_size_format(disk, whole));
    else
        snprintf(out, cap,
                 "the disk is full: free %s; the download continues "
                 "automatically",
                 size);
}

/* True if it is time to check for room again and the user has not requested anything
 * else. */
static bool
wait_for_look(struct p2p_download *dl)
{
    p2p_lock(&dl->lock);
    if (!dl->wants.cancel && !dl->wants.resume)
        p2p_dl_wait(dl, DISK_POLL_MS);
    bool is_due = !dl->wants.cancel && !dl->wants.resume;
    p2p_unlock(&dl->lock);
    return is_due;
}

static bool
has_room(struct p2p_download *dl)
{
    return p2p_root_full_reason(dl->opt.downloads, P2P_ERR_DISK_FULL) !=
               P2P_ERR_NO_INODES &&
           dl->task->has_room(dl);
}

/* False: the file system refuses although it reports enough room. It does not count a
 * quota, or cannot store holes. Then the download is retried after a while, as for a
 * quota, whose rest cannot be queried everywhere. */
static bool
is_told_by_numbers(struct p2p_download *dl, enum p2p_err err)
{
    return err != P2P_ERR_QUOTA && !has_room(dl);
}

/* Stays PAUSED until the disk has room for the rest, or the user resumes or cancels. */
static void
wait_for_space(struct p2p_download *dl, enum p2p_err err)
{
    uint64_t again_ms = p2p_now_ms() + QUOTA_POLL_MS;
    char message[sizeof(((struct dl_report *)0)->message)];

    err = p2p_root_full_reason(dl->opt.downloads, err);
    bool by_numbers = is_told_by_numbers(dl, err);
    explain_missing_space(dl, err, !by_numbers, message, sizeof(message));
    pause_with(dl, err, message);
    p2p_lock(&dl->lock);
    dl->wants.resume = false;
    p2p_unlock(&dl->lock);
    while (wait_for_look(dl))
        if (by_numbers ? has_room(dl) : p2p_now_ms() >= again_ms)
            break;
}

/* ---- What to do after a run that did not complete ---- */

static struct dl_wants
wishes(struct p2p_download *dl)
{
    p2p_lock(&dl->lock);
    struct dl_wants wants = dl->wants;
    p2p_unlock(&dl->lock);
    return wants;
}

/* True: run again. */
static bool
goes_on(struct p2p_download *dl, enum p2p_err err)
{
    struct dl_wants wants = wishes(dl);

    if (wants.cancel || err == P2P_OK)
        return false;
    if (wants.pause && (err == P2P_ERR_CANCELLED || dl->task->retry != NULL)) {
        wait_paused(dl);
        return !wishes(dl).cancel;
    }
    if (err == P2P_ERR_CANCELLED) /* the user resumed before the pause took effect */
        return true;
    if (p2p_err_is_space(err)) {
        wait_for_space(dl, err);
        return !wishes(dl).cancel;
    }
    return dl->task->retry != NULL && dl->task->retry(dl, err);
}

static void
set_end(struct p2p_download *dl, enum p2p_err err) P2P_REQUIRES(p2p_dl_lock)
{
    dl->report.over = true;
    if (err == P2P_OK) {
        (void)p2p_dl_set_state(dl, P2P_DL_COMPLETED);
    } else if (dl->wants.cancel) {
        p2p_dl_set_error(dl, P2P_ERR_CANCELLED, "cancelled");
        (void)p2p_dl_set_state(dl, P2P_DL_CANCELLED);
    } else {
        dl->task->explain(dl, err);
        dl->report.error = err;
        (void)p2p_dl_set_state(dl, P2P_DL_FAILED);
    }
}

static void
end(struct p2p_download *dl, enum p2p_err err)
{
    struct dl_wants wants = wishes(dl);

    if (dl->task->close != NULL)
        dl->task->close(dl, wants.cancel && !wants.keep_data && err != P2P_OK);
    p2p_dl_measure(dl, err);
    p2p_lock(&dl->lock);
    set_end(dl, err);
    p2p_unlock(&dl->lock);
    p2p_dl_report(dl);
    p2p_lock(&dl->lock);
    dl->report.reported_end = true;
    p2p_dl_wake(dl);
    p2p_unlock(&dl->lock);
}

void *
p2p_dl_run(void *download)
{
    struct p2p_download *dl = download;
    enum p2p_err err;

    do
        err = run_once(dl);
    while (goes_on(dl, err));
    end(dl, err);
    return NULL;
}
