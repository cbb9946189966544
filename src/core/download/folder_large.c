#include "core/download/folder_large.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
list_others(struct p2p_download *dl, const struct dl_source *s,
            char list[P2P_PEER_OTHERS_TEXT]) P2P_REQUIRES(p2p_dl_lock)
{
    struct p2p_addr others[P2P_CONN_OTHERS_MAX];
    size_t count = p2p_dl_other_addresses(dl, s, others);

    list[0] = '\0';
    for (size_t i = 0; i < count; i++)
        (void)p2p_addr_list_add(list, P2P_PEER_OTHERS_TEXT, &others[i]);
}

static size_t
usable_specs(struct p2p_download *dl, struct p2p_source_spec specs[DL_SOURCES],
             struct p2p_id ids[DL_SOURCES])
{
    size_t count = 0;

    p2p_lock(&dl->lock);
    for (size_t i = 0; i < dl->swarm.source_count; i++) {
        const struct dl_source *s = &dl->swarm.sources[i];
        if (s->state == P2P_SRC_DROPPED)
            continue;
        ids[count] = s->id_known ? s->id : s->expected;
        specs[count].addr = s->addr;
        specs[count].id = s->id_known || s->is_expected ? &ids[count] : NULL;
        specs[count].by_user = s->by_user;
        specs[count].is_unreached = s->is_unreached;
        list_others(dl, s, specs[count].others);
        count++;
    }
    p2p_unlock(&dl->lock);
    return count;
}

static enum p2p_err
start(struct p2p_download *dl, const struct folder_file *file, const char *target,
      struct p2p_download **out)
{
    struct p2p_source_spec specs[DL_SOURCES];
    struct p2p_id ids[DL_SOURCES];
    const struct p2p_download_options opt = {
        .identity = dl->opt.identity,
        .downloads = dl->opt.downloads,
        .name = file->name,
        .root = &file->root,
        .save_as = target,
        .base = file->base,
        .conflict = p2p_folder_conflict(dl, file),
        .sources = specs,
        .source_count = usable_specs(dl, specs, ids),
        .discovery = dl->opt.discovery,
        .reach = dl->opt.reach,
        .connections = dl->opt.connections,
        .timeout_ms = dl->opt.timeout_ms,
        .rate = dl->opt.rate,
        .verify = dl->opt.verify,
        .retries = dl->opt.retries,
        .size_announced = true,
        .announced_size = file->size,
        .keep_free = dl->opt.keep_free,
        .restart_ms = dl->opt.restart_ms,
    };

    if (opt.source_count == 0)
        return P2P_ERR_NO_SOURCE;
    return dl->folder->start(&opt, NULL, NULL, out);
}

/* The progress of the folder before this file. */
struct before {
    uint64_t verified, received, reused;
};

/* Copies the progress of the file's download to the folder. True: that download is
 * over. */
static bool
follow(struct p2p_download *dl, struct p2p_download *child, const struct before *before)
{
    struct p2p_download_status status;

    p2p_download_status(child, &status);
    p2p_lock(&dl->lock);
    dl->folder->verified = before->verified + status.verified;
    dl->report.received = before->received + status.received;
    dl->report.reused = before->reused + status.reused;
    /* A full disk pauses the file's download, which resumes automatically. */
    dl->report.error = status.error;
    memcpy(dl->report.message, status.message, sizeof(dl->report.message));
    p2p_unlock(&dl->lock);
    return status.state == P2P_DL_COMPLETED || status.state == P2P_DL_FAILED ||
           status.state == P2P_DL_CANCELLED;
}

/* Waits until the file's download is over, or the folder must stop: then `*keep` its
 * data. */
static bool
wait_for_child(struct p2p_download *dl, struct p2p_download *child,
               const struct before *before, bool *keep)
{
    while (!p2p_dl_should_stop(dl) && !follow(dl, child, before))
        p2p_dl_tick(dl);
    p2p_lock(&dl->lock);
    bool is_stopping = p2p_dl_is_stopping(dl);
    *keep = dl->wants.pause || dl->wants.keep_data;
    p2p_unlock(&dl->lock);
    return !is_stopping;
}

static void
settle(struct p2p_download *dl, struct folder_file *file, const struct before *before,
       enum p2p_err err)
{
    struct folder *f = dl->folder;

    p2p_lock(&dl->lock);
    f->verified = before->verified;
    if (err == P2P_OK) {
        file->state = FOLDER_DONE;
        f->files_done++;
        f->verified += file->size;
    } else if (f->failure == P2P_OK && err != P2P_ERR_CANCELLED) {
        snprintf(f->reason, sizeof(f->reason), "%s", dl->report.message);
    }
    p2p_unlock(&dl->lock);
}

enum p2p_err
p2p_folder_large(struct p2p_download *dl, struct folder_file *file)
{
    struct p2p_download *child = NULL;
    struct before before;
    char target[P2P_NAME_MAX + 1];
    enum p2p_err err = p2p_folder_target(dl, file, target);
    bool keep;

    if (err == P2P_OK)
        err = start(dl, file, target, &child);
    if (err != P2P_OK)
        return err;
    p2p_lock(&dl->lock);
    before =
        (struct before){dl->folder->verified, dl->report.received, dl->report.reused};
    p2p_unlock(&dl->lock);
    p2p_dl_enter(dl, P2P_DL_DOWNLOADING);
    if (!wait_for_child(dl, child, &before, &keep))
        p2p_download_cancel(child, keep);
    err = p2p_download_wait(child);
    p2p_download_free(child);
    settle(dl, file, &before, err);
    return err;
}
