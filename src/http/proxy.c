/* The client's address behind a proxy that the operator has named. */
#include "http/internal.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

/* Somebody, but nobody we know: in no case the proxy's own address. */
static const char nobody_known[] = "0.0.0.0";

static bool
is_trusted(const struct http_server *s, const char *ip)
{
    for (const char *const *p = s->opt.trusted_proxies; *p != NULL; p++)
        if (strcmp(*p, ip) == 0)
            return true;
    return false;
}

/* One hop: `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]:80`, quoted or not. */
static bool
parse_hop(const char *at, size_t len, char out[HTTP_IP_TEXT])
{
    uint8_t raw[16];
    size_t n;

    while (len > 0 && strchr(" \t\"", at[0]) != NULL)
        at++, len--;
    while (len > 0 && strchr(" \t\"", at[len - 1]) != NULL)
        len--;
    if (len == 0 || len >= 64)
        return false;
    if (at[0] == '[') {
        at++;
        n = strcspn(at, "]");
    } else
        n = memchr(at, ':', len) != memrchr(at, ':', len) ? len : strcspn(at, ":\"");
    if (n > len)
        n = len;
    if (n >= HTTP_IP_TEXT)
        return false;
    memcpy(out, at, n);
    out[n] = '\0';
    if (inet_pton(AF_INET, out, raw) == 1)
        return true;
    return inet_pton(AF_INET6, out, raw) == 1 &&
           inet_ntop(AF_INET6, raw, out, HTTP_IP_TEXT) != NULL;
}

/* `for=` of one element of Forwarded (RFC 7239). */
static bool
parse_forwarded(const char *at, size_t len, char out[HTTP_IP_TEXT])
{
    for (size_t i = 0; i + 4 <= len; i++) {
        size_t n;

        if (strncasecmp(at + i, "for=", 4) != 0)
            continue;
        for (n = i + 4; n < len && at[n] != ';'; n++)
            ;
        return parse_hop(at + i + 4, n - i - 4, out);
    }
    return false;
}

/*
 * Walks the list from its end, the part the nearest proxy wrote, and stops at the first
 * hop that is not trusted itself: what stands before it anybody may have made up.
 */
static void
resolve_list(struct http_request *req, const char *list,
             bool (*parse)(const char *, size_t, char *))
{
    const char *end = list + strlen(list);
    char hop[HTTP_IP_TEXT];

    while (end > list) {
        const char *comma = memrchr(list, ',', (size_t)(end - list));
        const char *at = comma != NULL ? comma + 1 : list;

        if (!parse(at, (size_t)(end - at), hop)) {
            strcpy(req->proxied_ip, nobody_known);
            return;
        }
        memcpy(req->proxied_ip, hop, sizeof(hop));
        if (!is_trusted(req->server, hop))
            return;
        end = comma != NULL ? comma : list;
    }
}

void
http_proxy_resolve(struct http_request *req)
{
    const char *forwarded, *x_forwarded_for;

    if (req->server->opt.trusted_proxies == NULL ||
        !is_trusted(req->server, req->conn->ip))
        return;
    forwarded = http_header(req, "Forwarded");
    x_forwarded_for = http_header(req, "X-Forwarded-For");
    /* A proxy writes one of them and may pass on what it does not know: with both
     * there, the client may have made up either. */
    if (forwarded != NULL && x_forwarded_for != NULL)
        strcpy(req->proxied_ip, nobody_known);
    else if (forwarded != NULL)
        resolve_list(req, forwarded, parse_forwarded);
    else if (x_forwarded_for != NULL)
        resolve_list(req, x_forwarded_for, parse_hop);
}
