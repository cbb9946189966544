/* The status of a download, its messages and its events. */
#include "core/download/download_internal.h"
#include "core/download/folder.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "p2p/lock.h"

#define SAMPLE_MS      200
#define SPEED_MEMORY_S 2.0 /* time after which a change of speed is mostly visible */

const char *
p2p_download_state_name(enum p2p_download_state state)
{
    static const char *const names[] = {
        [P2P_DL_CONNECTING] = "connecting", [P2P_DL_DOWNLOADING] = "downloading",
        [P2P_DL_VERIFYING] = "verifying",   [P2P_DL_PAUSED] = "paused",
        [P2P_DL_COMPLETED] = "completed",   [P2P_DL_FAILED] = "failed",
        [P2P_DL_CANCELLED] = "cancelled",
    };

    return (unsigned)state < sizeof(names) / sizeof(names[0]) ? names[state]
                                                              : "unknown";
}

const char *
p2p_source_state_name(enum p2p_source_state state)
{
    static const char *const names[] = {
        [P2P_SRC_CONNECTING] = "connecting",
        [P2P_SRC_ACTIVE] = "active",
        [P2P_SRC_SLOW] = "slow",
        [P2P_SRC_RETRYING] = "retrying",
        [P2P_SRC_DROPPED] = "dropped",
    };

    return (unsigned)state < sizeof(names) / sizeof(names[0]) ? names[state]
                                                              : "unknown";
}

void
p2p_dl_set_error(struct p2p_download *dl, enum p2p_err err, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    dl->error = err;
    vsnprintf(dl->message, sizeof(dl->message), format, args);
    va_end(args);
}

void
p2p_dl_explain(struct p2p_download *dl, enum p2p_err err)
{
    switch (err) {
    case P2P_ERR_BUSY:
        p2p_dl_set_error(dl, err, "this file is being downloaded already");
        break;
    case P2P_ERR_NO_SOURCE:
        p2p_dl_set_error(dl, err, "none of %zu peers could deliver the file",
                         dl->source_count);
        break;
    case P2P_ERR_TARGET_NAME:
        p2p_dl_set_error(dl, err,
                         "this file system does not allow the name \"%.80s\"%s%.80s%s",
                         dl->save_as, dl->works[0] != '\0' ? "; \"" : "", dl->works,
                         dl->works[0] != '\0' ? "\" would work" : "");
        break;
    case P2P_ERR_FILE_TOO_BIG:
        p2p_dl_set_error(dl, err,
                         "this file system does not allow files of %llu MiB; choose a "
                         "folder on another disk",
                         (unsigned long long)(dl->meta.geometry.size >> 20));
        break;
    case P2P_ERR_READ_ONLY:
        p2p_dl_set_error(dl, err,
                         "the file system of the folder is read-only; choose another "
                         "folder, or make it writable");
        break;
    case P2P_ERR_IN_THE_WAY:
        p2p_dl_set_error(dl, err,
                         "cannot create a folder of \"%.120s\": a file or a link has "
                         "its name; move it away, or choose another folder",
                         dl->save_as);
        break;
    case P2P_ERR_OTHER_DISK:
        p2p_dl_set_error(dl, err,
                         "another file system is mounted at a folder of \"%.120s\"; "
                         "download directly into that folder",
                         dl->save_as);
        break;
    case P2P_ERR_EXISTS:
        p2p_dl_set_error(dl, err, "%s exists already; what was downloaded is kept",
                         dl->save_as);
        break;
    default:
        p2p_dl_set_error(dl, err, "%s", p2p_err_text(err));
    }
}

static double
smooth(double old, double sample, double seconds)
{
    double weight = seconds / (seconds + SPEED_MEMORY_S / 2);

    return old <= 0 ? sample : old + weight * (sample - old);
}

/* A source is called slow when it has a quarter or less of what the others have on
 * average. */
static void
judge_sources(struct p2p_download *dl)
{
    double sum = 0;
    unsigned active = 0;

    for (size_t i = 0; i < dl->source_count; i++)
        if (dl->sources[i].workers > 0 && dl->sources[i].agreed) {
            sum += dl->sources[i].speed;
            active++;
        }
    for (size_t i = 0; i < dl->source_count; i++) {
        struct dl_source *s = &dl->sources[i];
        if (s->state != P2P_SRC_ACTIVE && s->state != P2P_SRC_SLOW)
            continue;
        bool slow = active > 1 && s->speed * 4 < (sum - s->speed) / (active - 1);
        s->state = slow ? P2P_SRC_SLOW : P2P_SRC_ACTIVE;
    }
}

