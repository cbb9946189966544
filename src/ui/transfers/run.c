/* The thread of one running transfer: finds sources, starts the download, waits, keeps
 * the result. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/lock.h"
#include "p2p/log.h"
#include "ui/folders/folders.h"
#include "ui/folders/place.h"
#include "ui/peers/peers.h"
#include "ui/state/config.h"
#include "ui/state/watch.h"
#include "ui/transfers/pieces.h"
#include "ui/transfers/queue.h"

#define RETRY_FIRST_S  15
#define RETRY_MAX_S    600
#define RETRY_ATTEMPTS 200 /* together, a day and a half without an answer */
#define GONE_ATTEMPTS                                               \
    12 /* together, an hour and a half: for a file that is moved or \
        * being saved */
#define DISK_RETRY_S 30
/* A download asks the best sources first, and others when these fail. */
#define CANDIDATES_MAX 256

struct run {
    struct ui_transfers *ts;
    struct ui_transfer *t;
};

/* ---- sources ---- */

static bool
has_address(const struct ui_source *list, size_t count, const struct p2p_addr *addr)
{
    for (size_t i = 0; i < count; i++)
        if (p2p_addr_equal(&list[i].addr, addr))
            return true;
    return false;
}

/*
 * Collects the sources to download from: first those that the registries and the
 * neighbors name, because addresses change, then those that were known before. Asks the
 * network, so it runs without the lock (the request itself never changes).
 */
static size_t
gather(const struct ui_transfers_parts *with, const struct ui_transfer *t,
       struct ui_source *out)
{
    size_t count = 0;

    if (t->is_auto)
        count =
            ui_peers_find_sources(with->peers, t->filename,
                                  t->root_known ? &t->root : NULL, out, CANDIDATES_MAX);
    for (size_t i = 0; i < t->source_count && count < CANDIDATES_MAX; i++)
        if (!has_address(out, count, &t->sources[i].addr) &&
            !ui_peers_is_blocked(with->peers, &t->sources[i]))
            out[count++] = t->sources[i];
    return count;
}

/* ---- while it runs ---- */

static enum ui_state
state_of(enum p2p_download_state state)
{
    switch (state) {
    case P2P_DL_DOWNLOADING:
        return UI_DOWNLOADING;
    case P2P_DL_VERIFYING:
        return UI_VERIFYING;
    default:
        return UI_CONNECTING;
    }
}

static void
copy_status(struct ui_transfer *t, const struct p2p_download_status *st)
{
    if (st->root_known) {
        t->root = st->root;
        t->root_known = true;
    }
    if (st->sha256_known) {
        t->sha256 = st->sha256;
        t->sha256_known = true;
    } else if (st->state == P2P_DL_COMPLETED) {
        t->sha256_known = false; /* it was only stated */
    }
    if (st->size_known) {
        t->size = st->size;
        t->size_known = true;
    }
    if (st->state !=
        P2P_DL_CONNECTING) /* before that, it has not read the data on the disk */
        t->verified = st->verified;
    t->reused = st->reused;
    t->speed = st->speed;
    t->eta_s = st->eta_s;
    t->live_count = t->live != NULL ? st->source_count : 0;
    for (size_t i = 0; i < t->live_count; i++)
        t->live[i] = st->sources[i];
}

/* The download waits for something outside (such as space on a full disk). This run
 * ends here and keeps its data, and the queue decides when to resume. */
void
ui_run_give_way(struct ui_transfers *ts, struct ui_transfer *t, enum p2p_err err,
                const char *message)
{
    t->error = err != P2P_OK ? err : P2P_ERR_NO_SOURCE;
    snprintf(t->message, sizeof(t->message), "%s", message);
    t->stop = UI_STOP_KEEP;
    ui_transfers_wake(ts);
}

static void
note_paths(const struct run *run, const struct p2p_download_status *st)
{
    for (size_t i = 0; i < st->source_count; i++) {
        const struct p2p_source_status *s = &st->sources[i];

        if (s->path_known && s->id_known && s->connections > 0)
            ui_peers_note_path(run->ts->parts.peers, &s->id, s->path, s->rtt_us);
    }
}

static void
on_event(void *arg, const struct p2p_download_status *st)
{
    const struct run *run = arg;
    struct ui_transfer *t = run->t;
    enum ui_state state = state_of(st->state);

    note_paths(run, st);
    p2p_lock(&run->ts->lock);
    if (t->stop == UI_GO_ON && st->state < P2P_DL_COMPLETED) {
        bool is_news = t->state != state || t->root_known != st->root_known;

        copy_status(t, st);
        if (st->state == P2P_DL_PAUSED)
            ui_run_give_way(run->ts, t, st->error, st->message);
        else if (is_news) {
            t->state = state;
            ui_transfers_save(run->ts, t);
        } else
            ui_transfers_tell(run->ts, t);
    }
    p2p_unlock(&run->ts->lock);
}

