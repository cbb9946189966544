#include "ui/folders/place.h"

#include <stdio.h>

#include "ui/app.h"

static const struct p2p_root *
root_of(const struct ui_app *app, enum ui_folder folder)
{
    return folder == UI_SHARED ? app->shared : app->downloads;
}

bool
ui_folder_is_away(const struct ui_app *app, enum ui_folder folder)
{
    return !p2p_root_is_in_place(root_of(app, folder));
}

void
ui_folder_away_text(const struct ui_app *app, enum ui_folder folder, char *out,
                    size_t cap)
{
    snprintf(out, cap,
             "the %s folder is not at %s now: it was moved, deleted or unmounted. Put "
             "it back, or make it again",
             folder == UI_SHARED ? "shared" : "downloads",
             p2p_root_path(root_of(app, folder)));
}

bool
ui_check_folder(struct http_request *req, const struct ui_app *app,
                enum ui_folder folder)
{
    char text[512];

    if (!ui_folder_is_away(app, folder))
        return true;
    ui_folder_away_text(app, folder, text, sizeof(text));
    http_fail(req, 503, "folder_away", "%s", text);
    return false;
}

const char *
ui_folder_state(const struct ui_app *app, enum ui_folder folder)
{
    return ui_folder_is_away(app, folder) ? "away" : "ok";
}
