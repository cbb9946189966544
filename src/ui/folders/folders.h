/*
 * folders - what the files of this room get: the shared folders, the downloads folder,
 * and what is kept about them. The program sets the members before the first request
 * and clears them after the last one; in between they do not change.
 */
#ifndef P2P_UI_FOLDERS_H
#define P2P_UI_FOLDERS_H

#include <stdint.h>

#include "p2p/path.h"
#include "p2p/shares.h"

struct p2p_tender;
struct ui_archives;
struct ui_chosen;
struct ui_events;
struct ui_listings;
struct ui_store;
struct ui_thumbs;
struct ui_trash;
struct ui_watch;

struct ui_folders {
    struct p2p_shares *shares;
    struct p2p_root *downloads;
    struct ui_listings *listings;
    struct ui_archives *archives;
    struct ui_chosen *chosen;
    struct ui_thumbs *thumbs;
    struct ui_trash *trash;
    struct p2p_tender *keeping;     /* old versions */
    const struct ui_events *events; /* NULL: nobody is told */
    struct ui_store *store;
    struct ui_watch *watch;
    uint64_t max_upload; /* bytes of one upload; 0: no limit */
};

#endif
