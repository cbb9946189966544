/*
 * Handles a file that changed at its sources during the download. The data of the old
 * version is kept until the new version is known: the file may be the same again (it
 * was only touched, or gone for a moment), and chunks that both versions share need not
 * be downloaded twice.
 */
#include <stdlib.h>
#include <string.h>

#include "core/download/download_internal.h"
#include "p2p/log.h"

void
p2p_dl_keep_version(struct p2p_download *dl)
{
    if (!dl->layer_known || dl->layer == NULL)
        return;
    free(dl->old_layer);
    dl->old_layer = dl->layer;
    dl->old_root = dl->meta.root;
    dl->old_geometry = dl->meta.geometry;
    dl->layer = NULL;
}

static bool
have_common_chunks(const struct p2p_download *dl)
{
    const struct p2p_chunks *a = &dl->old_geometry, *b = &dl->meta.geometry;
    uint64_t count = a->count < b->count ? a->count : b->count;

    for (uint64_t i = 0; a->chunk_size == b->chunk_size && i < count; i++)
        if (memcmp(&dl->old_layer[i], &dl->layer[i], sizeof(dl->layer[i])) == 0)
            return true;
    return false;
}

void
p2p_dl_settle_version(struct p2p_download *dl)
{
    enum p2p_err err = P2P_OK;

    if (dl->old_layer == NULL)
        return;
    if (memcmp(&dl->old_root, &dl->meta.root, sizeof(dl->old_root)) != 0)
        err = p2p_journal_replace(dl->downloads, &dl->old_root,
                                  have_common_chunks(dl) ? &dl->meta.root : NULL);
    if (err != P2P_OK && err != P2P_ERR_NOT_FOUND)
        p2p_log_warn("the old version's data could not be removed reason=\"%s\"",
                     p2p_err_text(err));
    free(dl->old_layer);
    dl->old_layer = NULL;
}
