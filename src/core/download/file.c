/* The task of a file: opens the journal and makes the plan when the layer is known,
 * waits for the hash of the whole file, publishes the file, and decides whether to try
 * again. */
#include "core/download/file.h"
#include "core/download/target.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "p2p/log.h"

#define RESTARTS_MAX   3
#define RESTART_MAX_MS 15000
#define CHANGES_MAX    7 /* restarts of a file that changed or moved at its source */
/* How many chunks make a connection worth its handshake. */
#define CHUNKS_PER_CONNECTION 4
/* Above this round-trip time, open a source's connections in parallel. */
#define FAR_RTT_US 20000
/* Above this round-trip time, start with more connections: socket buffers and slow
 * start limit four of them for a long time. */
#define VERY_FAR_RTT_US 200000

enum p2p_err
p2p_dl_file_new(struct p2p_download *dl, const struct p2p_digest *root)
{
    struct dl_file *file = calloc(1, sizeof(*file));

    if (file == NULL)
        return P2P_ERR_NOMEM;
    pthread_cond_init(&file->next_ready, NULL);
    if (root != NULL) {
        file->meta.root = *root;
        file->meta.root_known = true;
    }
    dl->file = file;
    return P2P_OK;
}

void
p2p_dl_file_free(struct p2p_download *dl) P2P_NO_LOCK_CHECK /* nobody else has it */
{
    pthread_cond_destroy(&dl->file->next_ready);
    free(dl->file->layer);
    free(dl->file->old_layer);
    p2p_dl_senders_clear(dl);
    free(dl->file);
}

/* ---- Connections ---- */

bool
p2p_dl_file_is_open(const struct p2p_download *dl)
{
    return !dl->opt.root_asked && !dl->file->meta_known;
}

/* One connection until the file is known and large enough for more, then the same
 * number for each source. To a distant source, all connections are opened at once: that
 * saves three round trips, and costs the source a few signatures if the file is
 * small. */
unsigned
p2p_dl_file_wanted(const struct p2p_download *dl, const struct dl_source *s,
                   unsigned usable, unsigned share)
{
    const struct dl_file *file = dl->file;
    uint64_t left = file->ready ? file->plan.left : file->meta.geometry.count;
    uint64_t worth = left / CHUNKS_PER_CONNECTION / (usable > 0 ? usable : 1);
    unsigned wanted = dl->opt.connections + file->grown;

    if (s->rtt_us >= VERY_FAR_RTT_US && !dl->task->one_source)
        wanted += dl->opt.connections;
    if (wanted > share)
        wanted = share;
    if (!s->agreed)
        return s->rtt_us >= FAR_RTT_US && wanted > 0 ? wanted : 1;
    /* While one connection fetches the layer, the others can do their handshakes. */
    if (left == 0)
        return file->ready ? 0 : 1;
    if (wanted > worth)
        wanted = (unsigned)worth;
    return wanted > 0 ? wanted : 1;
}

static void
retire_workers(struct p2p_download *dl) P2P_REQUIRES(p2p_dl_lock)
{
    for (unsigned i = 0; i < DL_WORKERS; i++) {
        struct dl_worker *w = &dl->swarm.workers[i];
        const struct dl_source *s = &dl->swarm.sources[w->source];
        if (w->running && !w->retire && !w->finished && s->workers > s->wanted &&
            dl->file->plan.left > 0) {
            w->retire = true;
            return; /* one at a time: `workers` counts it until it has ended */
        }
    }
}

static struct grow_now
how_things_are(const struct p2p_download *dl) P2P_REQUIRES(p2p_dl_lock)
{
    struct grow_now now = {.ms = p2p_now_ms(), .received = dl->report.received};

    for (size_t i = 0; i < dl->swarm.source_count; i++) {
        const struct dl_source *s = &dl->swarm.sources[i];
        now.connections += s->workers;
        if (s->workers > 0 && s->rtt_us > now.rtt_us)
            now.rtt_us = s->rtt_us;
    }
    return now;
}

void
p2p_dl_file_on_tick(struct p2p_download *dl)
{
    struct grow_now now = how_things_are(dl);

    if (dl->file->ready && !dl->file->reuse.busy &&
        p2p_grow_step(&dl->file->grow, &now, &dl->file->grown))
        retire_workers(dl);
}

/* ---- Beginning to fetch: journal, plan, buffers, helpers ---- */

void
p2p_dl_file_begin(struct p2p_download *dl)
{
    p2p_lock(&dl->lock);
    dl->file->sha256_done = false;
    dl->file->hashed = dl->file->fetched = 0;
    p2p_unlock(&dl->lock);
}

