/*
 * access - who may call (docs/HTTP.md, "Who may call"), and the devices that may.
 *
 * The owner is who shows the token of this machine (p2p/owner.h) or the cookie that the
 * owner's link has set. A program of the same user on this machine counts as the owner
 * without either (local.h). Another device shows the cookie it got for a pairing code,
 * a script its token.
 */
#ifndef P2P_UI_ACCESS_H
#define P2P_UI_ACCESS_H

#include "http/http.h"
#include "p2p/devices.h"

struct ui_app;

enum ui_caller { UI_STRANGER, UI_LOCAL, UI_OWNER, UI_DEVICE, UI_TOKEN, UI_OPEN };
/* "local", "owner", "device", "token", "open" */
const char *ui_caller_name(enum ui_caller caller);
/* Whether it may do what only the owner may. */
bool ui_caller_is_owner(enum ui_caller caller);

/* `device` (may be NULL) is filled for UI_DEVICE, UI_TOKEN, and UI_OWNER by a cookie.
 */
enum ui_caller ui_access_caller(struct ui_app *app, const struct http_request *req,
                                struct p2p_device *device);

/* Sets the cookie of a known browser again in the coming answer, with its full life:
 * browsers forget cookies after 400 days, and one in use must not be forgotten. */
void ui_access_renew(struct ui_app *app, struct http_request *req);

/* A flag of routes that only the owner may call. */
#define UI_ONLY_OWNER HTTP_APP

/* The server's `admit`: 401 for strangers, 403 for what only the owner may do, 503
 * until the program is ready. */
bool ui_access_admit(struct http_request *req, const struct http_route *route,
                     void *app);
/* The same outside of it, for handlers of open routes. */
bool ui_access_require(struct http_request *req, struct ui_app *app);

void ui_access_handle_pair(struct http_request *req, void *app);
void ui_access_handle_code(struct http_request *req, void *app);
void ui_access_handle_new_code(struct http_request *req, void *app);
void ui_access_handle_devices(struct http_request *req, void *app);
void ui_access_handle_device_delete(struct http_request *req, void *app);

/* owner.c: the link that makes a browser the owner's. */
void ui_owner_handle_link(struct http_request *req, void *app);
void ui_owner_handle_open(struct http_request *req, void *app);

/* "Firefox on Android", from the request's User-Agent. */
void ui_access_name_browser(const struct http_request *req, char *out, size_t cap);
/* Tells open pages how many devices there are. */
void ui_access_tell_devices(struct ui_app *app);

/*
 * On the terminal, for the person who started the program: a link that opens the
 * dashboard as the owner, and a pairing code for other devices. Under the journal,
 * which others may read, it names the command instead.
 */
void ui_access_show_start(struct ui_app *app);
/* In the same place: the pairing code that is valid now, after it has been replaced. */
void ui_access_show_code(struct ui_app *app);

#endif
