/* Finds the sources of `p2p get`: given addresses, one given peer, or all peers that
 * share the file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/get/get.h"
#include "p2p/ask.h"
#include "p2p/bytes.h"
#include "p2p/conn.h"

/* Asks peers of the local network one after the other which file a name stands for. */
enum { NEIGHBORS_ASKED_MAX = 32, NEIGHBOR_MS = 3000, NEIGHBORS_MS = 10000 };

static void
add_source_at(struct get_sources *out, const struct p2p_addr *addr, const char *others,
              const struct p2p_id *id, bool by_user)
{
    struct p2p_source_spec *spec = &out->at[out->count];

    for (size_t i = 0; i < out->count; i++)
        if (id != NULL && out->at[i].id != NULL && p2p_id_equal(id, out->at[i].id))
            return;
    if (out->count == P2P_DOWNLOAD_WAITING_MAX)
        return;
    spec->addr = *addr;
    snprintf(spec->others, sizeof(spec->others), "%s", others);
    if (id != NULL) {
        out->ids[out->count] = *id;
        spec->id = &out->ids[out->count];
        spec->by_user = by_user;
    }
    out->count++;
}

static void
add_source(struct get_sources *out, const struct p2p_addr *addr,
           const struct p2p_id *id, bool by_user)
{
    add_source_at(out, addr, "", id, by_user);
}

static int
given_addresses(const struct get_options *opt, struct get_sources *out)
{
    for (size_t i = 0; i < opt->from.count; i++) {
        struct p2p_addr addr;
        char shown[CLI_TEXT];
        if (p2p_addr_parse(opt->from.at[i], 0, &addr) != P2P_OK)
            return cli_fail(P2P_ERR_USAGE, "invalid --from %s: use HOST:PORT",
                            cli_text(opt->from.at[i], shown));
        add_source(out, &addr, opt->peer != NULL ? &opt->peer_id : NULL, true);
    }
    return 0;
}

/* ---- By name, from the registries ---- */

static void
add_peers(struct get_sources *out, const struct p2p_peer_list *peers,
          const struct p2p_id *self)
{
    for (size_t i = 0; i < peers->count; i++) {
        size_t before = out->count;

        if (!p2p_id_equal(&peers->at[i].id, self))
            add_source_at(out, &peers->at[i].addr, peers->at[i].others,
                          &peers->at[i].id, false);
        if (out->count > before)
            out->at[before].is_unreached = peers->at[i].is_unreached;
    }
}

static bool
is_called(const struct p2p_search_result *result, const char *name)
{
    size_t len = strlen(name);

    if (name[len - 1] == '/')
        return strncmp(result->name, name, len) == 0;
    return strcmp(result->name, name) == 0;
}

/* The peers of the chosen content, then trusted peers that do not state their content.
 * If no peer states its content, all of them. */
static void
add_content(const struct p2p_contents *contents, const struct p2p_content *chosen,
            const struct p2p_id *self, struct get_sources *out)
{
    const struct p2p_content *rootless =
        contents->has_rootless ? &contents->at[contents->count] : NULL;

    if (chosen != NULL) {
        out->root = chosen->root;
        out->root_known = chosen->root_known;
        out->size = chosen->size;
        out->size_known = chosen->root_known;
        add_peers(out, &chosen->peers, self);
        out->claimed = out->count;
    }
    /* With a known root, they can only deliver the right bytes. */
    if (rootless != NULL && (chosen == NULL || chosen->root_known))
        add_peers(out, &rootless->peers, self);
}

/* Returns 0 or the exit status. */
static int
choose_file(const struct get_options *opt, const struct p2p_search_results *results,
            const char *name, struct p2p_identity *identity, struct get_sources *out)
{
    const struct p2p_content *chosen = NULL;
    struct p2p_contents contents;
    enum p2p_err err = p2p_contents_find(identity, results, name, &contents);
    int status = 0;

    if (err != P2P_OK)
        return cli_fail(err, "%s", p2p_err_text(err));
    if (contents.count > 0 || contents.has_rootless)
        status = get_choose(opt, name, &contents, &chosen);
    if (status == 0)
        add_content(&contents, chosen, p2p_identity_id(identity), out);
    p2p_contents_clear(&contents);
    return status;
}

/* The peers of the folder that is meant, or of all of them where no two files of it are
 * different ones of one name. */
