/* Old versions of shared files, and deleted ones: lists, bytes, restoring, removing. */
#ifndef P2P_UI_VERSIONS_API_H
#define P2P_UI_VERSIONS_API_H

#include "http/http.h"

/* The handlers get a struct ui_folders. GET: the versions of a name. */
void ui_versions_handle_list(struct http_request *req, void *folders);
/* GET: the bytes of one version. */
void ui_versions_handle_bytes(struct http_request *req, void *folders);
/* POST: makes a version the present content. */
void ui_versions_handle_restore(struct http_request *req, void *folders);
/* DELETE: removes one version for ever. */
void ui_versions_handle_delete(struct http_request *req, void *folders);
/* DELETE: removes all old versions of a name for ever. */
void ui_versions_handle_delete_all(struct http_request *req, void *folders);
/* GET: deleted files that can be brought back, and the space that versions take. */
void ui_versions_handle_deleted(struct http_request *req, void *folders);

/* POST {folder, at, dry_run?}: makes the files of a folder what they were at a time. */
void ui_versions_handle_rewind(struct http_request *req, void *folders);

#endif
