#include "p2p/public_url.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "core/registry/discovery_internal.h"
#include "p2p/clock.h"
#include "p2p/io.h"
#include "p2p/net.h"

enum { HTTP_PORT = 80, HTTPS_PORT = 443, CONNECT_MS = 2000, ANSWER_MAX = 64 * 1024 };

bool
p2p_url_host(const char *url, struct p2p_addr *out)
{
    const char *at = strstr(url, "://");
    char text[P2P_HOST_MAX + 9];

    if (at == NULL)
        return false;
    at += 3;
    snprintf(text, sizeof(text), "%.*s", (int)strcspn(at, "/"), at);
    return p2p_addr_parse(text, strncmp(url, "https", 5) == 0 ? HTTPS_PORT : HTTP_PORT,
                          out) == P2P_OK;
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

/* With https, the certificate must be good for this address, too. */
static bool
is_good_at(const char *url)
{
    struct p2p_http_call call = {.method = "GET",
                                 .url = p2p_http_url(url, "/reach", NULL, 0)};

    call.answer_max = ANSWER_MAX;
    p2p_http_run(&call, 1, CONNECT_MS, 0, NULL);
    bool is_good = call.url != NULL && call.err == P2P_OK &&
                   p2p_http_status_err(call.status) == P2P_OK;
    p2p_http_call_clear(&call);
    return is_good;
}

static bool
is_open_at(const struct p2p_addr *addr)
{
    int fd = -1;
    bool is_open = p2p_net_connect(addr, p2p_now_ms() + CONNECT_MS, &fd) == P2P_OK;

    p2p_fd_close(&fd);
    return is_open;
}

void
p2p_url_for_others(const char *url, char out[P2P_CODE_REGISTRY_MAX])
{
    struct p2p_addr addr, own = {.port = 0};
    char text[P2P_HOST_MAX + 9];

    snprintf(out, P2P_CODE_REGISTRY_MAX, "%s", url);
    if (!p2p_url_host(url, &addr) || !p2p_addr_is_loopback(&addr))
        return;
    own.port = addr.port;
    if (!p2p_net_own_address(own.host, sizeof(own.host)) || !is_open_at(&own))
        return;
    snprintf(out, P2P_CODE_REGISTRY_MAX, "%.*s%s", (int)(strstr(url, "://") + 3 - url),
             url, p2p_addr_format(&own, text, sizeof(text)));
    if (strncmp(out, "https://", 8) == 0 && !is_good_at(out))
        snprintf(out, P2P_CODE_REGISTRY_MAX, "%s", url);
}

bool
p2p_url_is_local(const char *url)
{
    struct p2p_addr addr;

    return p2p_url_host(url, &addr) && is_local(&addr);
}

bool
p2p_url_is_safe_for_links(const char *url)
{
    return strncmp(url, "https://", 8) == 0 || p2p_url_is_local(url);
}
