/* Answers that are not JSON: the dashboard's files, the event stream, the description
 * of the API. */
#include <stdio.h>
#include <string.h>

#include "http/sse.h"
#include "ui/access/access.h"
#include "ui/api.h"
#include "ui/app.h"
#include "ui/openapi.h"
#include "ui/reply/refuse.h"
#include "ui/state/watch.h"
#include "ui/web.h"

void
ui_api_events(struct http_request *req, void *arg)
{
    struct ui_app *app = arg;

    http_sse_follow(app->events.sse, req);
    ui_watch_report(app->watch, UI_NEWS_OTHER);
}

void
ui_api_openapi(struct http_request *req, void *app)
{
    (void)app;
    http_reply(req, 200, "application/yaml", ui_openapi_text, (size_t)ui_openapi_len);
}

static bool
is_api(const char *path)
{
    return strcmp(path, "api") == 0 || strncmp(path, "api/", 4) == 0;
}

/* Under /api an unknown caller learns nothing, not even which paths exist. Errors there
 * are always JSON. */
void
ui_api_nothing(struct http_request *req, void *arg)
{
    const char *path = http_param(req, "path");

    if (path != NULL && is_api(path) &&
        !ui_access_require(req, &((struct ui_app *)arg)->access))
        return;
    ui_fail(req, P2P_ERR_NOT_FOUND, "there is nothing at this path");
}

/* A view of the dashboard that somebody typed as a path: /share is #/share. */
static bool
is_view(const char *path)
{
    static const char *const views[] = {"share",     "search", "transfers",
                                        "downloads", "peers",  "settings"};

    for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++)
        if (strcmp(path, views[i]) == 0)
            return true;
    return false;
}

static void
go_to_view(struct http_request *req, const char *view)
{
    char where[32];

    snprintf(where, sizeof(where), "./#/%s", view);
    http_set_header(req, "Location", where);
    http_reply_empty(req, 302);
}

void
ui_api_page(struct http_request *req, void *arg)
{
    struct ui_app *app = arg;
    const char *path = http_param(req, "path");

    if (path != NULL && is_api(path))
        ui_api_nothing(req, arg);
    else if (path != NULL && is_view(path))
        go_to_view(req, path);
    else if (app->web != NULL)
        ui_web_reply(req, app->web, path != NULL ? path : "");
    else
        http_fail(req, 404, "no_pages",
                  "p2p-ui did not find the dashboard's pages when it started "
                  "(--web-dir); only the API under /api works");
}
