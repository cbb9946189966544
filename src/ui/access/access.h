/*
 * access - who may call (docs/HTTP.md, "Who may call"), and the devices that may.
 *
 * This machine's own browser is known by its loopback address and Host; another device
 * by the cookie it got for a pairing code, a script by its token.
 */
#ifndef P2P_UI_ACCESS_H
#define P2P_UI_ACCESS_H

#include "http/http.h"
#include "p2p/devices.h"

struct ui_app;

#define UI_COOKIE "p2p_device"

enum ui_caller { UI_STRANGER, UI_LOCAL, UI_DEVICE, UI_TOKEN, UI_OPEN };
const char *
ui_caller_name(enum ui_caller caller); /* "local", "device", "token", "open" */

/* `device` (may be NULL) is filled for UI_DEVICE and UI_TOKEN. */
enum ui_caller ui_access_caller(struct ui_app *app, const struct http_request *req,
                                struct p2p_device *device);

/* The server's `admit`: 401 for strangers, 503 until the program is ready. */
bool ui_access_admit(struct http_request *req, const struct http_route *route,
                     void *app);
/* The same outside of it, for handlers of open routes. */
bool ui_access_require(struct http_request *req, struct ui_app *app);

void ui_access_handle_pair(struct http_request *req, void *app);
void ui_access_handle_code(struct http_request *req, void *app);
void ui_access_handle_new_code(struct http_request *req, void *app);
void ui_access_handle_devices(struct http_request *req, void *app);
void ui_access_handle_device_delete(struct http_request *req, void *app);

/* Makes a pairing code and shows it on the terminal. */
void ui_access_show_code(struct ui_app *app);

#endif
