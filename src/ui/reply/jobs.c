#include "ui/reply/jobs.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "http/wait.h"
#include "p2p/clock.h"
#include "p2p/lock.h"

#define IDLE_S 10

struct job {
    struct job *next; /* link in the list of all jobs */
    uint64_t serial;  /* serial number of the waiting request; 0: none (any longer) */
    bool is_left;     /* its request is over, so it no longer takes a place */
    const struct ui_job_kind *kind;
    void *context, *arg;
    enum { WAITING, RUNNING, DONE } state;
};

P2P_MUTEX_KIND(ui_jobs_lock);
struct ui_jobs {
    struct http_waitlist *list;
    struct ui_jobs_lock lock;
    pthread_cond_t changed;
    struct job *first P2P_GUARDED_BY(ui_jobs_lock);
    /* Number of jobs that take a place. */
    size_t count P2P_GUARDED_BY(ui_jobs_lock);
    /* Of the others. */
    size_t n_left P2P_GUARDED_BY(ui_jobs_lock);
    unsigned threads P2P_GUARDED_BY(ui_jobs_lock);
    unsigned idle P2P_GUARDED_BY(ui_jobs_lock);
    bool stopping P2P_GUARDED_BY(ui_jobs_lock);
};

struct ui_jobs *
ui_jobs_new(struct http_server *server)
{
    struct ui_jobs *j = calloc(1, sizeof(*j));

    if (j == NULL || (j->list = http_waitlist_new(server)) == NULL) {
        free(j);
        return NULL;
    }
    p2p_mutex_init(&j->lock);
    p2p_cond_init(&j->changed);
    return j;
}

/* Under the lock. */
static void
unlink_job(struct ui_jobs *j, struct job *job) P2P_REQUIRES(ui_jobs_lock)
{
    struct job **at = &j->first;

    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    if (job->is_left)
        j->n_left--;
    else
        j->count--;
}

static void
free_job(struct job *job)
{
    job->kind->release(job->arg);
    free(job);
}

void
ui_jobs_free(struct ui_jobs *j)
{
    if (j == NULL)
        return;
    p2p_lock(&j->lock);
    j->stopping = true;
    pthread_cond_broadcast(&j->changed);
    while (j->threads > 0)
        p2p_wait(&j->changed, &j->lock);
    p2p_unlock(&j->lock);
    p2p_mutex_unshared(&j->lock);
    for (struct job *job = j->first, *next; job != NULL; job = next) {
        next = job->next;
        free_job(job);
    }
    http_waitlist_free(j->list);
    pthread_cond_destroy(&j->changed);
    p2p_mutex_clear(&j->lock);
    free(j);
}

/* ---- workers ---- */

/* New jobs are put in front. A job without a waiting request lets the others go first.
 */
static struct job *
oldest_waiting(struct ui_jobs *j) P2P_REQUIRES(ui_jobs_lock)
{
    struct job *found = NULL;

    for (struct job *job = j->first; job != NULL; job = job->next)
        if (job->state == WAITING && (found == NULL || !job->is_left || found->is_left))
            found = job;
    return found;
}

/* Under the lock: waits for work; NULL if this thread should end. */
static struct job *
next_job(struct ui_jobs *j) P2P_REQUIRES(ui_jobs_lock)
{
    uint64_t until_ms = p2p_now_ms() + IDLE_S * 1000;
    struct job *job;
    bool in_time = true;

    j->idle++;
    while ((job = oldest_waiting(j)) == NULL && !j->stopping && in_time)
        in_time = p2p_wait_until(&j->changed, &j->lock, until_ms);
    j->idle--;
    return j->stopping ? NULL : job;
}

static void *
work(void *arg)
{
    struct ui_jobs *j = arg;
    struct job *job;

    p2p_lock(&j->lock);
    while ((job = next_job(j)) != NULL) {
        bool is_wanted;

        job->state = RUNNING;
        p2p_unlock(&j->lock);
        job->kind->work(job->context, job->arg);
        p2p_lock(&j->lock);
        job->state = DONE;
        is_wanted = job->serial != 0;
        if (!is_wanted)
            unlink_job(j, job);
        p2p_unlock(&j->lock);
        if (is_wanted)
            http_waitlist_wake(j->list);
        else
            free_job(job);
        p2p_lock(&j->lock);
    }
    j->threads--;
    pthread_cond_broadcast(&j->changed);
    p2p_unlock(&j->lock);
    return NULL;
}

