/* Addresses as people write them. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "p2p/bytes.h"
#include "p2p/net.h"

/* Letters of names and literals; '%' for the scope of a link-local address. */
static bool
is_host_text(const char *text, size_t len)
{
    if (len == 0 || len > P2P_HOST_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        bool ok = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                  (c >= 'A' && c <= 'Z') || strchr(".-_:%", c) != NULL || c >= 0x80;
        if (!ok || c == '\0')
            return false;
    }
    return p2p_utf8_is_valid(text, len);
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
    } /* several colons without brackets: an IPv6 literal without a port */
    if (!is_host_text(host, len) || (port == NULL && default_port == 0))
        return P2P_ERR_USAGE;
    out->port = default_port;
    if (port != NULL && parse_port(port, &out->port) != P2P_OK)
        return P2P_ERR_USAGE;
    memcpy(out->host, host, len);
    return P2P_OK;
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

void
p2p_addr_from_sockaddr(const struct sockaddr *sa, struct p2p_addr *out)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)sa;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)sa;

    memset(out, 0, sizeof(*out));
    if (sa->sa_family == AF_INET) {
        inet_ntop(AF_INET, &v4->sin_addr, out->host, sizeof(out->host));
        out->port = ntohs(v4->sin_port);
    } else if (sa->sa_family == AF_INET6) {
        if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
            inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], out->host,
                      sizeof(out->host));
        else
            inet_ntop(AF_INET6, &v6->sin6_addr, out->host, sizeof(out->host));
        out->port = ntohs(v6->sin6_port);
    }
}

bool
p2p_addr_is_loopback(const struct p2p_addr *addr)
{
    struct in6_addr v6;
    struct in_addr v4;

    if (strcmp(addr->host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, addr->host, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    return inet_pton(AF_INET6, addr->host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/* Connecting a datagram socket only chooses the route; TEST-NET-1 is nobody's. */
bool
p2p_net_own_address(char *out, size_t cap)
{
    struct sockaddr_in far = {.sin_family = AF_INET, .sin_port = htons(9)};
    struct sockaddr_in own = {0};
    socklen_t len = sizeof(own);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool found;

    far.sin_addr.s_addr = htonl(0xc0000201);
    found = fd >= 0 && connect(fd, (const struct sockaddr *)&far, sizeof(far)) == 0 &&
            getsockname(fd, (struct sockaddr *)&own, &len) == 0 &&
            (ntohl(own.sin_addr.s_addr) >> 24) != 127 &&
            inet_ntop(AF_INET, &own.sin_addr, out, (socklen_t)cap) != NULL;
    if (fd >= 0)
        close(fd);
    return found;
}
