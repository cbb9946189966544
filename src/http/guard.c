#include "http/guard.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "http/internal.h"

static bool
is_port(const char *p)
{
    size_t n = strspn(p, "0123456789");

    return *p == '\0' || (n <= 5 && p[n] == '\0');
}

bool
http_host_parse(const char *host, char *name, size_t size)
{
    const char *end;
    size_t len;

    if (*host == '[') {
        if ((end = strchr(++host, ']')) == NULL || (end[1] != '\0' && end[1] != ':'))
            return false;
        len = (size_t)(end - host);
        end += end[1] == ':' ? 2 : 1;
    } else {
        len = strcspn(host, ":");
        end = host + len + (host[len] == ':');
        if (len > 1 && host[len - 1] == '.')
            len--;
    }
    if (len == 0 || len >= size || !is_port(end))
        return false;
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)host[i] <= ' ' || strchr("/@\\#?\"'", host[i]) != NULL)
            return false;
        name[i] = (char)tolower((unsigned char)host[i]);
    }
    name[len] = '\0';
    return true;
}

/* The canonical text of an IPv6 address, so that spellings compare equal. */
static void
canonical(char *name, size_t size)
{
    struct in6_addr raw;

    if (inet_pton(AF_INET6, name, &raw) == 1)
        inet_ntop(AF_INET6, &raw, name, (socklen_t)size);
}

bool
http_host_is_own(const char *host, const char *local_ip, const char *const *allowed)
{
    char name[256];

    if (host == NULL || !http_host_parse(host, name, sizeof(name)))
        return false;
    canonical(name, sizeof(name));
    if (strcmp(name, "localhost") == 0 || strcmp(name, "127.0.0.1") == 0 ||
        strcmp(name, "::1") == 0 || strcmp(name, local_ip) == 0)
        return true;
    for (; allowed != NULL && *allowed != NULL; allowed++)
        if (strcasecmp(name, *allowed) == 0)
            return true;
    return false;
}

bool
http_origin_is_own(const char *origin, const char *fetch_site, const char *host)
{
    if (fetch_site != NULL && strcmp(fetch_site, "same-origin") != 0 &&
        strcmp(fetch_site, "none") != 0)
        return false;
    if (origin == NULL)
        return true;
    if (strncmp(origin, "http://", 7) == 0)
        origin += 7;
    else if (strncmp(origin, "https://", 8) == 0) /* behind a proxy that ends TLS */
        origin += 8;
    else
        return false;
    return host != NULL && strcasecmp(origin, host) == 0;
}

static bool
is_safe(const char *method)
{
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

/* The user follows a link: the whole window becomes our page. */
static bool
is_navigation(const struct http_request *req)
{
    const char *mode = http_header(req, "Sec-Fetch-Mode");
    const char *dest = http_header(req, "Sec-Fetch-Dest");

    return strcmp(req->method, "GET") == 0 && mode != NULL && dest != NULL &&
           strcmp(mode, "navigate") == 0 && strcmp(dest, "document") == 0;
}

bool
http_guard_allows_site(struct http_request *req)
{
    if (!req->server->opt.guard.check_site ||
        http_origin_is_own(http_header(req, "Origin"),
                           http_header(req, "Sec-Fetch-Site"),
                           http_header(req, "Host")) ||
        ((req->route->flags & HTTP_PAGE) && is_navigation(req)))
        return true;
    http_fail(req, 403, "cross_site", "a page of another site may not ask for this");
    return false;
}

bool
http_guard_passes(struct http_request *req)
{
    const struct http_guard_options *g = &req->server->opt.guard;
    const char *host;

    if (!g->check_host && (!g->check_origin || is_safe(req->method)))
        return true;
    host = http_header(req, "Host");
    if (g->check_host && !http_host_is_own(host, http_local_ip(req), g->allow_hosts)) {
        http_fail(req, 421, "wrong_host",
                  "this server does not answer to this name (Host): open it by its "
                  "address, or start it with --allow-host and the name");
        return false;
    }
    if (g->check_origin && !is_safe(req->method) &&
        !http_origin_is_own(http_header(req, "Origin"),
                            http_header(req, "Sec-Fetch-Site"), host)) {
        http_fail(req, 403, "cross_site", "a page of another site may not do this");
        return false;
    }
    return true;
}
