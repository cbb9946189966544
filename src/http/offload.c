#include "http/offload.h"

#include <stdlib.h>

#include "http/internal.h"
#include "p2p/lock.h"

#define THREADS_MAX 16u
/* The number of requests that may wait for a thread. One source may use at most the
 * part that is still free. */
#define QUEUE_MAX 4096u

/*
 * Work is shared fairly: the next source is the one whose work has cost least so far.
 * The cost is known afterwards: the bytes of the answer, and the time converted to
 * bytes of an ordinary answer. A source that comes back from a pause starts with the
 * lowest cost of the others, so that pauses save up nothing.
 */
#define COST_REQUEST (16u * 1024)
#define COST_US      64u

/* How often readers are checked while unread answers use up the memory for them. */
#define FULL_LOOK_MS 500u

P2P_MUTEX_KIND(http_pool_lock);
struct http_pool {
    struct http_pool_lock lock;
    pthread_cond_t work;
    /* Sources with work, linked by work_next. */
    struct http_source *sources P2P_GUARDED_BY(http_pool_lock);
    unsigned queued P2P_GUARDED_BY(http_pool_lock), n_threads;
    /* The cost (`spent`) of the source that was chosen last. */
    uint64_t least P2P_GUARDED_BY(http_pool_lock);
    _Atomic bool is_stopping;
    void (*run)(struct http_request *req);
    pthread_t threads[THREADS_MAX];
};

static void
push(struct http_pool *p, struct http_request *req) P2P_REQUIRES(http_pool_lock)
{
    struct http_source *s = req->source;

    req->wait_next = NULL;
    if (s->first != NULL)
        s->last->wait_next = req;
    else {
        s->first = req;
        if (s->spent < p->least)
            s->spent = p->least;
        s->work_next = p->sources;
        p->sources = s;
    }
    s->last = req;
    s->queued++;
    p->queued++;
}

static struct http_request *
pop(struct http_pool *p, struct http_source **at) P2P_REQUIRES(http_pool_lock)
{
    struct http_source *s = *at;
    struct http_request *req = s->first;

    s->first = req->wait_next;
    if (s->first == NULL)
        *at = s->work_next;
    s->queued--;
    p->queued--;
    p->least = s->spent;
    return req;
}

/* Answers that a source has not read yet wait in memory. If there are too many, its
 * work waits. */
static bool
may_work(struct http_source *s, bool *all_is_full)
{
    struct http_server *server = s->first->server;
    enum http_may_answer may =
        http_source_may_answer(&server->sources, s, server->opt.answer_budget);

    *all_is_full |= may == HTTP_ALL_IS_FULL;
    return may == HTTP_MAY_ANSWER ||
           (may == HTTP_HAS_ENOUGH && http_client_is_loopback(s->first));
}

/* NULL: there is no work, or none that may run now. */
static struct http_request *
choose(struct http_pool *p, struct http_server **full) P2P_REQUIRES(http_pool_lock)
{
    struct http_source **best = NULL;
    bool all_is_full = false;

    for (struct http_source **at = &p->sources; *at != NULL; at = &(*at)->work_next)
        if ((best == NULL || (*at)->spent < (*best)->spent) &&
            (p->is_stopping || may_work(*at, &all_is_full)))
            best = at;
    *full = best == NULL && all_is_full ? p->sources->first->server : NULL;
    return best != NULL ? pop(p, best) : NULL;
}

static struct http_request *
take(struct http_pool *p)
{
    struct http_request *req;
    struct http_server *full;

    p2p_lock(&p->lock);
    while ((req = choose(p, &full)) == NULL && !(p->is_stopping && p->queued == 0)) {
        if (full == NULL) {
            p2p_wait(&p->work, &p->lock);
            continue;
        }
        http_place_end_reader(full);
        (void)p2p_wait_until(&p->work, &p->lock, p2p_now_ms() + FULL_LOOK_MS);
    }
    p2p_unlock(&p->lock);
    return req;
}

static void
answer(struct http_pool *p, struct http_request *req)
{
    uint64_t start_us = p2p_now_us();

    if (p->is_stopping)
        http_fail(req, 503, "stopping", "the server is stopping");
    else
        p->run(req);
    if (!http_is_answered(req))
        http_fail(req, 500, "internal", "internal error: the request was not answered");
    req->charged_bytes = req->answer_bytes;
    if (req->charged_bytes > 0)
        http_source_add_answer(&req->server->sources, req->source, req->charged_bytes);
    p2p_lock(&p->lock);
    req->source->spent +=
        COST_REQUEST + req->answer_bytes + (p2p_now_us() - start_us) * COST_US;
    p2p_unlock(&p->lock);
}

static void *
pool_main(void *arg)
{
    struct http_pool *p = arg;
    struct http_request *req;

    while ((req = take(p)) != NULL) {
        answer(p, req);
        MHD_resume_connection(req->mhd); /* from here on the request does not belong to
                                          * this thread */
    }
    return NULL;
}

void
http_pool_poke(struct http_pool *p)
{
    p2p_lock(&p->lock);
    if (p->queued > 0)
        pthread_cond_broadcast(&p->work);
    p2p_unlock(&p->lock);
}

static bool
refuse(struct http_request *req)
{
    http_set_header(req, "Retry-After", "1");
    http_fail(req, 503, "busy",
              "too many long requests are running at the moment; try again later");
    return true;
}

bool
http_offload(struct http_request *req)
{
    struct http_pool *p = req->server->pool;

    if (req->is_offloaded)
        return false;
    p2p_lock(&p->lock);
    if (p->is_stopping || p->queued >= QUEUE_MAX ||
        req->source->queued >= QUEUE_MAX - p->queued) {
        p2p_unlock(&p->lock);
        return refuse(req);
    }
    req->is_offloaded = req->has_parked = true;
    MHD_suspend_connection(
        req->mhd); /* under the lock, because another thread may resume it at once */
    push(p, req);
    pthread_cond_signal(&p->work);
    p2p_unlock(&p->lock);
    return true;
}

enum p2p_err
http_pool_start(unsigned threads, void (*run)(struct http_request *req),
                struct http_pool **result)
{
    struct http_pool *p = calloc(1, sizeof(*p));

    *result = p;
    if (p == NULL)
        return P2P_ERR_NOMEM;
    p2p_mutex_init(&p->lock);
    p2p_cond_init(&p->work);
    p->run = run;
    while (p->n_threads < threads && p->n_threads < THREADS_MAX) {
        if (pthread_create(&p->threads[p->n_threads], NULL, pool_main, p) != 0)
            return P2P_ERR_SYS;
        p->n_threads++;
    }
    return P2P_OK;
}

/* Answers the waiting requests and ends the threads; later requests get 503. */
void
http_pool_stop(struct http_pool *p)
{
    if (p == NULL || p->is_stopping)
        return;
    p2p_lock(&p->lock);
    p->is_stopping = true;
    pthread_cond_broadcast(&p->work);
    p2p_unlock(&p->lock);
    for (unsigned i = 0; i < p->n_threads; i++)
        pthread_join(p->threads[i], NULL);
}

void
http_pool_free(struct http_pool *p)
{
    if (p == NULL)
        return;
    http_pool_stop(p);
    p2p_mutex_clear(&p->lock);
    pthread_cond_destroy(&p->work);
    free(p);
}
