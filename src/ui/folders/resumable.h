/*
 * resumable - uploads that continue after a break: the tus protocol, version 1.0.0,
 * with the extensions creation, termination and expiration. An upload is two files in
 * `.p2p/` of its shared folder, its bytes and a note, so it survives a restart. Its
 * offset is the size of the first one. When all bytes are there, it is published like
 * any upload. An upload that was not written to for a week is removed.
 */
#ifndef P2P_UI_RESUMABLE_H
#define P2P_UI_RESUMABLE_H

#include "http/http.h"

/* The handlers get a struct ui_folders. OPTIONS and POST /api/uploads. */
void ui_resumable_handle_options(struct http_request *req, void *folders);
void ui_resumable_handle_create(struct http_request *req, void *folders);
/* HEAD (as GET), PATCH and DELETE /api/uploads/{id}. */
void ui_resumable_handle_head(struct http_request *req, void *folders);
void ui_resumable_handle_patch(struct http_request *req, void *folders);
void ui_resumable_handle_delete(struct http_request *req, void *folders);

#endif
