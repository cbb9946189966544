/* place - tells which folder a name leads to, and whether the shared folders and the
 * downloads folder are at their paths. */
#ifndef P2P_UI_PLACE_H
#define P2P_UI_PLACE_H

#include <stdint.h>

#include "http/http.h"
#include "p2p/shares.h"
#include "ui/folders/listing.h"

/* Where a name leads to. */
struct ui_spot {
    const struct p2p_root *root;
    struct p2p_share *share; /* NULL: the downloads folder */
    const char *name;        /* in that folder; borrowed from the whole name */
};
/* False: the name belongs to no shared folder, because each of them has a name of its
 * own. */
bool ui_spot_find(const struct ui_folders *folders, enum ui_folder folder,
                  const char *name, struct ui_spot *out);
/* The same for a request: answers 404 if the name belongs to no folder, and 503
 * `folder_away` if the folder is not there. */
bool ui_check_spot(struct http_request *req, const struct ui_folders *folders,
                   enum ui_folder folder, const char *name, struct ui_spot *out);

/* True if the folder was moved, deleted, unmounted or emptied. Accesses the disk. */
bool ui_spot_is_away(const struct ui_spot *at);
/* True if it is not; otherwise answers 503 `folder_away`. */
bool ui_check_spot_is_there(struct http_request *req, const struct ui_spot *at);
/* The part of a name or path after its last slash. */
const char *ui_last_part(const char *name);
/* True if a shared folder is called so: no file of the folder with bare names can be.
 */
bool ui_name_is_folder(const struct ui_folders *folders, const char *name);

/* The number of files that empty shared folders had, if their deletion was not
 * confirmed; otherwise 0. */
uint64_t ui_folder_missing_files(const struct ui_folders *folders);
/* A bit for each folder that was moved, deleted or unmounted, and for each shared
 * folder that was emptied: 1 << its position. Accesses the disk. */
uint32_t ui_folder_away(const struct ui_folders *folders, enum ui_folder folder);
/* True if any of them is. */
bool ui_folder_is_away(const struct ui_folders *folders, enum ui_folder folder);
/* True unless all of them are away; then answers 503 `folder_away`. */
bool ui_check_folder(struct http_request *req, const struct ui_folders *folders,
                     enum ui_folder folder);
/* For people and scripts: "ok" or "away". */
const char *ui_folder_state(const struct ui_folders *folders, enum ui_folder folder);

#endif
