/* Finds peers: with the registries, on the local network, and among the known peers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ask/peers.h"
#include "p2p/bytes.h"
#include "p2p/mdns.h"
#include "p2p/rank.h"

enum { LAN_BROWSE_MS = 1000, LAN_MAX = 256 };

void
cli_peers_clear(struct cli_peers *peers)
{
    free(peers->at);
    *peers = (struct cli_peers){0};
}

static struct cli_peer *
find_peer(struct cli_peers *peers, const struct p2p_id *id)
{
    for (size_t i = 0; i < peers->count; i++)
        if (p2p_id_equal(&peers->at[i].id, id))
            return &peers->at[i];
    return NULL;
}

static enum p2p_err
add_peer(struct cli_peers *peers, struct p2p_identity *identity,
         const struct cli_peer *peer)
{
    struct cli_peer *bigger = realloc(peers->at, (peers->count + 1) * sizeof(*bigger));
    struct p2p_known_peer known;
    bool is_known = false;

    if (bigger == NULL)
        return P2P_ERR_NOMEM;
    peers->at = bigger;
    bigger += peers->count++;
    *bigger = *peer;
    bigger->is_self = p2p_id_equal(&peer->id, p2p_identity_id(identity));
    if (p2p_known_find(identity, &peer->id, &known) == P2P_OK) {
        bigger->trust = known.trust;
        is_known = true;
        memcpy(bigger->name, known.name, sizeof(bigger->name));
        if (known.claim.name[0] != '\0')
            memcpy(bigger->about.name, known.claim.name, sizeof(bigger->about.name));
        if (known.claim.kind != P2P_ABOUT_UNKNOWN)
            bigger->about.kind = known.claim.kind;
    }
    p2p_known_called(is_known ? &known : NULL, &peer->id, &peer->about, bigger->called);
    return P2P_OK;
}

static void
add_other(struct cli_peer *peer, const struct p2p_addr *addr)
{
    if (!p2p_addr_equal(addr, &peer->addr))
        (void)p2p_addr_list_add(peer->others, sizeof(peer->others), addr);
}

/* The registry's word on the name counts more, because the peer has signed it. */
static void
note_lan(struct p2p_identity *identity, struct cli_peer *peer,
         const struct p2p_addr *addr, const struct p2p_about *said)
{
    peer->on_lan = true;
    add_other(peer, addr);
    if (peer->about.name[0] != '\0' || said->name[0] == '\0')
        return;
    memcpy(peer->about.name, said->name, sizeof(peer->about.name));
    p2p_peer_called(identity, &peer->id, &peer->about, peer->called);
}

/* A peer that the registry also lists stays one entry; its local address comes
 * first. */
static enum p2p_err
add_lan(const struct cli_common *common, struct p2p_identity *identity,
        struct cli_peers *peers)
{
    struct p2p_mdns_peer found[LAN_MAX];
    size_t count = 0;
    enum p2p_err err = P2P_OK;

    if (!common->mdns ||
        p2p_mdns_browse(LAN_BROWSE_MS, found, LAN_MAX, &count) != P2P_OK)
        return P2P_OK; /* no Avahi: registries and addresses still work */
    for (size_t i = 0; i < count && err == P2P_OK; i++) {
        struct cli_peer *known = find_peer(peers, &found[i].id);
        struct p2p_about said = {.kind = P2P_ABOUT_UNKNOWN};
        (void)p2p_about_set_name(&said, found[i].name, strlen(found[i].name));
        if (known != NULL)
            note_lan(identity, known, &found[i].addr, &said);
        else
            err = add_peer(peers, identity,
                           &(struct cli_peer){.id = found[i].id,
                                              .addr = found[i].addr,
                                              .id_known = true,
                                              .about = said,
                                              .on_lan = true});
    }
    return err;
}

/* Sorts peers, best first (rank.h): this decides which are asked first, and which come
 * before a limit. */
