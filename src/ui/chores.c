/* The work of the watch thread: tells the dashboards about changes, and does work that
 * is due. */
#include "ui/chores.h"

#include <stdlib.h>
#include <string.h>

#include "http/sse.h"
#include "p2p/clock.h"
#include "p2p/log.h"
#include "ui/app.h"
#include "ui/folders/files.h"
#include "ui/folders/keeping.h"
#include "ui/folders/listing.h"
#include "ui/folders/place.h"
#include "ui/folders/trash.h"
#include "ui/peers/peers.h"
#include "ui/reply/json.h"
#include "ui/state/events.h"
#include "ui/status.h"

#define LOOK_EVERY_MS 10000
#define PLACE_LOOK_MS 2000 /* whether the folders are at their paths */
#define CHANGES_MAX   100  /* with more, the page reads the list again */

/* Used by the watch's thread only. */
struct ui_chores {
    struct ui_app *app;
    uint32_t away[UI_FOLDERS];       /* as last seen */
    const struct ui_listing *shared; /* as the pages know it */
    uint64_t look_at_ms;             /* at the peers, while a page follows the events */
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
tell_shared(struct ui_chores *c, const struct ui_listing *is, bool reload)
{
    static const struct ui_listing nothing;
    struct difference d = {.count = 0};
    struct http_json_out o;

    http_json_init(&d.changed, 256);
    http_json_begin(&d.changed, NULL, '[');
    http_json_init(&d.removed, 64);
    http_json_begin(&d.removed, NULL, '[');
    compare(c->shared != NULL ? c->shared : &nothing, is, &d);
    reload |= d.count > CHANGES_MAX || c->shared == NULL;
    ui_json_begin(&o, 512);
    http_json_put_u64(&o, "count", is->count);
    http_json_put_u64(&o, "total_size", is->total_size);
    put_list(&o, "changed", &d.changed, reload);
    put_list(&o, "removed", &d.removed, reload);
    http_json_put_bool(&o, "reload", reload);
    http_json_end(&o, '}');
    if (d.count > 0 || reload)
        ui_event_publish(&c->app->events, "shared", &o);
    else
        http_json_clear(&o);
}

/* `moved`: pages may know a listing that was never told. */
static void
look_at_shared(struct ui_chores *c, bool moved)
{
    const struct ui_listing *is;

    if (ui_listing_get(&c->app->folders, UI_SHARED, &is) != P2P_OK)
        return;
    if (c->shared == is &&
        !moved) { /* no new listing was made: there is nothing to report */
        ui_listing_release(is);
        return;
    }
    tell_shared(c, is, moved);
    if (c->shared != NULL)
        ui_listing_release(c->shared);
    c->shared = is;
}

static void
look_at_downloads(struct ui_chores *c)
{
    const struct ui_listing *is;
    struct http_json_out o;

    if (ui_listing_get(&c->app->folders, UI_DOWNLOADS, &is) != P2P_OK)
        return;
    ui_json_begin(&o, 64);
    http_json_put_u64(&o, "count", is->count);
    http_json_put_u64(&o, "total_size", is->total_size);
    http_json_end(&o, '}');
    ui_event_publish(&c->app->events, "downloads", &o);
    ui_listing_release(is);
}

static bool
is_followed(const struct ui_chores *c)
{
    return http_sse_count(c->app->events.sse) > 0;
}

static void
look_at_peers(struct ui_chores *c)
{
    if (ui_peers_look(c->app->peers))
        ui_event_count(&c->app->events, "peers", ui_peers_count(c->app->peers));
    ui_status_publish(c->app);
}

/* True if the folder went away or came back, even if it was away only between two calls
 * and a page saw it so. */
static bool
notice_place(struct ui_chores *c, enum ui_folder folder)
{
    uint32_t away = ui_folder_away(&c->app->folders, folder);
    bool is_news = away != c->away[folder];

    if (ui_listing_take_back(&c->app->folders, folder, away))
        is_news = true;
    c->away[folder] = away;
    return is_news;
}

/* The share writes the log line of its own folder. */
static bool
notice_downloads(struct ui_chores *c)
{
    bool was_away = c->away[UI_DOWNLOADS] != 0, is_news = notice_place(c, UI_DOWNLOADS),
         is_away = c->away[UI_DOWNLOADS] != 0;

    if (is_away && !was_away)
        p2p_log_warn(
            "the downloads folder %s is missing: transfers wait until it is back",
            p2p_root_path(c->app->folders.downloads));
    else if (was_away && !is_away)
        p2p_log_info("the downloads folder is back at %s",
                     p2p_root_path(c->app->folders.downloads));
    return is_news;
}

/* When the next chore is due. */
static uint64_t
next_due_ms(struct ui_chores *c)
{
    uint64_t due_ms = ui_trash_due_ms(c->app->folders.trash), now_ms = p2p_now_ms();

    if (due_ms > now_ms + PLACE_LOOK_MS)
        due_ms = now_ms + PLACE_LOOK_MS;
    if (is_followed(c) && c->look_at_ms < due_ms)
        due_ms = c->look_at_ms;
    return due_ms;
}

uint64_t
ui_chores_run(void *chores, const bool news[UI_NEWS])
{
    struct ui_chores *c = chores;
    bool downloads = news[UI_NEWS_DOWNLOADS] | notice_downloads(c),
         moved = notice_place(c, UI_SHARED), shared = news[UI_NEWS_SHARED] || moved;

    ui_trash_expire(c->app->folders.trash);
    if (shared)
        look_at_shared(c, moved);
    if (downloads)
        look_at_downloads(c);
    if (news[UI_NEWS_VERSIONS])
        ui_keeping_tell(&c->app->folders, NULL);
    if (news[UI_NEWS_PEERS] || (is_followed(c) && p2p_now_ms() >= c->look_at_ms)) {
        look_at_peers(c);
        c->look_at_ms = p2p_now_ms() + LOOK_EVERY_MS;
    } else if (shared || downloads)
        ui_status_publish(c->app);
    return next_due_ms(c);
}

struct ui_chores *
ui_chores_new(struct ui_app *app)
{
    struct ui_chores *c = calloc(1, sizeof(*c));

    if (c != NULL)
        c->app = app;
    return c;
}

void
ui_chores_free(struct ui_chores *c)
{
    if (c != NULL && c->shared != NULL)
        ui_listing_release(c->shared);
    free(c);
}
