#include "discovery/http/json.h"

#include <string.h>

#include "discovery/index/fold.h"
#include "p2p/net.h"

bool
json_digest_is_known(const struct p2p_digest *d)
{
    static const struct p2p_digest zero;

    return memcmp(d->b, zero.b, sizeof(zero.b)) != 0;
}

static const char *
name_of(const struct registry_peer *p, uint32_t file)
{
    uint32_t name = catalogue_file(p->catalogue, file)->name;

    return fold_spelling(catalogue_name(p->catalogue, name)->text);
}

static void
put_where(struct http_json_out *o, const struct p2p_id *id, const char *ip,
          uint16_t port)
{
    http_json_put_hex(o, "peer_id", id->b, sizeof(id->b));
    http_json_put_string(o, "ip", ip);
    http_json_put_u64(o, "port", port);
}

/* Calls `put` for the first `max` files. A long list is visited in slices; between two
 * slices it may be replaced by another one. */
static void
for_files(struct http_json_out *o, struct registry_peer *p, uint32_t max,
          void (*put)(struct http_json_out *o, const struct registry_peer *p,
                      uint32_t file))
{
    for (uint32_t i = 0; i < p->file_count && i < max; i++) {
        put(o, p, p->files[i]);
        if (i % REGISTRY_VISIT_SLICE == REGISTRY_VISIT_SLICE - 1)
            registry_let_others_in_unlocks(p);
    }
}

static void
put_name(struct http_json_out *o, const struct registry_peer *p, uint32_t file)
{
    http_json_put_string(o, NULL, name_of(p, file));
}

static void
put_about(struct http_json_out *o, const struct p2p_about *about)
{
    if (about->name[0] != '\0')
        http_json_put_string(o, "name", about->name);
    if (about->name[0] != '\0' || about->kind != P2P_ABOUT_UNKNOWN)
        http_json_put_string(o, "kind", p2p_about_kind_name(about->kind));
}

static void
put_list(struct http_json_out *o, const char *addresses)
{
    char copy[RECORD_ADDRESSES_MAX + 1], *rest = NULL;

    memcpy(copy, addresses, strlen(addresses) + 1);
    http_json_begin(o, "addresses", '[');
    for (char *at = strtok_r(copy, " ", &rest); at != NULL;
         at = strtok_r(NULL, " ", &rest))
        http_json_put_string(o, NULL, at);
    http_json_end(o, ']');
}

/* Most peers have no list, and an answer has hundreds of peers: so its buffer, which
 * the compiler clears, is in another function. */
static void
put_addresses(struct http_json_out *o, const char *addresses)
{
    if (addresses[0] != '\0')
        put_list(o, addresses);
}

static void
put_direct(struct http_json_out *o, enum registry_direct direct)
{
    if (direct != REGISTRY_DIRECT_UNKNOWN)
        http_json_put_string(o, "direct", direct == REGISTRY_DIRECT_YES ? "yes" : "no");
}

static void
put_members(struct http_json_out *o, struct registry_peer *p, uint32_t names_max)
{
    uint64_t silent_s = (p2p_now_ms() - p->heard_ms) / 1000;
    uint32_t file_count = p->file_count;

    put_where(o, &p->id, p->ip, p->port);
    put_addresses(o, p->addresses); /* others are let in below */
    put_direct(o, p->direct);
    http_json_begin(o, "files", '[');
    for_files(o, p, names_max, put_name);
    http_json_end(o, ']');
    http_json_put_u64(o, "files_count", file_count);
    put_about(o, p->about);
    http_json_put_bool(o, "verified", p->is_signed && !p->is_ip_claimed);
    http_json_put_u64(o, "last_seen", p2p_time_s() - silent_s);
    http_json_begin(o, "protocols", '[');
    for (unsigned i = 0; i < 2; i++)
        if (p->protocols >> i & 1)
            http_json_put_u64(o, NULL, i + 1);
    http_json_end(o, ']');
}

static void
put_entry(struct http_json_out *o, const struct registry_peer *p, uint32_t file)
{
    uint32_t at = catalogue_file(p->catalogue, file)->content;
    const struct content *c;

    http_json_begin(o, NULL, '{');
    http_json_put_string(o, "name", name_of(p, file));
    if (at != SLAB_NONE) {
        c = catalogue_content(p->catalogue, at);
        http_json_put_u64(o, "size", c->size);
        http_json_put_hex(o, "root", c->root.b, sizeof(c->root.b));
        if (json_digest_is_known(&c->sha256))
            http_json_put_hex(o, "sha256", c->sha256.b, sizeof(c->sha256.b));
    }
    http_json_end(o, '}');
}

void
json_put_peer(struct http_json_out *o, const struct registry_peer *shown,
              uint32_t names_max)
{
    struct registry_peer p = *shown;

    http_json_begin(o, NULL, '{');
    put_members(o, &p, names_max);
    http_json_end(o, '}');
}

void
json_put_peer_in_short(struct http_json_out *o, const struct registry_peer *shown,
                       uint32_t names_max)
{
    struct registry_peer p = *shown;

    http_json_begin(o, NULL, '{');
    put_members(o, &p, names_max);
    if (shown->is_signed) {
        http_json_put_u64(o, "seq", shown->seq);
        http_json_put_u64(o, "expires_at", shown->expires_at_s);
    }
    http_json_end(o, '}');
}

void
json_put_peer_in_full(struct http_json_out *o, const struct registry_peer *shown)
{
    struct registry_peer p = *shown;

    http_json_begin(o, NULL, '{');
    put_members(o, &p, UINT32_MAX);
    if (p.is_signed) {
        http_json_put_u64(o, "seq", p.seq);
        http_json_put_u64(o, "expires_at", p.expires_at_s);
    }
    http_json_begin(o, "entries", '[');
    if (p.has_content)
        for_files(o, &p, UINT32_MAX, put_entry);
    http_json_end(o, ']');
    http_json_end(o, '}');
}

static void
put_source(void *arg, const struct registry_source *s,
           const struct registry_claims *claims)
{
    struct http_json_out *o = arg;
    char ip[RECORD_IP_MAX + 1];

    record_format_ip(s->ip, ip);
    http_json_begin(o, NULL, '{');
    put_where(o, &s->id, ip, s->port);
    http_json_put_bool(o, "verified", s->is_signed && !s->is_ip_claimed);
    if (claims != NULL) {
        put_about(o, claims->about);
        put_addresses(o, claims->addresses);
        put_direct(o, claims->direct);
    }
    http_json_end(o, '}');
}

void
json_put_sources(struct http_json_out *o, struct registry *r,
                 const struct registry_source *sources, uint32_t count)
{
    http_json_begin(o, "peers", '[');
    registry_visit_sources(r, sources, count, put_source, o);
    http_json_end(o, ']');
}