void
p2p_dl_sample(struct p2p_download *dl)
{
    uint64_t now = p2p_now_ms();
    double seconds = (double)(now - dl->sampled_ms) / 1000;

    if (dl->sampled_ms != 0 && now - dl->sampled_ms < SAMPLE_MS)
        return;
    if (dl->sampled_ms != 0) {
        dl->speed =
            smooth(dl->speed, (double)(dl->received - dl->sampled_received) / seconds,
                   seconds);
        for (size_t i = 0; i < dl->source_count; i++) {
            struct dl_source *s = &dl->sources[i];
            s->speed =
                smooth(s->speed, (double)(s->received - s->sampled) / seconds, seconds);
        }
        judge_sources(dl);
    }
    for (size_t i = 0; i < dl->source_count; i++)
        dl->sources[i].sampled = dl->sources[i].received;
    dl->sampled_received = dl->received;
    dl->sampled_ms = now;
}

static void
fill_source(const struct dl_source *s, struct p2p_source_status *out)
{
    out->id = s->id_known ? s->id : s->expected;
    out->id_known = s->id_known || s->is_expected;
    out->addr = s->addr;
    out->who = s->who;
    out->state = s->state;
    out->error = s->error;
    out->received = s->received;
    out->speed = s->workers > 0 ? (uint64_t)s->speed : 0;
    out->connections = s->workers;
}

static void
fill_file(struct p2p_download *dl, struct p2p_download_status *out)
{
    out->size_known = dl->meta_known;
    out->size = dl->meta.geometry.size;
    out->root_known = dl->meta_known && dl->meta.root_known;
    out->root = dl->meta.root;
    /* What a source states is no fact about a file that is complete. */
    out->sha256_known = dl->sha256_done || (dl->meta_known && dl->meta.sha256_known &&
                                            dl->state != P2P_DL_COMPLETED);
    out->sha256 = dl->sha256_done ? dl->sha256 : dl->meta.sha256;
    if (dl->journal != NULL)
        out->verified = p2p_journal_done_bytes(dl->journal);
    if (dl->state == P2P_DL_COMPLETED)
        out->verified = out->size;
    out->files_total = 1;
    out->files_done = dl->state == P2P_DL_COMPLETED;
}

static void
fill_folder(const struct p2p_download *dl, struct p2p_download_status *out)
{
    out->size_known = dl->folder != NULL && dl->folder->listed;
    out->size = out->size_known ? dl->folder->size : 0;
    out->verified = dl->folder_verified;
    out->files_done = dl->files_done;
    out->files_renamed = dl->folder->renamed;
    out->files_total = dl->files_total;
}

void
p2p_dl_fill_status(struct p2p_download *dl, struct p2p_download_status *out)
{
    bool moving = dl->state == P2P_DL_DOWNLOADING;

    memset(out, 0, sizeof(*out));
    out->state = dl->state;
    out->error = dl->error;
    memcpy(out->message, dl->message, sizeof(out->message));
    memcpy(out->name, dl->name, sizeof(out->name));
    memcpy(out->stored, dl->stored, sizeof(out->stored));
    out->already_there = dl->state == P2P_DL_COMPLETED && dl->present;
    if (dl->retry_ms > p2p_now_ms())
        out->retry_in_s = (dl->retry_ms - p2p_now_ms()) / 1000 + 1;
    memcpy(out->works, dl->works, sizeof(out->works));
    if (dl->folder != NULL)
        fill_folder(dl, out);
    else
        fill_file(dl, out);
    out->received = dl->received;
    out->hashed = dl->hashed;
    out->speed = moving ? (uint64_t)dl->speed : 0;
    out->eta_s = UINT64_MAX;
    if (moving && out->speed > 0 && out->size_known && out->size >= out->verified)
        out->eta_s = (out->size - out->verified + out->speed - 1) / out->speed;
    out->source_count = dl->source_count;
    for (size_t i = 0; i < dl->source_count; i++)
        fill_source(&dl->sources[i], &out->sources[i]);
}

void
p2p_dl_report(struct p2p_download *dl)
{
    struct p2p_download_status status;

    if (dl->on_event == NULL)
        return;
    p2p_dl_fill_status(dl, &status);
    p2p_unlock(&dl->lock);
    dl->on_event(dl->event_arg, &status);
    p2p_lock(&dl->lock);
}

void
p2p_dl_set_state(struct p2p_download *dl, enum p2p_download_state state)
{
    if (dl->state == state)
        return;
    dl->state = state;
    if (state <= P2P_DL_VERIFYING || state == P2P_DL_COMPLETED) {
        dl->error = P2P_OK;
        dl->message[0] = '\0';
    }
    pthread_cond_broadcast(&dl->changed);
    p2p_dl_report(dl);
}
