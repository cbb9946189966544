/* Detects proxies between the client and this server: those that the operator named,
 * and others. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "http/internal.h"
#include "http/source/forwarded.h"
#include "p2p/log.h"

/* An unknown client: never the proxy's own address. */
static const char nobody_known[] = "0.0.0.0";

/* If a header has more lines than this, it is not believed. */
#define LINES_MAX 16u

struct lines {
    const char *at[LINES_MAX];
    size_t count; /* also for those that have no place in the list */
};

struct proxy_headers {
    struct lines forwarded, x_forwarded_for;
    const char *host, *proto;
    bool shows_address, shows_any;
};

static void
add_line(struct lines *l, const char *value)
{
    if (l->count < LINES_MAX)
        l->at[l->count] = value != NULL ? value : "";
    l->count++;
}

/* Headers that proxies and carriers add to name the client, and that clients do not
 * send. */
static bool
names_client(const char *key)
{
    static const char *const names[] = {"Forwarded",      "X-Forwarded-For",
                                        "X-Real-IP",      "X-Client-IP",
                                        "True-Client-IP", "CF-Connecting-IP"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcasecmp(key, names[i]) == 0)
            return true;
    return false;
}

static enum MHD_Result
look_at_header(void *arg, enum MHD_ValueKind kind, const char *key, const char *value)
{
    struct proxy_headers *h = arg;

    (void)kind;
    if (names_client(key))
        h->shows_address = true;
    else if (strncasecmp(key, "X-Forwarded-", 12) == 0 || strcasecmp(key, "Via") == 0)
        h->shows_any = true;
    else
        return MHD_YES;
    if (strcasecmp(key, "Forwarded") == 0)
        add_line(&h->forwarded, value);
    else if (strcasecmp(key, "X-Forwarded-For") == 0)
        add_line(&h->x_forwarded_for, value);
    else if (strcasecmp(key, "X-Forwarded-Host") == 0)
        h->host = value;
    else if (strcasecmp(key, "X-Forwarded-Proto") == 0)
        h->proto = value;
    return MHD_YES;
}

static void
resolve(struct http_request *req, const struct proxy_headers *h)
{
    bool is_forwarded = h->forwarded.count > 0;
    const struct lines *l = is_forwarded ? &h->forwarded : &h->x_forwarded_for;
    struct http_address client = {{0}};
    struct http_source *source;

    /* A proxy writes one of the two headers and may pass on the other one unchanged. If
     * both are present, the client may have made up one of them. */
    if ((is_forwarded && h->x_forwarded_for.count > 0) || l->count > LINES_MAX ||
        !http_forwarded_client(is_forwarded ? HTTP_FORWARDED : HTTP_X_FORWARDED_FOR,
                               l->at, l->count, &req->server->proxies, &client))
        strcpy(req->proxied_ip, nobody_known);
    else
        http_address_format(&client, req->proxied_ip);
    if ((source = http_source_hold(&req->server->sources, &client)) != NULL)
        req->source = source;
}

static void
warn_once(struct http_request *req)
{
    if (!req->conn->is_loopback ||
        atomic_exchange(&req->server->has_warned_of_proxy, true))
        return;
    p2p_log_warn(
        "an unknown proxy at %s forwards requests, so all of its clients share one "
        "address; if it is your proxy, start with --trusted-proxy %s",
        req->conn->ip, req->conn->ip);
}

void
http_proxy_resolve(struct http_request *req, const char *version)
{
    struct proxy_headers h = {.host = NULL};

    MHD_get_connection_values(req->mhd, MHD_HEADER_KIND, look_at_header, &h);
    req->shows_address = h.shows_address;
    req->shows_proxy =
        h.shows_address || h.shows_any || strcmp(version, "HTTP/1.1") != 0;
    req->is_by_proxy =
        http_networks_contain(&req->server->proxies, &req->conn->address);
    if (req->shows_proxy && req->conn->is_favored)
        http_place_is_proxys(req->conn);
    if (!req->is_by_proxy) {
        if (h.shows_address)
            warn_once(req);
        return;
    }
    if (h.forwarded.count + h.x_forwarded_for.count > 0)
        resolve(req, &h);
    req->forwarded_host = h.host != NULL ? http_forwarded_last(h.host) : NULL;
    req->forwarded_proto = h.proto != NULL ? http_forwarded_last(h.proto) : NULL;
}

bool
http_shows_proxy(const struct http_request *req)
{
    return req->shows_proxy;
}

bool
http_came_by_trusted_proxy(const struct http_request *req)
{
    return req->is_by_proxy;
}

bool
http_client_is_hidden(const struct http_request *req)
{
    if (req->is_by_proxy)
        return strcmp(http_client_ip(req), nobody_known) == 0;
    return req->shows_address || (req->shows_proxy && req->conn->is_loopback);
}

enum p2p_err
http_proxies_check(const char *const *list, char *why, size_t size)
{
    struct http_networks unused;

    return http_networks_parse(list, &unused, why, size);
}
