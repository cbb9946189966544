/* The files of both folders: lists, bytes, deleting, restoring, renaming. */
#ifndef P2P_UI_FILES_H
#define P2P_UI_FILES_H

#include "http/http.h"
#include "http/text/json.h"
#include "ui/folders/listing.h"

/* An object `SharedFile` in an array. */
void ui_files_put_shared(struct http_json_out *o, const struct ui_file *f);
/* The member `shared_files` of `Status`, and its totals. */
void ui_files_put_status(struct http_json_out *o, const struct ui_listing *l,
                         bool with_list);

/* The handlers get a struct ui_folders. GET: a page of the shared files. */
void ui_files_handle_shared(struct http_request *req, void *folders);
/* GET: a page of what is not shared, with reasons. */
void ui_files_handle_problems(struct http_request *req, void *folders);
/* POST: looks at the whole shared folder again. */
void ui_files_handle_rescan(struct http_request *req, void *folders);
/* POST: the files that are missing were deleted on purpose. */
void ui_files_handle_confirm(struct http_request *req, void *folders);
/* GET: the bytes of a shared file, or a range of them. */
void ui_files_handle_shared_bytes(struct http_request *req, void *folders);
/* DELETE: puts a shared file into the trash. */
void ui_files_handle_shared_delete(struct http_request *req, void *folders);
/* POST: takes it out of the trash again. */
void ui_files_handle_shared_restore(struct http_request *req, void *folders);
/* POST: gives a shared file another name. */
void ui_files_handle_shared_rename(struct http_request *req, void *folders);
/* The same for the downloads folder. */
void ui_files_handle_downloads(struct http_request *req, void *folders);
void ui_files_handle_downloads_bytes(struct http_request *req, void *folders);
void ui_files_handle_downloads_delete(struct http_request *req, void *folders);
void ui_files_handle_downloads_restore(struct http_request *req, void *folders);

#endif
