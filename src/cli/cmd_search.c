/* p2p search: names, at the registries; without an answer, on the local network. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "p2p/log.h"
#include "p2p/net.h"
#include "p2p/path.h"
#include "p2p/source.h"

struct search_options {
    struct cli_common common;
    const char *mode;
    uint64_t limit;
};
#define AT(field) offsetof(struct search_options, field)
static const struct p2p_option options[] = {
    CLI_OPTION_DISCOVERY(struct search_options),
    {"mode", P2P_OPT_TEXT, AT(mode), 0, 0, "MODE",
     "exact, prefix, substring, fuzzy (allows typing errors), or auto: substring, then "
     "fuzzy"},
    {"limit", P2P_OPT_NUMBER, AT(limit), 1, 1000, "N", "how many results"},
    CLI_OPTION_TIMEOUT(struct search_options),
    CLI_OPTION_KEYS(struct search_options),
    CLI_OPTION_MDNS(struct search_options),
    CLI_OPTION_JSON(struct search_options),
};
static const struct p2p_option_set set = {
    "p2p search", "[options] TEXT", "Finds files by name among all online peers.",
    options, sizeof(options) / sizeof(options[0])};

static const char *const modes[] = {
    [P2P_SEARCH_EXACT] = "exact",
    [P2P_SEARCH_PREFIX] = "prefix",
    [P2P_SEARCH_SUBSTRING] = "substring",
    [P2P_SEARCH_FUZZY] = "fuzzy",
};

/* ---- The local network: the lists of those that are there ---- */

struct lan_search {
    const char *text;
    const struct cli_peer *peer;
    struct p2p_search_results *results;
    size_t limit;
};

static enum p2p_err
visit_file(void *arg, const char *name, const struct p2p_list_entry *entry)
{
    struct lan_search *search = arg;
    struct p2p_search_results *results = search->results;
    struct p2p_search_result *bigger, *r;

    if (strcasestr(name, search->text) == NULL || results->count == search->limit)
        return P2P_OK;
    bigger = realloc(results->at, (results->count + 1) * sizeof(*bigger));
    if (bigger == NULL)
        return P2P_ERR_NOMEM;
    results->at = bigger;
    r = &bigger[results->count];
    *r = (struct p2p_search_result){
        .size = entry->size, .root = entry->root, .root_known = true};
    snprintf(r->name, sizeof(r->name), "%s", name);
    r->peers.at = calloc(1, sizeof(*r->peers.at));
    if (r->peers.at == NULL)
        return P2P_ERR_NOMEM;
    r->peers.at[0] =
        (struct p2p_peer_info){.id = search->peer->id, .addr = search->peer->addr};
    r->peers.count = 1;
    results->count++;
    return P2P_OK;
}

static void
search_peer(const struct cli_common *common, struct p2p_identity *identity,
            struct lan_search *search)
{
    const struct p2p_conn_options conn_options = {
        .identity = identity,
        .addr = search->peer->addr,
        .expected = &search->peer->id,
        .protocol = 2,
        .timeout_ms = common->timeout_ms,
    };
    struct p2p_conn *conn;

    if (p2p_conn_open(&conn_options, &conn) != P2P_OK)
        return;
    if (p2p_conn_list_all(conn, p2p_now_ms() + common->timeout_ms, visit_file,
                          search) != P2P_OK)
        p2p_log_debug("a peer nearby was not listed to the end");
    p2p_conn_close(conn);
}

static void
search_lan(const struct search_options *opt, const char *text,
           struct p2p_search_results *results)
{
    struct p2p_identity *identity = NULL;
    struct cli_peers lan = {0};

    if (!opt->common.mdns || cli_open_identity(&opt->common, &identity) != P2P_OK)
        return;
    if (cli_find_lan(&opt->common, identity, &lan) == P2P_OK) {
        for (size_t i = 0; i < lan.count; i++) {
            struct lan_search search = {text, &lan.at[i], results, opt->limit};
            if (!lan.at[i].is_self && lan.at[i].trust != P2P_TRUST_BLOCKED)
                search_peer(&opt->common, identity, &search);
        }
        cli_peers_clear(&lan);
    }
    p2p_identity_close(identity);
}

/* ---- The registries ---- */