static int
choose_folder(const struct get_options *opt, const struct p2p_search_results *results,
              const char *name, struct p2p_identity *identity, struct get_sources *out)
{
    const struct p2p_content *chosen = NULL;
    struct p2p_contents contents;
    bool disputed;
    enum p2p_err err =
        p2p_contents_of_folder(identity, results, name, &contents, &disputed);
    int status = 0;

    if (err != P2P_OK)
        return cli_fail(err, "%s", p2p_err_text(err));
    if (disputed && !opt->any)
        status = get_choose_folder(opt, name, &contents, &chosen);
    for (size_t i = 0; i < contents.count && status == 0; i++)
        if (chosen == NULL || chosen == &contents.at[i])
            add_peers(out, &contents.at[i].peers, p2p_identity_id(identity));
    p2p_contents_clear(&contents);
    return status;
}

static int
choose(const struct get_options *opt, const struct p2p_search_results *results,
       const char *name, struct p2p_identity *identity, struct get_sources *out)
{
    return name[strlen(name) - 1] == '/'
               ? choose_folder(opt, results, name, identity, out)
               : choose_file(opt, results, name, identity, out);
}

/* Asks trusted and met peers directly, whatever registries state or leave out. */
static enum p2p_err
ask_known(const struct get_options *opt, const char *name, struct p2p_discovery *d,
          struct p2p_identity *identity, struct p2p_search_results *results)
{
    bool is_folder = name[strlen(name) - 1] == '/';
    const struct p2p_ask ask = {.name = is_folder ? NULL : name,
                                .text = is_folder ? name : NULL,
                                .folders = is_folder,
                                .discovery = d,
                                .mdns = opt->common.mdns,
                                .timeout_ms = opt->common.timeout_ms};

    return opt->protocol == 1 ? P2P_OK : p2p_ask_known(identity, &ask, results);
}

/* Asks the registries (d may be NULL) and the known peers. *err: the result of asking
 * the registries. Returns 0 or the exit status. */
static int
ask_all(const struct get_options *opt, struct p2p_discovery *d, const char *name,
        struct p2p_identity *identity, struct get_sources *out, bool *only_self,
        enum p2p_err *err)
{
    bool is_folder = name[strlen(name) - 1] == '/';
    struct p2p_search_results results = {0};
    enum p2p_err asked;
    int status;

    if (d != NULL)
        *err = p2p_discovery_search(d, name,
                                    is_folder ? P2P_SEARCH_PREFIX : P2P_SEARCH_EXACT,
                                    P2P_SEARCH_RESULTS_MAX, &results);
    asked = ask_known(opt, name, d, identity, &results);
    status = asked == P2P_OK ? choose(opt, &results, name, identity, out)
                             : cli_fail(asked, "%s", p2p_err_text(asked));
    for (size_t i = 0; i < results.count; i++)
        *only_self = *only_self || (is_called(&results.at[i], name) &&
                                    results.at[i].peers.count > 0 && out->count == 0);
    p2p_search_results_clear(&results);
    return status;
}

/* ---- The local network ---- */

/* The content that one peer of the local network has under this name, as a separate
 * result. */
static bool
ask_neighbor(const struct get_options *opt, struct p2p_identity *identity,
             const struct cli_peer *peer, const char *name,
             struct p2p_search_result *out)
{
    const struct p2p_conn_options conn_options = {
        .identity = identity,
        .addr = peer->addr,
        .expected = &peer->id,
        .protocol = 2,
        .timeout_ms =
            opt->common.timeout_ms < NEIGHBOR_MS ? opt->common.timeout_ms : NEIGHBOR_MS,
    };
    struct p2p_conn *conn = NULL;
    struct p2p_meta meta;
    bool found = p2p_conn_open(&conn_options, &conn) == P2P_OK &&
                 p2p_conn_meta_by_name(conn, name, &meta) == P2P_OK && meta.root_known;

    p2p_conn_close(conn);
    *out = (struct p2p_search_result){.root_known = found};
    if (!found || (out->peers.at = calloc(1, sizeof(*out->peers.at))) == NULL)
        return false;
    snprintf(out->name, sizeof(out->name), "%s", name);
    out->root = meta.root;
    out->size = meta.geometry.size;
    out->peers.at[0] = (struct p2p_peer_info){.id = peer->id, .addr = peer->addr};
    out->peers.count = 1;
    return true;
}