static enum p2p_err
sort_peers(struct cli_peers *peers)
{
    static const enum p2p_rank ranks[] = {
        [P2P_TRUST_UNKNOWN] = P2P_RANK_NEW,     [P2P_TRUST_SEEN] = P2P_RANK_MET,
        [P2P_TRUST_TRUSTED] = P2P_RANK_TRUSTED, [P2P_TRUST_BLOCKED] = P2P_RANK_BLOCKED,
        [P2P_TRUST_PENDING] = P2P_RANK_NEW,
    };
    struct p2p_ranked *ranked = calloc(peers->count + 1, sizeof(*ranked));
    struct cli_peer *sorted = calloc(peers->count + 1, sizeof(*sorted));
    enum p2p_err err = ranked != NULL && sorted != NULL ? P2P_OK : P2P_ERR_NOMEM;

    for (size_t i = 0; i < peers->count && err == P2P_OK; i++) {
        const struct p2p_id *id = &peers->at[i].id;
        ranked[i] = (struct p2p_ranked){.rank = ranks[peers->at[i].trust],
                                        .order = p2p_rank_order(id->b, sizeof(id->b)),
                                        .index = i};
    }
    if (err == P2P_OK) {
        p2p_rank_sort(ranked, peers->count);
        for (size_t i = 0; i < peers->count; i++)
            sorted[i] = peers->at[ranked[i].index];
        free(peers->at);
        peers->at = sorted;
        sorted = NULL;
    }
    free(ranked);
    free(sorted);
    return err;
}

enum p2p_err
cli_find_lan(const struct cli_common *common, struct p2p_identity *identity,
             struct cli_peers *out)
{
    enum p2p_err err;

    *out = (struct cli_peers){0};
    err = add_lan(common, identity, out);
    return err == P2P_OK ? sort_peers(out) : err;
}

enum p2p_err
cli_find_peers(const struct cli_common *common, struct p2p_discovery *d,
               struct p2p_identity *identity, struct cli_peers *out)
{
    struct p2p_peer_list list = {0};
    enum p2p_err err = P2P_OK;

    *out = (struct cli_peers){.registry_err = P2P_ERR_UNREACHABLE};
    if (d != NULL)
        out->registry_err = p2p_discovery_peers(d, &list);
    for (size_t i = 0; i < list.count && err == P2P_OK; i++) {
        struct cli_peer peer = {.id = list.at[i].id,
                                .addr = list.at[i].addr,
                                .id_known = true,
                                .about = list.at[i].about,
                                .verified = list.at[i].verified,
                                .in_registry = true,
                                .file_count = list.at[i].files_total,
                                .is_reached = list.at[i].is_reached,
                                .is_unreached = list.at[i].is_unreached,
                                .last_seen_s = list.at[i].last_seen_s};
        memcpy(peer.others, list.at[i].others, sizeof(peer.others));
        err = add_peer(out, identity, &peer);
    }
    p2p_peer_list_clear(&list);
    if (err == P2P_OK)
        err = add_lan(common, identity, out);
    if (err != P2P_OK)
        cli_peers_clear(out);
    return err;
}

void
cli_put_name(struct cJSON *object, struct p2p_identity *identity,
             const struct p2p_id *id, const struct p2p_about *said)
{
    struct p2p_known_peer known;
    bool is_known = p2p_known_find(identity, id, &known) == P2P_OK;
    const char *name = p2p_known_name(is_known ? &known : NULL, said);

    cli_put_text(object, "peer_name", name[0] != '\0' ? name : NULL);
}

/* ---- What a person calls a peer ---- */

/* Finds the peer whose id begins with these digits; USAGE if there are several. */
static enum p2p_err
match_prefix(const struct cli_peers *peers, const char *text, struct cli_peer *out)
{
    size_t len = strlen(text), matches = 0;

    if (len > 3 && strcmp(text + len - 3, "...") == 0)
        len -= 3;
    for (size_t i = 0; i < peers->count; i++) {
        char hex[P2P_ID_HEX_LEN + 1];
        p2p_hex_format(peers->at[i].id.b, sizeof(peers->at[i].id.b), hex);
        if (len >= 8 && strncasecmp(hex, text, len) == 0) {
            *out = peers->at[i];
            matches++;
        }
    }
    if (matches == 1)
        return P2P_OK;
    return matches == 0 ? P2P_ERR_NOT_FOUND : P2P_ERR_USAGE;
}