static enum p2p_err
search_registries(const struct search_options *opt, struct p2p_discovery *d,
                  const char *text, struct p2p_search_results *results)
{
    enum p2p_err err;

    if (d == NULL)
        return P2P_ERR_UNREACHABLE;
    for (size_t mode = 0; mode < sizeof(modes) / sizeof(modes[0]); mode++)
        if (strcmp(opt->mode, modes[mode]) == 0)
            return p2p_discovery_search(d, text, (enum p2p_search_mode)mode, opt->limit,
                                        results);
    err = p2p_discovery_search(d, text, P2P_SEARCH_SUBSTRING, opt->limit, results);
    if (err == P2P_OK && results->count == 0)
        err = p2p_discovery_search(d, text, P2P_SEARCH_FUZZY, opt->limit, results);
    return err;
}

static bool
is_mode(const char *mode)
{
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
        if (strcmp(mode, modes[i]) == 0)
            return true;
    return strcmp(mode, "auto") == 0;
}

/* ---- Showing ---- */

static void
print_json(const struct p2p_search_results *results)
{
    cJSON *object = cli_object(), *array = cli_put_array(object, "results");

    for (size_t i = 0; i < results->count; i++) {
        const struct p2p_search_result *r = &results->at[i];
        cJSON *item = cli_add_object(array), *peers;
        cli_put_text(item, "name", r->name);
        cli_put_number(item, "size", r->size);
        cli_put_hex(item, "root", r->root.b, r->root_known);
        cli_put_hex(item, "sha256", r->sha256.b, r->sha256_known);
        peers = cli_put_array(item, "peers");
        for (size_t k = 0; k < r->peers.count; k++) {
            const struct p2p_peer_info *p = &r->peers.at[k];
            cJSON *peer = cli_add_object(peers);
            cli_put_hex(peer, "peer_id", p->id.b, true);
            cli_put_text(peer, "ip", p->addr.host);
            cli_put_number(peer, "port", p->addr.port);
            cli_put_bool(peer, "verified", p->verified);
        }
    }
    cli_print_json(object);
}

static void
print_table(const struct p2p_search_results *results)
{
    for (size_t i = 0; i < results->count; i++) {
        const struct p2p_search_result *r = &results->at[i];
        char size[CLI_SHORT];
        size_t verified = 0;
        for (size_t k = 0; k < r->peers.count; k++)
            verified += r->peers.at[k].verified;
        printf("%10s  %3zu peer%s  %-8s  %s\n",
               r->root_known || r->size > 0 ? cli_size(r->size, size) : "-",
               r->peers.count, r->peers.count == 1 ? " " : "s",
               verified > 0 ? "signed" : "", r->name);
    }
}

static int
show(const struct search_options *opt, const char *text,
     const struct p2p_search_results *results)
{
    char shown[CLI_TEXT];

    if (opt->common.json)
        print_json(results);
    else
        print_table(results);
    if (results->count > 0)
        return 0;
    return cli_fail(P2P_ERR_NOT_FOUND, "nothing is called anything like \"%s\"",
                    cli_text(text, shown));
}

int
cmd_search(int argc, char **argv)
{
    struct search_options opt = {.common = CLI_DEFAULTS, .mode = "auto", .limit = 50};
    struct p2p_search_results results = {0};
    struct p2p_discovery *d = NULL;
    int arguments, status;
    enum p2p_err err;

    if (!cli_parse(&set, &opt, argc, argv, &arguments, &status))
        return status;
    if (arguments != 1 || argv[1][0] == '\0')
        return cli_fail(P2P_ERR_USAGE, "one text is needed: p2p search [options] TEXT");
    if (!is_mode(opt.mode))
        return cli_fail(P2P_ERR_USAGE,
                        "--mode: exact, prefix, substring, fuzzy or auto is needed");
    err = cli_open_discovery(&opt.common, &d);
    if (err != P2P_OK)
        return p2p_err_exit_status(err);
    err = search_registries(&opt, d, argv[1], &results);
    if (results.count == 0)
        search_lan(&opt, argv[1], &results);
    if (err != P2P_OK && results.count == 0)
        status = cli_fail_registries(d, err);
    else
        status = show(&opt, argv[1], &results);
    p2p_search_results_clear(&results);
    p2p_discovery_close(d);
    return status;
}
