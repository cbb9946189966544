#include "cli/send/place.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/print/print.h"
#include "p2p/box.h"
#include "p2p/net.h"

enum { HTTP_PORT = 80, CONNECT_MS = 2000 };

static bool
host_of(const char *url, struct p2p_addr *out)
{
    const char *at = strstr(url, "://");
    char text[P2P_HOST_MAX + 9];

    if (at == NULL)
        return false;
    at += 3;
    snprintf(text, sizeof(text), "%.*s", (int)strcspn(at, "/"), at);
    return p2p_addr_parse(text, strncmp(url, "https", 5) == 0 ? 443 : HTTP_PORT, out) ==
           P2P_OK;
}

/* Private addresses, and names that only the own network knows. */
static bool
is_local(const struct p2p_addr *addr)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    size_t len = strlen(addr->host);

    if (inet_pton(AF_INET, addr->host, &v4.sin_addr) == 1)
        return p2p_net_is_near((const struct sockaddr *)&v4, NULL, 0);
    if (inet_pton(AF_INET6, addr->host, &v6.sin6_addr) == 1)
        return p2p_net_is_near((const struct sockaddr *)&v6, NULL, 0);
    return strchr(addr->host, '.') == NULL ||
           (len > 6 && strcmp(addr->host + len - 6, ".local") == 0);
}

static bool
is_open_at(const struct p2p_addr *addr)
{
    int fd = -1;
    bool is_open = p2p_net_connect(addr, p2p_now_ms() + CONNECT_MS, &fd) == P2P_OK;

    p2p_fd_close(&fd);
    return is_open;
}

/* A registry on this machine has the machine's address for others, if it listens
 * there. */
static void
name_for_others(struct place *p, const struct p2p_addr *addr)
{
    struct p2p_addr own = {.port = addr->port};
    char text[P2P_HOST_MAX + 9];

    snprintf(p->for_others, sizeof(p->for_others), "%s", p->url);
    if (!p2p_addr_is_loopback(addr) ||
        !p2p_net_own_address(own.host, sizeof(own.host)) || !is_open_at(&own))
        return;
    snprintf(p->for_others, sizeof(p->for_others), "%.*s%s",
             (int)(strstr(p->url, "://") + 3 - p->url), p->url,
             p2p_addr_format(&own, text, sizeof(text)));
}

static enum p2p_err
open_at(struct place *p, const char *url, uint64_t timeout_ms)
{
    const char *const urls[] = {p->url};
    struct p2p_addr addr;
    enum p2p_err err = P2P_ERR_USAGE;

    snprintf(p->url, sizeof(p->url), "%s", url);
    if (strlen(url) < sizeof(p->url) && host_of(url, &addr))
        err = p2p_discovery_open(urls, 1, timeout_ms, &p->discovery);
    if (err != P2P_OK) {
        cli_say("invalid --discovery %s: use a URL such as http://192.168.1.2:8000",
                url);
        return err;
    }
    name_for_others(p, &addr);
    if (host_of(p->for_others, &addr))
        p->is_local = is_local(&addr);
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

    return host_of(p->for_others, &addr) && p2p_addr_is_loopback(&addr);
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
        cli_say("this works on this machine only, because the registry %s listens for "
                "this machine alone; --discovery none makes one for this network",
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

const char *
place_against_link(const struct place *p)
{
    if (!p->has_links)
        return "the registry has no page for links; update p2p-discovery there";
    if (p->is_local || strncmp(p->for_others, "https://", 8) == 0)
        return NULL;
    return "the registry has no https, so others could change the page on its way and "
           "read the link; --insecure-link makes one all the same";
}

void
place_close(struct place *p)
{
    forget_registry(p);
    helper_stop(&p->helper);
}
