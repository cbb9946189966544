/*
 * Handles a file that changed at its sources during the download. The data of the old
 * version is kept until the new version is known: the file may be the same again (it
 * was only touched, or gone for a moment), and chunks that both versions share need not
 * be downloaded twice.
 */
#include <stdlib.h>
#include <string.h>

#include "core/download/file.h"
#include "p2p/log.h"

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
