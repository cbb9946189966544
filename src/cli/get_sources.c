/* Where `p2p get` fetches from: addresses given, one peer given, or whoever shares it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "get.h"
#include "p2p/bytes.h"

enum { SEARCH_LIMIT = 1000 };

static void
add_source(struct get_sources *out, const struct p2p_addr *addr,
           const struct p2p_id *id, bool by_user)
{
    struct p2p_source_spec *spec = &out->at[out->count];

    for (size_t i = 0; i < out->count; i++)
        if (id != NULL && out->at[i].id != NULL && p2p_id_equal(id, out->at[i].id))
            return;
    if (out->count == P2P_DOWNLOAD_SOURCES_MAX)
        return;
    spec->addr = *addr;
    if (id != NULL) {
        out->ids[out->count] = *id;
        spec->id = &out->ids[out->count];
        spec->by_user = by_user;
    }
    out->count++;
}

static int
given_addresses(const struct get_options *opt, struct get_sources *out)
{
    for (size_t i = 0; i < opt->from.count; i++) {
        struct p2p_addr addr;
        char shown[CLI_TEXT];
        if (p2p_addr_parse(opt->from.at[i], 0, &addr) != P2P_OK)
            return cli_fail(P2P_ERR_USAGE, "--from %s: HOST:PORT is needed",
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
    for (size_t i = 0; i < peers->count; i++)
        if (!p2p_id_equal(&peers->at[i].id, self))
            add_source(out, &peers->at[i].addr, &peers->at[i].id, false);
}

static bool
is_called(const struct p2p_search_result *result, const char *name)
{
    size_t len = strlen(name);

    if (name[len - 1] == '/')
        return strncmp(result->name, name, len) == 0;
    return strcmp(result->name, name) == 0;
}

/* The content that most peers have; NULL when no registry states contents. */
static const struct p2p_search_result *
most_shared(const struct p2p_search_results *results, const char *name,
            unsigned *contents)
{
    const struct p2p_search_result *best = NULL;

    *contents = 0;
    for (size_t i = 0; i < results->count; i++) {
        const struct p2p_search_result *r = &results->at[i];
        if (!r->root_known || !is_called(r, name))
            continue;
        ++*contents;
        if (best == NULL || r->peers.count > best->peers.count)
            best = r;
    }
    return best;
}

/* A file: the peers of the most shared content, then those that do not say which it is.
 */
static void
choose_file(const struct p2p_search_results *results, const char *name,
            const struct p2p_id *self, struct get_sources *out)
{
    char shown[CLI_TEXT], size[CLI_SHORT], hex[65];
    unsigned contents;
    const struct p2p_search_result *best = most_shared(results, name, &contents);

    if (best != NULL) {
        out->root = best->root;
        out->root_known = true;
        out->size = best->size;
        out->size_known = true;
        add_peers(out, &best->peers, self);
    }
    for (size_t i = 0; i < results->count; i++)
        if (!results->at[i].root_known && is_called(&results->at[i], name))
            add_peers(out, &results->at[i].peers, self);
    if (contents > 1) {
        p2p_hex_format(best->root.b, sizeof(best->root.b), hex);
        cli_say(
            "%u different files are called \"%s\"; fetching the one most peers have "
            "(%s, root %.16s...); `p2p search --json` shows the others, --root picks "
            "one",
            contents, cli_text(name, shown), cli_size(best->size, size), hex);
    }
}

static enum p2p_err
ask_registries(struct p2p_discovery *d, const char *name, const struct p2p_id *self,
               struct get_sources *out, bool *only_self)
{
    bool is_folder = name[strlen(name) - 1] == '/';
    struct p2p_search_results results;
    enum p2p_err err =
        p2p_discovery_search(d, name, is_folder ? P2P_SEARCH_PREFIX : P2P_SEARCH_EXACT,
                             SEARCH_LIMIT, &results);

    if (err != P2P_OK)
        return err;
    if (is_folder) {
        for (size_t i = 0; i < results.count; i++)
            if (is_called(&results.at[i], name))
                add_peers(out, &results.at[i].peers, self);
    } else {
        choose_file(&results, name, self, out);
    }
    for (size_t i = 0; i < results.count; i++)
        *only_self = *only_self || (is_called(&results.at[i], name) &&
                                    results.at[i].peers.count > 0 && out->count == 0);
    p2p_search_results_clear(&results);
    return P2P_OK;
}

/* Everyone of the local network: each is asked whether it has the file. */
static void
add_lan(const struct get_options *opt, struct p2p_identity *identity,
        struct get_sources *out)
{
    struct cli_peers lan;

    if (cli_find_lan(&opt->common, identity, &lan) != P2P_OK)
        return;
    for (size_t i = 0; i < lan.count; i++)
        if (!lan.at[i].is_self && lan.at[i].trust != P2P_TRUST_BLOCKED)
            add_source(out, &lan.at[i].addr, &lan.at[i].id, false);
    cli_peers_clear(&lan);
}

static int
by_root(const struct get_options *opt, struct p2p_discovery *d,
        struct p2p_identity *identity, struct get_sources *out)
{
    struct p2p_peer_list peers = {0};
    enum p2p_err err = P2P_ERR_UNREACHABLE;

    if (d != NULL)
        err = p2p_discovery_find_root(d, &out->root, &peers);
    add_peers(out, &peers, p2p_identity_id(identity));
    p2p_peer_list_clear(&peers);
    if (out->count == 0)
        add_lan(opt, identity, out);
    if (out->count > 0)
        return 0;
    if (err != P2P_OK)
        return cli_fail_registries(d, err);
    return cli_fail(P2P_ERR_NOT_FOUND, "no peer shares a file of this root");
}

/* Did the user mean a folder? */
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

    if (d != NULL)
        err = ask_registries(d, name, p2p_identity_id(identity), out, &only_self);
    /* The local network costs a second: only when the registries did not help. */
    if (out->count == 0)
        add_lan(opt, identity, out);
    if (out->count > 0)
        return 0;
    if (err != P2P_OK)
        return cli_fail_registries(d, err);
    if (only_self)
        return cli_fail(P2P_ERR_NOT_FOUND, "only this device shares \"%s\"",
                        cli_text(name, shown));
    cli_text(name, shown);
    if (d != NULL && is_folder(d, name))
        return cli_fail(P2P_ERR_NOT_FOUND,
                        "\"%s\" is a folder; `p2p get \"%s/\"` fetches all of it",
                        shown, shown);
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
    out->root_known = out->root_from_user = opt->root != NULL;
    if (opt->from.count > 0)
        return given_addresses(opt, out);
    if (opt->peer != NULL) {
        err = cli_resolve_peer(&opt->common, identity, opt->peer, &peer);
        if (err != P2P_OK)
            return p2p_err_exit_status(err);
        add_source(out, &peer.addr, &opt->peer_id, true);
        return 0;
    }
    if (opt->root != NULL)
        return by_root(opt, d, identity, out);
    return by_name(opt, name, d, identity, out);
}
