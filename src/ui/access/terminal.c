/* The lines on the terminal: the owner's link, and the code for other devices. */
#include <stdio.h>
#include <string.h>

#include "p2p/crypto.h"
#include "p2p/log.h"
#include "p2p/net.h"
#include "ui/access/access.h"
#include "ui/access/addresses.h"
#include "ui/state/options.h"

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
    if (ui_links_make(&access->links, ui_access_now_s(), secret) == P2P_OK)
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

    if (ui_pairing_renew(&access->pairing, ui_access_now_s(), code, &left_s) == P2P_OK)
        say_code(access, code, left_s);
    p2p_wipe(code, sizeof(code));
}

void
ui_access_show_code(struct ui_access *access)
{
    char code[UI_CODE_LEN + 1];
    uint64_t left_s;

    if (!p2p_log_is_journal() &&
        ui_pairing_current(&access->pairing, ui_access_now_s(), code, &left_s))
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
