/* What is said to a download that runs: status, sources, pause, cancel, wait, free. */
#include <stdlib.h>

#include "core/swarm/swarm.h"

void
p2p_download_status(struct p2p_download *dl, struct p2p_download_status *out)
{
    p2p_lock(&dl->lock);
    p2p_dl_fill_status(dl, out);
    p2p_unlock(&dl->lock);
}

enum p2p_err
p2p_download_add_source(struct p2p_download *dl, const struct p2p_source_spec *source)
{
    return p2p_dl_offer_source(dl, source, 0);
}

void
p2p_download_pause(struct p2p_download *dl)
{
    p2p_lock(&dl->lock);
    dl->wants.pause = true;
    p2p_dl_wake(dl);
    p2p_unlock(&dl->lock);
}

void
p2p_download_resume(struct p2p_download *dl)
{
    p2p_lock(&dl->lock);
    dl->wants.pause = false;
    dl->wants.resume = true;
    p2p_dl_wake(dl);
    p2p_unlock(&dl->lock);
}

void
p2p_download_cancel(struct p2p_download *dl, bool keep_data)
{
    p2p_lock(&dl->lock);
    dl->wants.keep_data = keep_data;
    dl->wants.cancel = true;
    p2p_dl_wake(dl);
    p2p_unlock(&dl->lock);
}

enum p2p_err
p2p_download_wait(struct p2p_download *dl)
{
    enum p2p_err err;

    p2p_lock(&dl->lock);
    /* After the last event: the state is set before the callback is called. */
    while (!dl->report.reported_end)
        p2p_dl_wait(dl, 1000);
    err = dl->report.state == P2P_DL_COMPLETED ? P2P_OK : dl->report.error;
    if (dl->report.state == P2P_DL_FAILED && err == P2P_OK)
        err = P2P_ERR_NO_SOURCE;
    p2p_unlock(&dl->lock);
    return err;
}

void
p2p_dl_free(struct p2p_download *dl)
{
    p2p_mutex_unshared(&dl->lock);
    pthread_cond_destroy(&dl->changed);
    p2p_mutex_clear(&dl->lock);
    free(dl->swarm.waiting);
    if (dl->file != NULL || dl->folder != NULL)
        dl->task->free(dl);
    free(dl);
}

void
p2p_download_free(struct p2p_download *dl)
{
    if (dl == NULL)
        return;
    p2p_lock(&dl->lock);
    if (!dl->report.over) {
        dl->wants.keep_data = true;
        dl->wants.cancel = true;
        p2p_dl_wake(dl);
    }
    p2p_unlock(&dl->lock);
    pthread_join(dl->control, NULL);
    p2p_dl_free(dl);
}
