/*
 * access - decides who may use the API (docs/HTTP.md, "Who may call"), and manages the
 * devices. The owner is a caller with the token of this machine (p2p/owner.h), or with
 * the cookie that the owner's link has set. A program of the same user on this machine
 * counts as the owner without either (local.h). Other devices use the cookie that they
 * got for a pairing code, and scripts use tokens.
 */
#ifndef P2P_UI_ACCESS_H
#define P2P_UI_ACCESS_H

#include "http/http.h"
#include "p2p/devices.h"

struct ui_app;

enum ui_caller { UI_STRANGER, UI_LOCAL, UI_OWNER, UI_DEVICE, UI_TOKEN, UI_OPEN };
/* "local", "owner", "device", "token", "open" */
const char *ui_caller_name(enum ui_caller caller);
/* True if the caller may do what only the owner may do. */
bool ui_caller_is_owner(enum ui_caller caller);

/* `device` (may be NULL) is filled for UI_DEVICE, UI_TOKEN, and UI_OWNER by a cookie.
 */
enum ui_caller ui_access_caller(struct ui_app *app, const struct http_request *req,
                                struct p2p_device *device);

/* Sets the cookie of a known browser again in the answer, with its full lifetime.
 * Browsers delete cookies after 400 days, and one in use must not expire. */
void ui_access_renew(struct ui_app *app, struct http_request *req);

/* A flag of routes that are only for the owner. */
#define UI_ONLY_OWNER HTTP_APP

/* The server's `admit`: 401 for unknown callers, 403 for routes that are only for the
 * owner, 503 until the program is ready. */
bool ui_access_admit(struct http_request *req, const struct http_route *route,
                     void *app);
/* The same check, for handlers of open routes. */
bool ui_access_require(struct http_request *req, struct ui_app *app);

void ui_access_handle_pair(struct http_request *req, void *app);
void ui_access_handle_code(struct http_request *req, void *app);
void ui_access_handle_new_code(struct http_request *req, void *app);
void ui_access_handle_devices(struct http_request *req, void *app);
void ui_access_handle_device_delete(struct http_request *req, void *app);

/* owner.c: the link that gives a browser the owner's rights. */
void ui_owner_handle_link(struct http_request *req, void *app);
void ui_owner_handle_open(struct http_request *req, void *app);

/* "Firefox on Android", from the request's User-Agent. */
void ui_access_name_browser(const struct http_request *req, char *out, size_t cap);
/* Tells open pages how many devices there are. */
void ui_access_tell_devices(struct ui_app *app);

/*
 * Prints on the terminal, for the person who started the program: a link that opens the
 * dashboard as the owner, and a pairing code for other devices. In the journal, which
 * others may read, it prints the command instead.
 */
void ui_access_show_start(struct ui_app *app);
/* Prints in the same place the pairing code that is valid now, after it was
 * replaced. */
void ui_access_show_code(struct ui_app *app);

#endif