static void
on_readable(void *arg)
{
    ui_transfers_wake_readers(((const struct run *)arg)->ts);
}

/* ---- the end of a run; under the lock ---- */

/* A file that is known by its root may be renamed or saved again at its source: it is
 * requested again for a while. */
static bool
may_work_later(const struct ui_transfer *t, enum p2p_err err)
{
    switch (err) {
    case P2P_ERR_NOT_FOUND:
    case P2P_ERR_FILE_CHANGED:
        return t->root_known && t->attempts < GONE_ATTEMPTS;
    case P2P_ERR_UNREACHABLE:
    case P2P_ERR_CLOSED:
    case P2P_ERR_REFUSED:
    case P2P_ERR_TIMEOUT:
    case P2P_ERR_BUSY:
    case P2P_ERR_RATE_LIMITED:
    case P2P_ERR_NO_SOURCE:
        return t->attempts < RETRY_ATTEMPTS;
    default:
        return false;
    }
}

static uint64_t
backoff_s(unsigned attempts)
{
    uint64_t wait = attempts < 8 ? (uint64_t)RETRY_FIRST_S << attempts : RETRY_MAX_S;

    return wait < RETRY_MAX_S ? wait : RETRY_MAX_S;
}

/*
 * "No peer could deliver the file" hides the reason. If every source gave the same
 * reason, report that one.
 */
static enum p2p_err
real_reason(enum p2p_err err, const struct p2p_download_status *st)
{
    enum p2p_err first = st->source_count > 0 ? st->sources[0].error : P2P_OK;

    if (err != P2P_ERR_NO_SOURCE || first == P2P_OK)
        return err;
    for (size_t i = 1; i < st->source_count; i++)
        if (st->sources[i].error != first)
            return err;
    return first;
}

static void
fail(struct ui_transfer *t, enum p2p_err err, const char *message)
{
    bool progressed = t->verified > t->verified_at_start;

    t->error = err;
    if (message != t->message || message[0] == '\0')
        snprintf(t->message, sizeof(t->message), "%s",
                 message[0] != '\0' ? message : ui_error_advice(err));
    if (p2p_err_is_space(err) || err == P2P_ERR_AWAY) {
        t->state = UI_PAUSED;
        t->wants_room = err == P2P_ERR_DISK_FULL;
        t->retry_at_s =
            p2p_time_s() + (err == P2P_ERR_AWAY ? UI_PLACE_CHECK_S : DISK_RETRY_S);
        return;
    }
    t->state = UI_FAILED;
    t->finished_s = p2p_time_s();
    t->attempts = progressed ? 0 : t->attempts;
    if (may_work_later(t, err))
        t->retry_at_s = t->finished_s + backoff_s(t->attempts++);
}

static void
complete(struct ui_transfers *ts, struct ui_transfer *t,
         const struct p2p_download_status *st)
{
    copy_status(t, st);
    t->state = UI_COMPLETED;
    t->verified = t->size;
    t->error = P2P_OK;
    t->retry_at_s = 0;
    t->finished_s = p2p_time_s();
    snprintf(t->path, sizeof(t->path), "%s", st->stored);
    ui_listing_changed(ts->parts.folders, UI_DOWNLOADS);
}

/* The request for the stop has already set the state PAUSED, CANCELLED or QUEUED. An
 * `err` of AWAY: the folder of the downloads is away. */
static void
conclude(struct ui_transfers *ts, struct ui_transfer *t, enum p2p_err err,
         const struct p2p_download_status *st) P2P_REQUIRES(ui_transfers_lock)
{
    bool was_running = ui_state_is_running(t->state);

    if (st->state == P2P_DL_COMPLETED)
        complete(ts, t, st);
    else if (t->stop != UI_GO_ON && was_running)
        fail(t, t->error, t->message); /* it gave way to another one, and its message
                                        * tells why */
    else if (t->stop == UI_GO_ON && err == P2P_ERR_AWAY)
        fail(t, P2P_ERR_AWAY, "");
    else if (t->stop == UI_GO_ON)
        fail(t, real_reason(err, st), st->message);
    memcpy(t->works, st->works, sizeof(t->works));
    if (t->state == UI_CANCELLED) {
        t->verified = 0;
        t->is_discarding =
            true; /* of an earlier run, if this one has no download yet */
    }
    t->speed = 0;
    t->eta_s = UINT64_MAX;
    t->stop = UI_GO_ON;
    t->is_told = false;
    t->has_thread = false;
    ts->threads--;
    ui_transfers_save(ts, t);
    ui_transfers_wake(ts);
}

/* ---- the thread ---- */

static enum p2p_err
start(struct run *run, const struct ui_source *sources, size_t count,
      struct p2p_download **out)
{
    const struct ui_transfers_parts *with = &run->ts->parts;
    struct ui_transfer *t = run->t;
    struct p2p_source_spec specs[CANDIDATES_MAX];
    struct ui_settings set;

