/* The thread that runs the jobs, one round after the other. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/mirror/mirror_internal.h"
#include "p2p/clock.h"
#include "p2p/io.h"
#include "p2p/lock.h"
#include "p2p/log.h"

#define LOCK_FILE   "keeper.lock"
#define EVERY_MS    30000
#define LOOK_MS     1000 /* at what the user wishes */
#define SOON_MS     2000 /* to look again at what was missing */
#define BACK_OFF_MS 15000
#define LONGEST_MS  600000
#define LIST_MS     (6 * 3600 * 1000ull)
#define WATCHED     20 /* rounds are so many times rarer while the source tells changes */

/* What the keeper remembers of a job. */
struct kept_job {
    char id[P2P_MIRROR_ID_LEN + 1];
    uint64_t next_ms, pause_ms, wishes;
    uint64_t list_ms; /* when the whole list is read again, whatever the source says */
    struct p2p_mirror_watch *watch; /* NULL: not yet */
    bool is_listed;                 /* in the last list of jobs */
    bool was_away;                  /* in the last round */
};

P2P_MUTEX_KIND(p2p_keeper_lock);
struct p2p_keeper {
    struct p2p_keeper_options opt;
    char *keys_dir;
    int lock_fd;
    struct p2p_keeper_lock lock;
    pthread_cond_t news;
    bool stop P2P_GUARDED_BY(p2p_keeper_lock), has_news P2P_GUARDED_BY(p2p_keeper_lock);
    pthread_t thread;
    bool is_running;
    /* The thread's own. */
    struct kept_job jobs[P2P_MIRRORS_MAX];
    size_t count;
    struct kept_job *now; /* whose round runs */
    uint64_t looked_ms;
    bool was_interrupted;
};

static bool
is_stopping(struct p2p_keeper *k)
{
    p2p_lock(&k->lock);
    bool stop = k->stop;
    p2p_unlock(&k->lock);
    return stop;
}

/* During a round: the program ends, or the user has paused or removed the job. */
static bool
should_stop(void *arg)
{
    struct p2p_keeper *k = arg;
    uint64_t now_ms = p2p_now_ms();
    bool is_paused;

    if (is_stopping(k))
        return true;
    if (now_ms - k->looked_ms < LOOK_MS)
        return k->was_interrupted;
    k->looked_ms = now_ms;
    uint64_t wishes = p2p_mirrors_wishes(k->keys_dir, k->now->id, &is_paused);
    k->was_interrupted = wishes == 0 || is_paused;
    return k->was_interrupted;
}

static struct kept_job *
remember(struct p2p_keeper *k, const char *id)
{
    for (size_t i = 0; i < k->count; i++)
        if (strcmp(k->jobs[i].id, id) == 0)
            return &k->jobs[i];
    if (k->count == P2P_MIRRORS_MAX) /* the jobs are fewer: see forget_removed */
        return NULL;
    struct kept_job *job = &k->jobs[k->count++];
    *job = (struct kept_job){.next_ms = 0};
    memcpy(job->id, id, sizeof(job->id));
    return job;
}

static void
store(struct p2p_keeper *k, const struct p2p_mirror *job)
{
    enum p2p_err err = p2p_mirrors_store(k->keys_dir, job);

    if (err != P2P_OK)
        p2p_log_warn("cannot store the state of a mirror error=%s", p2p_err_name(err));
    if (k->opt.on_change != NULL)
        k->opt.on_change(k->opt.arg, job);
}

/* From the thread of a watch. */
static void
on_news(void *arg)
{
    struct p2p_keeper *k = arg;

    p2p_lock(&k->lock);
    k->has_news = true;
    pthread_cond_broadcast(&k->news);
    p2p_unlock(&k->lock);
}

static void
end_watch(struct kept_job *kept)
{
    p2p_mirror_watch_stop(kept->watch);
    kept->watch = NULL;
}

