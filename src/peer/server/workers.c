#include "peer/server/workers.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "p2p/lock.h"

P2P_MUTEX_KIND(workers_lock);
struct workers {
    struct workers_lock lock;
    pthread_cond_t more;
    STAILQ_HEAD(, job) queue P2P_GUARDED_BY(workers_lock);
    unsigned queued P2P_GUARDED_BY(workers_lock), queue_max;
    bool ending P2P_GUARDED_BY(workers_lock);
    unsigned threads;
    pthread_t thread[];
};

static struct job *
next_job(struct workers *w)
{
    struct job *job;

    p2p_lock(&w->lock);
    while ((job = STAILQ_FIRST(&w->queue)) == NULL && !w->ending)
        p2p_wait(&w->more, &w->lock);
    if (job != NULL) {
        STAILQ_REMOVE_HEAD(&w->queue, link);
        w->queued--;
    }
    p2p_unlock(&w->lock);
    return job;
}

static void *
work(void *arg)
{
    struct workers *w = arg;
    struct job *job;

    while ((job = next_job(w)) != NULL) {
        job->run(job);
        job->done(job);
    }
    return NULL;
}

enum p2p_err
workers_new(unsigned threads, unsigned queue_max, struct workers **out)
{
    struct workers *w = calloc(1, sizeof(*w) + threads * sizeof(w->thread[0]));

    *out = NULL;
    if (w == NULL)
        return P2P_ERR_NOMEM;
    p2p_mutex_init(&w->lock);
    pthread_cond_init(&w->more, NULL);
    STAILQ_INIT(&w->queue);
    w->queue_max = queue_max;
    for (; w->threads < threads; w->threads++) {
        if (pthread_create(&w->thread[w->threads], NULL, work, w) != 0) {
            workers_free(w);
            return P2P_ERR_SYS;
        }
    }
    *out = w;
    return P2P_OK;
}

void
workers_free(struct workers *w)
{
    if (w == NULL)
        return;
    p2p_lock(&w->lock);
    w->ending = true;
    pthread_cond_broadcast(&w->more);
    p2p_unlock(&w->lock);
    for (unsigned i = 0; i < w->threads; i++)
        pthread_join(w->thread[i], NULL);
    pthread_cond_destroy(&w->more);
    p2p_mutex_clear(&w->lock);
    free(w);
}

enum p2p_err
workers_submit(struct workers *w, struct job *job)
{
    enum p2p_err err = P2P_OK;

    p2p_lock(&w->lock);
    if (w->queued >= w->queue_max || w->ending) {
        err = P2P_ERR_BUSY;
    } else {
        STAILQ_INSERT_TAIL(&w->queue, job, link);
        w->queued++;
        pthread_cond_signal(&w->more);
    }
    p2p_unlock(&w->lock);
    return err;
}
