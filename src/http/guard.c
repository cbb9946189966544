#include "http/guard.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

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

/* Writes an IPv6 address in its canonical form, so that different spellings compare
 * equal. */
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

/* ---- origins ---- */

struct place {
    char name[256];
    unsigned port;
};

/* The port of a parsed Host; 0 if it has none. */
static unsigned
port_of(const char *host)
{
    const char *colon = strrchr(host, ':');

    if (colon == NULL || strchr(colon, ']') != NULL)
        return 0;
    return (unsigned)strtoul(colon + 1, NULL, 10);
}

static bool
parse_place(const char *host, bool is_https, struct place *out)
{
    if (host == NULL || !http_host_parse(host, out->name, sizeof(out->name)))
        return false;
    canonical(out->name, sizeof(out->name));
    out->port = port_of(host);
    if (out->port == 0)
        out->port = is_https ? 443 : 80;
    return true;
}

bool
http_origin_is_own(const struct http_origin_headers *h)
{
    bool is_https = h->origin != NULL && strncmp(h->origin, "https://", 8) == 0;
    struct place from, here;

    if (h->fetch_site != NULL && strcmp(h->fetch_site, "same-origin") == 0)
        return true;
    if (h->fetch_site != NULL && strcmp(h->fetch_site, "none") != 0)
        return false;
    if (h->origin == NULL)
        return true;
    if (!is_https && strncmp(h->origin, "http://", 7) != 0)
        return false;
    /* Behind a proxy that ends TLS without saying so, the page's scheme is accepted. */
    if (h->scheme != NULL && is_https != (strcmp(h->scheme, "https") == 0))
        return false;
    return parse_place(h->origin + (is_https ? 8 : 7), is_https, &from) &&
           parse_place(h->host, is_https, &here) && from.port == here.port &&
           strcmp(from.name, here.name) == 0;
}

/* ---- names ---- */

/* The reason why the text is invalid, or NULL. */
static const char *
add_host(struct http_hosts *out, const char *text, size_t len)
{
    struct http_address address;
    char copy[256], name[256];

    if (out->count == HTTP_HOSTS_MAX)
        return "too many names";
    if (len == 0 || len >= sizeof(copy))
        return "expected a host name such as files.example";
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (strstr(copy, "://") != NULL || strchr(copy, '/') != NULL)
        return "give the host name alone, without http:// and without a path";
    if (strchr(copy, '*') != NULL)
        return "patterns are not supported; give each name";
    if (http_address_parse(copy, len, &address))
        http_address_format(&address, name);
    else if (!http_host_parse(copy, name, sizeof(name)))
        return "expected a host name such as files.example";
    canonical(name, sizeof(name));
    if ((out->at[out->count] = strdup(name)) == NULL)
        return "out of memory";
    out->count++;
    return NULL;
}

enum p2p_err
http_hosts_parse(const char *const *list, struct http_hosts *out, char *why,
                 size_t size)
{
    *out = (struct http_hosts){.count = 0};
    for (; list != NULL && *list != NULL; list++) {
        const char *at = *list;

        do {
            size_t len = strcspn(at, ","), spaces = strspn(at, " ");
            const char *wrong =
                add_host(out, at + spaces, len > spaces ? len - spaces : 0);

            if (wrong != NULL) {
                snprintf(why, size, "\"%.*s\": %s", (int)(len < 80 ? len : 80), at,
                         wrong);
                return P2P_ERR_USAGE;
            }
            at += len + (at[len] == ',');
        } while (*at != '\0');
    }
    return P2P_OK;
}

void
http_hosts_add_machine(struct http_hosts *out)
{
    char name[200], local[256];

    if (gethostname(name, sizeof(name)) != 0)
        return;
    name[sizeof(name) - 1] = '\0';
    (void)add_host(out, name, strlen(name));
    name[strcspn(name, ".")] = '\0';
    snprintf(local, sizeof(local), "%s.local", name);
    (void)add_host(out, name, strlen(name));
    (void)add_host(out, local, strlen(local));
}

void
http_hosts_clear(struct http_hosts *out)
{
    for (unsigned i = 0; i < out->count; i++)
        free((void *)(uintptr_t)out->at[i]);
    *out = (struct http_hosts){.count = 0};
}

enum p2p_err
http_hosts_check(const char *const *list, char *why, size_t size)
{
    struct http_hosts hosts;
    enum p2p_err err = http_hosts_parse(list, &hosts, why, size);

    http_hosts_clear(&hosts);
    return err;
}

/* ---- the guard ---- */

static bool
is_safe(const char *method)
{
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

/*
 * Headers that browsers send and that a page cannot remove. Without a secure context
 * there is no Sec-Fetch-Site, and GET requests have no Origin, but Accept-Language is
 * always sent.
 */
static bool
is_from_browser(const struct http_request *req)
{
    static const char *const signs[] = {"Origin",         "Sec-Fetch-Site",
                                        "Sec-Fetch-Mode", "Sec-Fetch-Dest",
                                        "Referer",        "Accept-Language"};

    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
        if (http_header(req, signs[i]) != NULL)
            return true;
    return false;
}

static bool
host_passes(struct http_request *req)
{
    const struct http_guard_options *g = &req->server->opt.guard;

    if (!g->check_host && !(g->check_browser_host && is_from_browser(req)))
        return true;
    if (http_host_is_own(http_host(req), http_local_ip(req), req->server->hosts.at))
        return true;
    http_fail(req, 421, "wrong_host",
              "this server does not accept this host name: open it by its IP address, "
              "or start it with --allow-host and the name");
    return false;
}

/* The user follows a link: our page replaces the other one. */
static bool
is_navigation(const struct http_request *req)
{
    const char *mode = http_header(req, "Sec-Fetch-Mode");
    const char *dest = http_header(req, "Sec-Fetch-Dest");

    return strcmp(req->method, "GET") == 0 && mode != NULL && dest != NULL &&
           strcmp(mode, "navigate") == 0 && strcmp(dest, "document") == 0;
}

static struct http_origin_headers
origin_of(const struct http_request *req)
{
    return (struct http_origin_headers){
        .origin = http_header(req, "Origin"),
        .fetch_site = http_header(req, "Sec-Fetch-Site"),
        .host = http_host(req),
        .scheme = http_scheme(req),
    };
}

bool
http_guard_allows_site(struct http_request *req)
{
    struct http_origin_headers h = origin_of(req);

    if (!req->server->opt.guard.check_site || http_origin_is_own(&h) ||
        ((req->route->flags & HTTP_PAGE) && is_navigation(req)))
        return true;
    http_fail(req, 403, "cross_site", "a page of another site may not request this");
    return false;
}

static bool
origin_passes(struct http_request *req)
{
    struct http_origin_headers h = origin_of(req);
    bool is_foreign =
        h.fetch_site != NULL && (strcmp(h.fetch_site, "cross-site") == 0 ||
                                 strcmp(h.fetch_site, "same-site") == 0);

    if (!req->server->opt.guard.check_origin)
        return true;
    if (is_safe(req->method) ? !is_foreign || is_navigation(req)
                             : http_origin_is_own(&h))
        return true;
    http_fail(req, 403, "cross_site", "a page of another site may not do this");
    return false;
}

bool
http_guard_passes(struct http_request *req)
{
    return host_passes(req) && origin_passes(req);
}
