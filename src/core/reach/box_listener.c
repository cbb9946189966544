/* Listens to one box at each registry: see box_listener.h. */
#include "core/reach/box_listener.h"

#include <pthread.h>
#include <stdlib.h>

#include "p2p/clock.h"
#include "p2p/lock.h"

enum {
    WAIT_S = 50,
    PAUSE_MIN_MS = 1000, /* after a failure, doubled each time */
    PAUSE_MAX_MS = 30000,
    REGISTRIES_MAX = 16,
};

/* One thread for each registry. */
struct ear {
    struct p2p_box_listener *listener;
    size_t registry;
    pthread_t thread;
};

P2P_MUTEX_KIND(p2p_box_listener_lock);
struct p2p_box_listener {
    struct p2p_box_listener_options opt;
    struct p2p_stop *stop;
    struct ear ears[REGISTRIES_MAX];
    size_t ear_count;
    struct p2p_box_listener_lock lock;
    pthread_cond_t changed; /* stop, or an answer has ended */
    struct p2p_callers callers P2P_GUARDED_BY(p2p_box_listener_lock);
    unsigned answers P2P_GUARDED_BY(p2p_box_listener_lock);
};

/* ---- answering ---- */

struct answering {
    struct p2p_box_listener *listener;
    void (*answer)(void *arg);
    void *arg;
};

static void
leave_place(struct p2p_box_listener *l)
{
    p2p_lock(&l->lock);
    l->answers--;
    pthread_cond_broadcast(&l->changed);
    p2p_unlock(&l->lock);
}

static void *
answer_main(void *arg)
{
    struct answering a = *(struct answering *)arg;

    free(arg);
    a.answer(a.arg);
    leave_place(a.listener);
    return NULL;
}

bool
p2p_box_listener_answer(struct p2p_box_listener *l, void (*answer)(void *arg),
                        void *arg)
{
    struct answering *a = malloc(sizeof(*a));
    pthread_attr_t detached;
    pthread_t thread;
    bool is_started = false;

    if (a != NULL && pthread_attr_init(&detached) == 0) {
        *a = (struct answering){l, answer, arg};
        pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
        is_started = pthread_create(&thread, &detached, answer_main, a) == 0;
        pthread_attr_destroy(&detached);
    }
    if (!is_started) {
        free(a);
        leave_place(l);
    }
    return is_started;
}

bool
p2p_box_listener_knows(struct p2p_box_listener *l, const struct p2p_session_id *session)
{
    p2p_lock(&l->lock);
    bool is_known = p2p_callers_knows(&l->callers, session, p2p_now_ms());
    p2p_unlock(&l->lock);
    return is_known;
}

enum p2p_err
p2p_box_listener_take(struct p2p_box_listener *l, const struct p2p_session_id *session,
                      const struct p2p_id *from)
{
    uint64_t now_ms = p2p_now_ms();
    enum p2p_err err = P2P_ERR_RATE_LIMITED;

    p2p_lock(&l->lock);
    if (p2p_callers_knows(&l->callers, session, now_ms)) {
        err = P2P_ERR_EXISTS;
    } else if (l->answers < l->opt.answers_max &&
               p2p_callers_take(&l->callers, session, from, now_ms)) {
        l->answers++;
        err = P2P_OK;
    }
    p2p_unlock(&l->lock);
    return err;
}

/* ---- listening ---- */

static void
rest(struct p2p_box_listener *l, uint64_t ms)
{
    uint64_t until = p2p_now_ms() + ms;

    p2p_lock(&l->lock);
    while (!p2p_stop_is_set(l->stop) && p2p_wait_until(&l->changed, &l->lock, until))
        continue;
    p2p_unlock(&l->lock);
}

static void
on_message(void *arg, const char *text, size_t len)
{
    const struct ear *ear = arg;
    const struct p2p_box_listener_options *opt = &ear->listener->opt;

    opt->on_message(opt->arg, ear->registry, text, len);
}

static void *
listen_main(void *arg)
{
    struct ear *ear = arg;
    struct p2p_box_listener *l = ear->listener;
    const struct p2p_box_listener_options *opt = &l->opt;
    uint64_t pause_ms = PAUSE_MIN_MS, after = 0;
    const struct p2p_box_wait wait = {.box = opt->box,
                                      .key = opt->key,
                                      .wait_s = WAIT_S,
                                      .is_link = opt->is_link,
                                      .stop = l->stop};

    while (!p2p_stop_is_set(l->stop)) {
        if (opt->on_wait != NULL)
            opt->on_wait(opt->arg, ear->registry);
        if (p2p_box_read(opt->discovery, ear->registry, &wait, &after, on_message,
                         ear) == P2P_OK) {
            pause_ms = PAUSE_MIN_MS;
            continue;
        }
        rest(l, pause_ms);
        pause_ms = pause_ms * 2 < PAUSE_MAX_MS ? pause_ms * 2 : PAUSE_MAX_MS;
    }
    if (opt->on_end != NULL)
        opt->on_end(opt->arg, ear->registry);
    return NULL;
}

/* ---- life ---- */

enum p2p_err
p2p_box_listener_new(const struct p2p_box_listener_options *opt,
                     struct p2p_box_listener **out)
{
    struct p2p_box_listener *l = calloc(1, sizeof(*l));
    enum p2p_err err;

    *out = NULL;
    if (l == NULL)
        return P2P_ERR_NOMEM;
    l->opt = *opt;
    p2p_mutex_init(&l->lock);
    p2p_cond_init(&l->changed);
    err = p2p_stop_new(&l->stop);
    if (err == P2P_OK)
        *out = l;
    else
        p2p_box_listener_free(l);
    return err;
}

enum p2p_err
p2p_box_listener_start(struct p2p_box_listener *l)
{
    size_t count = p2p_discovery_count(l->opt.discovery);

    for (size_t i = 0; i < count && i < REGISTRIES_MAX; i++) {
        struct ear *ear = &l->ears[i];
        *ear = (struct ear){.listener = l, .registry = i};
        if (pthread_create(&ear->thread, NULL, listen_main, ear) != 0)
            return P2P_ERR_SYS;
        l->ear_count++;
    }
    return P2P_OK;
}

struct p2p_stop *
p2p_box_listener_stop(struct p2p_box_listener *l)
{
    return l->stop;
}

void
p2p_box_listener_free(struct p2p_box_listener *l)
{
    if (l == NULL)
        return;
    p2p_lock(&l->lock);
    if (l->stop != NULL)
        p2p_stop_set(l->stop);
    pthread_cond_broadcast(&l->changed);
    p2p_unlock(&l->lock);
    for (size_t i = 0; i < l->ear_count; i++)
        pthread_join(l->ears[i].thread, NULL);
    p2p_lock(&l->lock);
    while (l->answers > 0)
        p2p_wait(&l->changed, &l->lock);
    p2p_unlock(&l->lock);
    p2p_stop_free(l->stop);
    pthread_cond_destroy(&l->changed);
    p2p_mutex_clear(&l->lock);
    free(l);
}