static void
set_journal(struct p2p_download *dl, struct p2p_journal *journal)
{
    p2p_lock(&dl->lock);
    dl->file->journal = journal;
    p2p_unlock(&dl->lock);
}

static enum p2p_err
open_journal(struct p2p_download *dl)
{
    struct p2p_journal_info info;
    struct p2p_journal *journal = dl->file->journal;
    enum p2p_err err = P2P_OK;

    p2p_lock(&dl->lock);
    p2p_dl_journal_info(dl, &info);
    p2p_unlock(&dl->lock);
    if (journal == NULL) {
        p2p_dl_settle_version(dl);
        err = p2p_journal_open(dl->opt.downloads, &info, dl->file->layer, &journal);
    }
    if (err == P2P_OK)
        err = p2p_journal_recheck(journal, p2p_dl_should_stop, dl);
    set_journal(dl, journal);
    return err;
}

static enum p2p_err
make_plan(struct p2p_download *dl) P2P_REQUIRES(p2p_dl_lock)
{
    struct dl_file *file = dl->file;
    const struct p2p_chunks *g = &file->meta.geometry;
    enum p2p_err err = p2p_plan_init(&file->plan, g);

    if (err != P2P_OK)
        return err;
    for (uint64_t i = 0; i < g->count; i++)
        if (p2p_journal_has(file->journal, i))
            p2p_plan_set_done(&file->plan, i);
    if ((err = p2p_dl_senders_begin(dl)) != P2P_OK)
        return err;
    p2p_dl_readers_begin(dl);
    return p2p_pool_init(&file->pool, g->chunk_size, P2P_DOWNLOAD_BUFFER_BYTES) == 0
               ? P2P_OK
               : P2P_ERR_NOMEM;
}

static enum p2p_err
start_helpers(struct p2p_download *dl)
{
    struct dl_file *file = dl->file;
    enum p2p_err err = P2P_OK;

    /* Without a layer only the hash of the whole file can be checked. */
    if (dl->opt.verify == P2P_VERIFY_FULL || !file->meta.root_known)
        err = p2p_dl_verifier_start(dl, &file->verifier);
    if (err == P2P_OK)
        err = p2p_dl_checkpoint_start(file->journal, &file->checkpoint);
    if (err == P2P_OK && dl->opt.discovery != NULL && file->meta.root_known &&
        file->source_finder == NULL)
        err = p2p_dl_source_finder_start(dl, &file->source_finder);
    return err;
}

static enum p2p_err
prepare(struct p2p_download *dl)
{
    enum p2p_err err = open_journal(dl);

    if (err != P2P_OK)
        return err;
    p2p_lock(&dl->lock);
    err = make_plan(dl);
    p2p_unlock(&dl->lock);
    if (err == P2P_OK)
        err = start_helpers(dl);
    if (err != P2P_OK)
        return err;
    p2p_dl_reuse_begin(dl);
    p2p_lock(&dl->lock);
    dl->file->ready = true;
    p2p_dl_wake(dl); /* the workers, which download from now on */
    p2p_unlock(&dl->lock);
    p2p_dl_enter(dl, P2P_DL_DOWNLOADING);
    return P2P_OK;
}

/* Ends all other threads of the download. The journal stays open. */
static void
stop_all(struct p2p_download *dl)
{
    struct dl_file *file = dl->file;

    p2p_dl_workers_end(dl);
    p2p_dl_source_finder_stop(file->source_finder);
    p2p_dl_checkpoint_stop(file->checkpoint);
    p2p_dl_verifier_stop(file->verifier);
    file->source_finder = NULL;
    file->checkpoint = NULL;
    file->verifier = NULL;
    p2p_lock(&dl->lock);
    file->ready = false;
    p2p_plan_clear(&file->plan);
    p2p_pool_clear(&file->pool);
    p2p_unlock(&dl->lock);
    p2p_dl_reuse_end(dl);
}

/* ---- Fetching ---- */

/* Another program has removed the file: the written data is in no folder any longer.
 * Checked at intervals, and at the end. */
static bool
data_is_gone(struct dl_file *file)
{
    struct stat st;

    file->data_gone = file->journal != NULL &&
                      fstat(p2p_journal_fd(file->journal), &st) == 0 &&
                      st.st_nlink == 0;
    return file->data_gone;
}

static bool
is_complete(const struct p2p_download *dl) P2P_REQUIRES(p2p_dl_lock)
{
    return dl->file->ready && dl->file->plan.left == 0 &&
           (!dl->file->needs_witness || p2p_dl_has_witness(dl));
}

