/* The state of this machine: /api/status, /health, /metrics, /api/register. */
#ifndef P2P_UI_STATUS_H
#define P2P_UI_STATUS_H

#include "http/http.h"

struct ui_app;

/* The handlers get the whole app. GET /api/status; waits for the registries. */
void ui_status_handle(struct http_request *req, void *app);
/* GET /health; waits for nothing. */
void ui_status_handle_health(struct http_request *req, void *app);
/* POST /api/register; waits for the registries. */
void ui_status_handle_register(struct http_request *req, void *app);
/* GET /metrics. */
void ui_status_handle_metrics(struct http_request *req, void *app);

/* Sends the `status` event if anything in it changed. */
void ui_status_publish(struct ui_app *app);

#endif
