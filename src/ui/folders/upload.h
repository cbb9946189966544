/* POST /api/upload: multipart bodies into the shared folder, through a file in `.p2p/`.
 */
#ifndef P2P_UI_UPLOAD_H
#define P2P_UI_UPLOAD_H

#include "http/http.h"

#define UI_UPLOAD_PREFIX \
    "upload-" /* of the private files; each is locked while it is written */

/* The handlers get a struct ui_folders. Takes the body part by part, as it arrives. */
void ui_upload_handle(struct http_request *req, void *folders);
/* GET /api/shares/check: checks whether an upload with this name and size would be
 * accepted, before it is sent. */
void ui_upload_handle_check(struct http_request *req, void *folders);

#endif