enum p2p_err
p2p_dl_file_step(struct p2p_download *dl, bool *is_done)
{
    struct dl_file *file = dl->file;

    p2p_lock(&dl->lock);
    *is_done = file->present;
    bool can_begin = file->layer_known && !file->ready;
    p2p_unlock(&dl->lock);
    if (*is_done)
        return P2P_OK;
    if (data_is_gone(file))
        return P2P_ERR_NOT_FOUND;
    enum p2p_err err = can_begin ? prepare(dl) : P2P_OK;
    p2p_lock(&dl->lock);
    *is_done = err == P2P_OK && is_complete(dl);
    p2p_unlock(&dl->lock);
    return err;
}

/* ---- The whole file ---- */

/* BUSY: the hash is not known yet. */
static enum p2p_err
look_for_hash(struct p2p_download *dl)
{
    enum p2p_err err = P2P_ERR_BUSY;

    p2p_lock(&dl->lock);
    if (dl->file->sha256_done)
        err = P2P_OK;
    else if (p2p_dl_verifier_error(dl->file->verifier) != P2P_OK)
        err = p2p_dl_verifier_error(dl->file->verifier);
    else if (p2p_dl_is_stopping(dl))
        err = P2P_ERR_CANCELLED;
    p2p_unlock(&dl->lock);
    return err;
}

static enum p2p_err
wait_for_hash(struct p2p_download *dl)
{
    enum p2p_err err = look_for_hash(dl);

    if (err == P2P_ERR_BUSY)
        p2p_dl_enter(dl, P2P_DL_VERIFYING);
    while ((err = look_for_hash(dl)) == P2P_ERR_BUSY)
        p2p_dl_tick(dl);
    return err;
}

static bool
is_false_witness(const struct p2p_download *dl, const struct dl_source *s)
    P2P_REQUIRES(p2p_dl_lock)
{
    return s->agreed && s->meta.sha256_known &&
           memcmp(&s->meta.sha256, &dl->file->sha256, sizeof(dl->file->sha256)) != 0;
}

/* True when a source has stated this hash, or no source has stated any. */
static bool
hash_is_confirmed(struct p2p_download *dl)
{
    bool is_stated = false, is_confirmed = false;

    p2p_lock(&dl->lock);
    for (size_t i = 0; i < dl->swarm.source_count; i++) {
        const struct dl_source *s = &dl->swarm.sources[i];
        if (!s->agreed || !s->meta.sha256_known)
            continue;
        is_stated = true;
        is_confirmed |= !is_false_witness(dl, s);
    }
    p2p_unlock(&dl->lock);
    return is_confirmed || !is_stated;
}

static void
drop_false_witnesses(struct p2p_download *dl)
{
    for (unsigned i = 0; i < DL_SOURCES; i++) {
        p2p_lock(&dl->lock);
        bool is_false =
            i < dl->swarm.source_count && is_false_witness(dl, &dl->swarm.sources[i]);
        p2p_unlock(&dl->lock);
        if (is_false)
            p2p_dl_drop_source(dl, i, P2P_ERR_HASH_MISMATCH);
    }
    p2p_lock(&dl->lock);
    dl->file->meta.sha256_known = false;
    p2p_unlock(&dl->lock);
}

static unsigned
usable_sources(struct p2p_download *dl)
{
    p2p_lock(&dl->lock);
    unsigned usable = p2p_dl_usable_sources(dl);
    p2p_unlock(&dl->lock);
    return usable;
}

/*
 * The hash of the whole file differs from the stated one. Marks all chunks as doubtful
 * and checks them again. Chunks that are wrong on disk are downloaded again. If all are
 * correct, the sources that stated the hash were wrong, and others are asked. BUSY: run
 * again.
 */
static enum p2p_err
on_wrong_hash(struct p2p_download *dl)
{
    struct p2p_journal *journal = dl->file->journal;
    enum p2p_err err;

    p2p_journal_doubt_all(journal);
    err = p2p_journal_recheck(journal, p2p_dl_should_stop, dl);
    bool damaged = p2p_journal_done_count(journal) < dl->file->meta.geometry.count;
    if (err != P2P_OK)
        return err;
    p2p_lock(&dl->lock);
    dl->file->needs_witness = !damaged;
    p2p_unlock(&dl->lock);
    if (!damaged)
        drop_false_witnesses(dl);
    return damaged || usable_sources(dl) > 0 ? P2P_ERR_BUSY : P2P_ERR_HASH_MISMATCH;
}

