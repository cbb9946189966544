/* Lists of peers: parsed from answers field by field, and merged by peer id. */
#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/registry/discovery_internal.h"
#include "p2p/array.h"
#include "p2p/path.h"
#include "p2p/rank.h"

#define NAME_COST 32 /* bookkeeping of a name, in addition to its bytes */

void
p2p_peer_info_clear(struct p2p_peer_info *peer)
{
    for (size_t i = 0; i < peer->file_count; i++)
        free(peer->files[i]);
    free(peer->files);
    *peer = (struct p2p_peer_info){0};
}

void
p2p_peer_list_clear(struct p2p_peer_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        p2p_peer_info_clear(&list->at[i]);
    free(list->at);
    *list = (struct p2p_peer_list){0};
}

/* Takes ownership of the peer, also on failure. */
static enum p2p_err
peers_add(struct p2p_peers *peers, struct p2p_peer_info *peer)
{
    void *bigger = p2p_array_room(peers->list.at, peers->list.count, &peers->cap,
                                  sizeof(*peers->list.at));
    if (bigger == NULL) {
        p2p_peer_info_clear(peer);
        return P2P_ERR_NOMEM;
    }
    peers->list.at = bigger;
    peers->list.at[peers->list.count++] = *peer;
    *peer = (struct p2p_peer_info){0};
    return P2P_OK;
}

static int
compare_peers(const void *a, const void *b)
{
    const struct p2p_peer_info *x = a, *y = b;
    int order = memcmp(x->id.b, y->id.b, sizeof(x->id.b));

    if (order != 0)
        return order;
    /* Sorts the records of one peer: signed before unsigned, recent before old. */
    if (x->verified != y->verified)
        return x->verified ? -1 : 1;
    return (x->last_seen_s < y->last_seen_s) - (x->last_seen_s > y->last_seen_s);
}

bool
p2p_peer_has(const struct p2p_peer_info *peer, const char *name)
{
    for (size_t i = 0; i < peer->file_count; i++)
        if (strcmp(peer->files[i], name) == 0)
            return true;
    return false;
}

/* Each registry may know other addresses of it. */
static void
add_others(struct p2p_peer_info *peer, const struct p2p_peer_info *from)
{
    struct p2p_addr others[1 + P2P_PEER_OTHERS_MAX];
    size_t count = p2p_addr_list_read(from->others, others + 1, P2P_PEER_OTHERS_MAX);

    others[0] = from->addr;
    for (size_t i = 0; i <= count; i++)
        if (!p2p_addr_equal(&others[i], &peer->addr))
            (void)p2p_addr_list_add(peer->others, sizeof(peer->others), &others[i]);
}

void
p2p_peers_merge(struct p2p_peer_list *list)
{
    size_t kept = 0;

    if (list->count < 2)
        return;
    qsort(list->at, list->count, sizeof(*list->at), compare_peers);
    for (size_t i = 1; i < list->count; i++) {
        struct p2p_peer_info *last = &list->at[kept], *next = &list->at[i];
        if (!p2p_id_equal(&last->id, &next->id)) {
            list->at[++kept] = *next;
            continue;
        }
        if (next->files_total > last->files_total && next->verified == last->verified) {
            struct p2p_peer_info swap = *last;
            *last = *next;
            *next = swap;
        }
        if (last->about.name[0] == '\0' && next->verified)
            last->about = next->about; /* an older registry does not send it */
        if (p2p_addr_equal(&last->addr, &next->addr)) /* one that can is enough */
            last->is_unreached = last->is_unreached && next->is_unreached;
        add_others(last, next);
        p2p_peer_info_clear(next);
    }
    list->count = kept + 1;
}

struct turn {
    size_t rank;    /* position among the peers of its registry */
    uint64_t order; /* random, because ids can be chosen by their owners; see rank.h */
    struct p2p_peer_info peer;
};

static int
compare_orders(const void *a, const void *b)
{
    const struct turn *x = a, *y = b;

    return (x->order > y->order) - (x->order < y->order);
}

static int
compare_turns(const void *a, const void *b)
{
    const struct turn *x = a, *y = b;

    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return (x->peer.registry > y->peer.registry) -
           (x->peer.registry < y->peer.registry);
}

enum p2p_err
p2p_peers_take_turns(struct p2p_peer_list *list, size_t count)
{
    struct turn *turns = calloc(list->count + 1, sizeof(*turns));
    size_t *ranks = calloc(count + 1, sizeof(*ranks));
    enum p2p_err err = turns != NULL && ranks != NULL ? P2P_OK : P2P_ERR_NOMEM;

    for (size_t i = 0; i < list->count && err == P2P_OK; i++)
        turns[i] = (struct turn){
            .order = p2p_rank_order(list->at[i].id.b, sizeof(list->at[i].id.b)),
            .peer = list->at[i]};
    if (err == P2P_OK) {
        qsort(turns, list->count, sizeof(*turns), compare_orders);
        for (size_t i = 0; i < list->count; i++)
            turns[i].rank = ranks[turns[i].peer.registry]++;
        qsort(turns, list->count, sizeof(*turns), compare_turns);
    }
    for (size_t i = 0; i < list->count && err == P2P_OK; i++)
        list->at[i] = turns[i].peer;
    free(turns);
    free(ranks);
    return err;
}

/* ---- One peer of an answer ---- */

/* Accepts a literal address that a peer can have. IPv4 addresses in IPv6 form are
 * refused, so that a registry cannot choose between two spellings. */
