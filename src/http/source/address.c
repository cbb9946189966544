#include "http/source/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
#define V4_BITS 96u

static void
set_v4(struct http_address *a, const void *raw)
{
    memcpy(a->b, v4_prefix, sizeof(v4_prefix));
    memcpy(a->b + sizeof(v4_prefix), raw, 4);
}

bool
http_address_is_v4(const struct http_address *a)
{
    return memcmp(a->b, v4_prefix, sizeof(v4_prefix)) == 0;
}

bool
http_address_parse(const char *text, size_t len, struct http_address *out)
{
    char copy[HTTP_ADDRESS_TEXT];
    uint8_t raw[4];

    if (len == 0 || len >= sizeof(copy))
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (inet_pton(AF_INET6, copy, out->b) == 1)
        return true;
    if (inet_pton(AF_INET, copy, raw) != 1)
        return false;
    set_v4(out, raw);
    return true;
}

void
http_address_from(const struct sockaddr *sa, struct http_address *out)
{
    const struct sockaddr_in6 *in6 = (const void *)sa;
    const struct sockaddr_in *in4 = (const void *)sa;

    memset(out, 0, sizeof(*out));
    if (sa != NULL && sa->sa_family == AF_INET)
        set_v4(out, &in4->sin_addr);
    else if (sa != NULL && sa->sa_family == AF_INET6)
        memcpy(out->b, &in6->sin6_addr, sizeof(out->b));
}

void
http_address_format(const struct http_address *a, char out[HTTP_ADDRESS_TEXT])
{
    out[0] = '\0';
    if (http_address_is_v4(a))
        inet_ntop(AF_INET, a->b + sizeof(v4_prefix), out, HTTP_ADDRESS_TEXT);
    else
        inet_ntop(AF_INET6, a->b, out, HTTP_ADDRESS_TEXT);
}

bool
http_address_is_loopback(const struct http_address *a)
{
    static const uint8_t v6[16] = {[15] = 1};

    if (http_address_is_v4(a))
        return a->b[sizeof(v4_prefix)] == 127;
    return memcmp(a->b, v6, sizeof(v6)) == 0;
}

struct http_address
http_address_source(const struct http_address *a)
{
    struct http_address source = *a;

    if (!http_address_is_v4(a))
        memset(source.b + 8, 0, 8);
    return source;
}

/* ---- networks ---- */

static void
keep_bits(struct http_address *a, unsigned bits)
{
    for (unsigned i = 0; i < sizeof(a->b); i++) {
        unsigned left = bits > 8 * i ? bits - 8 * i : 0;

        if (left < 8)
            a->b[i] &= (uint8_t)(0xff00u >> left);
    }
}

static bool
parse_bits(const char *text, size_t len, unsigned max, unsigned *out)
{
    *out = 0;
    if (len == 0 || len > 3)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        *out = *out * 10 + (unsigned)(text[i] - '0');
    }
    return *out <= max;
}

/* Addresses from which no connection can come. */
static bool
never_connects(const struct http_address *a)
{
    static const uint8_t zero[16];

    if (http_address_is_v4(a))
        return memcmp(a->b + sizeof(v4_prefix), zero, 4) == 0 || a->b[12] >= 224;
    return memcmp(a->b, zero, sizeof(zero)) == 0 || a->b[0] == 0xff;
}

/* The reason why the text is invalid, or NULL. */
static const char *
parse_network(const char *text, size_t len, struct http_network *out)
{
    const char *slash = memchr(text, '/', len);
    size_t address_len = slash != NULL ? (size_t)(slash - text) : len;

    if (!http_address_parse(text, address_len, &out->base))
        return "expected an IP address or a network such as 172.18.0.0/16, without a "
               "name, a port, brackets or a zone";
    out->bits = 128;
    if (slash != NULL) {
        bool is_dotted = memchr(text, ':', address_len) == NULL;

        if (!parse_bits(slash + 1, len - address_len - 1, is_dotted ? 32 : 128,
                        &out->bits))
            return "the prefix length must be a number from 1 to 32 (IPv6: 128)";
        out->bits += is_dotted ? V4_BITS : 0;
        if (out->bits == 0 || (http_address_is_v4(&out->base) && out->bits <= V4_BITS))
            return "this network contains every address, so any client could claim any "
                   "address";
    }
    if (never_connects(&out->base))
        return "no connection can come from this address";
    keep_bits(&out->base, out->bits);
    return NULL;
}

static enum p2p_err
add_network(struct http_networks *out, const char *text, size_t len, char *why,
            size_t size)
{
    const char *wrong = out->count == HTTP_NETWORKS_MAX
                            ? "too many values: combine them into networks"
                            : parse_network(text, len, &out->at[out->count]);

    if (wrong != NULL) {
        snprintf(why, size, "\"%.*s\": %s", (int)(len < 80 ? len : 80), text, wrong);
        return P2P_ERR_USAGE;
    }
    out->count++;
    return P2P_OK;
}

enum p2p_err
http_networks_parse(const char *const *list, struct http_networks *out, char *why,
                    size_t size)
{
    enum p2p_err err = P2P_OK;

    *out = (struct http_networks){.count = 0};
    for (; list != NULL && *list != NULL; list++) {
        const char *at = *list, *end;

        do {
            size_t len;

            end = strchr(at, ',');
            len = end != NULL ? (size_t)(end - at) : strlen(at);
            while (len > 0 && at[0] == ' ')
                at++, len--;
            while (len > 0 && at[len - 1] == ' ')
                len--;
            if ((err = add_network(out, at, len, why, size)) != P2P_OK)
                return err;
            /* "a, b" in a file or the environment arrives as "a," and "b". */
            at = end != NULL && end[1] != '\0' ? end + 1 : NULL;
        } while (at != NULL);
    }
    return P2P_OK;
}

bool
http_networks_contain(const struct http_networks *n, const struct http_address *a)
{
    for (unsigned i = 0; i < n->count; i++) {
        struct http_address part = *a;

        keep_bits(&part, n->at[i].bits);
        if (memcmp(part.b, n->at[i].base.b, sizeof(part.b)) == 0)
            return true;
    }
    return false;
}
