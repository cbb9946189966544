#include "http/offload.h"

#include <stdlib.h>

#include "http/internal.h"

#define THREADS_MAX 16u
/* Requests that wait for a thread; more are told to come again. */
#define QUEUE_MAX 1024u

struct http_pool {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct http_request *first, *last; /* through wait_next */
    unsigned queued, n_threads;
    _Atomic bool is_stopping;
    pthread_t threads[THREADS_MAX];
};

static struct http_request *
take(struct http_pool *p)
{
    struct http_request *req;

    pthread_mutex_lock(&p->lock);
    while (p->first == NULL && !p->is_stopping)
        pthread_cond_wait(&p->work, &p->lock);
    if ((req = p->first) != NULL) {
        p->first = req->wait_next;
        p->queued--;
    }
    pthread_mutex_unlock(&p->lock);
    return req;
}

static void *
pool_main(void *arg)
{
    struct http_pool *p = arg;
    struct http_request *req;

    while ((req = take(p)) != NULL) {
        struct MHD_Connection *mhd = req->mhd;

        if (p->is_stopping)
            http_fail(req, 503, "stopping", "the server is stopping");
        else
            req->route->handler(req, req->server->opt.app);
        if (!http_is_answered(req))
            http_fail(req, 500, "internal", "the request was not answered");
        MHD_resume_connection(mhd); /* from here on the request is not ours */
    }
    return NULL;
}

static bool
refuse(struct http_request *req)
{
    http_set_header(req, "Retry-After", "1");
    http_fail(req, 503, "busy", "too many long requests at the moment");
    return true;
}

bool
http_offload(struct http_request *req)
{
    struct http_pool *p = req->server->pool;

    if (req->is_offloaded)
        return false;
    pthread_mutex_lock(&p->lock);
    if (p->is_stopping || p->queued == QUEUE_MAX) {
        pthread_mutex_unlock(&p->lock);
        return refuse(req);
    }
    req->is_offloaded = req->has_parked = true;
    req->wait_next = NULL;
    MHD_suspend_connection(
        req->mhd); /* under the lock: a thread may resume it at once */
    if (p->first == NULL)
        p->first = req;
    else
        p->last->wait_next = req;
    p->last = req;
    p->queued++;
    pthread_cond_signal(&p->work);
    pthread_mutex_unlock(&p->lock);
    return true;
}

enum p2p_err
http_pool_start(unsigned threads, struct http_pool **result)
{
    struct http_pool *p = calloc(1, sizeof(*p));

    *result = p;
    if (p == NULL)
        return P2P_ERR_NOMEM;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    while (p->n_threads < threads && p->n_threads < THREADS_MAX) {
        if (pthread_create(&p->threads[p->n_threads], NULL, pool_main, p) != 0)
            return P2P_ERR_SYS;
        p->n_threads++;
    }
    return P2P_OK;
}

/* Answers what waits and ends the threads; requests may still be told 503 afterwards.
 */
void
http_pool_stop(struct http_pool *p)
{
    if (p == NULL || p->is_stopping)
        return;
    pthread_mutex_lock(&p->lock);
    p->is_stopping = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->n_threads; i++)
        pthread_join(p->threads[i], NULL);
}

void
http_pool_free(struct http_pool *p)
{
    if (p == NULL)
        return;
    http_pool_stop(p);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->work);
    free(p);
}
