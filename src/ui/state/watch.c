#include "ui/state/watch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "http/sse.h"
#include "p2p/lock.h"
#include "p2p/log.h"
#include "p2p/net.h"
#include "ui/app.h"
#include "ui/folders/files.h"
#include "ui/folders/place.h"
#include "ui/folders/trash.h"
#include "ui/peers/peers.h"
#include "ui/reply/json.h"
#include "ui/state/events.h"
#include "ui/status.h"

#define LOOK_EVERY_MS 10000
#define PLACE_LOOK_MS 2000 /* true if the downloads folder is at its path */
#define CHANGES_MAX   100  /* with more changes, the page reads the list again */

P2P_MUTEX_KIND(ui_watch_lock);
struct ui_watch {
    struct ui_app *app;
    pthread_t thread;
    struct ui_watch_lock lock;
    pthread_cond_t woken;
    bool has_thread, is_stopping, has_folder[UI_FOLDERS], has_peers, has_news;
    bool is_away;                    /* the downloads folder, as last seen */
    const struct ui_listing *shared; /* in the state that the pages know */
};

/* ---- shared files: what is new since the last time ---- */

struct difference {
    struct http_json_out changed, removed;
    size_t count;
};

static bool
is_same_file(const struct ui_file *a, const struct ui_file *b)
{
    return a->size == b->size && a->mtime_s == b->mtime_s && a->state == b->state &&
           a->sha256_known == b->sha256_known &&
           memcmp(a->root.b, b->root.b, sizeof(a->root.b)) == 0;
}

/* Both are sorted by name: one walk along the two. */
static void
compare(const struct ui_listing *was, const struct ui_listing *is, struct difference *d)
{
    size_t i = 0, j = 0;

    while (i < was->count || j < is->count) {
        int order = i == was->count  ? 1
                    : j == is->count ? -1
                                     : strcmp(was->files[i].name, is->files[j].name);

        if (order < 0) {
            http_json_put_string(&d->removed, NULL, was->files[i++].name);
            d->count++;
        } else if (order > 0 || !is_same_file(&was->files[i], &is->files[j])) {
            ui_files_put_shared(&d->changed, &is->files[j]);
            d->count++;
            j++;
            i += order == 0;
        } else {
            i++;
            j++;
        }
    }
}

static void
put_list(struct http_json_out *o, const char *name, struct http_json_out *list,
         bool leave)
{
    size_t len;
    char *text;

    http_json_end(list, ']');
    text = http_json_take(list, &len);
    if (leave || text == NULL) {
        http_json_begin(o, name, '[');
        http_json_end(o, ']');
    } else
        http_json_put_json(o, name, text, len);
    free(text);
}

static void
tell_shared(struct ui_watch *w, const struct ui_listing *is)
{
    static const struct ui_listing nothing;
    struct difference d = {.count = 0};
    struct http_json_out o;
    bool reload;

    http_json_init(&d.changed, 256);
    http_json_begin(&d.changed, NULL, '[');
    http_json_init(&d.removed, 64);
    http_json_begin(&d.removed, NULL, '[');
    compare(w->shared != NULL ? w->shared : &nothing, is, &d);
    reload = d.count > CHANGES_MAX || w->shared == NULL;
    ui_json_begin(&o, 512);
    http_json_put_u64(&o, "count", is->count);
    http_json_put_u64(&o, "total_size", is->total_size);
    put_list(&o, "changed", &d.changed, reload);
    put_list(&o, "removed", &d.removed, reload);
    http_json_put_bool(&o, "reload", reload);
    http_json_end(&o, '}');
    if (d.count > 0 || reload)
        ui_event_publish(w->app, "shared", &o);
    else
        http_json_clear(&o);
}

static void
look_at_shared(struct ui_watch *w)
{
    const struct ui_listing *is;

    if (ui_listing_get(w->app, UI_SHARED, &is) != P2P_OK)
        return;
    if (w->shared == is) { /* no new listing was made: there is nothing to report */
        ui_listing_release(is);
        return;
    }
    tell_shared(w, is);
    if (w->shared != NULL)
        ui_listing_release(w->shared);
    w->shared = is;
}

