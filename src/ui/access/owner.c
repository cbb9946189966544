/* The link that gives a browser the owner's rights, and the lines on the terminal at
 * start. */
#include <stdio.h>
#include <string.h>

#include "p2p/clock.h"
#include "p2p/crypto.h"
#include "p2p/log.h"
#include "p2p/net.h"
#include "ui/access/access.h"
#include "ui/access/addresses.h"
#include "ui/access/cookie.h"
#include "ui/reply/json.h"
#include "ui/reply/refuse.h"
#include "ui/state/options.h"

static uint64_t
now_s(void)
{
    return p2p_now_ms() / 1000;
}

/* ---- POST /api/owner/link ---- */

void
ui_owner_handle_link(struct http_request *req, void *arg)
{
    struct ui_access *access = arg;
    char secret[UI_LINK_LEN + 1], url[UI_LINK_LEN + 320];
    struct http_json_out o;
    enum p2p_err err = ui_links_make(&access->links, now_s(), secret);

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
    else if (ui_links_take(&access->links, now_s(), http_param(req, "secret")))
        let_owner_in(req, access);
    else
        http_fail(req, 403, "link_expired",
                  "this link was used already or has expired; run `p2p ui` on the "
                  "machine that runs p2p-ui to get a new one");
}

/* ---- at start ---- */

static bool
listens_on_all(const char *host)
{
    static const char *const all[] = {"0.0.0.0", "::", "*", "127.0.0.1", "::1"};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (strcmp(host, all[i]) == 0)
            return true;
    return false;
}

static void
show_link(struct ui_access *access)
{
    struct p2p_addr addr;
    char secret[UI_LINK_LEN + 1], where[P2P_HOST_MAX + 16];

    ui_options_host(access->opt, &addr);
    addr.port = http_server_port(access->http);
    if (listens_on_all(addr.host))
        strcpy(addr.host, "localhost");
    if (access->opt->published != NULL)
        addr = access->opt->published_at;
    if (ui_links_make(&access->links, now_s(), secret) == P2P_OK)
        p2p_log_notice(P2P_LOG_INFO,
                       "to open the dashboard as its owner: %s://%s/open/%s (works "
                       "once, for %d minutes; `p2p ui` prints a new link)",
                       access->opt->tls.cert != NULL ? "https" : "http",
                       p2p_addr_format(&addr, where, sizeof(where)), secret,
                       UI_LINK_LIFE_S / 60);
    p2p_wipe(secret, sizeof(secret));
}

/* Behind a proxy on this machine, they do. */
static bool
do_others_reach_it(const struct ui_access *access)
{
    struct p2p_addr addr;

    ui_options_host(access->opt, &addr);
    return !p2p_addr_is_loopback(&addr) || access->opt->published != NULL ||
           access->opt->trusted_proxy.count > 0;
}

static void
say_code(struct ui_access *access, const char *code, uint64_t left_s)
{
    struct ui_urls urls;

    if (!do_others_reach_it(access))
        return;
    ui_urls_find(access, NULL, &urls);
    p2p_log_notice(P2P_LOG_INFO,
                   "to use another device, open %s there and type %s "
                   "(for %llu minutes)",
                   urls.count > 0 ? urls.at[0] : "the page", code,
                   (unsigned long long)left_s / 60);
}

static void
show_new_code(struct ui_access *access)
{
    char code[UI_CODE_LEN + 1];
    uint64_t left_s;

    if (ui_pairing_renew(&access->pairing, now_s(), code, &left_s) == P2P_OK)
        say_code(access, code, left_s);
    p2p_wipe(code, sizeof(code));
}

void
ui_access_show_code(struct ui_access *access)
{
    char code[UI_CODE_LEN + 1];
    uint64_t left_s;

    if (!p2p_log_is_journal() &&
        ui_pairing_current(&access->pairing, now_s(), code, &left_s))
        say_code(access, code, left_s);
    p2p_wipe(code, sizeof(code));
}

void
ui_access_show_start(struct ui_access *access)
{
    if (p2p_log_is_journal())
        p2p_log_notice(P2P_LOG_INFO, "run `p2p ui` to open the dashboard as its owner; "
                                     "it shows the code for other devices");
    else {
        show_link(access);
        if (access->opt->pairing)
            show_new_code(access);
    }
}