static bool
is_usable_ip(const char *text)
{
    struct in6_addr v6;
    struct in_addr v4;

    if (inet_pton(AF_INET, text, &v4) == 1)
        return v4.s_addr != INADDR_ANY && (ntohl(v4.s_addr) >> 28) < 14;
    return inet_pton(AF_INET6, text, &v6) == 1 && !IN6_IS_ADDR_UNSPECIFIED(&v6) &&
           !IN6_IS_ADDR_MULTICAST(&v6) && !IN6_IS_ADDR_V4MAPPED(&v6) &&
           !IN6_IS_ADDR_V4COMPAT(&v6);
}

static bool
is_wanted(struct p2p_peers *peers, const char *name)
{
    size_t cost = strlen(name) + NAME_COST;

    if ((peers->only != NULL && strcmp(name, peers->only) != 0) ||
        cost > peers->bytes_left)
        return false;
    peers->bytes_left -= cost;
    return true;
}

/* Skips invalid names. */
static enum p2p_err
take_files(const cJSON *names, struct p2p_peers *peers, struct p2p_peer_info *peer)
{
    int count = cJSON_GetArraySize(names);
    size_t most = count > 0 ? (size_t)count : 0;
    const cJSON *item;

    if (most > peers->names_max)
        most = peers->names_max;
    if (most > 0 && (peer->files = calloc(most, sizeof(*peer->files))) == NULL)
        return P2P_ERR_NOMEM;
    cJSON_ArrayForEach(item, names)
    {
        const char *name = cJSON_GetStringValue(item);
        if (name == NULL || p2p_name_check(name, strlen(name), true) != P2P_OK ||
            peer->files_total == P2P_REGISTER_FILES_MAX)
            continue;
        peer->files_total++;
        if (peer->file_count == most || !is_wanted(peers, name))
            continue;
        if ((peer->files[peer->file_count] = strdup(name)) == NULL)
            return P2P_ERR_NOMEM;
        peer->file_count++;
    }
    return P2P_OK;
}

/* A name that cannot be shown is none. */
static void
take_about(const cJSON *json, struct p2p_about *about)
{
    const char *name = p2p_json_text(json, "name"), *kind = p2p_json_text(json, "kind");

    if (name != NULL)
        (void)p2p_about_set_name(about, name, strlen(name));
    if (kind == NULL || p2p_about_kind_parse(kind, &about->kind) != P2P_OK)
        about->kind = P2P_ABOUT_UNKNOWN;
}

/* A name without a dot means another machine in each network, and one of this machine
 * is never the peer's. */
static bool
is_usable_name(const char *host)
{
    return strchr(host, ':') == NULL && strchr(host, '.') != NULL &&
           host[strspn(host, "0123456789.")] != '\0';
}

/* Of an invalid list, the valid part is used. */
static void
take_addresses(const cJSON *list, struct p2p_peer_info *peer)
{
    const cJSON *item;
    size_t count = 0;

    cJSON_ArrayForEach(item, list)
    {
        const char *text = cJSON_GetStringValue(item);
        struct p2p_addr addr;

        if (count++ == P2P_PEER_OTHERS_MAX)
            return;
        if (text != NULL && p2p_addr_parse(text, 0, &addr) == P2P_OK &&
            (is_usable_ip(addr.host) || is_usable_name(addr.host)) &&
            !p2p_addr_equal(&addr, &peer->addr))
            (void)p2p_addr_list_add(peer->others, sizeof(peer->others), &addr);
    }
}

/* MALFORMED: the peer cannot be listed. */
static enum p2p_err
parse_peer(const cJSON *json, struct p2p_peers *peers, struct p2p_peer_info *peer)
{
    const char *ip = p2p_json_text(json, "ip"), *text;
    uint64_t port, total;
    enum p2p_err err;

    *peer = (struct p2p_peer_info){0};
    if (!p2p_json_digest(json, "peer_id", peer->id.b) || ip == NULL ||
        !is_usable_ip(ip) || !p2p_json_u64(json, "port", 65535, &port) ||
        p2p_addr_make(ip, (uint16_t)port, &peer->addr) != P2P_OK)
        return P2P_ERR_MALFORMED;
    peer->verified = p2p_json_bool(json, "verified");
    text = p2p_json_text(json, "direct");
    peer->is_reached = text != NULL && strcmp(text, "yes") == 0;
    peer->is_unreached = text != NULL && strcmp(text, "no") == 0;
    take_about(json, &peer->about);
    take_addresses(cJSON_GetObjectItemCaseSensitive(json, "addresses"), peer);
    (void)p2p_json_u64(json, "last_seen", UINT64_MAX, &peer->last_seen_s);
    err = take_files(cJSON_GetObjectItemCaseSensitive(json, "files"), peers, peer);
    if (err != P2P_OK)
        p2p_peer_info_clear(peer);
    else if (peers->only == NULL &&
             p2p_json_u64(json, "files_count", P2P_REGISTER_FILES_MAX, &total) &&
             total > peer->files_total)
        peer->files_total = (size_t)total;
    return err;
}

enum p2p_err
p2p_peers_take(const cJSON *array, size_t registry, struct p2p_peers *out)
{
    enum p2p_err err = P2P_OK;
    const cJSON *item;

    cJSON_ArrayForEach(item, array)
    {
        struct p2p_peer_info peer;
        if (out->count_max > 0 && out->list.count >= out->count_max)
            break;
        err = parse_peer(item, out, &peer);
        peer.registry = registry;
        if (err == P2P_OK)
            err = peers_add(out, &peer);
        if (err == P2P_ERR_NOMEM)
            return err;
    }
    return P2P_OK;
}
