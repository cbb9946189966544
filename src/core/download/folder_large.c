#include "core/download/folder_large.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/lock.h"

#define TICK_MS 100

static size_t
usable_specs(const struct p2p_download *dl, struct p2p_source_spec specs[DL_SOURCES],
             struct p2p_id ids[DL_SOURCES])
{
    size_t count = 0;

    for (size_t i = 0; i < dl->source_count; i++) {
        const struct dl_source *s = &dl->sources[i];
        if (s->state == P2P_SRC_DROPPED)
            continue;
        ids[count] = s->id_known ? s->id : s->expected;
        specs[count].addr = s->addr;
        specs[count].id = s->id_known || s->is_expected ? &ids[count] : NULL;
        specs[count].by_user = s->by_user;
        count++;
    }
    return count;
}

static enum p2p_err
start(struct p2p_download *dl, const struct folder_file *file, const char *target,
      struct p2p_download **out)
{
    struct p2p_source_spec specs[DL_SOURCES];
    struct p2p_id ids[DL_SOURCES];
    const struct p2p_download_options opt = {
        .identity = dl->identity,
        .downloads = dl->downloads,
        .name = file->name,
        .root = &file->root,
        .save_as = target,
        .conflict = p2p_folder_conflict(dl, file),
        .sources = specs,
        .source_count = usable_specs(dl, specs, ids),
        .discovery = dl->discovery,
        .connections = dl->connections,
        .timeout_ms = dl->timeout_ms,
        .rate = dl->rate,
        .verify = dl->verify,
        .retries = dl->retries,
        .size_announced = true,
        .announced_size = file->size,
        .keep_free = dl->keep_free,
    };

    if (opt.source_count == 0)
        return P2P_ERR_NO_SOURCE;
    return p2p_download_start(&opt, NULL, NULL, out);
}

/* Lock held, released for a moment. Copies the child's figures to the folder. */
static bool
follow(struct run *run, struct p2p_download *child, uint64_t verified,
       uint64_t received)
{
    struct p2p_download *dl = run->dl;
    struct p2p_download_status status;

    p2p_unlock(&dl->lock);
    p2p_download_status(child, &status);
    p2p_lock(&dl->lock);
    dl->folder_verified = verified + status.verified;
    dl->received = received + status.received;
    /* A full disk pauses the child, which resumes automatically. */
    dl->error = status.error;
    memcpy(dl->message, status.message, sizeof(dl->message));
    p2p_control_tick(run);
    return status.state == P2P_DL_COMPLETED || status.state == P2P_DL_FAILED ||
           status.state == P2P_DL_CANCELLED;
}

enum p2p_err
p2p_folder_large(struct run *run, struct folder_file *file)
{
    struct p2p_download *dl = run->dl, *child = NULL;
    uint64_t verified = dl->folder_verified, received = dl->received;
    char target[P2P_NAME_MAX + 1];
    enum p2p_err err = p2p_folder_target(dl, file, target);

    if (err == P2P_OK)
        err = start(dl, file, target, &child);
    if (err != P2P_OK)
        return err;
    p2p_dl_set_state(dl, P2P_DL_DOWNLOADING);
    while (!p2p_dl_is_stopping(dl) && !follow(run, child, verified, received))
        p2p_dl_wait(dl, TICK_MS);
    bool stopping = p2p_dl_is_stopping(dl), keep = dl->want_pause || dl->keep_data;
    p2p_unlock(&dl->lock);
    if (stopping)
        p2p_download_cancel(child, keep);
    err = p2p_download_wait(child);
    p2p_download_free(child);
    p2p_lock(&dl->lock);
    if (err == P2P_OK) {
        file->state = FOLDER_DONE;
        dl->files_done++;
        dl->folder_verified = verified + file->size;
    } else {
        dl->folder_verified = verified;
        if (dl->folder->failure == P2P_OK && err != P2P_ERR_CANCELLED)
            snprintf(dl->folder->reason, sizeof(dl->folder->reason), "%s", dl->message);
    }
    return err;
}
