/* Addresses as people write them, and their canonical form for comparison. */
#include "p2p/addr.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "p2p/bytes.h"

static char
lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* The characters of a host name; ':' and '%' belong to address literals. */
static bool
is_name_text(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        bool ok = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '.' ||
                  c == '-' || c == '_' || c >= 0x80;
        if (!ok)
            return false;
    }
    return len > 0 && p2p_utf8_is_valid(text, len);
}

/* inet_aton and the resolver read such names as IPv4 addresses: "127.1", "0x7f.1". */
static bool
ends_in_number(const char *name)
{
    const char *dot = strrchr(name, '.'), *last = dot != NULL ? dot + 1 : name;

    if (last[0] == '0' && last[1] == 'x')
        return last[2 + strspn(last + 2, "0123456789abcdef")] == '\0';
    return last[strspn(last, "0123456789")] == '\0';
}

static bool
is_link_local(const struct in6_addr *v6)
{
    return IN6_IS_ADDR_LINKLOCAL(v6) || IN6_IS_ADDR_MC_LINKLOCAL(v6);
}

/* The name of an interface such as "eth0", also when it was written as its number. */
static bool
put_zone(const char *zone, char *out, size_t cap)
{
    char name[IF_NAMESIZE];
    uint64_t index;

    if (zone[0] == '\0' || strlen(zone) >= IF_NAMESIZE || zone[strcspn(zone, ":%/[]")])
        return false;
    if (p2p_decimal_parse(zone, strlen(zone), UINT32_MAX, &index) == P2P_OK &&
        if_indextoname((unsigned)index, name) != NULL)
        zone = name;
    return (size_t)snprintf(out, cap, "%%%s", zone) < cap;
}

/* Parses an IPv6 literal; false if `text` is not one. */
static bool
canonical_v6(char *text, char out[P2P_HOST_MAX + 1])
{
    char *zone = strchr(text, '%');
    struct in6_addr v6;

    if (zone != NULL)
        *zone++ = '\0';
    if (inet_pton(AF_INET6, text, &v6) != 1 || (zone != NULL && !is_link_local(&v6)))
        return false;
    if (IN6_IS_ADDR_V4MAPPED(&v6))
        return inet_ntop(AF_INET, &v6.s6_addr[12], out, P2P_HOST_MAX + 1) != NULL;
    if (inet_ntop(AF_INET6, &v6, out, P2P_HOST_MAX + 1) == NULL)
        return false;
    size_t len = strlen(out);
    return zone == NULL || put_zone(zone, out + len, P2P_HOST_MAX + 1 - len);
}

enum p2p_err
p2p_host_canonical(const char *text, size_t len, char out[P2P_HOST_MAX + 1])
{
    char host[P2P_HOST_MAX + 1];
    struct in_addr v4;

    memset(out, 0, P2P_HOST_MAX + 1);
    if (len > 1 && text[len - 1] == '.')
        len--;
    if (len == 0 || len > P2P_HOST_MAX || memchr(text, '\0', len) != NULL)
        return P2P_ERR_USAGE;
    memcpy(host, text, len);
    host[len] = '\0';
    if (strchr(host, ':') != NULL) {
        if (canonical_v6(host, out))
            return P2P_OK;
        memset(out, 0, P2P_HOST_MAX + 1);
        return P2P_ERR_USAGE;
    }
    for (size_t i = 0; i < len; i++)
        host[i] = lower(host[i]);
    if (inet_pton(AF_INET, host, &v4) != 1 &&
        (!is_name_text(host, len) || ends_in_number(host)))
        return P2P_ERR_USAGE;
    memcpy(out, host, len);
    return P2P_OK;
}

enum p2p_err
p2p_addr_make(const char *host, uint16_t port, struct p2p_addr *out)
{
    enum p2p_err err = p2p_host_canonical(host, strlen(host), out->host);

    out->port = port;
    return err == P2P_OK && port == 0 ? P2P_ERR_USAGE : err;
}

static enum p2p_err
parse_port(const char *text, uint16_t *port)
{
    uint64_t value;

    if (p2p_decimal_parse(text, strlen(text), 65535, &value) != P2P_OK || value == 0)
        return P2P_ERR_USAGE;
    *port = (uint16_t)value;
    return P2P_OK;
}

enum p2p_err
p2p_addr_parse(const char *text, uint16_t default_port, struct p2p_addr *out)
{
    const char *host = text, *colon = strrchr(text, ':'), *port = NULL;
    size_t len = strlen(text);

    memset(out, 0, sizeof(*out));
    if (text[0] == '[') {
        const char *end = strchr(text, ']');
        if (end == NULL || (end[1] != '\0' && end[1] != ':'))
            return P2P_ERR_USAGE;
        host = text + 1;
        len = (size_t)(end - host);
        port = end[1] == ':' ? end + 2 : NULL;
    } else if (colon != NULL && strchr(text, ':') == colon) {
        len = (size_t)(colon - text);
        port = colon + 1;
    } /* several colons without brackets: an IPv6 address without a port */
    if (port == NULL && default_port == 0)
        return P2P_ERR_USAGE;
    out->port = default_port;
    if (port != NULL && parse_port(port, &out->port) != P2P_OK)
        return P2P_ERR_USAGE;
    return p2p_host_canonical(host, len, out->host);
}

const char *
p2p_addr_format(const struct p2p_addr *addr, char *out, size_t cap)
{
    if (strchr(addr->host, ':') != NULL)
        snprintf(out, cap, "[%s]:%u", addr->host, addr->port);
    else
        snprintf(out, cap, "%s:%u", addr->host, addr->port);
    return out;
}

bool
p2p_addr_equal(const struct p2p_addr *a, const struct p2p_addr *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

/* True if the list has this text between two spaces. */
static bool
is_in_list(const char *list, const char *text)
{
    size_t len = strlen(text);

    for (const char *at = list; (at = strstr(at, text)) != NULL; at += len)
        if ((at == list || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
            return true;
    return false;
}

bool
p2p_addr_list_add(char *list, size_t cap, const struct p2p_addr *addr)
{
    char text[P2P_ADDR_TEXT];
    size_t used = strlen(list);

    p2p_addr_format(addr, text, sizeof(text));
    if (is_in_list(list, text))
        return true;
    if (used + (used > 0) + strlen(text) + 1 > cap)
        return false;
    snprintf(list + used, cap - used, "%s%s", used > 0 ? " " : "", text);
    return true;
}

size_t
p2p_addr_list_read(const char *list, struct p2p_addr *out, size_t max)
{
    size_t count = 0;

    while (count < max && *list != '\0') {
        size_t len = strcspn(list, " ");
        char text[P2P_ADDR_TEXT];

        if (len < sizeof(text)) {
            memcpy(text, list, len);
            text[len] = '\0';
            count += p2p_addr_parse(text, 0, &out[count]) == P2P_OK;
        }
        list += len;
        list += strspn(list, " ");
    }
    return count;
}
