/* Handlers of the files peers_api, search and pages (routes.c lists them). */
#ifndef P2P_UI_API_H
#define P2P_UI_API_H

#include "http/http.h"

/* peers_api.c */
void ui_api_peers(struct http_request *req, void *app);
void ui_api_peers_add(struct http_request *req, void *app);
void ui_api_peers_search(struct http_request *req, void *app);
void ui_api_peer(struct http_request *req, void *app);
void ui_api_peer_trust(struct http_request *req, void *app);
void ui_api_peer_block(struct http_request *req, void *app);
void ui_api_peer_forget(struct http_request *req, void *app);

/* search.c */
void ui_api_search(struct http_request *req, void *app);

/* pages.c */
void ui_api_events(struct http_request *req, void *app);
void ui_api_openapi(struct http_request *req, void *app);
void ui_api_page(struct http_request *req, void *app);
void ui_api_nothing(struct http_request *req, void *app);

#endif
