#include "ui/folders/place.h"

#include <stdio.h>

#include "ui/folders/folders.h"

static const struct p2p_root *
root_of(const struct ui_folders *folders, enum ui_folder folder)
{
    return folder == UI_SHARED ? folders->shared : folders->downloads;
}

uint64_t
ui_folder_missing_files(const struct ui_folders *folders)
{
    struct p2p_share_totals totals;

    p2p_share_totals(folders->share, &totals);
    return totals.missing_files;
}

bool
ui_folder_is_away(const struct ui_folders *folders, enum ui_folder folder)
{
    return !p2p_root_is_in_place(root_of(folders, folder)) ||
           (folder == UI_SHARED && ui_folder_missing_files(folders) > 0);
}

void
ui_folder_away_text(const struct ui_folders *folders, enum ui_folder folder, char *out,
                    size_t cap)
{
    const struct p2p_root *root = root_of(folders, folder);

    if (p2p_root_is_in_place(root))
        snprintf(out, cap,
                 "the %s folder %s is empty and had files. Mount its disk or put the "
                 "files back. If they were deleted, confirm it with `p2p share "
                 "confirm` or in the dashboard",
                 folder == UI_SHARED ? "shared" : "downloads", p2p_root_path(root));
    else
        snprintf(out, cap,
                 "the %s folder is missing: %s was moved, deleted or unmounted. Put it "
                 "back or create it again",
                 folder == UI_SHARED ? "shared" : "downloads", p2p_root_path(root));
}

bool
ui_check_folder(struct http_request *req, const struct ui_folders *folders,
                enum ui_folder folder)
{
    char text[512];

    if (!ui_folder_is_away(folders, folder))
        return true;
    ui_folder_away_text(folders, folder, text, sizeof(text));
    http_fail(req, 503, "folder_away", "%s", text);
    return false;
}

const char *
ui_folder_state(const struct ui_folders *folders, enum ui_folder folder)
{
    return ui_folder_is_away(folders, folder) ? "away" : "ok";
}