static int
ask_neighbors(const struct get_options *opt, struct p2p_identity *identity,
              const struct cli_peers *lan, const char *name, struct get_sources *out)
{
    struct p2p_search_results results = {
        .at = calloc(NEIGHBORS_ASKED_MAX, sizeof(*results.at))};
    uint64_t enough_ms = p2p_now_ms() + NEIGHBORS_MS;
    int status;

    for (size_t i = 0; i < lan->count && results.at != NULL &&
                       results.count < NEIGHBORS_ASKED_MAX && p2p_now_ms() < enough_ms;
         i++)
        if (!lan->at[i].is_self && lan->at[i].trust != P2P_TRUST_BLOCKED &&
            ask_neighbor(opt, identity, &lan->at[i], name, &results.at[results.count]))
            results.count++;
    status = choose_file(opt, &results, name, identity, out);
    p2p_search_results_clear(&results);
    return status;
}

/* Asks all peers of the local network whether they have the file. If they have
 * different files with this name, the user chooses first. Returns 0 or the exit
 * status. */
static int
add_lan(const struct get_options *opt, const char *name, struct p2p_identity *identity,
        struct get_sources *out)
{
    bool is_open = name[strlen(name) - 1] != '/' && !out->root_known &&
                   opt->protocol != 1 && !opt->any;
    struct cli_peers lan;
    int status = 0;

    if (cli_find_lan(&opt->common, identity, &lan) != P2P_OK)
        return 0;
    if (is_open)
        status = ask_neighbors(opt, identity, &lan, name, out);
    is_open = out->count == 0 && status == 0; /* still */
    for (size_t i = 0; i < lan.count && is_open; i++)
        if (!lan.at[i].is_self && lan.at[i].trust != P2P_TRUST_BLOCKED)
            add_source(out, &lan.at[i].addr, &lan.at[i].id, false);
    cli_peers_clear(&lan);
    return status;
}

struct wanted_folder {
    const char *name;
    bool is_found;
};

static enum p2p_err
see_folder(void *arg, const char *name)
{
    struct wanted_folder *wanted = arg;

    wanted->is_found |= strncmp(name, wanted->name, strlen(wanted->name)) == 0;
    return P2P_OK;
}

static enum p2p_err
see_file(void *arg, const char *name, const struct p2p_list_entry *entry)
{
    (void)entry;
    return see_folder(arg, name);
}

static bool
has_folder(struct p2p_identity *identity, const struct p2p_peer_info *peer,
           const char *name)
{
    const struct p2p_conn_options conn_options = {.identity = identity,
                                                  .addr = peer->addr,
                                                  .expected = &peer->id,
                                                  .protocol = 2,
                                                  .timeout_ms = NEIGHBOR_MS};
    struct wanted_folder wanted = {.name = name};
    const struct p2p_list_visitor visitor = {see_file, see_folder, &wanted};
    struct p2p_conn *conn = NULL;

    if (p2p_conn_open(&conn_options, &conn) == P2P_OK)
        (void)!p2p_conn_list_all(conn, p2p_now_ms() + NEIGHBOR_MS, &visitor);
    p2p_conn_close(conn);
    return wanted.is_found;
}

/* No registry lists empty folders, so peers of the registries are asked for a folder
 * that contains nothing else. */
static void
add_listed(const char *name, struct p2p_discovery *d, struct p2p_identity *identity,
           struct get_sources *out)
{
    uint64_t enough_ms = p2p_now_ms() + NEIGHBORS_MS;
    struct p2p_peer_list peers = {0};
    size_t asked = 0;

    if (d == NULL || p2p_discovery_peers(d, &peers) != P2P_OK)
        return;
    for (size_t i = 0;
         i < peers.count && asked < NEIGHBORS_ASKED_MAX && p2p_now_ms() < enough_ms;
         i++) {
        const struct p2p_peer_info *peer = &peers.at[i];
        if (p2p_rank_of(identity, &peer->id) == P2P_RANK_BLOCKED ||
            p2p_id_equal(&peer->id, p2p_identity_id(identity)))
            continue;
        asked++;
        if (has_folder(identity, peer, name))
            add_source(out, &peer->addr, &peer->id, false);
    }
    p2p_peer_list_clear(&peers);
}

/* Adds known peers that are not listed, because a registry may leave them out. Peers
 * that are listed are in any case also tried where they were met. */
