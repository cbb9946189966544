#include "ui/state/watch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/lock.h"

P2P_MUTEX_KIND(ui_watch_lock);
struct ui_watch {
    ui_watch_work *work;
    void *arg;
    pthread_t thread;
    bool has_thread;
    struct ui_watch_lock lock;
    pthread_cond_t woken;
    bool is_stopping P2P_GUARDED_BY(ui_watch_lock);
    bool has_news P2P_GUARDED_BY(ui_watch_lock);
    bool news[UI_NEWS] P2P_GUARDED_BY(ui_watch_lock);
};

/* Waits until something is reported, or until `due_ms`. False: the thread is to end. */
static bool
take_news(struct ui_watch *w, uint64_t due_ms, bool out[UI_NEWS])
{
    p2p_lock(&w->lock);
    if (!w->has_news && !w->is_stopping && due_ms > p2p_now_ms())
        (void)p2p_wait_until(&w->woken, &w->lock, due_ms);
    memcpy(out, w->news, sizeof(w->news));
    memset(w->news, 0, sizeof(w->news));
    w->has_news = false;
    bool goes_on = !w->is_stopping;
    p2p_unlock(&w->lock);
    return goes_on;
}

static void *
watch_main(void *arg)
{
    struct ui_watch *w = arg;
    uint64_t due_ms = 0;
    bool news[UI_NEWS];

    while (take_news(w, due_ms, news))
        due_ms = w->work(w->arg, news);
    return NULL;
}

struct ui_watch *
ui_watch_new(void)
{
    struct ui_watch *w = calloc(1, sizeof(*w));

    if (w == NULL)
        return NULL;
    p2p_mutex_init(&w->lock);
    p2p_cond_init(&w->woken);
    return w;
}

enum p2p_err
ui_watch_start(struct ui_watch *w, ui_watch_work *work, void *arg)
{
    w->work = work;
    w->arg = arg;
    w->has_thread = pthread_create(&w->thread, NULL, watch_main, w) == 0;
    return w->has_thread ? P2P_OK : P2P_ERR_NOMEM;
}

void
ui_watch_stop(struct ui_watch *w)
{
    if (w == NULL || !w->has_thread)
        return;
    p2p_lock(&w->lock);
    w->is_stopping = true;
    pthread_cond_signal(&w->woken);
    p2p_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    w->has_thread = false;
}

void
ui_watch_free(struct ui_watch *w)
{
    if (w == NULL)
        return;
    pthread_cond_destroy(&w->woken);
    p2p_mutex_clear(&w->lock);
    free(w);
}

void
ui_watch_report(struct ui_watch *w, enum ui_news news)
{
    p2p_lock(&w->lock);
    w->news[news] = true;
    w->has_news = true;
    pthread_cond_signal(&w->woken);
    p2p_unlock(&w->lock);
}
