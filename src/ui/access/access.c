#include "ui/access/access.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "p2p/crypto.h"
#include "ui/access/cookie.h"
#include "ui/access/local.h"
#include "ui/access/revoke.h"
#include "ui/state/options.h"

const char *
ui_caller_name(enum ui_caller caller)
{
    static const char *const names[] = {"stranger", "local", "owner",
                                        "device",   "token", "open"};

    return names[caller];
}

bool
ui_caller_is_owner(enum ui_caller caller)
{
    return caller == UI_LOCAL || caller == UI_OWNER;
}

/* ---- what the caller shows ---- */

static bool
find_token(struct ui_access *access, const struct http_request *req, char *out,
           size_t cap)
{
    const char *header = http_header(req, "Authorization");

    if (header != NULL && strncasecmp(header, "Bearer ", 7) == 0)
        return snprintf(out, cap, "%s", header + 7) < (int)cap;
    return ui_cookie_find(req, access, out, cap);
}

static bool
is_owner_token(const struct ui_access *access, const char *token)
{
    return strlen(token) == P2P_OWNER_TOKEN_LEN &&
           p2p_equal_ct(access->owner_token, token, P2P_OWNER_TOKEN_LEN);
}

static enum ui_caller
by_token(struct ui_access *access, const struct http_request *req,
         struct p2p_device *device)
{
    static const enum ui_caller callers[P2P_DEVICE_KINDS] = {
        [P2P_DEVICE_BROWSER] = UI_DEVICE,
        [P2P_DEVICE_TOKEN] = UI_TOKEN,
        [P2P_DEVICE_OWNER] = UI_OWNER};
    char token[P2P_DEVICE_TOKEN_LEN + 1] = "";
    enum ui_caller caller = UI_STRANGER;

    if (!find_token(access, req, token, sizeof(token)))
        caller = UI_STRANGER;
    else if (is_owner_token(access, token))
        caller = UI_OWNER;
    else if (p2p_devices_check(access->devices, token, http_client_ip(req), device) ==
             P2P_OK)
        caller = device->is_admin ? UI_OWNER : callers[device->kind];
    p2p_wipe(token, sizeof(token));
    return caller;
}

enum ui_caller
ui_access_caller(struct ui_access *access, const struct http_request *req,
                 struct p2p_device *device)
{
    struct p2p_device unused;
    enum ui_caller caller = by_token(access, req, device != NULL ? device : &unused);

    if (caller == UI_OWNER)
        return caller;
    if (!access->opt->require_pairing && ui_local_is_owner(req))
        return UI_LOCAL;
    if (caller == UI_STRANGER && !access->opt->pairing)
        return UI_OPEN;
    return caller;
}

void
ui_access_renew(struct ui_access *access, struct http_request *req)
{
    char token[P2P_DEVICE_TOKEN_LEN + 1] = "";
    struct p2p_device device;

    if (ui_cookie_find(req, access, token, sizeof(token)) &&
        p2p_devices_check(access->devices, token, http_client_ip(req), &device) ==
            P2P_OK)
        ui_cookie_set(req, access, token);
    p2p_wipe(token, sizeof(token));
}

/* ---- the gate ---- */

static bool
refuse_stranger(struct http_request *req)
{
    http_set_header(req, "WWW-Authenticate", "Bearer");
    http_fail(req, 401, "pairing_required",
              "this browser or script is not paired yet: open the page and type the "
              "code from the terminal, run `p2p ui` on the machine itself, or send a "
              "token (Authorization: Bearer)");
    return false;
}

static bool
admit(struct http_request *req, struct ui_access *access, bool only_owner)
{
    struct p2p_device device = {.id = ""};
    enum ui_caller caller = ui_access_caller(access, req, &device);

    if (caller == UI_STRANGER)
        return refuse_stranger(req);
    if (caller != UI_LOCAL && caller != UI_OPEN && device.id[0] != '\0')
        ui_revoke_tie(access, req, &device);
    if (caller != UI_OPEN)
        http_request_mark_known(req);
    if (!only_owner || ui_caller_is_owner(caller))
        return true;
    http_fail(req, 403, "owner_only",
              "only the owner may do this: run `p2p ui` on the machine that runs "
              "p2p-ui, or send its owner.token");
    return false;
}

bool
ui_access_require(struct http_request *req, struct ui_access *access)
{
    return admit(req, access, false);
}

bool
ui_access_admit(struct http_request *req, const struct http_route *route,
                struct ui_access *access)
{
    if (!access->is_ready) {
        http_set_header(req, "Retry-After", "1");
        http_fail(req, 503, "starting", "the program is still starting; try again");
        return false;
    }
    return admit(req, access, (route->flags & UI_ONLY_OWNER) != 0);
}
