/* The link that gives a browser the owner's rights. */
#include <stdio.h>
#include <string.h>

#include "p2p/clock.h"
#include "p2p/crypto.h"
#include "p2p/log.h"
#include "ui/access/access.h"
#include "ui/access/cookie.h"
#include "ui/reply/json.h"
#include "ui/reply/refuse.h"

/* ---- POST /api/owner/link ---- */

void
ui_owner_handle_link(struct http_request *req, void *arg)
{
    struct ui_access *access = arg;
    char secret[UI_LINK_LEN + 1], url[UI_LINK_LEN + 320];
    struct http_json_out o;
    enum p2p_err err = ui_links_make(&access->links, ui_access_now_s(), secret);

    if (err != P2P_OK) {
        ui_fail(req, err, NULL);
        return;
    }
    /* The guard has checked that this Host is one of ours. */
    snprintf(url, sizeof(url), "%s://%.255s/open/%s",
             http_is_secure(req) ? "https" : "http", http_host(req), secret);
    ui_json_begin(&o, 256);
    http_json_put_string(&o, "url", url);
    http_json_put_u64(&o, "expires_at", p2p_time_s() + UI_LINK_LIFE_S);
    ui_json_reply(&o, req, 200);
    p2p_wipe(url, sizeof(url));
    p2p_wipe(secret, sizeof(secret));
}

/* ---- GET /open/{secret} ---- */

static void
let_owner_in(struct http_request *req, struct ui_access *access)
{
    char token[P2P_DEVICE_TOKEN_LEN + 1], name[P2P_DEVICE_NAME_MAX + 1];
    struct p2p_device device;
    enum p2p_err err;

    ui_access_name_browser(req, name, sizeof(name));
    err = p2p_devices_add(access->devices, P2P_DEVICE_OWNER, name, http_client_ip(req),
                          &device, token);
    if (err == P2P_OK) {
        p2p_log_info("the owner opened the dashboard in a browser id=%s address=%s",
                     device.id, http_client_ip(req));
        ui_cookie_set(req, access, token);
        http_set_header(req, "Location", "/");
        http_reply_empty(req, 303);
        ui_access_tell_devices(access);
    } else if (err == P2P_ERR_TOO_LARGE)
        http_fail(req, 403, "too_many_devices",
                  "there are too many paired devices; remove one that you no longer "
                  "use (`p2p token revoke`)");
    else
        ui_fail(req, err, NULL);
    p2p_wipe(token, sizeof(token));
}

void
ui_owner_handle_open(struct http_request *req, void *arg)
{
    struct ui_access *access = arg;

    /* A HEAD request must not use up the link. */
    if (strcmp(http_method(req), "GET") != 0)
        http_reply_empty(req, 204);
    else if (ui_links_take(&access->links, ui_access_now_s(),
                           http_param(req, "secret")))
        let_owner_in(req, access);
    else
        http_fail(req, 403, "link_expired",
                  "this link was used already or has expired; run `p2p ui` on the "
                  "machine that runs p2p-ui to get a new one");
}
