/* Writes the object `Peer` of docs/openapi.yaml. */
#include <stdlib.h>
#include <string.h>

#include "p2p/code.h"
#include "p2p/lock.h"
#include "p2p/net.h"
#include "ui/peers/peers_internal.h"
#include "ui/reply/json.h"

#define NAMES_SHOWN P2P_PEER_NAMES_KEPT

struct trust {
    const char *text;
    struct p2p_id known_as;
    bool is_changed;
    bool is_trusted; /* by the owner, not only met */
};

/* Another peer is remembered for this address. */
static bool
find_former(struct p2p_identity *identity, const char *address, const struct p2p_id *id,
            struct p2p_id *former)
{
    struct p2p_known_peer *list = NULL;
    size_t count = 0;
    bool found = false;

    if (p2p_known_list(identity, &list, &count) != P2P_OK)
        return false;
    for (size_t i = 0; i < count && !found; i++)
        if (p2p_known_is_at(&list[i], address) && !p2p_id_equal(&list[i].id, id) &&
            list[i].trust != P2P_TRUST_PENDING) {
            *former = list[i].id;
            found = true;
        }
    free(list);
    return found;
}

static void
judge(struct ui_peers *p, const struct ui_peer *peer, struct trust *out)
{
    struct p2p_known_peer known;
    char address[P2P_HOST_MAX + 16];
    bool is_known = p2p_known_find(p->parts.identity, &peer->id, &known) == P2P_OK;

    memset(out, 0, sizeof(*out));
    p2p_addr_format(&peer->addr, address, sizeof(address));
    if (is_known && known.trust == P2P_TRUST_BLOCKED)
        out->text = "blocked";
    else if (p2p_known_check(p->parts.identity, address, &peer->id, false, &peer->id) ==
                 P2P_ERR_KEY_CHANGED &&
             find_former(p->parts.identity, address, &peer->id, &out->known_as)) {
        out->text = "changed";
        out->is_changed = true;
    } else if (is_known &&
               (known.trust == P2P_TRUST_SEEN || known.trust == P2P_TRUST_TRUSTED))
        out->text = "verified";
    else
        out->text = "new";
    out->is_trusted = !out->is_changed && is_known && known.trust == P2P_TRUST_TRUSTED;
}

/* `bytes_left`: how many bytes of names this answer may still contain. */
static void
put_files(struct http_json_out *o, const struct ui_peer *peer, size_t *bytes_left)
{
    http_json_put_u64(o, "files", peer->files_total);
    http_json_begin(o, "file_list", '[');
    for (size_t i = 0; i < peer->file_count && i < NAMES_SHOWN; i++) {
        size_t len = strlen(peer->files[i]);
        if (len > *bytes_left)
            break;
        *bytes_left -= len;
        http_json_put_string(o, NULL, peer->files[i]);
    }
    http_json_end(o, ']');
}

/* This device: what it says of itself. */
static void
own_name(struct ui_peers *p, struct http_json_out *o)
{
    struct p2p_about own;

    p2p_identity_get_about(p->parts.identity, &own);
    ui_json_text(o, "name", own.name);
    http_json_put_bool(o, "name_is_claim", false);
    http_json_put_string(o, "kind", p2p_about_kind_name(own.kind));
}

static void
put_path(struct ui_peers *p, const struct ui_peer *peer, struct http_json_out *o)
    P2P_REQUIRES(ui_peers_lock)
{
    const struct ui_path *path = ui_paths_find(&p->paths, &peer->id);

    if (path != NULL)
        ui_json_path(o, path->kind, path->rtt_us);
    else
        http_json_put_null(o, "path");
}

static void
put_peer(struct ui_peers *p, const struct ui_peer *peer, struct http_json_out *o,
         size_t *bytes_left) P2P_REQUIRES(ui_peers_lock)
{
    static const char *const found_by[] = {"registry", "mdns", "manual"};
    bool is_self = p2p_id_equal(&peer->id, p2p_identity_id(p->parts.identity));
    char words[P2P_CODE_ID_TEXT];
    struct trust trust;

    judge(p, peer, &trust);
    ui_json_id(o, &peer->id);
    http_json_put_string(o, "words", p2p_code_id_words(&peer->id, words));
    http_json_put_string(o, "ip", peer->addr.host);
    http_json_put_u64(o, "port", peer->addr.port);
    put_files(o, peer, bytes_left);
    http_json_put_bool(o, "verified", peer->verified);
    http_json_put_u64(o, "last_seen", peer->last_seen_s);
    http_json_put_bool(o, "self", is_self);
    if (is_self)
        own_name(p, o);
    else
        ui_json_name(o, p->parts.identity, &peer->id, &peer->about);
    http_json_put_string(o, "found_by", found_by[peer->found_by]);
    http_json_put_string(o, "trust", is_self ? "verified" : trust.text);
    http_json_put_bool(o, "trusted", is_self || trust.is_trusted);
    if (trust.is_changed)
        http_json_put_hex(o, "known_as", trust.known_as.b, sizeof(trust.known_as.b));
    else
        http_json_put_null(o, "known_as");
    put_path(p, peer, o);
}

void
ui_peers_put_list(struct ui_peers *p, struct http_json_out *o, size_t offset,
                  size_t limit, bool with_files)
{
    size_t bytes_left = with_files ? UI_FILE_LISTS_BYTES : 0;

    p2p_lock(&p->lock);
    http_json_begin(o, "peers", '[');
    for (size_t i = offset; i < p->count && i - offset < limit; i++) {
        http_json_begin(o, NULL, '{');
        put_peer(p, &p->list[i], o, &bytes_left);
        http_json_end(o, '}');
    }
    http_json_end(o, ']');
    ui_json_cursor(o,
                   offset < p->count && limit < p->count - offset ? offset + limit : 0);
    http_json_put_bool(o, "discovery_reachable", p->is_reachable);
    p2p_unlock(&p->lock);
}

/* A peer that is not online, from the known peers. */
static bool
recall(struct ui_peers *p, const struct p2p_id *id, struct ui_peer *out)
{
    struct p2p_known_peer known;

    if (p2p_known_find(p->parts.identity, id, &known) != P2P_OK)
        return false;
    *out = (struct ui_peer){
        .id = *id, .last_seen_s = known.last_seen_s, .found_by = UI_BY_HAND};
    if (p2p_addr_parse(known.addresses[0], 0, &out->addr) != P2P_OK)
        memset(&out->addr, 0, sizeof(out->addr));
    return true;
}

bool
ui_peers_put_one(struct ui_peers *p, const struct p2p_id *id, struct http_json_out *o)
{
    const struct ui_peer *peer;
    struct ui_peer recalled;
    size_t bytes_left = UI_FILE_LISTS_BYTES;

    p2p_lock(&p->lock);
    if ((peer = ui_peers_find(p, id)) == NULL && recall(p, id, &recalled))
        peer = &recalled;
    if (peer != NULL)
        put_peer(p, peer, o, &bytes_left);
    p2p_unlock(&p->lock);
    return peer != NULL;
}

void
ui_peers_put_stranger(struct ui_peers *p, const struct p2p_id *id,
                      const struct p2p_addr *addr, struct http_json_out *o)
{
    struct ui_peer peer = {.id = *id, .addr = *addr, .found_by = UI_BY_HAND};
    size_t none = 0;

    p2p_lock(&p->lock);
    put_peer(p, &peer, o, &none);
    p2p_unlock(&p->lock);
}
