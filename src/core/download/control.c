/* The control thread of a file: decides when to connect to which source and when the
 * download is over, and reports its state. */
#include "core/download/control.h"
#include "core/download/folder.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "p2p/lock.h"
#include "p2p/log.h"
#include "p2p/probe.h"

#define TICK_MS        100
#define REPORT_MS      250
#define DISK_POLL_MS   2000
#define QUOTA_POLL_MS  20000
#define RESTARTS_MAX   3
#define RESTART_MS     250 /* the first time; a source needs a moment to see the change */
#define RESTART_MAX_MS 15000
#define CHANGES_MAX    7 /* restarts of a file that changed or moved at its source */

bool
p2p_dl_is_stopping(const struct p2p_download *dl)
{
    return dl->want_pause || dl->want_cancel;
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

/* ---- Beginning to fetch: journal, plan, buffers, helpers ---- */

void
p2p_dl_journal_info(const struct p2p_download *dl, struct p2p_journal_info *info)
{
    *info = (struct p2p_journal_info){
        .root = dl->protocol == 1 ? dl->meta.sha256 : dl->meta.root,
        .geometry = dl->meta.geometry,
        .keep_free = dl->keep_free,
    };
    memcpy(info->name, dl->save_as, sizeof(info->name));
}

static enum p2p_err
open_journal(struct p2p_download *dl)
{
    struct p2p_journal_info info;
    struct p2p_journal *journal = dl->journal;
    enum p2p_err err = P2P_OK;

    p2p_dl_journal_info(dl, &info);
    p2p_unlock(&dl->lock);
    if (journal == NULL)
        p2p_dl_settle_version(dl);
    if (journal == NULL && dl->protocol == 1) /* else before the layer was asked for */
        err = p2p_dl_check_target(dl);
    if (journal == NULL && err == P2P_OK)
        err = p2p_journal_open(dl->downloads, &info, dl->layer, &journal);
    if (err == P2P_OK)
        err = p2p_journal_recheck(journal, p2p_dl_should_stop, dl);
    p2p_lock(&dl->lock);
    dl->journal = journal;
    return err;
}

static enum p2p_err
make_plan(struct p2p_download *dl)
{
    const struct p2p_chunks *g = &dl->meta.geometry;
    enum p2p_err err = p2p_plan_init(&dl->plan, g);

    if (err != P2P_OK)
        return err;
    for (uint64_t i = 0; i < g->count; i++)
        if (p2p_journal_has(dl->journal, i))
            p2p_plan_set_done(&dl->plan, i);
    return p2p_pool_init(&dl->pool, g->chunk_size, P2P_DOWNLOAD_BUFFER_BYTES) == 0
               ? P2P_OK
               : P2P_ERR_NOMEM;
}

static enum p2p_err
prepare(struct run *run)
{
    struct p2p_download *dl = run->dl;
    enum p2p_err err = open_journal(dl);

    if (err == P2P_OK)
        err = make_plan(dl);
    if (err != P2P_OK)
        return err;
    dl->ready = true;
    if (dl->verify == P2P_VERIFY_FULL || dl->protocol == 1)
        err = p2p_dl_verifier_start(dl, &run->verifier);
    if (err == P2P_OK)
        err = p2p_dl_keeper_start(dl->journal, &run->keeper);
    if (err == P2P_OK && dl->discovery != NULL && dl->meta.root_known &&
        run->finder == NULL)
        err = p2p_dl_finder_start(dl, &run->finder);
    if (err == P2P_OK)
        p2p_dl_set_state(dl, P2P_DL_DOWNLOADING);
    return err;
}

/* Ends all other threads of the download. The journal stays open. */
static void
stop_all(struct run *run)
{
    struct p2p_download *dl = run->dl;

    p2p_dl_workers_stop(dl);
    while (!p2p_dl_workers_reap(dl))
        p2p_dl_wait(dl, TICK_MS);
    p2p_unlock(&dl->lock);
    p2p_dl_finder_stop(run->finder);
    p2p_dl_keeper_stop(run->keeper);
    p2p_dl_verifier_stop(run->verifier);
    p2p_lock(&dl->lock);
    *run = (struct run){.dl = dl, .grow = run->grow};
    dl->ready = false;
    p2p_plan_clear(&dl->plan);
    p2p_pool_clear(&dl->pool);
}

/* ---- Fetching ---- */

void
p2p_control_spawn(struct p2p_download *dl)
{
    uint64_t now = p2p_now_ms();

    p2p_dl_share_out_connections(dl);
    for (unsigned i = 0; i < dl->source_count; i++) {
        struct dl_source *s = &dl->sources[i];
        while (s->workers < s->wanted && s->next_try_ms <= now &&
               s->failures < dl->retries) {
            if (s->workers == 0)
                s->state = P2P_SRC_CONNECTING;
            if (p2p_dl_worker_spawn(dl, i) != P2P_OK)
                return;
        }
    }
}

static void
retire_workers(struct p2p_download *dl)
{
    for (unsigned i = 0; i < DL_WORKERS; i++) {
        struct dl_worker *w = &dl->workers[i];
        struct dl_source *s = &dl->sources[w->source];
        if (w->running && !w->retire && !w->finished && s->workers > s->wanted &&
            dl->ready && dl->plan.left > 0) {
            w->retire = true;
            return; /* one at a time: `workers` counts it until it has ended */
        }
    }
}

static struct grow_now
how_things_are(const struct p2p_download *dl, uint64_t now_ms)
{
    struct grow_now now = {.ms = now_ms, .received = dl->received};

    for (size_t i = 0; i < dl->source_count; i++) {
        const struct dl_source *s = &dl->sources[i];
        now.connections += s->workers;
        if (s->workers > 0 && s->rtt_us > now.rtt_us)
            now.rtt_us = s->rtt_us;
    }
    return now;
}

void
p2p_control_tick(struct run *run)
{
    struct p2p_download *dl = run->dl;
    uint64_t now = p2p_now_ms();

    p2p_dl_sample(dl);
    struct grow_now grow_now = how_things_are(dl, now);
    if (dl->ready && p2p_grow_step(&run->grow, &grow_now, &dl->grown))
        retire_workers(dl);
    if (now - run->reported_ms >= REPORT_MS) {
        run->reported_ms = now;
        p2p_dl_report(dl);
    }
}

static bool
is_complete(const struct p2p_download *dl)
{
    return dl->ready && dl->plan.left == 0 &&
           (!dl->needs_witness || p2p_dl_has_witness(dl));
}

/* Somebody cleans up: what is written is in no folder any more. Seen now and then, and
 * at the end. */
static bool
data_is_gone(struct run *run)
{
    struct p2p_download *dl = run->dl;
    struct stat st;

    dl->data_gone = dl->journal != NULL &&
                    fstat(p2p_journal_fd(dl->journal), &st) == 0 && st.st_nlink == 0;
    return dl->data_gone;
}

/* P2P_OK: every chunk is here. */
static enum p2p_err
fetch_all(struct run *run)
{
    struct p2p_download *dl = run->dl;
    enum p2p_err err = P2P_OK;

    while (err == P2P_OK) {
        (void)p2p_dl_workers_reap(dl);
        if (p2p_dl_is_stopping(dl))
            return P2P_ERR_CANCELLED;
        if (dl->local_error != P2P_OK)
            return dl->local_error;
        if (dl->present)
            return P2P_OK;
        if (data_is_gone(run))
            return P2P_ERR_NOT_FOUND;
        if (dl->layer_known && !dl->ready)
            err = prepare(run);
        if (err != P2P_OK || is_complete(dl))
            return err;
        err = p2p_dl_hopeless(dl);
        if (err != P2P_OK)
            return err;
        p2p_control_spawn(dl);
        p2p_control_tick(run);
        p2p_dl_wait(dl, TICK_MS);
    }
    return err;
}

/* ---- The whole file ---- */

static enum p2p_err
wait_for_hash(struct run *run)
{
    struct p2p_download *dl = run->dl;

    if (run->verifier == NULL)
        return P2P_OK;
    if (!dl->sha256_done)
        p2p_dl_set_state(dl, P2P_DL_VERIFYING);
    while (!dl->sha256_done) {
        enum p2p_err err = p2p_dl_verifier_error(run->verifier);
        if (err != P2P_OK)
            return err;
        if (p2p_dl_is_stopping(dl))
            return P2P_ERR_CANCELLED;
        p2p_control_tick(run);
        p2p_dl_wait(dl, TICK_MS);
    }
    return P2P_OK;
}

/* True when a source has stated this hash, or no source has stated any. */
static bool
hash_is_confirmed(const struct p2p_download *dl)
{
    bool stated = false;

    for (size_t i = 0; i < dl->source_count; i++) {
        const struct dl_source *s = &dl->sources[i];
        if (!s->agreed || !s->meta.sha256_known)
            continue;
        if (memcmp(&s->meta.sha256, &dl->sha256, sizeof(dl->sha256)) == 0)
            return true;
        stated = true;
    }
    return !stated;
}

static void
drop_false_witnesses(struct p2p_download *dl)
{
    for (unsigned i = 0; i < dl->source_count; i++) {
        const struct dl_source *s = &dl->sources[i];
        if (s->agreed && s->meta.sha256_known &&
            memcmp(&s->meta.sha256, &dl->sha256, sizeof(dl->sha256)) != 0)
            p2p_dl_drop_source(dl, i, P2P_ERR_HASH_MISMATCH);
    }
    dl->meta.sha256_known = false;
}

/*
 * The hash of the whole file is not the one that was stated. Doubts all chunks and
 * checks them again. Chunks that are bad on disk are downloaded again. If all are good,
 * the sources that stated the hash were wrong, and others are asked. BUSY: run again.
 */
static enum p2p_err
on_wrong_hash(struct run *run)
{
    struct p2p_download *dl = run->dl;
    struct p2p_journal *journal = dl->journal;
    enum p2p_err err;

    p2p_unlock(&dl->lock);
    p2p_journal_doubt_all(journal);
    err = p2p_journal_recheck(journal, p2p_dl_should_stop, dl);
    bool damaged = p2p_journal_done_count(journal) < dl->meta.geometry.count;
    p2p_lock(&dl->lock);
    if (err != P2P_OK)
        return err;
    dl->needs_witness = !damaged;
    if (!damaged)
        drop_false_witnesses(dl);
    return damaged || p2p_dl_usable_sources(dl) > 0 ? P2P_ERR_BUSY
                                                    : P2P_ERR_HASH_MISMATCH;
}

static enum p2p_err
publish(struct p2p_download *dl)
{
    struct p2p_journal *journal = dl->journal;
    char stored[P2P_NAME_MAX + 1] = "";
    enum p2p_err err;

    p2p_dl_set_state(dl, P2P_DL_VERIFYING); /* the flush may take a while */
    p2p_dl_report(dl);
    p2p_unlock(&dl->lock);
    p2p_dl_keep_time(p2p_journal_fd(journal), dl->meta.mtime_s);
    err = p2p_journal_finish(journal, dl->conflict, stored);
    p2p_lock(&dl->lock);
    dl->data_gone |= err == P2P_ERR_NOT_FOUND;
    if (err == P2P_ERR_EXISTS &&
        dl->conflict == P2P_CONFLICT_SKIP) { /* it came meanwhile */
        memcpy(stored, dl->save_as, sizeof(stored));
        err = P2P_OK;
    }
    if (err == P2P_OK)
        memcpy(dl->stored, stored, sizeof(stored));
    return err;
}

static enum p2p_err
run_once(struct run *run)
{
    struct p2p_download *dl = run->dl;
    enum p2p_err err;

    dl->local_error = P2P_OK;
    dl->sha256_done = false;
    dl->hashed = dl->fetched = 0;
    p2p_dl_set_state(dl, P2P_DL_CONNECTING);
    err = fetch_all(run);
    if (err == P2P_OK)
        err = wait_for_hash(run);
    if (err == P2P_OK && run->verifier != NULL) {
        if (!hash_is_confirmed(dl))
            err = on_wrong_hash(run);
        else
            drop_false_witnesses(dl);
    }
    stop_all(run);
    return err == P2P_OK && !dl->present ? publish(dl) : err;
}

/* ---- What to do after a run that did not complete ---- */

static void
close_journal(struct p2p_download *dl, bool discard)
{
    struct p2p_journal *journal = dl->journal;

    dl->journal = NULL;
    p2p_unlock(&dl->lock);
    if (journal != NULL && discard)
        p2p_journal_discard(journal);
    p2p_journal_close(journal);
    p2p_lock(&dl->lock);
}

void
p2p_control_wait_paused(struct p2p_download *dl)
{
    p2p_dl_set_error(dl, P2P_OK, "paused");
    p2p_dl_set_state(dl, P2P_DL_PAUSED);
    while (dl->want_pause && !dl->want_cancel)
        p2p_dl_wait(dl, 1000);
}

/* Space that is already reserved counts, if the file system supports reservations. */
static uint64_t
bytes_to_come(const struct p2p_download *dl)
{
    if (dl->folder != NULL)
        return dl->folder->size - dl->folder_verified;
    return dl->meta.geometry.size -
           (dl->journal != NULL ? p2p_journal_done_bytes(dl->journal) : 0);
}

static bool
has_room(const struct p2p_download *dl)
{
    uint64_t needed = bytes_to_come(dl);
    struct p2p_journal_info info;
    struct statvfs fs;

    p2p_dl_journal_info(dl, &info);
    if (dl->folder == NULL)
        return p2p_journal_check_room(dl->downloads, &info) == P2P_OK;
    return fstatvfs(p2p_root_fd(dl->downloads), &fs) == 0 &&
           (uint64_t)fs.f_bavail * fs.f_frsize >= needed;
}

static void
explain_missing_space(struct p2p_download *dl, enum p2p_err err)
{
    unsigned long long mib = (unsigned long long)(bytes_to_come(dl) >> 20) + 1;

    if (err == P2P_ERR_QUOTA)
        p2p_dl_set_error(dl, err,
                         "the disk quota is used up: %llu MiB are needed; the download "
                         "continues automatically when there is room",
                         mib);
    else if (err == P2P_ERR_NO_INODES)
        p2p_dl_set_error(dl, err,
                         "the file system has no room for more files (no free inodes): "
                         "delete some; the download continues automatically");
    else
        p2p_dl_set_error(dl, err,
                         "the disk is full: free %llu MiB; the download continues "
                         "automatically",
                         mib);
}

void
p2p_control_wait_for_space(struct p2p_download *dl, enum p2p_err err)
{
    uint64_t again_ms = p2p_now_ms() + QUOTA_POLL_MS;

    err = p2p_root_full_reason(dl->downloads, err);
    explain_missing_space(dl, err);
    p2p_dl_set_state(dl, P2P_DL_PAUSED);
    dl->want_resume = false;
    while (!dl->want_cancel && !dl->want_resume) {
        p2p_dl_wait(dl, DISK_POLL_MS);
        /* How much of a quota is left cannot be asked everywhere: only tried. */
        if (err == P2P_ERR_QUOTA
                ? p2p_now_ms() >= again_ms
                : p2p_root_full_reason(dl->downloads, P2P_ERR_DISK_FULL) !=
                          P2P_ERR_NO_INODES &&
                      has_room(dl))
            break;
    }
}

/* True when another try can succeed: other sources may have the file, or the same
 * sources a new version of it. */
static bool
can_restart(const struct p2p_download *dl)
{
    bool changed = false, other = false;

    for (size_t i = 0; i < dl->source_count; i++) {
        const struct dl_source *s = &dl->sources[i];
        if (s->state != P2P_SRC_DROPPED)
            continue;
        changed |= s->error == P2P_ERR_FILE_CHANGED;
        other |= s->disagreed;
    }
    if (dl->restarts < RESTARTS_MAX)
        return changed || other;
    /* What had begun to come is asked for by its root for a while. */
    return changed && dl->restarts < CHANGES_MAX;
}

/* True when all sources say that they no longer have the old version. */
static bool
all_have_changed(const struct p2p_download *dl)
{
    for (size_t i = 0; i < dl->source_count; i++)
        if (dl->sources[i].error != P2P_ERR_FILE_CHANGED)
            return false;
    return true;
}

static void
restart(struct p2p_download *dl)
{
    dl->restarts++;
    p2p_dl_report(
        dl); /* report dropped sources and the reasons before they get another chance */
    close_journal(dl, false);
    if (all_have_changed(dl))
        p2p_dl_keep_version(dl);
    free(dl->layer);
    dl->layer = NULL;
    p2p_dl_forget_file(dl);
    uint64_t pause = (uint64_t)RESTART_MS << (dl->restarts - 1);
    dl->retry_ms = p2p_now_ms() + (pause < RESTART_MAX_MS ? pause : RESTART_MAX_MS);
    p2p_dl_report(dl);
    for (uint64_t now; !p2p_dl_is_stopping(dl) && (now = p2p_now_ms()) < dl->retry_ms;)
        p2p_dl_wait(dl, dl->retry_ms - now + 1);
    dl->retry_ms = 0;
}

/* What was written is gone: nothing is left to continue from. */
static void
begin_again(struct p2p_download *dl)
{
    dl->restarts++;
    dl->data_gone = false;
    close_journal(dl, false);
    p2p_log_warn(
        "the data of a download was removed by another program; it begins again");
    p2p_dl_set_error(
        dl, P2P_ERR_NOT_FOUND,
        "what was downloaded so far was removed from .p2p in the downloads "
        "folder by another program; the download begins again");
    p2p_dl_report(dl);
}

/* True: run again. */
static bool
goes_on(struct p2p_download *dl, enum p2p_err err)
{
    if (dl->want_cancel || err == P2P_OK)
        return false;
    if (dl->want_pause) {
        p2p_control_wait_paused(dl);
        return !dl->want_cancel;
    }
    if (err == P2P_ERR_CANCELLED) /* the user resumed before the pause took effect */
        return true;
    if (p2p_err_is_space(err)) {
        p2p_control_wait_for_space(dl, err);
        return !dl->want_cancel;
    }
    if (err == P2P_ERR_BUSY &&
        dl->journal != NULL) /* damaged chunks have to be downloaded again */
        return ++dl->restarts <= RESTARTS_MAX;
    if (dl->data_gone && dl->restarts < RESTARTS_MAX) {
        begin_again(dl);
        return true;
    }
    if (can_restart(dl)) {
        restart(dl);
        return true;
    }
    return false;
}

static void
end(struct p2p_download *dl, enum p2p_err err)
{
    bool discard = dl->want_cancel && !dl->keep_data && err != P2P_OK;

    close_journal(dl, discard);
    dl->over = true;
    if (err == P2P_OK) {
        p2p_dl_set_state(dl, P2P_DL_COMPLETED);
        return;
    }
    if (dl->want_cancel) {
        p2p_dl_set_error(dl, P2P_ERR_CANCELLED, "cancelled");
        p2p_dl_set_state(dl, P2P_DL_CANCELLED);
        return;
    }
    if (dl->message[0] == '\0' || dl->error != err)
        p2p_dl_explain(dl, err);
    dl->error = err;
    p2p_dl_set_state(dl, P2P_DL_FAILED);
}

void *
p2p_dl_control_main(void *arg)
{
    struct p2p_download *dl = arg;
    struct run run = {.dl = dl};
    enum p2p_err err;

    p2p_lock(&dl->lock);
    do
        err = run_once(&run);
    while (goes_on(dl, err));
    end(dl, err);
    dl->reported_end = true;
    pthread_cond_broadcast(&dl->changed);
    p2p_unlock(&dl->lock);
    return NULL;
}