static void
add_known(const struct get_options *opt, const struct p2p_peer_list *listed,
          struct p2p_identity *identity, struct get_sources *out)
{
    const struct p2p_ask ask = {.root = &out->root,
                                .mdns = opt->common.mdns,
                                .timeout_ms = opt->common.timeout_ms};
    struct p2p_search_result first = {
        .root = out->root, .root_known = true, .peers = *listed};
    struct p2p_search_results all = {.at = NULL};

    for (size_t i = 0; i < listed->count; i++)
        if (p2p_rank_of(identity, &listed->at[i].id) <= P2P_RANK_MET)
            (void)p2p_results_add(&all, &first, &listed->at[i]);
    if (p2p_ask_known(identity, &ask, &all) == P2P_OK)
        for (size_t i = 0; i < all.count; i++)
            add_peers(out, &all.at[i].peers, p2p_identity_id(identity));
    p2p_search_results_clear(&all);
}

static int
by_root(const struct get_options *opt, const char *name, struct p2p_discovery *d,
        struct p2p_identity *identity, struct get_sources *out)
{
    struct p2p_peer_list peers = {0};
    enum p2p_err err = P2P_ERR_UNREACHABLE;

    if (d != NULL)
        err = p2p_discovery_find_root(d, &out->root, &peers);
    add_known(opt, &peers, identity, out);
    add_peers(out, &peers, p2p_identity_id(identity));
    p2p_peer_list_clear(&peers);
    if (out->count == 0)
        (void)add_lan(opt, name, identity, out); /* the root is known: no question */
    if (out->count > 0)
        return 0;
    if (err != P2P_OK)
        return cli_fail_registries(d, err);
    return cli_fail(P2P_ERR_NOT_FOUND, "no peer shares a file with this root");
}

/* True if the name is a folder. */
static bool
is_folder(struct p2p_discovery *d, const char *name)
{
    char prefix[P2P_NAME_MAX + 2];
    struct p2p_search_results results;
    bool found = false;

    snprintf(prefix, sizeof(prefix), "%s/", name);
    if (p2p_discovery_search(d, prefix, P2P_SEARCH_PREFIX, 1, &results) == P2P_OK)
        found = results.count > 0 && is_called(&results.at[0], prefix);
    p2p_search_results_clear(&results);
    return found;
}

static int
by_name(const struct get_options *opt, const char *name, struct p2p_discovery *d,
        struct p2p_identity *identity, struct get_sources *out)
{
    bool only_self = false;
    char shown[CLI_TEXT];
    enum p2p_err err = P2P_ERR_UNREACHABLE;
    int status = ask_all(opt, d, name, identity, out, &only_self, &err);

    /* Searching the local network takes a second, so it is done only if the registries
     * did not help. */
    if (out->count == 0 && status == 0)
        status = add_lan(opt, name, identity, out);
    if (out->count == 0 && status == 0 && !only_self && name[strlen(name) - 1] == '/')
        add_listed(name, d, identity, out);
    if (out->count > 0 || status != 0)
        return status;
    if (err != P2P_OK)
        return cli_fail_registries(d, err);
    if (only_self)
        return cli_fail(P2P_ERR_NOT_FOUND, "only this device shares \"%s\"",
                        cli_text(name, shown));
    cli_text(name, shown);
    if (d != NULL && is_folder(d, name))
        return cli_fail(P2P_ERR_NOT_FOUND,
                        "\"%s\" is a folder; `p2p get \"%s/\"` downloads it", shown,
                        shown);
    return cli_fail(P2P_ERR_NOT_FOUND,
                    "no peer shares \"%s\"; `p2p search` looks for similar names",
                    shown);
}

int
get_find_sources(const struct get_options *opt, const char *name,
                 struct p2p_discovery *d, struct p2p_identity *identity,
                 struct get_sources *out)
{
    struct cli_peer peer;
    enum p2p_err err;

    memset(out, 0, sizeof(*out));
    out->root = opt->wanted_root;
    out->root_known = out->root_from_user = opt->root_is_whole;
    if (opt->from.count > 0)
        return given_addresses(opt, out);
    if (opt->peer != NULL) {
        err = cli_resolve_peer(&opt->common, identity, opt->peer, &peer);
        if (err != P2P_OK)
            return p2p_err_exit_status(err);
        add_source_at(out, &peer.addr, peer.others, &opt->peer_id, true);
        return 0;
    }
    if (opt->root_is_whole)
        return by_root(opt, name, d, identity, out);
    return by_name(opt, name, d, identity, out);
}
