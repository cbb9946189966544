#include "ui/access/access.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "http/guard.h"
#include "p2p/crypto.h"
#include "ui/app.h"

const char *
ui_caller_name(enum ui_caller caller)
{
    static const char *const names[] = {"stranger", "local", "device", "token", "open"};

    return names[caller];
}

/* ---- this machine ---- */

static bool
host_is_loopback(const struct http_request *req)
{
    const char *host = http_header(req, "Host");
    char name[256];

    return host != NULL && http_host_parse(host, name, sizeof(name)) &&
           (strcmp(name, "localhost") == 0 || strcmp(name, "127.0.0.1") == 0 ||
            strcmp(name, "::1") == 0);
}

/*
 * A proxy on this machine that nobody named with --trusted-proxy would make the whole
 * network look local: what it adds to a request gives it away. (A trusted one's word is
 * in the address already.)
 */
static bool
came_through_proxy(const struct http_request *req)
{
    return http_header(req, "Forwarded") != NULL ||
           http_header(req, "X-Forwarded-For") != NULL ||
           http_header(req, "X-Real-IP") != NULL || http_header(req, "Via") != NULL;
}

static bool
is_local(const struct http_request *req)
{
    return http_client_is_loopback(req) && host_is_loopback(req) &&
           !came_through_proxy(req);
}

/* ---- others ---- */

static bool
find_token(const struct http_request *req, char *out, size_t cap)
{
    const char *header = http_header(req, "Authorization");

    if (header != NULL && strncasecmp(header, "Bearer ", 7) == 0)
        return snprintf(out, cap, "%s", header + 7) < (int)cap;
    return http_cookie(req, UI_COOKIE, out, cap);
}

static enum ui_caller
by_token(struct ui_app *app, const struct http_request *req, struct p2p_device *device)
{
    char token[P2P_DEVICE_TOKEN_LEN + 1] = "";
    enum ui_caller caller = UI_STRANGER;

    if (find_token(req, token, sizeof(token)) &&
        p2p_devices_check(app->devices, token, http_client_ip(req), device) == P2P_OK)
        caller = device->kind == P2P_DEVICE_TOKEN ? UI_TOKEN : UI_DEVICE;
    p2p_wipe(token, sizeof(token));
    return caller;
}

enum ui_caller
ui_access_caller(struct ui_app *app, const struct http_request *req,
                 struct p2p_device *device)
{
    struct p2p_device unused;
    enum ui_caller caller;

    if (is_local(req) && !app->opt.require_pairing)
        return UI_LOCAL;
    caller = by_token(app, req, device != NULL ? device : &unused);
    if (caller == UI_STRANGER && !app->opt.pairing)
        return UI_OPEN;
    return caller;
}

/* ---- the gate ---- */

bool
ui_access_require(struct http_request *req, struct ui_app *app)
{
    if (ui_access_caller(app, req, NULL) != UI_STRANGER)
        return true;
    http_set_header(req, "WWW-Authenticate", "Bearer");
    http_fail(
        req, 401, "pairing_required",
        "this device has to be paired first: open the page and type the code that "
        "is shown on the machine itself");
    return false;
}

bool
ui_access_admit(struct http_request *req, const struct http_route *route, void *arg)
{
    struct ui_app *app = arg;

    (void)route;
    if (!app->is_ready) {
        http_set_header(req, "Retry-After", "1");
        http_fail(req, 503, "starting", "the program has just been started; try again");
        return false;
    }
    return ui_access_require(req, app);
}
