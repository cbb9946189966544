#include "ui/folders/place.h"

#include <string.h>

#include "ui/folders/folders.h"
#include "ui/reply/refuse.h"

/* ---- Which folder ---- */

bool
ui_spot_find(const struct ui_folders *folders, enum ui_folder folder, const char *name,
             struct ui_spot *out)
{
    *out = (struct ui_spot){.root = folders->downloads, .name = name};
    if (folder == UI_DOWNLOADS)
        return true;
    out->share = p2p_shares_of(folders->shares, name, &out->name);
    out->root = out->share != NULL ? p2p_share_root(out->share) : NULL;
    return out->share != NULL;
}

const char *
ui_last_part(const char *name)
{
    const char *slash = strrchr(name, '/');

    return slash != NULL ? slash + 1 : name;
}

bool
ui_name_is_folder(const struct ui_folders *folders, const char *name)
{
    const struct p2p_shares_folders *all = p2p_shares_folders(folders->shares);

    for (size_t i = 0; i < all->count; i++)
        if (all->at[i].name[0] != '\0' && strcmp(all->at[i].name, name) == 0)
            return true;
    return false;
}

/* ---- Whether it is there ---- */

static uint64_t
missing_files(struct p2p_share *share)
{
    struct p2p_share_totals totals;

    p2p_share_totals(share, &totals);
    return totals.missing_files;
}

uint64_t
ui_folder_missing_files(const struct ui_folders *folders)
{
    struct p2p_share_totals totals;

    p2p_shares_totals(folders->shares, &totals);
    return totals.missing_files;
}

/* `share` is NULL for the downloads folder. */
static bool
is_away(const struct p2p_root *root, struct p2p_share *share)
{
    return !p2p_root_is_in_place(root) || (share != NULL && missing_files(share) > 0);
}

uint32_t
ui_folder_away(const struct ui_folders *folders, enum ui_folder folder)
{
    size_t count = p2p_shares_folders(folders->shares)->count;
    uint32_t away = 0;

    if (folder == UI_DOWNLOADS)
        return is_away(folders->downloads, NULL);
    for (size_t i = 0; i < count; i++) {
        struct p2p_share *share = p2p_shares_at(folders->shares, i);
        away |= (uint32_t)is_away(p2p_share_root(share), share) << i;
    }
    return away;
}

bool
ui_folder_is_away(const struct ui_folders *folders, enum ui_folder folder)
{
    return ui_folder_away(folders, folder) != 0;
}

bool
ui_spot_is_away(const struct ui_spot *at)
{
    return is_away(at->root, at->share);
}

/* ---- For requests ---- */

/* Answers 503 with a sentence that has the path. */
static void
fail_away(struct http_request *req, const struct p2p_root *root, bool is_shared)
{
    const char *what = is_shared ? "shared" : "downloads", *path = p2p_root_path(root);

    if (p2p_root_is_in_place(root))
        http_fail(req, 503, "folder_away",
                  "the %s folder %s is empty and had files. Mount its disk or put the "
                  "files back. If they were deleted, confirm it with `p2p share "
                  "confirm` or in the dashboard",
                  what, path);
    else
        http_fail(req, 503, "folder_away",
                  "the %s folder is missing: %s was moved, deleted or unmounted. Put "
                  "it back or create it again",
                  what, path);
}

bool
ui_check_spot_is_there(struct http_request *req, const struct ui_spot *at)
{
    if (!ui_spot_is_away(at))
        return true;
    fail_away(req, at->root, at->share != NULL);
    return false;
}

bool
ui_check_spot(struct http_request *req, const struct ui_folders *folders,
              enum ui_folder folder, const char *name, struct ui_spot *out)
{
    if (!ui_spot_find(folders, folder, name, out)) {
        ui_fail(req, P2P_ERR_NOT_FOUND, "no shared folder has such a name");
        return false;
    }
    return ui_check_spot_is_there(req, out);
}

bool
ui_check_folder(struct http_request *req, const struct ui_folders *folders,
                enum ui_folder folder)
{
    size_t count = p2p_shares_folders(folders->shares)->count;
    const struct p2p_root *first =
        folder == UI_SHARED ? p2p_share_root(p2p_shares_at(folders->shares, 0))
                            : folders->downloads;
    uint32_t all = folder == UI_SHARED ? (1u << count) - 1 : 1;

    if (ui_folder_away(folders, folder) != all)
        return true;
    fail_away(req, first, folder == UI_SHARED);
    return false;
}

const char *
ui_folder_state(const struct ui_folders *folders, enum ui_folder folder)
{
    return ui_folder_is_away(folders, folder) ? "away" : "ok";
}
