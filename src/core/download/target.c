/* What the target folder has, and whether it can store the download. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/download/file.h"
#include "core/download/target.h"
#include "core/journal/present.h"
#include "p2p/clock.h"
#include "p2p/journal.h"
#include "p2p/log.h"
#include "p2p/probe.h"

enum p2p_err
p2p_dl_check_target(struct p2p_download *dl)
{
    char works[P2P_NAME_MAX + 1] = "";
    struct p2p_probe *probe = NULL;
    struct stat st;
    enum p2p_err err = p2p_probe_open(dl->opt.downloads, &probe);

    if (err == P2P_OK)
        err = p2p_probe_size(probe, dl->file->meta.geometry.size);
    if (err == P2P_OK)
        err = p2p_probe_name(probe, dl->opt.save_as, works);
    if (err == P2P_OK &&
        (dl->opt.conflict == P2P_CONFLICT_OVERWRITE ||
         dl->opt.conflict == P2P_CONFLICT_VERSION) &&
        fstatat(p2p_root_fd(dl->opt.downloads), dl->opt.save_as, &st,
                AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISDIR(st.st_mode))
        err = P2P_ERR_EXISTS; /* a folder is not replaced */
    p2p_probe_close(probe);
    p2p_lock(&dl->lock);
    memcpy(dl->report.works, works, sizeof(works));
    p2p_unlock(&dl->lock);
    return err;
}

void
p2p_dl_look(struct p2p_download *dl)
{
    const struct p2p_digest root = dl->file->meta.root;
    const struct p2p_present wanted = {.root = &root,
                                       .size = dl->file->meta.geometry.size,
                                       .stop = p2p_dl_should_stop,
                                       .stop_arg = dl};
    char found[P2P_NAME_MAX + 1];
    bool present = p2p_present_find(dl->opt.downloads, dl->opt.save_as, &wanted,
                                    dl->opt.conflict, found);

    if (present) /* the data of an earlier, interrupted download */
        (void)!p2p_journal_replace(dl->opt.downloads, &root, NULL);
    p2p_lock(&dl->lock);
    if (present)
        memcpy(dl->report.stored, found, sizeof(found));
    dl->file->looked = true;
    dl->file->present = present;
    p2p_unlock(&dl->lock);
}

void
p2p_dl_keep_time(int fd, uint64_t mtime_s)
{
    /* A time in the future would make it the newest file forever. */
    if (mtime_s == 0 || mtime_s > p2p_time_s())
        return;
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                      {.tv_sec = (time_t)mtime_s}};
    (void)!futimens(fd, times); /* not every file system keeps them */
}

/* ---- The data of an older version ---- */

/*
 * A file may change at its sources during the download. The data of the old version is
 * kept until the new version is known: the file may be the same again (it was only
 * touched, or gone for a moment), and chunks that both versions share need not be
 * downloaded twice.
 */

void
p2p_dl_keep_version(struct p2p_download *dl)
{
    if (!dl->file->layer_known || dl->file->layer == NULL)
        return;
    free(dl->file->old_layer);
    dl->file->old_layer = dl->file->layer;
    dl->file->old_root = dl->file->meta.root;
    dl->file->old_geometry = dl->file->meta.geometry;
    dl->file->layer = NULL;
}

static bool
have_common_chunks(const struct p2p_download *dl)
{
    const struct p2p_chunks *a = &dl->file->old_geometry, *b = &dl->file->meta.geometry;
    uint64_t count = a->count < b->count ? a->count : b->count;

    for (uint64_t i = 0; a->chunk_size == b->chunk_size && i < count; i++)
        if (memcmp(&dl->file->old_layer[i], &dl->file->layer[i],
                   sizeof(dl->file->layer[i])) == 0)
            return true;
    return false;
}

void
p2p_dl_settle_version(struct p2p_download *dl)
{
    enum p2p_err err = P2P_OK;

    if (dl->file->old_layer == NULL)
        return;
    if (memcmp(&dl->file->old_root, &dl->file->meta.root, sizeof(dl->file->old_root)) !=
        0)
        err = p2p_journal_replace(dl->opt.downloads, &dl->file->old_root,
                                  have_common_chunks(dl) ? &dl->file->meta.root : NULL);
    if (err != P2P_OK && err != P2P_ERR_NOT_FOUND)
        p2p_log_warn("cannot remove the data of the old version reason=\"%s\"",
                     p2p_err_text(err));
    free(dl->file->old_layer);
    dl->file->old_layer = NULL;
}