static bool
is_id_text(const char *text)
{
    size_t digits = strspn(text, "0123456789abcdefABCDEF");

    return digits >= 8 && digits <= P2P_ID_HEX_LEN &&
           (text[digits] == '\0' || strcmp(text + digits, "...") == 0);
}

/* Lists online peers and prints its own error messages. With `may_fail` it does not
 * print that no registry answers. */
static enum p2p_err
online(const struct cli_common *common, struct p2p_identity *identity, bool may_fail,
       struct cli_peers *peers)
{
    struct p2p_discovery *d = NULL;
    enum p2p_err err = cli_open_discovery(common, &d);

    if (err == P2P_OK) {
        err = cli_find_peers(common, d, identity, peers);
        if (err == P2P_OK && peers->count == 0 && peers->registry_err != P2P_OK) {
            err = peers->registry_err;
            if (!may_fail)
                cli_fail_registries(d, err);
        }
    }
    p2p_discovery_close(d);
    return err;
}

/* ---- Names ---- */

static void
say_several(const char *text, const struct p2p_names_found *found)
{
    char shown[CLI_TEXT];

    cli_say("%zu peers are called %s; use the id of the one that you mean:",
            found->count, cli_text(text, shown));
    for (size_t i = 0; i < found->count && i < P2P_NAMES_SEVERAL; i++) {
        char hex[P2P_ID_HEX_LEN + 1];
        p2p_hex_format(found->ids[i].b, sizeof(found->ids[i].b), hex);
        fprintf(stderr, "  %s\n", hex);
    }
}

/* Among known peers. NOT_FOUND or AMBIGUOUS: claims have to decide. */
static enum p2p_err
find_name(const struct p2p_names *names, const char *text, struct p2p_id *out,
          enum p2p_name_claim *claim)
{
    struct p2p_names_found found;
    enum p2p_err err = p2p_names_find(names, text, &found);

    *claim = found.claim;
    *out = found.ids[0];
    if (err == P2P_ERR_AMBIGUOUS && found.claim != P2P_NAME_CLAIMED) {
        say_several(text, &found);
        return P2P_ERR_USAGE;
    }
    return err;
}

/* Claims count only when all of those who make them have been asked for. */
static enum p2p_err
find_claim(const struct cli_common *common, struct p2p_identity *identity,
           struct p2p_names *names, const char *text, struct p2p_id *out)
{
    struct cli_peers peers = {0};
    struct p2p_names_found found;
    /* A known peer can be found without a registry. */
    enum p2p_err asked = online(common, identity, names->count > 0, &peers);
    enum p2p_err err = P2P_OK;
    char shown[CLI_TEXT];

    if (asked == P2P_ERR_NOMEM || asked == P2P_ERR_USAGE ||
        (asked != P2P_OK && names->count == 0))
        return asked;
    for (size_t i = 0; i < peers.count && err == P2P_OK; i++)
        err = p2p_names_add_said(names, &peers.at[i].id, &peers.at[i].about);
    cli_peers_clear(&peers);
    if (err == P2P_OK)
        err = p2p_names_find(names, text, &found);
    if (err == P2P_OK)
        *out = found.ids[0];
    if (err == P2P_ERR_AMBIGUOUS) {
        say_several(text, &found);
        err = P2P_ERR_USAGE;
    } else if (err == P2P_ERR_NOT_FOUND && asked != P2P_OK) {
        cli_say("no known peer is called %s, and no registry answers",
                cli_text(text, shown));
        err = asked;
    } else if (err == P2P_ERR_NOT_FOUND) {
        cli_say("no known or online peer is called %s; `p2p peers` lists them",
                cli_text(text, shown));
    }
    return err;
}

