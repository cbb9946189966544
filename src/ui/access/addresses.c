#include "ui/access/addresses.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "http/guard.h"
#include "p2p/net.h"
#include "ui/access/access.h"
#include "ui/state/options.h"

static bool
listens_everywhere(const struct ui_access *access)
{
    struct p2p_addr at;

    ui_options_host(access->opt, &at);
    return strcmp(at.host, "0.0.0.0") == 0 || strcmp(at.host, "::") == 0 ||
           strcmp(at.host, "*") == 0;
}

static bool
is_useful(const struct ifaddrs *ifa, int family)
{
    const struct sockaddr_in6 *v6;

    if (ifa->ifa_addr == NULL || ifa->ifa_addr->sa_family != family ||
        (ifa->ifa_flags & IFF_LOOPBACK) || !(ifa->ifa_flags & IFF_UP))
        return false;
    if (family == AF_INET)
        return true;
    v6 = (const struct sockaddr_in6 *)(const void *)ifa->ifa_addr;
    return !IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr); /* link-local addresses need a zone,
                                                      which no browser accepts */
}

static const char *
own_scheme(const struct ui_access *access)
{
    return access->opt->tls.cert != NULL ? "https" : "http";
}

static void
add_url(struct ui_urls *out, const char *scheme, const char *where)
{
    char *url = out->at[out->count];

    if (out->count == UI_URLS_MAX)
        return;
    snprintf(url, UI_URL_MAX, "%s://%.270s/", scheme, where);
    for (size_t i = 0; i < out->count; i++)
        if (strcmp(out->at[i], url) == 0)
            return;
    out->count++;
}

static void
add(struct ui_access *access, struct ui_urls *out, const char *ip)
{
    struct p2p_addr addr = {.port = http_server_port(access->http)};
    char where[P2P_HOST_MAX + 16];

    snprintf(addr.host, sizeof(addr.host), "%s", ip);
    add_url(out, own_scheme(access), p2p_addr_format(&addr, where, sizeof(where)));
}

/* The address that the page was opened by works for the person who reads the page, also
 * if it is a name or a proxy's address. The guard has checked the Host. */
static void
add_of_page(struct ui_access *access, const struct http_request *req,
            struct ui_urls *out)
{
    const char *host = http_host(req), *scheme = http_scheme(req);
    struct p2p_addr addr = {.port = 0};

    if (host == NULL || !http_host_parse(host, addr.host, sizeof(addr.host)) ||
        strcmp(addr.host, "localhost") == 0 || p2p_addr_is_loopback(&addr))
        return;
    add_url(out, scheme != NULL ? scheme : own_scheme(access), host);
}

static void
add_family(struct ui_access *access, struct ui_urls *out, const struct ifaddrs *list,
           int family)
{
    for (const struct ifaddrs *ifa = list; ifa != NULL; ifa = ifa->ifa_next) {
        struct p2p_addr addr;

        if (!is_useful(ifa, family))
            continue;
        p2p_addr_from_sockaddr(ifa->ifa_addr, &addr);
        add(access, out, addr.host);
    }
}

void
ui_urls_find(struct ui_access *access, const struct http_request *req,
             struct ui_urls *out)
{
    struct p2p_addr only = {.port = 0};
    struct ifaddrs *list = NULL;

    memset(out, 0, sizeof(*out));
    if (req != NULL)
        add_of_page(access, req, out);
    if (access->opt->published != NULL) { /* others reach nothing else of a container */
        add_url(out, own_scheme(access), access->opt->published);
        return;
    }
    if (!listens_everywhere(access)) {
        ui_options_host(access->opt, &only);
        if (!p2p_addr_is_loopback(&only))
            add(access, out, only.host);
        return;
    }
    if (getifaddrs(&list) != 0)
        return;
    add_family(access, out, list, AF_INET);
    add_family(access, out, list, AF_INET6);
    freeifaddrs(list);
}
