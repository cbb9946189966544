/* thumbs - small pictures of the files in both folders (pictures/helper.h makes them).
 */
#ifndef P2P_UI_THUMBS_H
#define P2P_UI_THUMBS_H

#include "http/http.h"
#include "ui/folders/folders.h"

struct ui_thumbs;
/* `helper` is not taken; -1: there are no pictures. NULL: out of memory. */
struct ui_thumbs *ui_thumbs_new(int helper);
void ui_thumbs_free(struct ui_thumbs *thumbs);

/* GET /api/thumb/{root}: of a shared content. The handlers get a struct ui_folders. */
void ui_thumbs_handle_root(struct http_request *req, void *folders);
/* GET /api/thumb?of=...&path=...: of a file. */
void ui_thumbs_handle_path(struct http_request *req, void *folders);

#endif
