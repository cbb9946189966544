/*
 * chosen - selections of files that are too long for an address. POST /api/zip keeps
 * one for an hour, and GET /api/zip?selection=ID uses it, also to resume. They are in
 * memory; only the latest ones stay. Thread-safe.
 */
#ifndef P2P_UI_CHOSEN_H
#define P2P_UI_CHOSEN_H

#include <stddef.h>
#include <stdint.h>

#include "p2p/err.h"
#include "ui/folders/listing.h"

#define UI_CHOSEN_MAX       16u   /* selections */
#define UI_CHOSEN_PATHS_MAX 2000u /* paths of one */
#define UI_CHOSEN_ID_LEN    32u
#define UI_CHOSEN_S         3600u

struct ui_chosen;
/* *Returns owned*, free with ui_chosen_free. NULL: out of memory. */
struct ui_chosen *ui_chosen_new(void);
/* NULL is fine. */
void ui_chosen_free(struct ui_chosen *chosen);

/* Paths, each with a NUL at its end. */
struct ui_picks {
    char *at; /* owned */
    size_t len, count;
};
/* Copies the path. TOO_LARGE beyond UI_CHOSEN_PATHS_MAX, NOMEM. */
P2P_MUST_CHECK enum p2p_err ui_picks_add(struct ui_picks *paths, const char *path);
/* The one after `path`; the first one after NULL; NULL at the end. */
const char *ui_picks_next(const struct ui_picks *paths, const char *path);
void ui_picks_clear(struct ui_picks *paths);

/* Takes the paths, also after an error. `now_s`: any clock that never goes back. */
P2P_MUST_CHECK enum p2p_err ui_chosen_keep(struct ui_chosen *chosen,
                                           enum ui_folder folder,
                                           struct ui_picks *paths, uint64_t now_s,
                                           char id[UI_CHOSEN_ID_LEN + 1]);
/* Copies them. NOT_FOUND: never kept, or forgotten. */
P2P_MUST_CHECK enum p2p_err ui_chosen_find(struct ui_chosen *chosen, const char *id,
                                           uint64_t now_s, enum ui_folder *folder,
                                           struct ui_picks *paths);

#endif
