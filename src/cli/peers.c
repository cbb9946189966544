/* Finds peers: with the registries, on the local network, and among the known peers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
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

    if (bigger == NULL)
        return P2P_ERR_NOMEM;
    peers->at = bigger;
    bigger += peers->count++;
    *bigger = *peer;
    bigger->is_self = p2p_id_equal(&peer->id, p2p_identity_id(identity));
    if (p2p_known_find(identity, &peer->id, &known) == P2P_OK)
        bigger->trust = known.trust;
    return P2P_OK;
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
        if (known != NULL)
            known->on_lan = true;
        else
            err = add_peer(peers, identity,
                           &(struct cli_peer){.id = found[i].id,
                                              .addr = found[i].addr,
                                              .id_known = true,
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
    for (size_t i = 0; i < list.count && err == P2P_OK; i++)
        err = add_peer(out, identity,
                       &(struct cli_peer){.id = list.at[i].id,
                                          .addr = list.at[i].addr,
                                          .id_known = true,
                                          .verified = list.at[i].verified,
                                          .in_registry = true,
                                          .file_count = list.at[i].files_total,
                                          .last_seen_s = list.at[i].last_seen_s});
    p2p_peer_list_clear(&list);
    if (err == P2P_OK)
        err = add_lan(common, identity, out);
    if (err != P2P_OK)
        cli_peers_clear(out);
    return err;
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

/* Lists online peers; prints its own error messages, with `may_fail` not the one that
 * no registry answers. */
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

enum p2p_err
cli_resolve_id(const struct cli_common *common, struct p2p_identity *identity,
               const char *text, struct p2p_id *out)
{
    struct cli_peers peers = {0};
    struct cli_peer peer;
    char shown[CLI_TEXT];
    enum p2p_err err = P2P_ERR_USAGE;

    if (is_id_text(text))
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
    cli_peers_clear(&peers);
    return err;
}

enum p2p_err
cli_resolve_peer(const struct cli_common *common, struct p2p_identity *identity,
                 const char *text, struct cli_peer *out)
{
    struct p2p_id id;
    char shown[CLI_TEXT];
    enum p2p_err err;

    *out = (struct cli_peer){0};
    if (is_id_text(text)) {
        err = cli_resolve_id(common, identity, text, &id);
        return err == P2P_OK ? find_by_id(common, identity, &id, out) : err;
    }
    err = p2p_addr_parse(text, 0, &out->addr);
    if (err != P2P_OK)
        cli_say("invalid peer %s: use HOST:PORT or a peer id", cli_text(text, shown));
    return err;
}
