#include "cli/ask/search_lan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/conn.h"
#include "p2p/contents.h"
#include "p2p/log.h"
#include "p2p/net.h"

/* How many peers are asked for a root's name: a registry may list peers that are
 * gone. */
enum { ASKED_MAX = 8 };

struct lan_search {
    const struct cli_common *common;
    const struct lan_wanted *wanted;
    struct p2p_identity *identity;
    struct p2p_search_results *results;
    struct p2p_peer_info peer; /* who is asked */
};

/* Called for each file of the asked peer. */
static void
add_file(struct lan_search *s, const char *name, uint64_t size,
         const struct p2p_digest *root)
{
    struct p2p_search_result said = {.size = size, .root = *root, .root_known = true};

    snprintf(said.name, sizeof(said.name), "%s", name);
    if (s->results->count < s->wanted->limit)
        (void)p2p_results_add(s->results, &said, &s->peer);
}

/* ---- asking ---- */

static enum p2p_err
connect_to(const struct lan_search *s, struct p2p_conn **conn)
{
    const struct p2p_conn_options options = {
        .identity = s->identity,
        .addr = s->peer.addr,
        .expected = &s->peer.id,
        .protocol = 2,
        .timeout_ms = s->common->timeout_ms,
    };

    return p2p_conn_open(&options, conn);
}

static enum p2p_err
visit_file(void *arg, const char *name, const struct p2p_list_entry *entry)
{
    struct lan_search *s = arg;

    if (strcasestr(name, s->wanted->text) != NULL)
        add_file(s, name, entry->size, &entry->root);
    return P2P_OK;
}

static void
ask_neighbour(struct lan_search *s)
{
    const struct p2p_list_visitor visitor = {.file = visit_file, .arg = s};
    struct p2p_conn *conn;
    struct p2p_meta meta;

    if (connect_to(s, &conn) != P2P_OK)
        return;
    if (s->wanted->text == NULL) {
        if (p2p_conn_meta_by_root(conn, &s->wanted->root, &meta) == P2P_OK)
            add_file(s, meta.name, meta.geometry.size, &meta.root);
    } else if (p2p_conn_list_all(conn, p2p_now_ms() + s->common->timeout_ms,
                                 &visitor) != P2P_OK)
        p2p_log_debug("the file list of a peer on the local network is incomplete");
    p2p_conn_close(conn);
}

static void
ask_neighbours(struct lan_search *s)
{
    struct cli_peers lan = {0};

    if (!s->common->mdns || cli_find_lan(s->common, s->identity, &lan) != P2P_OK)
        return;
    for (size_t i = 0; i < lan.count; i++) {
        s->peer = (struct p2p_peer_info){.id = lan.at[i].id, .addr = lan.at[i].addr};
        if (!lan.at[i].is_self && lan.at[i].trust != P2P_TRUST_BLOCKED)
            ask_neighbour(s);
    }
    cli_peers_clear(&lan);
}

/* A root has no name: the first peer that answers tells the name that it uses. */
static void
describe(struct lan_search *s, struct p2p_search_result *r)
{
    for (size_t i = 0; i < r->peers.count && i < ASKED_MAX && r->name[0] == '\0'; i++) {
        struct p2p_conn *conn;
        struct p2p_meta meta;

        s->peer = r->peers.at[i];
        if (connect_to(s, &conn) != P2P_OK)
            continue;
        if (p2p_conn_meta_by_root(conn, &r->root, &meta) == P2P_OK) {
            memcpy(r->name, meta.name, sizeof(r->name));
            r->size = meta.geometry.size;
            r->sha256 = meta.sha256;
            r->sha256_known = meta.sha256_known;
        }
        p2p_conn_close(conn);
    }
}

void
cli_search_lan(const struct cli_common *common, struct p2p_identity *identity,
               const struct lan_wanted *wanted, bool neighbours,
               struct p2p_search_results *results)
{
    struct lan_search s = {
        .common = common, .wanted = wanted, .identity = identity, .results = results};

    if (wanted->text == NULL && results->count > 0)
        describe(&s, &results->at[0]);
    if (neighbours)
        ask_neighbours(&s);
}
