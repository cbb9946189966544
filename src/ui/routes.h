/* The table of routes, and the headers of every answer. */
#ifndef P2P_UI_ROUTES_H
#define P2P_UI_ROUTES_H

#include "http/http.h"

extern const struct http_route ui_routes[];
extern const struct http_header ui_headers[];

#endif
