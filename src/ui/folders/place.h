/* place - tells whether the shared folder and the downloads folder are at their
 * paths. */
#ifndef P2P_UI_PLACE_H
#define P2P_UI_PLACE_H

#include "http/http.h"
#include "ui/folders/listing.h"

/* The number of files that the shared folder had, if it is empty and their deletion was
 * not confirmed; otherwise 0. */
uint64_t ui_folder_missing_files(const struct ui_folders *folders);
/* True if the folder was moved, deleted or unmounted, or the shared folder was emptied.
 * Accesses the disk. */
bool ui_folder_is_away(const struct ui_folders *folders, enum ui_folder folder);
/* The sentence for people, with the path; `out` holds `cap` bytes. */
void ui_folder_away_text(const struct ui_folders *folders, enum ui_folder folder,
                         char *out, size_t cap);
/* True if the folder is there; otherwise answers 503 `folder_away`. */
bool ui_check_folder(struct http_request *req, const struct ui_folders *folders,
                     enum ui_folder folder);
/* For people and scripts: "ok" or "away". */
const char *ui_folder_state(const struct ui_folders *folders, enum ui_folder folder);

#endif
