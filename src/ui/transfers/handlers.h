/* The requests about transfers, and what they get. */
#ifndef P2P_UI_TRANSFERS_HANDLERS_H
#define P2P_UI_TRANSFERS_HANDLERS_H

#include "http/http.h"
#include "ui/transfers/request.h"
#include "ui/transfers/transfers.h"

struct ui_jobs;

/* All borrowed. Does not change while requests are handled. */
struct ui_transfers_api {
    struct ui_transfers *transfers;
    struct ui_network network;
    struct ui_jobs *jobs;
};

/* transfers_api.c */
void ui_api_transfers(struct http_request *req, void *api);
/* POST: starts a download; asks the network for its content and sources. */
void ui_api_transfers_add(struct http_request *req, void *api);
/* POST: one verb for all transfers that allow it; the answer counts them. */
void ui_api_transfers_retry_failed(struct http_request *req, void *api);
void ui_api_transfers_pause_all(struct http_request *req, void *api);
void ui_api_transfers_resume_all(struct http_request *req, void *api);
void ui_api_transfers_clear_finished(struct http_request *req, void *api);
/* One transfer, by the id in the path: GET, PATCH, DELETE, and POST of a verb. */
void ui_api_transfer(struct http_request *req, void *api);
void ui_api_transfer_patch(struct http_request *req, void *api);
void ui_api_transfer_delete(struct http_request *req, void *api);
void ui_api_transfer_pause(struct http_request *req, void *api);
void ui_api_transfer_resume(struct http_request *req, void *api);
void ui_api_transfer_cancel(struct http_request *req, void *api);
void ui_api_transfer_retry(struct http_request *req, void *api);

/* content.c: the file, also while it arrives: Range, HEAD. */
void ui_api_transfer_content(struct http_request *req, void *api);

/* pieces.c: who sent which part of the file. */
void ui_api_transfer_pieces(struct http_request *req, void *api);

/* download_api.c: the documented pair */
void ui_api_download(struct http_request *req, void *api);
/* GET: the latest transfer of this name. */
void ui_api_download_progress(struct http_request *req, void *api);

#endif
