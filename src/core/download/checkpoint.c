/* Makes chunks durable every few seconds, so that a power loss costs little and the
 * last flush is short. Not more often, because a flush delays the writes beside it, and
 * because chunks that a power loss finds unflushed are checked again and not downloaded
 * again. */
#include "core/download/file.h"

#include <stdlib.h>
#include <time.h>

#include "p2p/clock.h"
#include "p2p/lock.h"
#include "p2p/log.h"

#define INTERVAL_S 5

P2P_MUTEX_KIND(dl_checkpoint_lock);
struct dl_checkpoint {
    struct p2p_journal *journal;
    pthread_t thread;
    struct dl_checkpoint_lock lock;
    pthread_cond_t wake;
    bool stop;
};

static void *
checkpoint_main(void *arg)
{
    struct dl_checkpoint *k = arg;

    p2p_lock(&k->lock);
    while (!k->stop) {
        (void)p2p_wait_until(&k->wake, &k->lock, p2p_now_ms() + INTERVAL_S * 1000);
        if (k->stop)
            break;
        p2p_unlock(&k->lock);
        /* A failure is ignored here: it happens again when the file is finished, and
         * stops the download then. */
        if (p2p_journal_checkpoint(k->journal) != P2P_OK)
            p2p_log_warn("cannot flush a download to disk");
        p2p_lock(&k->lock);
    }
    p2p_unlock(&k->lock);
    return NULL;
}

enum p2p_err
p2p_dl_checkpoint_start(struct p2p_journal *journal, struct dl_checkpoint **out)
{
    struct dl_checkpoint *k = calloc(1, sizeof(*k));

    if (k == NULL)
        return P2P_ERR_NOMEM;
    k->journal = journal;
    p2p_mutex_init(&k->lock);
    p2p_cond_init(&k->wake);
    int rc = pthread_create(&k->thread, NULL, checkpoint_main, k);
    if (rc != 0) {
        free(k);
        return p2p_err_from_errno(rc);
    }
    *out = k;
    return P2P_OK;
}

void
p2p_dl_checkpoint_stop(struct dl_checkpoint *k)
{
    if (k == NULL)
        return;
    p2p_lock(&k->lock);
    k->stop = true;
    pthread_cond_signal(&k->wake);
    p2p_unlock(&k->lock);
    pthread_join(k->thread, NULL);
    pthread_cond_destroy(&k->wake);
    p2p_mutex_clear(&k->lock);
    free(k);
}