static enum p2p_err
check_hash(struct p2p_download *dl)
{
    enum p2p_err err = P2P_OK;

    if (dl->file->verifier == NULL)
        return P2P_OK;
    err = wait_for_hash(dl);
    if (err != P2P_OK)
        return err;
    if (!hash_is_confirmed(dl))
        return on_wrong_hash(dl);
    drop_false_witnesses(dl);
    return P2P_OK;
}

static enum p2p_err
publish(struct p2p_download *dl)
{
    struct p2p_journal *journal = dl->file->journal;
    char stored[P2P_NAME_MAX + 1] = "";
    enum p2p_err err;

    p2p_dl_enter(dl, P2P_DL_VERIFYING); /* the flush may take a while */
    p2p_dl_report(dl);
    p2p_dl_keep_time(p2p_journal_fd(journal), dl->file->meta.mtime_s);
    err = p2p_journal_finish(journal, dl->opt.conflict, stored);
    dl->file->data_gone |= err == P2P_ERR_NOT_FOUND;
    if (err == P2P_ERR_EXISTS &&
        dl->opt.conflict == P2P_CONFLICT_SKIP) { /* it came meanwhile */
        memcpy(stored, dl->opt.save_as, sizeof(stored));
        err = P2P_OK;
    }
    if (err != P2P_OK)
        return err;
    p2p_lock(&dl->lock);
    memcpy(dl->report.stored, stored, sizeof(stored));
    p2p_unlock(&dl->lock);
    return P2P_OK;
}

enum p2p_err
p2p_dl_file_finish(struct p2p_download *dl, enum p2p_err err)
{
    p2p_lock(&dl->lock);
    bool present = dl->file->present;
    p2p_unlock(&dl->lock);
    if (err == P2P_OK)
        err = check_hash(dl);
    stop_all(dl);
    return err == P2P_OK && !present ? publish(dl) : err;
}

/* ---- What to do after a run that did not complete ---- */

void
p2p_dl_file_close(struct p2p_download *dl, bool discard)
{
    struct p2p_journal *journal = dl->file->journal;

    set_journal(dl, NULL);
    if (journal != NULL && discard)
        p2p_journal_discard(journal);
    p2p_journal_close(journal);
}

/* Space that is already reserved counts, if the file system supports reservations. */
uint64_t
p2p_dl_file_bytes_to_come(const struct p2p_download *dl)
{
    const struct dl_file *file = dl->file;

    return file->meta.geometry.size - (file->journal != NULL
                                           ? p2p_journal_done_bytes(file->journal)
                                           : file->zero_bytes);
}

bool
p2p_dl_file_has_room(struct p2p_download *dl)
{
    struct p2p_journal_info info;

    p2p_lock(&dl->lock);
    p2p_dl_journal_info(dl, &info);
    p2p_unlock(&dl->lock);
    return p2p_journal_check_room(dl->opt.downloads, &info) == P2P_OK;
}

/* True if another try can succeed: other sources may have the file, or the same sources
 * may have a new version. `*all`: all sources report that they no longer have the old
 * version. */
static bool
can_restart(struct p2p_download *dl, bool *all)
{
    bool changed = false, other = false;

    *all = true;
    p2p_lock(&dl->lock);
    for (size_t i = 0; i < dl->swarm.source_count; i++) {
        const struct dl_source *s = &dl->swarm.sources[i];
        *all &= s->error == P2P_ERR_FILE_CHANGED;
        if (s->state != P2P_SRC_DROPPED)
            continue;
        changed |= s->error == P2P_ERR_FILE_CHANGED;
        other |= s->disagreed;
    }
    p2p_unlock(&dl->lock);
    if (dl->file->restarts < RESTARTS_MAX)
        return changed || other;
    /* A file whose download had begun is requested by its root for a while. */
    return changed && dl->file->restarts < CHANGES_MAX;
}

/* Forgets the facts about the file; its sources are asked again in `retry_ms`. */
static void
forget_file(struct p2p_download *dl, bool keep_version, uint64_t pause_ms)
{
    struct dl_file *file = dl->file;

    p2p_lock(&dl->lock);
    if (keep_version)
        p2p_dl_keep_version(dl);
    free(file->layer);
    file->layer = NULL;
    file->zero_bytes = 0;
    p2p_dl_ask_sources_again(dl);
    file->meta_known = file->layer_known = file->looked = false;
    if (!dl->opt.root_asked)
        file->meta = (struct p2p_meta){0};
    file->retry_ms = p2p_now_ms() + pause_ms;
    p2p_unlock(&dl->lock);
}

