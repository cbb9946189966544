/*
 * One round: list the source, compare, decide, download, remove, record.
 *
 * A round that is killed anywhere is repeated by the next one, which finds the contents
 * that have arrived by their roots. What the brake counts is written before it happens.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/mirror/round.h"
#include "p2p/clock.h"
#include "p2p/log.h"

__attribute__((format(printf, 4, 5))) static void
say(struct p2p_mirror *job, enum p2p_mirror_state state, enum p2p_err error,
    const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(job->message, sizeof(job->message), format, args);
    va_end(args);
    job->state = state;
    job->error = error;
}

/* ---- Opening ---- */

static bool
open_target(struct p2p_round *r)
{
    struct p2p_mirror *job = r->job;
    enum p2p_err err = p2p_root_open(job->base, false, 0755, &r->root);

    if (err == P2P_OK)
        err = p2p_applied_open(r->root, job->id, false, &r->applied);
    if (err == P2P_ERR_NOT_FOUND)
        say(job, P2P_MIRROR_AWAY, err,
            "the folder here is missing or empty: mount its disk; nothing was changed");
    else if (err == P2P_ERR_PERMISSION)
        say(job, P2P_MIRROR_FAILED, err,
            "this program may not write to the folder here: change its owner or mode");
    else if (err != P2P_OK)
        say(job, P2P_MIRROR_FAILED, err, "cannot open the folder here: %s",
            p2p_err_text(err));
    if (err != P2P_OK)
        return false;
    err = p2p_versions_open(r->root, &r->versions);
    if (err != P2P_OK)
        p2p_log_warn("a mirror cannot keep old versions, so it changes nothing "
                     "folder=%s error=%s",
                     job->base, p2p_err_name(err));
    err = p2p_applied_load(r->applied, &r->known);
    if (err != P2P_OK)
        say(job, P2P_MIRROR_FAILED, err, "cannot read the record of the mirror: %s",
            p2p_err_text(err));
    return err == P2P_OK;
}

static bool
read_source(struct p2p_round *r)
{
    struct p2p_mirror *job = r->job;
    enum p2p_err err = p2p_mirror_connect(r->opt, job, &r->source);

    if (err != P2P_OK) {
        bool is_away = p2p_err_class(err) == P2P_CLASS_AGAIN ||
                       err == P2P_ERR_UNREACHABLE || err == P2P_ERR_TIMEOUT;
        say(job, is_away ? P2P_MIRROR_AWAY : P2P_MIRROR_FAILED, err,
            "cannot connect to the source: %s", p2p_err_text(err));
        return false;
    }
    err = p2p_round_list(r);
    if (err != P2P_OK) {
        say(job, P2P_MIRROR_FAILED, err, "cannot list the source: %s",
            p2p_err_text(err));
        return false;
    }
    job->files = r->source.count;
    job->bytes = r->source.bytes;
    if (job->quota > 0 && job->bytes > job->quota) {
        say(job, P2P_MIRROR_WAITING, P2P_ERR_QUOTA,
            "the source has more bytes than --quota allows; nothing was downloaded");
        return false;
    }
    return true;
}

/* ---- The result ---- */

static void
say_waiting(struct p2p_round *r)
{
    struct p2p_mirror *job = r->job;
    unsigned long long changes = job->held_changes, removals = job->held_removals;

    if (r->no_history)
        say(job, P2P_MIRROR_WAITING, P2P_ERR_DISK_FULL,
            "%llu changed and %llu deleted files wait, because their old contents "
            "cannot be kept: give versions more room (p2p versions show)",
            changes, removals);
    else if (r->unsaid > 0)
        say(job, P2P_MIRROR_WAITING, P2P_OK,
            "the source no longer has %zu of the files here, and does not say that it "
            "deleted them: is one of its disks away, or its index new? Look at it; to "
            "delete them here, too, run p2p mirror accept %s",
            r->unsaid, job->id);
    else if (r->is_braked)
        say(job, P2P_MIRROR_WAITING, P2P_OK,
            "%llu changed and %llu deleted files at once: look at the source, then run "
            "p2p mirror accept %s",
            changes, removals, job->id);
    else
        say(job, P2P_MIRROR_WAITING, P2P_OK,
            "%llu deleted files would leave a folder empty: look at the source, then "
            "run p2p mirror accept %s",
            removals, job->id);
}

static void
sum_up(struct p2p_round *r, enum p2p_err err)
{
    struct p2p_mirror *job = r->job;

    for (size_t i = 0; i < r->count; i++)
        job->todo += r->steps[i].act == P2P_MIRROR_LATER;
    job->todo += r->failed + r->folded + job->held_changes + job->held_removals;
    if (p2p_round_is_stopped(r))
        return;
    if (p2p_err_is_space(err))
        say(job, P2P_MIRROR_WAITING, err,
            "the disk is full; the mirror continues automatically");
    else if (err != P2P_OK)
        say(job, P2P_MIRROR_FAILED, err, "%s", p2p_err_text(err));
    else if (r->failed > 0)
        say(job, P2P_MIRROR_FAILED, r->failure, "%zu files could not be mirrored: %s",
            r->failed, p2p_err_text(r->failure));
    else if (job->held_changes + job->held_removals > 0)
        say_waiting(r);
    else if (r->folded > 0)
        say(job, P2P_MIRROR_WAITING, P2P_ERR_TARGET_NAME,
            "%zu files have a name that is the same here as that of another file, in "
            "upper or lower case: rename them at the source",
            r->folded);
    else if (job->todo > 0)
        say(job, P2P_MIRROR_WORKING, P2P_OK, "%llu files will be checked again soon",
            (unsigned long long)job->todo);
    else {
        say(job, P2P_MIRROR_IN_STEP, P2P_OK, "%s", "");
        job->in_step_s = p2p_time_s();
        if (p2p_round_feed_done(r) != P2P_OK)
            p2p_log_debug("a mirror cannot store how far it has read the changes");
    }
    job->checked_s = p2p_time_s();
}

static enum p2p_err
run(struct p2p_round *r)
{
    enum p2p_err err = p2p_round_compare(r);

    if (err == P2P_OK)
        err = p2p_round_fold(r);
    if (err == P2P_OK)
        err = p2p_round_confirm(r);
    if (err == P2P_OK)
        err = p2p_round_hold(r);
    if (err == P2P_OK)
        err = p2p_round_fetch(r);
    /* A source that is cut off in a round lists nothing wrong: what it had listed still
     * holds. */
    if (err == P2P_OK && !p2p_round_is_stopped(r))
        err = p2p_round_finish(r);
    if (r->versions != NULL && p2p_versions_tend(r->versions) != P2P_OK)
        p2p_log_debug("a mirror cannot record old versions now");
    return err;
}

void
p2p_mirror_round(const struct p2p_keeper_options *opt, struct p2p_mirror *job,
                 bool (*stop)(void *arg), void *arg)
{
    struct p2p_round r = {.opt = opt, .job = job, .stop = stop, .stop_arg = arg};

    job->held_changes = job->held_removals = job->todo = 0;
    if (open_target(&r) && read_source(&r))
        sum_up(&r, run(&r));
    free(r.steps);
    free(r.names);
    p2p_round_feed_clear(&r.feed);
    p2p_applied_list_clear(&r.known);
    p2p_mirror_source_clear(&r.source);
    p2p_versions_close(r.versions);
    p2p_applied_close(r.applied);
    p2p_root_close(r.root);
}
