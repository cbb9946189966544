/*
 * access - decides who may use the API (docs/HTTP.md, "Who may call"), and manages the
 * devices. The owner is a caller with the token of this machine (p2p/owner.h), or with
 * the cookie that the owner's link has set, or with that of a paired browser that the
 * owner made an administrator. A program of the same user on this machine counts as the
 * owner without either (local.h). Other devices use the cookie that they got for a
 * pairing code, and scripts use tokens.
 */
#ifndef P2P_UI_ACCESS_H
#define P2P_UI_ACCESS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "http/http.h"
#include "p2p/clock.h"
#include "p2p/devices.h"
#include "p2p/identity.h"
#include "p2p/owner.h"
#include "p2p/shares.h"
#include "ui/access/links.h"
#include "ui/access/pairing.h"

struct http_server;
struct ui_events;
struct ui_options;
struct ui_revoker;

/* What the files of this room get. The program sets the members before the first
 * request and clears them after the last one; in between only what has a lock changes.
 */
struct ui_access {
    const struct ui_options *opt;
    struct p2p_identity *identity;
    struct p2p_devices *devices;
    char owner_token[P2P_OWNER_TOKEN_LEN + 1];
    struct ui_pairing pairing;
    struct ui_links links;
    struct http_server *http;
    const struct ui_events *events;
    struct ui_revoker *revoker;
    const struct p2p_shares *shares; /* their files have QR codes */
    _Atomic bool is_ready; /* until this is true, requests are answered with 503 */
};

/* The time of codes and links, in seconds: nobody sets this clock. */
static inline uint64_t
ui_access_now_s(void)
{
    return p2p_now_ms() / 1000;
}

enum ui_caller { UI_STRANGER, UI_LOCAL, UI_OWNER, UI_DEVICE, UI_TOKEN, UI_OPEN };
/* "local", "owner", "device", "token", "open" */
const char *ui_caller_name(enum ui_caller caller);
/* True if the caller may do what only the owner may do. */
bool ui_caller_is_owner(enum ui_caller caller);

/* `device` (may be NULL) is filled for UI_DEVICE, UI_TOKEN, and UI_OWNER by a cookie.
 */
enum ui_caller ui_access_caller(struct ui_access *access,
                                const struct http_request *req,
                                struct p2p_device *device);

/* Sets the cookie of a known browser again in the answer, with its full lifetime.
 * Browsers delete cookies after 400 days, and one in use must not expire. */
void ui_access_renew(struct ui_access *access, struct http_request *req);

/* A flag of routes that are only for the owner. */
#define UI_ONLY_OWNER HTTP_APP

/* The server's `admit`: 401 for unknown callers, 403 for routes that are only for the
 * owner, 503 until the program is ready. */
bool ui_access_admit(struct http_request *req, const struct http_route *route,
                     struct ui_access *access);
/* The same check, for handlers of open routes. */
bool ui_access_require(struct http_request *req, struct ui_access *access);

/* The handlers get a struct ui_access. POST: tries a pairing code, and pairs the
 * browser. */
void ui_access_handle_pair(struct http_request *req, void *access);
/* GET, for the owner: the code that is valid now. */
void ui_access_handle_code(struct http_request *req, void *access);
/* POST, for the owner: replaces the code. */
void ui_access_handle_new_code(struct http_request *req, void *access);
/* GET, for the owner: the paired devices and tokens. */
void ui_access_handle_devices(struct http_request *req, void *access);
/* PATCH, for the owner: makes a paired browser an administrator, or takes that back. */
void ui_access_handle_device_change(struct http_request *req, void *access);
/* DELETE, for the owner: removes a device and closes its connections. */
void ui_access_handle_device_delete(struct http_request *req, void *access);

/* owner.c: the link that gives a browser the owner's rights. */
void ui_owner_handle_link(struct http_request *req, void *access);
/* GET: uses the link up and makes the browser the owner's. */
void ui_owner_handle_open(struct http_request *req, void *access);

/* qr.c: a QR code of an address of this dashboard. */
void ui_api_qr(struct http_request *req, void *access);
/* The QR code of a text as SVG with a NUL at its end; *returns owned*, free(). NULL:
 * the text is too long, or this program was built without libqrencode. */
char *ui_qr_draw(const char *text, size_t *len);

/* "Firefox on Android", from the request's User-Agent. */
void ui_access_name_browser(const struct http_request *req, char *out, size_t cap);
/* Tells open pages how many devices there are. */
void ui_access_tell_devices(struct ui_access *access);

/*
 * terminal.c. Prints on the terminal, for the person who started the program: a link
 * that opens the dashboard as the owner, and a pairing code for other devices. In the
 * journal, which others may read, it prints the command instead.
 */
void ui_access_show_start(struct ui_access *access);
/* Prints in the same place the pairing code that is valid now, after it was
 * replaced. */
void ui_access_show_code(struct ui_access *access);

#endif
