/*
 * revoke - ends revoked access at once, also on open connections. Each request of a
 * listed device (paired, a token, an owner's browser) has the device as its group
 * (http.h). A removal through this program's own API closes the device's requests at
 * once. A removal by another process (`p2p token revoke`) is noticed within
 * UI_REVOKE_LOOK_MS, because a thread compares the lists while such requests are open.
 * Without them it sleeps.
 */
#ifndef P2P_UI_REVOKE_H
#define P2P_UI_REVOKE_H

#include "http/http.h"
#include "p2p/devices.h"

#define UI_REVOKE_LOOK_MS 500

struct ui_access;
struct ui_revoker;

/* Starts the thread; after the server is open. NULL: no memory. */
struct ui_revoker *ui_revoker_new(struct ui_access *access);
/* Ends the thread; before the server is closed. Accepts NULL. */
void ui_revoker_free(struct ui_revoker *r);

/* Marks the request as this device's. */
void ui_revoke_tie(struct ui_access *access, struct http_request *req,
                   const struct p2p_device *device);

/* Closes all open requests of devices that are no longer in the list. */
void ui_revoke_look(struct ui_access *access);

#endif
