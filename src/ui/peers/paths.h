/*
 * paths - by which path each peer was reached last: the latest peers only. No lock of
 * its own.
 */
#ifndef P2P_UI_PATHS_H
#define P2P_UI_PATHS_H

#include "p2p/reach.h"

enum { UI_PATHS_KEPT = 64 };

struct ui_path {
    struct p2p_id id;
    enum p2p_path_kind kind;
    uint64_t rtt_us; /* of a channel */
    uint64_t turn;   /* of the latest note; 0: this place is free */
};
struct ui_paths {
    struct ui_path at[UI_PATHS_KEPT];
    uint64_t turn;
};

/* When all places are taken, the peer that was not noted for longest is forgotten. */
void ui_paths_note(struct ui_paths *paths, const struct p2p_id *id,
                   enum p2p_path_kind kind, uint64_t rtt_us);
/* NULL: unknown. Borrowed until the next note. */
const struct ui_path *ui_paths_find(const struct ui_paths *paths,
                                    const struct p2p_id *id);

#endif
