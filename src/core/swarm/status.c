/* The status of a download, its messages and its events. */
#include "core/swarm/swarm.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "p2p/probe.h"

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
    dl->report.error = err;
    vsnprintf(dl->report.message, sizeof(dl->report.message), format, args);
    va_end(args);
}

void
p2p_dl_measure(struct p2p_download *dl, enum p2p_err err)
{
    if (err != P2P_ERR_DISK_TOO_SMALL)
        return;
    uint64_t bytes = p2p_root_disk_bytes(dl->opt.downloads);
    p2p_lock(&dl->lock);
    dl->report.disk_bytes = bytes;
    p2p_unlock(&dl->lock);
}

void
p2p_dl_explain(struct p2p_download *dl, enum p2p_err err, uint64_t size)
{
    char text[P2P_SIZE_TEXT_MAX], whole[P2P_SIZE_TEXT_MAX];

    switch (err) {
    case P2P_ERR_BUSY:
        p2p_dl_set_error(dl, err, "this file is being downloaded already");
        break;
    case P2P_ERR_NO_SOURCE:
        p2p_dl_set_error(dl, err, "none of %zu peers could deliver the file",
                         dl->swarm.source_count);
        break;
    case P2P_ERR_TARGET_NAME:
        p2p_dl_set_error(
            dl, err, "this file system does not allow the name \"%.80s\"%s%.80s%s",
            dl->opt.save_as, dl->report.works[0] != '\0' ? "; \"" : "",
            dl->report.works, dl->report.works[0] != '\0' ? "\" would work" : "");
        break;
    case P2P_ERR_FILE_TOO_BIG:
        p2p_dl_set_error(dl, err,
                         "this file system does not allow files of %s; choose a "
                         "folder on another disk",
                         p2p_size_format(size, text));
        break;
    case P2P_ERR_DISK_TOO_SMALL:
        p2p_size_format(dl->report.disk_bytes, whole);
        p2p_dl_set_error(dl, err,
                         "the disk is too small: it has %s in total, and %s are "
                         "needed; choose a folder on another disk",
                         whole, p2p_size_format(size, text));
        break;
    case P2P_ERR_TOO_LARGE:
        p2p_dl_set_error(dl, err,
                         "a file of %s in chunks as small as the peer's has too many "
                         "chunks to be downloaded",
                         p2p_size_format(size, text));
        break;
    case P2P_ERR_NO_SEEK:
        p2p_dl_set_error(dl, err,
                         "the file system of the folder writes files only from "
                         "beginning to end; choose another folder (rclone mount: add "
                         "--vfs-cache-mode writes)");
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
                         dl->opt.save_as);
        break;
    case P2P_ERR_OTHER_DISK:
        p2p_dl_set_error(dl, err,
                         "another file system is mounted at a folder of \"%.120s\"; "
                         "download directly into that folder",
                         dl->opt.save_as);
        break;
    case P2P_ERR_EXISTS:
        p2p_dl_set_error(dl, err, "%s exists already; what was downloaded is kept",
                         dl->opt.save_as);
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

/* A source is called slow if its speed is a quarter or less of the average of the
 * others. */
static void
judge_sources(struct p2p_download *dl) P2P_REQUIRES(p2p_dl_lock)
{
    double sum = 0;
    unsigned active = 0;

    for (size_t i = 0; i < dl->swarm.source_count; i++)
        if (dl->swarm.sources[i].workers > 0 && dl->swarm.sources[i].agreed) {
            sum += dl->swarm.sources[i].speed;
            active++;
        }
    for (size_t i = 0; i < dl->swarm.source_count; i++) {
        struct dl_source *s = &dl->swarm.sources[i];
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
    double seconds = (double)(now - dl->report.sampled_ms) / 1000;

    if (dl->report.sampled_ms != 0 && now - dl->report.sampled_ms < SAMPLE_MS)
        return;
    if (dl->report.sampled_ms != 0) {
        dl->report.speed = smooth(
            dl->report.speed,
            (double)(dl->report.received - dl->report.sampled_received) / seconds,
            seconds);
        for (size_t i = 0; i < dl->swarm.source_count; i++) {
            struct dl_source *s = &dl->swarm.sources[i];
            s->speed =
                smooth(s->speed, (double)(s->received - s->sampled) / seconds, seconds);
        }
        judge_sources(dl);
    }
    for (size_t i = 0; i < dl->swarm.source_count; i++)
        dl->swarm.sources[i].sampled = dl->swarm.sources[i].received;
    dl->report.sampled_received = dl->report.received;
    dl->report.sampled_ms = now;
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
    out->path_known = s->path_known;
    out->path = s->path;
    out->rtt_us = s->rtt_us;
}

void
p2p_dl_fill_status(struct p2p_download *dl, struct p2p_download_status *out)
{
    bool moving = dl->report.state == P2P_DL_DOWNLOADING;

    memset(out, 0, sizeof(*out));
    out->state = dl->report.state;
    out->error = dl->report.error;
    memcpy(out->message, dl->report.message, sizeof(out->message));
    memcpy(out->name, dl->opt.name, sizeof(out->name));
    memcpy(out->stored, dl->report.stored, sizeof(out->stored));
    memcpy(out->works, dl->report.works, sizeof(out->works));
    dl->task->fill_status(dl, out);
    out->received = dl->report.received;
    out->reused = dl->report.reused;
    out->speed = moving ? (uint64_t)dl->report.speed : 0;
    out->eta_s = UINT64_MAX;
    if (moving && out->speed > 0 && out->size_known && out->size >= out->verified)
        out->eta_s = (out->size - out->verified + out->speed - 1) / out->speed;
    out->source_count = dl->swarm.source_count;
    for (size_t i = 0; i < dl->swarm.source_count; i++)
        fill_source(&dl->swarm.sources[i], &out->sources[i]);
}

void
p2p_dl_report(struct p2p_download *dl)
{
    struct p2p_download_status status;

    if (dl->opt.on_event == NULL)
        return;
    p2p_lock(&dl->lock);
    p2p_dl_fill_status(dl, &status);
    p2p_unlock(&dl->lock);
    dl->opt.on_event(dl->opt.event_arg, &status);
}

bool
p2p_dl_set_state(struct p2p_download *dl, enum p2p_download_state state)
{
    if (dl->report.state == state)
        return false;
    dl->report.state = state;
    if (state <= P2P_DL_VERIFYING || state == P2P_DL_COMPLETED) {
        dl->report.error = P2P_OK;
        dl->report.message[0] = '\0';
    }
    p2p_dl_wake(dl);
    return true;
}

void
p2p_dl_enter(struct p2p_download *dl, enum p2p_download_state state)
{
    p2p_lock(&dl->lock);
    bool is_new = p2p_dl_set_state(dl, state);
    p2p_unlock(&dl->lock);
    if (is_new)
        p2p_dl_report(dl);
}