static void
restart(struct p2p_download *dl, bool keep_version)
{
    struct dl_file *file = dl->file;
    uint64_t pause_ms = dl->opt.restart_ms << file->restarts++;

    p2p_dl_report(
        dl); /* report dropped sources and the reasons before they get another chance */
    p2p_dl_file_close(dl, false);
    forget_file(dl, keep_version,
                pause_ms < RESTART_MAX_MS ? pause_ms : RESTART_MAX_MS);
    p2p_dl_report(dl);
    p2p_lock(&dl->lock);
    for (uint64_t now;
         !p2p_dl_is_stopping(dl) && (now = p2p_now_ms()) < file->retry_ms;)
        p2p_dl_wait(dl, file->retry_ms - now + 1);
    file->retry_ms = 0;
    p2p_unlock(&dl->lock);
}

/* The written data was removed: there is nothing to continue from. */
static void
begin_again(struct p2p_download *dl)
{
    dl->file->restarts++;
    dl->file->data_gone = false;
    p2p_dl_file_close(dl, false);
    p2p_log_warn("another program removed the data of a download; the download starts "
                 "again from the beginning");
    p2p_lock(&dl->lock);
    p2p_dl_set_error(dl, P2P_ERR_NOT_FOUND,
                     "another program removed the downloaded data from .p2p in the "
                     "downloads folder; the download starts again from the beginning");
    p2p_unlock(&dl->lock);
    p2p_dl_report(dl);
}

bool
p2p_dl_file_retry(struct p2p_download *dl, enum p2p_err err)
{
    struct dl_file *file = dl->file;
    bool all_have_changed;

    if (err == P2P_ERR_BUSY &&
        file->journal != NULL) /* damaged chunks have to be downloaded again */
        return ++file->restarts <= RESTARTS_MAX;
    if (file->data_gone && file->restarts < RESTARTS_MAX) {
        begin_again(dl);
        return true;
    }
    if (!can_restart(dl, &all_have_changed))
        return false;
    restart(dl, all_have_changed);
    return true;
}

/* ---- The status ---- */

void
p2p_dl_file_explain(struct p2p_download *dl, enum p2p_err err)
{
    uint64_t size = dl->file->meta.geometry.size;

    if (err == P2P_ERR_DISK_TOO_SMALL)
        size -= dl->file->zero_bytes; /* holes take no space */
    if (dl->report.message[0] == '\0' || dl->report.error != err)
        p2p_dl_explain(dl, err, size);
}

void
p2p_dl_file_fill_status(const struct p2p_download *dl, struct p2p_download_status *out)
{
    const struct dl_file *file = dl->file;
    bool is_complete = dl->report.state == P2P_DL_COMPLETED;

    out->size_known = file->meta_known;
    out->size = file->meta.geometry.size;
    out->root_known = file->meta_known && file->meta.root_known;
    out->root = file->meta.root;
    /* When the file is complete, statements of sources no longer matter. */
    out->sha256_known = file->sha256_done ||
                        (file->meta_known && file->meta.sha256_known && !is_complete);
    out->sha256 = file->sha256_done ? file->sha256 : file->meta.sha256;
    if (file->journal != NULL)
        out->verified = p2p_journal_done_bytes(file->journal);
    if (is_complete)
        out->verified = out->size;
    out->files_total = 1;
    out->files_done = is_complete;
    out->hashed = file->hashed;
    out->already_there = is_complete && file->present;
    if (file->retry_ms > p2p_now_ms())
        out->retry_in_s = (file->retry_ms - p2p_now_ms()) / 1000 + 1;
}

static enum p2p_err
work(struct dl_worker *w)
{
    return p2p_dl_work_in_lane(w, p2p_dl_fetch);
}

const struct dl_task p2p_dl_file_task = {
    .work = work,
    .wanted = p2p_dl_file_wanted,
    .is_open = p2p_dl_file_is_open,
    .on_throttle = p2p_dl_lane_on_throttle,
    .on_tick = p2p_dl_file_on_tick,
    .begin = p2p_dl_file_begin,
    .step = p2p_dl_file_step,
    .finish = p2p_dl_file_finish,
    .retry = p2p_dl_file_retry,
    .close = p2p_dl_file_close,
    .has_room = p2p_dl_file_has_room,
    .bytes_to_come = p2p_dl_file_bytes_to_come,
    .explain = p2p_dl_file_explain,
    .fill_status = p2p_dl_file_fill_status,
    .free = p2p_dl_file_free,
};
