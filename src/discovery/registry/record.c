#include "discovery/registry/record.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/bytes.h"
#include "p2p/limits.h"
#include "p2p/path.h"

enum { FLAG_SIGNED = 1, FLAG_CONTENT = 2 };
/* Stored in the byte of the protocols, where programs that do not know this bit ignore
 * it. */
enum { CLAIMED = 0x80 };

void
record_clear(struct record *r)
{
    free(r->entries);
    free(r->memory);
    *r = (struct record){0};
}

int
record_compare_texts(const void *a, const void *b)
{
    const struct p2p_text *x = a, *y = b;
    size_t n = x->len < y->len ? x->len : y->len;
    int order = n > 0 ? memcmp(x->at, y->at, n) : 0;

    return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

int
record_compare_entries(const void *a, const void *b)
{
    const struct p2p_reg_entry *x = a, *y = b;

    return record_compare_texts(&x->name, &y->name);
}

enum p2p_err
record_parse_ip(const char *text, char out[RECORD_IP_MAX + 1])
{
    struct in6_addr v6;
    struct in_addr v4;

    out[0] = '\0';
    if (inet_pton(AF_INET, text, &v4) == 1) {
        uint32_t host = ntohl(v4.s_addr);

        if (host >> 24 == 0 || host >> 28 >= 14)
            return P2P_ERR_RANGE;
        inet_ntop(AF_INET, &v4, out, RECORD_IP_MAX + 1);
        return P2P_OK;
    }
    if (inet_pton(AF_INET6, text, &v6) != 1 || IN6_IS_ADDR_UNSPECIFIED(&v6) ||
        IN6_IS_ADDR_MULTICAST(&v6) || IN6_IS_ADDR_V4MAPPED(&v6))
        return P2P_ERR_RANGE;
    inet_ntop(AF_INET6, &v6, out, RECORD_IP_MAX + 1);
    return P2P_OK;
}

/* Lists contain many of these, and inet_ntop uses snprintf for each. */
static char *
put_byte(char *out, uint8_t value)
{
    if (value >= 100)
        *out++ = (char)('0' + value / 100);
    if (value >= 10)
        *out++ = (char)('0' + value / 10 % 10);
    *out++ = (char)('0' + value % 10);
    return out;
}

void
record_format_ip(const uint8_t ip[16], char out[RECORD_IP_MAX + 1])
{
    struct in6_addr v6;

    memcpy(&v6, ip, sizeof(v6));
    if (!IN6_IS_ADDR_V4MAPPED(&v6)) {
        inet_ntop(AF_INET6, &v6, out, RECORD_IP_MAX + 1);
        return;
    }
    for (unsigned i = 12; i < 16; i++) {
        out = put_byte(out, ip[i]);
        *out++ = i < 15 ? '.' : '\0';
    }
}

void
record_read_ip(const char *text, uint8_t out[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    memcpy(out, mapped, sizeof(mapped));
    if (inet_pton(AF_INET, text, out + 12) != 1 && inet_pton(AF_INET6, text, out) != 1)
        memset(out, 0, 16);
}

/* Loopback, private, link-local, shared (carriers' NAT), unique local. */
static bool
is_of_a_local_network(const uint8_t ip[16])
{
    const struct in6_addr *v6 = (const void *)ip;

    if (!IN6_IS_ADDR_V4MAPPED(v6))
        return IN6_IS_ADDR_LOOPBACK(v6) || IN6_IS_ADDR_LINKLOCAL(v6) ||
               (ip[0] & 0xfe) == 0xfc;
    return ip[12] == 127 || ip[12] == 10 || (ip[12] == 172 && ip[13] >> 4 == 1) ||
           (ip[12] == 192 && ip[13] == 168) || (ip[12] == 169 && ip[13] == 254) ||
           (ip[12] == 100 && ip[13] >> 6 == 1);
}

bool
record_ip_is_claimed(const char *stated, const char *from)
{
    uint8_t a[16], b[16];
    bool is_v4;

    record_read_ip(stated, a);
    record_read_ip(from, b);
    is_v4 = IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(const void *)b);
    if (is_of_a_local_network(a) || (is_v4 && b[12] == 127) ||
        IN6_IS_ADDR_LOOPBACK((const struct in6_addr *)(const void *)b))
        return false;
    return memcmp(a, b, is_v4 ? 15 : 8) != 0;
}

/* ---- further addresses ---- */

static bool
is_of_this_link(const uint8_t ip[16])
{
    const struct in6_addr *v6 = (const void *)ip;

    if (!IN6_IS_ADDR_V4MAPPED(v6))
        return IN6_IS_ADDR_LOOPBACK(v6) || IN6_IS_ADDR_LINKLOCAL(v6);
    return ip[12] == 127 || (ip[12] == 169 && ip[13] == 254);
}

/* A name without a dot means another machine in each network. */
static bool
is_for_others(const char *host)
{
    char text[RECORD_IP_MAX + 1];
    uint8_t ip[16];

    if (strchr(host, ':') == NULL && host[strspn(host, "0123456789.")] != '\0')
        return strchr(host, '.') != NULL;
    if (record_parse_ip(host, text) != P2P_OK)
        return false;
    record_read_ip(text, ip);
    return !is_of_this_link(ip);
}

void
record_add_address(char *list, const struct p2p_addr *addr)
{
    char text[P2P_ADDR_TEXT];
    size_t used = strlen(list), len;

    p2p_addr_format(addr, text, sizeof(text));
    len = strlen(text);
    if (!is_for_others(addr->host) || used + (used > 0) + len > RECORD_ADDRESSES_MAX)
        return;
    if (used > 0)
        list[used++] = ' ';
    memcpy(list + used, text, len + 1);
}

bool
record_lists_host(const char *list, const char *ip)
{
    char text[RECORD_IP_MAX + 4];
    size_t len;

    snprintf(text, sizeof(text), strchr(ip, ':') != NULL ? "[%s]:" : "%s:", ip);
    len = strlen(text);
    for (const char *at = list; (at = strstr(at, text)) != NULL; at += len)
        if (at == list || at[-1] == ' ')
            return true;
    return false;
}

/* ---- claims ---- */

void
record_put_claims(struct p2p_wr *wr, const struct p2p_about *about,
                  const char *addresses)
{
    p2p_wr_put_u8(wr, (uint8_t)about->kind);
    p2p_wr_put_u8(wr, (uint8_t)strlen(about->name));
    p2p_wr_put_text(wr, about->name);
    p2p_wr_put_u16(wr, (uint16_t)strlen(addresses));
    p2p_wr_put_text(wr, addresses);
}

/* The text of a list of addresses. False: it is not one that put_claims writes. */
static bool
read_addresses(const char *text, char out[RECORD_ADDRESSES_MAX + 1])
{
    char *rest = NULL, copy[RECORD_ADDRESSES_MAX + 1];

    memcpy(copy, text, strlen(text) + 1);
    out[0] = '\0';
    for (char *word = strtok_r(copy, " ", &rest); word != NULL;
         word = strtok_r(NULL, " ", &rest)) {
        struct p2p_addr addr;
        if (p2p_addr_parse(word, 0, &addr) == P2P_OK)
            record_add_address(out, &addr);
    }
    return strcmp(text, out) == 0;
}

enum p2p_err
record_get_claims(struct p2p_rd *rd, struct p2p_about *about,
                  char addresses[RECORD_ADDRESSES_MAX + 1])
{
    char name[UINT8_MAX + 1] = "", text[RECORD_ADDRESSES_MAX + 1] = "";
    size_t len;

    *about = (struct p2p_about){.kind = p2p_about_kind_of(p2p_rd_get_u8(rd))};
    addresses[0] = '\0';
    len = p2p_rd_get_u8(rd);
    p2p_rd_get_bytes(rd, name, len);
    if (len > 0 && !p2p_about_set_name(about, name, len))
        return P2P_ERR_MALFORMED;
    len = p2p_rd_get_u16(rd);
    if (len > RECORD_ADDRESSES_MAX)
        return P2P_ERR_MALFORMED;
    p2p_rd_get_bytes(rd, text, len);
    return rd->failed || strlen(text) != len || !read_addresses(text, addresses)
               ? P2P_ERR_MALFORMED
               : P2P_OK;
}

/* ---- bytes ---- */

static size_t
encoded_size(const struct record *r)
{
    size_t size = 2 + 8 + sizeof(r->id.b) + 1 + strlen(r->ip) + 2 + 1 + 4;

    if (r->is_signed)
        size += 8 + sizeof(r->key.b);
    for (uint32_t i = 0; i < r->count; i++)
        size += 2 + r->entries[i].name.len + (r->has_content ? 8 + 32 + 32 + 4 : 0);
    return size;
}

static void
put_entry(struct p2p_wr *wr, const struct p2p_reg_entry *e, bool has_content)
{
    p2p_wr_put_u16(wr, (uint16_t)e->name.len);
    p2p_wr_put_bytes(wr, e->name.at, e->name.len);
    if (!has_content)
        return;
    p2p_wr_put_u64(wr, e->size);
    p2p_wr_put_bytes(wr, e->root.b, sizeof(e->root.b));
    p2p_wr_put_bytes(wr, e->sha256.b, sizeof(e->sha256.b));
    p2p_wr_put_u32(wr, e->version);
}

enum p2p_err
record_encode(const struct record *r, uint8_t **bytes, size_t *len)
{
    size_t size = encoded_size(r);
    enum p2p_err err;
    struct p2p_wr wr;

    *len = 0;
    if ((*bytes = malloc(size)) == NULL)
        return P2P_ERR_NOMEM;
    p2p_wr_init(&wr, *bytes, size);
    p2p_wr_put_u8(&wr, RECORD_VERSION);
    p2p_wr_put_u8(&wr, (uint8_t)((r->is_signed ? FLAG_SIGNED : 0) |
                                 (r->has_content ? FLAG_CONTENT : 0)));
    p2p_wr_put_u64(&wr, r->is_signed ? r->seq : r->stamp);
    p2p_wr_put_bytes(&wr, r->id.b, sizeof(r->id.b));
    p2p_wr_put_u8(&wr, (uint8_t)strlen(r->ip));
    p2p_wr_put_text(&wr, r->ip);
    p2p_wr_put_u16(&wr, r->port);
    p2p_wr_put_u8(&wr, (uint8_t)(r->protocols | (r->is_ip_claimed ? CLAIMED : 0)));
    if (r->is_signed) {
        p2p_wr_put_u64(&wr, r->expires_at_s);
        p2p_wr_put_bytes(&wr, r->key.b, sizeof(r->key.b));
    }
    p2p_wr_put_u32(&wr, r->count);
    for (uint32_t i = 0; i < r->count; i++)
        put_entry(&wr, &r->entries[i], r->has_content);
    if ((err = p2p_wr_end(&wr, len)) != P2P_OK) {
        free(*bytes);
        *bytes = NULL;
    }
    return err;
}

/* Names point into the record's own copy of the bytes. */
static bool
get_entry(struct p2p_rd *rd, const struct record *r, struct p2p_reg_entry *e)
{
    e->name.len = p2p_rd_get_u16(rd);
    e->name.at = (const void *)p2p_rd_get_ref(rd, e->name.len);
    if (r->has_content) {
        e->size = p2p_rd_get_u64(rd);
        p2p_rd_get_bytes(rd, e->root.b, sizeof(e->root.b));
        p2p_rd_get_bytes(rd, e->sha256.b, sizeof(e->sha256.b));
        e->version = p2p_rd_get_u32(rd);
    }
    return !rd->failed && e->size <= P2P_FILE_SIZE_MAX &&
           p2p_name_check(e->name.at, e->name.len, true) == P2P_OK;
}

static enum p2p_err
get_entries(struct p2p_rd *rd, struct record *r)
{
    uint32_t count = p2p_rd_get_u32(rd);

    if (rd->failed || count > P2P_REGISTER_FILES_MAX || count > rd->left)
        return P2P_ERR_MALFORMED;
    if ((r->entries = calloc(count + 1u, sizeof(*r->entries))) == NULL)
        return P2P_ERR_NOMEM;
    for (; r->count < count; r->count++) {
        struct p2p_reg_entry *e = &r->entries[r->count];

        if (!get_entry(rd, r, e) ||
            (r->count > 0 && record_compare_entries(e - 1, e) >= 0))
            return P2P_ERR_MALFORMED;
    }
    return p2p_rd_end(rd);
}

static enum p2p_err
get_head(struct p2p_rd *rd, struct record *r)
{
    char ip[256] = "";
    uint8_t flags, ip_len;
    uint64_t order;

    if (p2p_rd_get_u8(rd) != RECORD_VERSION)
        return P2P_ERR_MALFORMED;
    flags = p2p_rd_get_u8(rd);
    r->is_signed = flags & FLAG_SIGNED;
    r->has_content = flags & FLAG_CONTENT;
    order = p2p_rd_get_u64(rd);
    p2p_rd_get_bytes(rd, r->id.b, sizeof(r->id.b));
    ip_len = p2p_rd_get_u8(rd);
    p2p_rd_get_bytes(rd, ip, ip_len);
    r->port = p2p_rd_get_u16(rd);
    r->protocols = p2p_rd_get_u8(rd);
    r->is_ip_claimed = r->protocols & CLAIMED;
    r->protocols &= (uint8_t)~CLAIMED;
    if (rd->failed || flags > (FLAG_SIGNED | FLAG_CONTENT) || order == 0 ||
        r->port == 0 || record_parse_ip(ip, r->ip) != P2P_OK ||
        strlen(r->ip) != ip_len || strcmp(ip, r->ip) != 0)
        return P2P_ERR_MALFORMED;
    *(r->is_signed ? &r->seq : &r->stamp) = order;
    if (!r->is_signed)
        return P2P_OK;
    r->expires_at_s = p2p_rd_get_u64(rd);
    p2p_rd_get_bytes(rd, r->key.b, sizeof(r->key.b));
    return rd->failed || p2p_spki_check(r->key.b) != P2P_OK ? P2P_ERR_MALFORMED
                                                            : P2P_OK;
}

enum p2p_err
record_decode(const void *bytes, size_t len, struct record *out)
{
    struct record r = {0};
    struct p2p_rd rd;
    enum p2p_err err;

    *out = (struct record){0};
    if ((r.memory = malloc(len + 1)) == NULL)
        return P2P_ERR_NOMEM;
    memcpy(r.memory, bytes, len);
    p2p_rd_init(&rd, r.memory, len);
    if ((err = get_head(&rd, &r)) == P2P_OK)
        err = get_entries(&rd, &r);
    if (err == P2P_OK) {
        *out = r;
        return P2P_OK;
    }
    record_clear(&r);
    return err;
}