/* A job that is there gets a watch as soon as its source answered. */
static void
watch(struct p2p_keeper *k, struct kept_job *kept, const struct p2p_mirror *job)
{
    bool is_there = job->state == P2P_MIRROR_IN_STEP ||
                    job->state == P2P_MIRROR_WAITING ||
                    job->state == P2P_MIRROR_WORKING;

    if (!p2p_mirror_watch_is_over(kept->watch))
        return;
    end_watch(kept);
    if (!is_there || job->once)
        return;
    if (p2p_mirror_watch_start(&k->opt, job, on_news, k, &kept->watch) != P2P_OK)
        p2p_log_debug("cannot watch the source of a mirror id=%s", job->id);
}

/* Jobs that were removed. */
static void
forget_removed(struct p2p_keeper *k)
{
    for (size_t i = k->count; i-- > 0;)
        if (!k->jobs[i].is_listed) {
            end_watch(&k->jobs[i]);
            k->jobs[i] = k->jobs[--k->count];
        }
}

/* Pauses rise while the source is away; news of the source are looked for regularly. */
static void
plan_next(struct p2p_keeper *k, struct kept_job *kept, const struct p2p_mirror *job)
{
    bool is_away = job->state == P2P_MIRROR_AWAY || job->state == P2P_MIRROR_FAILED;

    if (!is_away)
        kept->pause_ms = job->state == P2P_MIRROR_WORKING && SOON_MS < k->opt.every_ms
                             ? SOON_MS
                             : k->opt.every_ms;
    else if (!kept->was_away)
        kept->pause_ms = BACK_OFF_MS < k->opt.every_ms ? BACK_OFF_MS : k->opt.every_ms;
    else
        kept->pause_ms =
            kept->pause_ms * 2 < LONGEST_MS ? kept->pause_ms * 2 : LONGEST_MS;
    kept->was_away = is_away;
    kept->next_ms = p2p_now_ms() + kept->pause_ms;
    if (!is_away && job->state != P2P_MIRROR_WORKING &&
        p2p_mirror_watch_is_live(kept->watch))
        kept->next_ms += (WATCHED - 1) * kept->pause_ms;
}

static void
run_job(struct p2p_keeper *k, struct kept_job *kept, struct p2p_mirror *job)
{
    enum p2p_mirror_state before = job->state;
    char message[sizeof(job->message)];

    memcpy(message, job->message, sizeof(message));
    k->now = kept;
    k->was_interrupted = false;
    k->looked_ms = p2p_now_ms();
    if (before != P2P_MIRROR_IN_STEP) {
        job->state = P2P_MIRROR_WORKING;
        store(k, job);
    }
    if (kept->list_ms == 0 || job->wants_list || p2p_now_ms() >= kept->list_ms) {
        job->wants_list |= kept->list_ms != 0;
        kept->list_ms = p2p_now_ms() + LIST_MS;
    }
    p2p_mirror_round(&k->opt, job, should_stop, k);
    if (k->was_interrupted || is_stopping(k)) {
        job->state = before == P2P_MIRROR_WORKING ? P2P_MIRROR_NEW : before;
        job->checked_s = 0;
    }
    store(k, job);
    if (job->state == P2P_MIRROR_WAITING && strcmp(message, job->message) != 0)
        p2p_log_warn("a mirror waits id=%s folder=%s: %s", job->id, job->base,
                     job->message);
    if (job->once && job->state == P2P_MIRROR_IN_STEP &&
        p2p_mirrors_pause(k->keys_dir, job->id, true) != P2P_OK)
        p2p_log_warn("cannot end a mirror that runs once id=%s", job->id);
    plan_next(k, kept, job);
    watch(k, kept, job);
}