/* Under the lock. If no thread can be made, the running ones will do the job. */
static void
add_thread(struct ui_jobs *j) P2P_REQUIRES(ui_jobs_lock)
{
    pthread_attr_t attr;
    pthread_t thread;

    if (j->idle > 0 || j->threads >= UI_JOBS_RUNNING)
        return;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &attr, work, j) == 0)
        j->threads++;
    pthread_attr_destroy(&attr);
}

static bool
enqueue(struct ui_jobs *j, const struct job *what)
{
    struct job *job = NULL;
    bool taken = false;

    p2p_lock(&j->lock);
    if (!j->stopping && j->count < UI_JOBS_MAX && (job = calloc(1, sizeof(*job)))) {
        *job = *what;
        job->next = j->first;
        j->first = job;
        j->count++;
        add_thread(j);
        taken = j->threads > 0;
        if (!taken)
            unlink_job(j, job);
        pthread_cond_signal(&j->changed);
    }
    p2p_unlock(&j->lock);
    if (!taken) {
        free(job);
        what->kind->release(what->arg);
    }
    return taken;
}

bool
ui_job_spawn(struct ui_jobs *j, const struct ui_job_kind *kind, void *context,
             void *arg)
{
    const struct job job = {.kind = kind, .context = context, .arg = arg};

    return arg != NULL && enqueue(j, &job);
}

/* ---- requests ---- */

static struct job *
job_of(struct ui_jobs *j, uint64_t serial)
{
    struct job *job;

    p2p_lock(&j->lock);
    for (job = j->first; job != NULL && job->serial != serial; job = job->next)
        ;
    p2p_unlock(&j->lock);
    return job;
}

static bool
is_done(struct ui_jobs *j, const struct job *job)
{
    bool done;

    p2p_lock(&j->lock);
    done = job->state == DONE;
    p2p_unlock(&j->lock);
    return done;
}

/*
 * Under the lock: the request is over, and the job's place is free. True: the caller
 * frees the job. False: a worker frees it after it has run.
 */
static bool
leave(struct ui_jobs *j, struct job *job) P2P_REQUIRES(ui_jobs_lock)
{
    bool runs_on =
        job->state == RUNNING || (job->state == WAITING && job->kind->runs_anyway &&
                                  j->n_left < UI_JOBS_MAX && !j->stopping);

    if (!runs_on) {
        unlink_job(j, job);
        return true;
    }
    job->serial = 0;
    job->is_left = true;
    j->count--;
    j->n_left++;
    return false;
}

static void
abandon(struct ui_jobs *j, struct job *job)
{
    bool is_mine;

    p2p_lock(&j->lock);
    is_mine = leave(j, job);
    p2p_unlock(&j->lock);
    if (is_mine)
        free_job(job);
}

void
ui_job_on_end(struct ui_jobs *j, uint64_t serial)
{
    struct job *job;

    if (j != NULL && (job = job_of(j, serial)) != NULL)
        abandon(j, job);
}

/* Parks the request, or answers if there is nothing (more) to wait for. */
static void
park_or_answer(struct ui_jobs *j, struct http_request *req, struct job *job)
{
    uint64_t seen;

    do {
        seen = http_waitlist_generation(j->list);
        if (is_done(j, job)) {
            job->kind->answer(req, job->context, job->arg);
            abandon(j, job);
            return;
        }
        if (http_wait(req, j->list, seen, UI_JOB_WAIT_MS))
            return;
    } while (http_waitlist_generation(j->list) != seen);
    abandon(j, job);
    http_fail(req, 503, "timeout", "the request took too long; try again");
}

bool
ui_job_resume(struct ui_jobs *j, struct http_request *req)
{
    struct job *job = job_of(j, http_serial(req));

    if (job == NULL)
        return false;
    park_or_answer(j, req, job);
    return true;
}

void
ui_job_begin(struct ui_jobs *j, struct http_request *req,
             const struct ui_job_kind *kind, void *context, void *arg)
{
    const struct job job = {
        .serial = http_serial(req), .kind = kind, .context = context, .arg = arg};

    if (arg == NULL) {
        http_fail_err(req, P2P_ERR_NOMEM, NULL);
        return;
    }
    if (enqueue(j, &job)) {
        park_or_answer(j, req, job_of(j, http_serial(req)));
        return;
    }
    http_set_header(req, "Retry-After", "1");
    http_fail(req, 503, "busy",
              "too many requests are running at the moment; try again");
}
