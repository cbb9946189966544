#include "ui/peers/paths.h"

static struct ui_path *
place_of(struct ui_paths *paths, const struct p2p_id *id)
{
    struct ui_path *oldest = &paths->at[0];

    for (size_t i = 0; i < UI_PATHS_KEPT; i++) {
        struct ui_path *path = &paths->at[i];

        if (path->turn != 0 && p2p_id_equal(&path->id, id))
            return path;
        if (path->turn < oldest->turn)
            oldest = path;
    }
    return oldest;
}

void
ui_paths_note(struct ui_paths *paths, const struct p2p_id *id, enum p2p_path_kind kind,
              uint64_t rtt_us)
{
    *place_of(paths, id) = (struct ui_path){*id, kind, rtt_us, ++paths->turn};
}

const struct ui_path *
ui_paths_find(const struct ui_paths *paths, const struct p2p_id *id)
{
    for (size_t i = 0; i < UI_PATHS_KEPT; i++)
        if (paths->at[i].turn != 0 && p2p_id_equal(&paths->at[i].id, id))
            return &paths->at[i];
    return NULL;
}
