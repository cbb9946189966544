#include "cli/send/place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/machine/dashboard.h"
#include "cli/print/print.h"
#include "p2p/box.h"
#include "p2p/public_url.h"

static enum p2p_err
open_at(struct place *p, const char *url, uint64_t timeout_ms)
{
    const char *const urls[] = {p->url};
    struct p2p_addr addr;
    enum p2p_err err = P2P_ERR_USAGE;

    snprintf(p->url, sizeof(p->url), "%s", url);
    if (strlen(url) < sizeof(p->url) && p2p_url_host(url, &addr))
        err = p2p_discovery_open(urls, 1, timeout_ms, &p->discovery);
    if (err != P2P_OK) {
        cli_say("invalid --discovery %s: use a URL such as http://192.168.1.2:8000",
                url);
        return err;
    }
    p2p_url_for_others(p->url, p->for_others);
    p->is_local = p2p_url_is_local(p->for_others);
    return P2P_OK;
}

static void
forget_registry(struct place *p)
{
    p2p_discovery_close(p->discovery);
    p->discovery = NULL;
}

/* One for this network, as long as this command runs. */
static enum p2p_err
start_own(struct place *p, uint64_t timeout_ms)
{
    static const char *const arguments[] = {"--host",      "0.0.0.0", "--port", "0",
                                            "--log-level", "error",   NULL};
    const char *port = NULL;
    char url[64];
    enum p2p_err err = helper_make_folder(&p->helper);

    if (err == P2P_OK)
        err = helper_start(&p->helper, "p2p-discovery", arguments);
    if (err == P2P_OK && (port = strstr(p->helper.ready, "port=")) == NULL)
        err = P2P_ERR_PROTOCOL;
    if (err != P2P_OK) {
        cli_say("cannot start p2p-discovery, which the receiver asks: %s",
                p2p_err_text(err));
        return err;
    }
    snprintf(url, sizeof(url), "http://127.0.0.1:%u",
             (unsigned)strtoul(port + 5, NULL, 10));
    return open_at(p, url, timeout_ms);
}

static bool
is_of_this_machine(const struct place *p)
{
    struct p2p_addr addr;

    return p2p_url_host(p->for_others, &addr) && p2p_addr_is_loopback(&addr);
}

/* The first thing that a person reads. */
static void
say_where(const struct place *p, const char *silent, enum p2p_err why)
{
    if (p->helper.pid > 0 && silent != NULL)
        cli_say("this works on this network only, because the registry %s %s", silent,
                why == P2P_ERR_NOT_FOUND ? "is too old for codes" : "does not answer");
    else if (p->helper.pid > 0)
        cli_say("this works on this network only, because there is no registry");
    else if (is_of_this_machine(p))
        cli_say(strncmp(p->for_others, "https://", 8) == 0
                    ? "this works on this machine only, because others cannot use the "
                      "registry %s: its certificate is not for this machine's address, "
                      "or it listens only on this machine; give --discovery the name "
                      "by which others know it"
                    : "this works on this machine only, because the registry %s "
                      "listens only on this machine; --discovery none makes one for "
                      "this network",
                p->for_others);
    else if (p->is_local)
        cli_say("this works on this network only, because the registry %s cannot be "
                "reached from the Internet",
                p->for_others);
}

enum p2p_err
place_open(struct place *p, const struct p2p_option_list *urls, uint64_t timeout_ms)
{
    struct p2p_reach_offer offer;
    const char *silent = NULL;
    enum p2p_err err = P2P_OK, why = P2P_OK, one;

    memset(p, 0, sizeof(*p));
    for (size_t i = 0; i < urls->count && err == P2P_OK && p->discovery == NULL; i++) {
        if (strcmp(urls->at[i], "none") == 0)
            continue;
        err = open_at(p, urls->at[i], timeout_ms);
        if (err != P2P_OK || (one = p2p_reach_offer(p->discovery, 0, &offer)) == P2P_OK)
            continue;
        if (silent == NULL) {
            silent = urls->at[i];
            why = one;
        }
        forget_registry(p);
    }
    if (err == P2P_OK && p->discovery == NULL)
        err = start_own(p, timeout_ms);
    if (err == P2P_OK && p2p_reach_offer(p->discovery, 0, &offer) == P2P_OK)
        p->has_links = offer.has_links;
    if (err == P2P_OK)
        say_where(p, silent, why);
    return err;
}

/* The page for guests, as others would get it. */
static bool
has_page_at(const char *url, uint64_t timeout_ms)
{
    const char *const urls[] = {url};
    struct p2p_discovery *d = NULL;
    struct p2p_reach_offer offer;
    bool has = p2p_discovery_open(urls, 1, timeout_ms, &d) == P2P_OK &&
               p2p_reach_offer(d, 0, &offer) == P2P_OK && offer.has_links;

    p2p_discovery_close(d);
    return has;
}

void
place_find_near(struct place *p, const char *url, uint64_t timeout_ms)
{
    char base[P2P_CODE_REGISTRY_MAX], others[P2P_CODE_REGISTRY_MAX];
    struct p2p_addr addr;
    size_t len = strlen(url);

    while (len > 0 && url[len - 1] == '/')
        len--;
    snprintf(base, sizeof(base), "%.*s", (int)len, url);
    /* With https, p2p-peer would have to trust the certificate. */
    if (p->helper.pid == 0 || strncmp(base, "http://", 7) != 0 ||
        !p2p_url_host(base, &addr) || !p2p_addr_is_loopback(&addr) ||
        !cli_dashboard_is_ours(&addr))
        return;
    p2p_url_for_others(base, others);
    if (!p2p_url_host(others, &addr) || p2p_addr_is_loopback(&addr) ||
        !cli_dashboard_is_ours(&addr))
        return;
    snprintf(p->near, sizeof(p->near), "%.200s/s", base);
    snprintf(p->near_for_others, sizeof(p->near_for_others), "%.200s/s", others);
    if (!has_page_at(p->near_for_others, timeout_ms))
        p->near[0] = p->near_for_others[0] = '\0';
}

const char *
place_against_link(const struct place *p)
{
    if (!p->has_links)
        return "the registry has no page for links; update p2p-discovery there";
    if (p2p_url_is_safe_for_links(p->near[0] != '\0' ? p->near_for_others
                                                     : p->for_others))
        return NULL;
    return "the registry has no https, so others could change the page before it "
           "arrives and read the link; --insecure-link makes one nevertheless";
}

void
place_close(struct place *p)
{
    forget_registry(p);
    helper_stop(&p->helper);
}