static void
look_at_downloads(struct ui_watch *w)
{
    const struct ui_listing *is;
    struct http_json_out o;

    if (ui_listing_get(w->app, UI_DOWNLOADS, &is) != P2P_OK)
        return;
    ui_json_begin(&o, 64);
    http_json_put_u64(&o, "count", is->count);
    http_json_put_u64(&o, "total_size", is->total_size);
    http_json_end(&o, '}');
    ui_event_publish(w->app, "downloads", &o);
    ui_listing_release(is);
}

/* ---- the thread ---- */

static bool
is_followed(const struct ui_watch *w)
{
    return http_sse_count(w->app->events) > 0;
}

static void
look_at_peers(struct ui_watch *w)
{
    if (ui_peers_look(w->app))
        ui_event_count(w->app, "peers", ui_peers_count(w->app));
    ui_status_publish(w->app);
}

/* The share reports changes of its own folder. */
static bool
notice_place(struct ui_watch *w)
{
    bool is_away = ui_folder_is_away(w->app, UI_DOWNLOADS),
         is_news = is_away != w->is_away;

    if (is_news && is_away)
        p2p_log_warn(
            "the downloads folder %s is missing: transfers wait until it is back",
            p2p_root_path(w->app->downloads));
    else if (is_news)
        p2p_log_info("the downloads folder is back at %s",
                     p2p_root_path(w->app->downloads));
    w->is_away = is_away;
    return is_news;
}

/* Under the lock: waits until something is reported or due. */
static void
sleep_some(struct ui_watch *w, uint64_t look_at_ms)
{
    uint64_t due_ms = ui_trash_due_ms(w->app->trash), now_ms = p2p_now_ms();

    if (due_ms > now_ms + PLACE_LOOK_MS)
        due_ms = now_ms + PLACE_LOOK_MS;
    if (is_followed(w) && look_at_ms < due_ms)
        due_ms = look_at_ms;
    if (w->has_news || due_ms <= now_ms)
        return;
    (void)p2p_wait_until(&w->woken, &w->lock, due_ms);
}

static void *
watch_main(void *arg)
{
    struct ui_watch *w = arg;
    uint64_t look_at_ms = 0;

    p2p_lock(&w->lock);
    while (!w->is_stopping) {
        bool shared = w->has_folder[UI_SHARED], downloads = w->has_folder[UI_DOWNLOADS];
        bool peers = w->has_peers;

        w->has_folder[UI_SHARED] = w->has_folder[UI_DOWNLOADS] = w->has_peers = false;
        w->has_news = false;
        p2p_unlock(&w->lock);
        ui_trash_expire(w->app->trash);
        downloads |= notice_place(w);
        if (shared)
            look_at_shared(w);
        if (downloads)
            look_at_downloads(w);
        if (peers || (is_followed(w) && p2p_now_ms() >= look_at_ms)) {
            look_at_peers(w);
            look_at_ms = p2p_now_ms() + LOOK_EVERY_MS;
        } else if (shared || downloads)
            ui_status_publish(w->app);
        p2p_lock(&w->lock);
        sleep_some(w, look_at_ms);
    }
    p2p_unlock(&w->lock);
    return NULL;
}

struct ui_watch *
ui_watch_new(struct ui_app *app)
{
    struct ui_watch *w = calloc(1, sizeof(*w));

    if (w == NULL)
        return NULL;
    w->app = app;
    p2p_mutex_init(&w->lock);
    p2p_cond_init(&w->woken);
    return w;
}

enum p2p_err
ui_watch_start(struct ui_watch *w)
{
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
    if (w->shared != NULL)
        ui_listing_release(w->shared);
    pthread_cond_destroy(&w->woken);
    p2p_mutex_clear(&w->lock);
    free(w);
}

/* ---- reports ---- */

static void
report(struct ui_watch *w, bool *flag)
{
    p2p_lock(&w->lock);
    if (flag != NULL)
        *flag = true;
    w->has_news = true;
    pthread_cond_signal(&w->woken);
    p2p_unlock(&w->lock);
}

void
ui_watch_folder(struct ui_app *app, enum ui_folder folder)
{
    ui_listing_expire(app, folder);
    report(app->watch, &app->watch->has_folder[folder]);
}

void
ui_watch_follower(struct ui_app *app)
{
    report(app->watch, NULL);
}

void
ui_watch_peers(struct ui_app *app)
{
    report(app->watch, &app->watch->has_peers);
}
