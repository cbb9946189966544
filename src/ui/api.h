/* Handlers of the files peers_api, search and pages (routes.c lists them). */
#ifndef P2P_UI_API_H
#define P2P_UI_API_H

#include "http/http.h"

/* peers_api.c */
void ui_api_peers(struct http_request *req, void *app);
/* POST: connects to an address and keeps the peer as added by hand. */
void ui_api_peers_add(struct http_request *req, void *app);
/* GET: the peers that have a file. */
void ui_api_peers_search(struct http_request *req, void *app);
/* GET: one peer, online or remembered. */
void ui_api_peer(struct http_request *req, void *app);
/* POST: what the user decides about a peer. */
void ui_api_peer_trust(struct http_request *req, void *app);
void ui_api_peer_block(struct http_request *req, void *app);
void ui_api_peer_forget(struct http_request *req, void *app);
/* POST: gives the peer a name of the owner's, which wins over what it says. */
void ui_api_peer_name(struct http_request *req, void *app);

/* search.c */
void ui_api_search(struct http_request *req, void *app);

/* pages.c */
void ui_api_events(struct http_request *req, void *app);
/* GET: the description of the API. */
void ui_api_openapi(struct http_request *req, void *app);
/* GET: a file of the dashboard. */
void ui_api_page(struct http_request *req, void *app);
/* 404 for all other paths; 401 under /api for unknown callers. */
void ui_api_nothing(struct http_request *req, void *app);

#endif
