/*
 * revoke - access that was taken away ends now, on what is open, too.
 *
 * Each request of a device in the list (paired, a token, an owner's browser) carries
 * the device as its group (http.h). A removal on this program's own interface closes
 * the device's requests at once; one by another process (`p2p token rm`) is noticed
 * within UI_REVOKE_LOOK_MS, as a thread compares while such requests are open.
 */
#ifndef P2P_UI_REVOKE_H
#define P2P_UI_REVOKE_H

#include "http/http.h"
#include "p2p/devices.h"

#define UI_REVOKE_LOOK_MS 500

struct ui_app;
struct ui_revoker;

/* Starts the thread; after the server is open. NULL: no memory. */
struct ui_revoker *ui_revoker_new(struct ui_app *app);
/* Ends the thread; before the server is closed. Accepts NULL. */
void ui_revoker_free(struct ui_revoker *r);

/* The request is this device's. */
void ui_revoke_tie(struct http_request *req, const struct p2p_device *device);

/* Closes everything that devices have open which are no longer in the list. */
void ui_revoke_look(struct ui_app *app);

#endif