static enum p2p_err
resolve_name(const struct cli_common *common, struct p2p_identity *identity,
             const char *text, struct p2p_id *out)
{
    struct p2p_names names = {0};
    enum p2p_name_claim claim;
    enum p2p_err err = p2p_names_add_known(&names, identity);

    if (err == P2P_OK)
        err = find_name(&names, text, out, &claim);
    if (err == P2P_ERR_NOT_FOUND || err == P2P_ERR_AMBIGUOUS ||
        (err == P2P_OK && claim == P2P_NAME_CLAIMED))
        err = find_claim(common, identity, &names, text, out);
    p2p_names_clear(&names);
    return err;
}

enum p2p_err
cli_resolve_id(const struct cli_common *common, struct p2p_identity *identity,
               const char *text, struct p2p_id *out)
{
    struct cli_peers peers = {0};
    struct cli_peer peer;
    char shown[CLI_TEXT];
    enum p2p_err err;

    *out = (struct p2p_id){0};
    /* What looks like an id is one: nobody takes it by its name. */
    if (!is_id_text(text))
        return resolve_name(common, identity, text, out);
    err = p2p_known_resolve(identity, text, out);
    if (err == P2P_ERR_NOT_FOUND) {
        err = online(common, identity, false, &peers);
        if (err != P2P_OK)
            return err;
        err = match_prefix(&peers, text, &peer);
        *out = peer.id;
        cli_peers_clear(&peers);
    }
    if (err == P2P_ERR_NOT_FOUND)
        cli_say("no known peer has an id that begins with %s", cli_text(text, shown));
    else if (err != P2P_OK)
        cli_say("invalid or ambiguous peer id %s: use 64 hex digits, or enough of the "
                "first ones (at least 8) to name one peer",
                cli_text(text, shown));
    return err;
}

/* The places where it was met. */
static void
add_remembered(struct p2p_identity *identity, struct cli_peer *peer)
{
    struct p2p_addr met[P2P_PEER_ADDRESSES_MAX];
    size_t count = p2p_rank_remembered(identity, &peer->id, met);

    for (size_t i = 0; i < count; i++)
        add_other(peer, &met[i]);
}

/* Finds a peer with this id: online, or at its last known address. */
static enum p2p_err
find_by_id(const struct cli_common *common, struct p2p_identity *identity,
           const struct p2p_id *id, struct cli_peer *out)
{
    struct cli_peers peers = {0};
    struct p2p_known_peer known;
    struct cli_peer *peer;
    bool is_remembered =
        p2p_known_find(identity, id, &known) == P2P_OK && known.addresses[0][0] != '\0';
    enum p2p_err err = online(common, identity, is_remembered, &peers);

    peer = find_peer(&peers, id);
    if (peer != NULL) {
        *out = *peer;
        err = P2P_OK;
    } else if (is_remembered) {
        *out = (struct cli_peer){.id = *id, .id_known = true, .trust = known.trust};
        err = p2p_addr_parse(known.addresses[0], 0, &out->addr);
    } else if (err == P2P_OK) {
        err = P2P_ERR_NOT_FOUND;
        cli_say("this peer is not online, and its address is not known");
    }
    if (err == P2P_OK)
        add_remembered(identity, out);
    cli_peers_clear(&peers);
    return err;
}

enum p2p_err
cli_resolve_peer(const struct cli_common *common, struct p2p_identity *identity,
                 const char *text, struct cli_peer *out)
{
    struct p2p_id id;
    enum p2p_err err;

    *out = (struct cli_peer){0};
    if (!is_id_text(text) && p2p_addr_parse(text, 0, &out->addr) == P2P_OK)
        return P2P_OK;
    err = cli_resolve_id(common, identity, text, &id);
    return err == P2P_OK ? find_by_id(common, identity, &id, out) : err;
}