    *out = NULL;
    if (count == 0)
        return P2P_ERR_NO_SOURCE;
    for (size_t i = 0; i < count; i++)
        specs[i] = (struct p2p_source_spec){
            .addr = sources[i].addr, .id = sources[i].id_known ? &sources[i].id : NULL};
    ui_config_get(with->config, &set);
    return p2p_download_start(
        &(struct p2p_download_options){
            .identity = with->identity,
            .downloads = with->folders->downloads,
            .name = t->filename,
            .root = t->root_known ? &t->root : NULL,
            .save_as = t->save_as[0] != '\0' ? t->save_as : NULL,
            .conflict = t->conflict,
            .sources = specs,
            .source_count = count,
            .discovery = t->is_auto ? with->discovery : NULL,
            .reach = with->reach,
            .connections = set.connections,
            .timeout_ms = with->timeout_ms,
            .rate = &t->rate,
            .verify = set.verify_tree ? P2P_VERIFY_TREE : P2P_VERIFY_FULL,
            .size_announced = t->size_known,
            .announced_size = t->size,
            .keep_free = with->keep_free,
            .on_readable = on_readable,
        },
        on_event, run, out);
}

static void
keep_sources(struct run *run, const struct ui_source *sources, size_t count)
{
    p2p_lock(&run->ts->lock);
    enum p2p_err err = ui_transfer_set_sources(run->t, sources, count);
    p2p_unlock(&run->ts->lock);
    if (err != P2P_OK)
        p2p_log_warn("out of memory: the sources of a transfer are not saved");
}

/* Makes the download visible to the manager, waits for its end, and hides it again. */
static enum p2p_err
wait_for(struct run *run, struct p2p_download *dl)
{
    struct p2p_download_pieces *pieces;
    enum p2p_err err;

    p2p_lock(&run->ts->lock);
    run->t->dl = dl;
    ui_transfers_wake(run->ts);
    p2p_unlock(&run->ts->lock);
    ui_transfers_wake_readers(run->ts);
    err = p2p_download_wait(dl);
    pieces = ui_pieces_of(dl);
    p2p_lock(&run->ts->lock);
    run->t->is_ending = true;
    while (run->t->users > 0)
        p2p_wait(&run->ts->changed, &run->ts->lock);
    run->t->is_ending = false;
    run->t->dl = NULL;
    ui_pieces_keep(run->t, pieces);
    p2p_unlock(&run->ts->lock);
    return err;
}

static void *
run_main(void *arg)
{
    struct run *run = arg;
    struct ui_source sources[CANDIDATES_MAX];
    struct p2p_download_status *st = calloc(1, sizeof(*st));
    struct p2p_download *dl = NULL;
    enum p2p_err err = P2P_ERR_NOMEM;
    size_t count;

    if (st != NULL) {
        st->state = P2P_DL_FAILED;
        count = gather(&run->ts->parts, run->t, sources);
        if (count > 0)
            keep_sources(run, sources, count);
        err = ui_folder_is_away(run->ts->parts.folders, UI_DOWNLOADS)
                  ? P2P_ERR_AWAY
                  : start(run, sources, count, &dl);
    }
    if (dl != NULL) {
        err = wait_for(run, dl);
        p2p_download_status(dl, st);
        p2p_download_free(dl);
    }
    if (ui_folder_is_away(run->ts->parts.folders, UI_DOWNLOADS))
        err = P2P_ERR_AWAY; /* whatever the download says of it */
    p2p_lock(&run->ts->lock);
    conclude(run->ts, run->t, err, st != NULL ? st : &(struct p2p_download_status){0});
    p2p_unlock(&run->ts->lock);
    ui_transfers_wake_readers(run->ts);
    free(st);
    free(run);
    return NULL;
}

void
ui_run_begin(struct ui_transfers *ts, struct ui_transfer *t)
{
    struct run *run = calloc(1, sizeof(*run));
    pthread_attr_t attr;
    pthread_t thread;
    bool started;

    if (t->live == NULL)
        t->live = calloc(P2P_DOWNLOAD_SOURCES_MAX, sizeof(*t->live));
    t->live_count = 0;
    t->verified_at_start = t->verified;
    p2p_rate_set(&t->rate, t->limit_rate, p2p_now_ms() * 1000);
    t->rate.parent = &ts->rate;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (run != NULL)
        *run = (struct run){.ts = ts, .t = t};
    started = run != NULL && pthread_create(&thread, &attr, run_main, run) == 0;
    pthread_attr_destroy(&attr);
    if (started) {
        t->state = UI_CONNECTING;
        t->has_thread = true;
        ts->threads++;
    } else {
        free(run);
        fail(t, P2P_ERR_NOMEM, "");
    }
    ui_transfers_save(ts, t);
}
