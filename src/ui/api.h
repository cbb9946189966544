/* Handlers of the files transfers, peers, search and pages (routes.c lists them). */
#ifndef P2P_UI_API_H
#define P2P_UI_API_H

#include "http/http.h"

/* transfers_api.c */
void ui_api_transfers(struct http_request *req, void *app);
void ui_api_transfers_add(struct http_request *req, void *app);
void ui_api_transfers_retry_failed(struct http_request *req, void *app);
void ui_api_transfers_pause_all(struct http_request *req, void *app);
void ui_api_transfers_resume_all(struct http_request *req, void *app);
void ui_api_transfers_clear_finished(struct http_request *req, void *app);
void ui_api_transfer(struct http_request *req, void *app);
void ui_api_transfer_patch(struct http_request *req, void *app);
void ui_api_transfer_delete(struct http_request *req, void *app);
void ui_api_transfer_pause(struct http_request *req, void *app);
void ui_api_transfer_resume(struct http_request *req, void *app);
void ui_api_transfer_cancel(struct http_request *req, void *app);
void ui_api_transfer_retry(struct http_request *req, void *app);

/* download_api.c: the documented pair */
void ui_api_download(struct http_request *req, void *app);
void ui_api_download_progress(struct http_request *req, void *app);

/* peers_api.c */
void ui_api_peers(struct http_request *req, void *app);
void ui_api_peers_add(struct http_request *req, void *app);
void ui_api_peers_search(struct http_request *req, void *app);
void ui_api_peer(struct http_request *req, void *app);
void ui_api_peer_trust(struct http_request *req, void *app);
void ui_api_peer_block(struct http_request *req, void *app);
void ui_api_peer_forget(struct http_request *req, void *app);

/* browse.c, search.c */
void ui_api_peer_files(struct http_request *req, void *app);
void ui_api_search(struct http_request *req, void *app);

/* pages.c */
void ui_api_events(struct http_request *req, void *app);
void ui_api_openapi(struct http_request *req, void *app);
void ui_api_qr(struct http_request *req, void *app);
void ui_api_page(struct http_request *req, void *app);
void ui_api_nothing(struct http_request *req, void *app);

#endif
