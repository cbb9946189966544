/*
 * guests - where guests of links and the programs of this machine meet without a
 * registry: the page of links and a few boxes (http/meet/boxes.h), under /s. It is a
 * small registry for links alone. Every device that reaches p2p-ui may open the page
 * and leave messages, without a token, within a budget; only programs of this machine
 * can wait for guests here.
 */
#ifndef UI_GUESTS_H
#define UI_GUESTS_H

#include "http/http.h"

struct boxes;
struct http_ratelimit;
struct http_waitlist;

#define UI_GUESTS_LISTS      16u
#define UI_GUESTS_PER_MINUTE 60 /* messages of one address */

struct ui_guests {
    struct boxes *boxes;
    struct http_waitlist *lists[UI_GUESTS_LISTS]; /* requests that wait at boxes */
    struct http_ratelimit *posts;
    _Atomic bool is_open; /* until then, requests are answered with 503 */
};

/* The server is open, but does not answer yet. NOMEM, CRYPTO. */
P2P_MUST_CHECK enum p2p_err ui_guests_open(struct ui_guests *g,
                                           struct http_server *server);
/* The server is closed. Accepts one that is all zero. */
void ui_guests_close(struct ui_guests *g);

/* GET /s/l, /s/l/{name}, /s/reach; GET, POST, DELETE /s/box/{id}. */
void ui_guests_handle_page(struct http_request *req, void *guests);
void ui_guests_handle_part(struct http_request *req, void *guests);
void ui_guests_handle_reach(struct http_request *req, void *guests);
void ui_guests_handle_read(struct http_request *req, void *guests);
void ui_guests_handle_post(struct http_request *req, void *guests);
void ui_guests_handle_drop(struct http_request *req, void *guests);

#endif