static void
run_due(struct p2p_keeper *k)
{
    struct p2p_mirror *jobs = NULL;
    size_t count = 0;
    enum p2p_err err = p2p_mirrors_list(k->keys_dir, &jobs, &count);

    if (err != P2P_OK)
        p2p_log_debug("cannot read the mirrors error=%s", p2p_err_name(err));
    for (size_t i = 0; i < k->count; i++)
        k->jobs[i].is_listed = false;
    for (size_t i = 0; i < count; i++) {
        struct kept_job *kept = remember(k, jobs[i].id);
        if (kept != NULL)
            kept->is_listed = true;
    }
    if (err == P2P_OK)
        forget_removed(k);
    for (size_t i = 0; i < count && !is_stopping(k); i++) {
        struct kept_job *kept = remember(k, jobs[i].id);
        bool is_paused, has_news;
        if (kept == NULL)
            continue;
        uint64_t wishes = p2p_mirrors_wishes(k->keys_dir, jobs[i].id, &is_paused);
        if (wishes == 0 || is_paused)
            end_watch(kept);
        /* A watch that has ended could not connect, or lost its source. */
        has_news = p2p_mirror_watch_take_news(kept->watch) ||
                   (kept->watch != NULL && p2p_mirror_watch_is_over(kept->watch));
        bool is_due =
            has_news || p2p_now_ms() >= kept->next_ms || wishes != kept->wishes;
        /* The user has asked for a check, or accepted something. */
        jobs[i].wants_list = kept->wishes != 0 && wishes != kept->wishes;
        kept->wishes = wishes;
        if (wishes != 0 && !is_paused && is_due)
            run_job(k, kept, &jobs[i]);
    }
    free(jobs);
}

/* One process runs the jobs of a keys directory. */
static bool
has_lock(struct p2p_keeper *k)
{
    char path[PATH_MAX];

    if (k->lock_fd >= 0)
        return true;
    if (snprintf(path, sizeof(path), "%s/" LOCK_FILE, k->keys_dir) >= (int)sizeof(path))
        return false;
    k->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (k->lock_fd >= 0 && flock(k->lock_fd, LOCK_EX | LOCK_NB) != 0)
        p2p_fd_close(&k->lock_fd);
    return k->lock_fd >= 0;
}

static void *
work(void *arg)
{
    struct p2p_keeper *k = arg;
    bool stop = false;

    while (!stop) {
        uint64_t next_ms = p2p_now_ms() + LOOK_MS;
        if (has_lock(k))
            run_due(k);
        p2p_lock(&k->lock);
        while (!k->stop && !k->has_news && p2p_now_ms() < next_ms)
            (void)p2p_wait_until(&k->news, &k->lock, next_ms);
        k->has_news = false;
        stop = k->stop;
        p2p_unlock(&k->lock);
    }
    return NULL;
}

enum p2p_err
p2p_keeper_start(const struct p2p_keeper_options *opt, struct p2p_keeper **out)
{
    struct p2p_keeper *k = calloc(1, sizeof(*k));

    *out = NULL;
    if (k == NULL || (k->keys_dir = strdup(opt->keys_dir)) == NULL) {
        free(k);
        return P2P_ERR_NOMEM;
    }
    p2p_mutex_init(&k->lock);
    p2p_cond_init(&k->news);
    k->opt = *opt;
    k->opt.keys_dir = k->keys_dir;
    if (k->opt.every_ms == 0)
        k->opt.every_ms = EVERY_MS;
    k->lock_fd = -1;
    k->is_running = pthread_create(&k->thread, NULL, work, k) == 0;
    if (!k->is_running) {
        p2p_keeper_stop(k);
        return P2P_ERR_SYS;
    }
    *out = k;
    return P2P_OK;
}

void
p2p_keeper_stop(struct p2p_keeper *k)
{
    if (k == NULL)
        return;
    p2p_lock(&k->lock);
    k->stop = true;
    pthread_cond_broadcast(&k->news);
    p2p_unlock(&k->lock);
    if (k->is_running)
        pthread_join(k->thread, NULL);
    for (size_t i = 0; i < k->count; i++)
        end_watch(&k->jobs[i]);
    p2p_fd_close(&k->lock_fd);
    pthread_cond_destroy(&k->news);
    p2p_mutex_clear(&k->lock);
    free(k->keys_dir);
    free(k);
}
