/* p2p search: finds names or a root with the registries; if they do not answer (or with
 * --lan), on the local network. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ask/search_lan.h"
#include "cli/commands/commands.h"
#include "p2p/ask.h"
#include "p2p/bytes.h"
#include "p2p/contents.h"

struct search_options {
    struct cli_common common;
    const char *mode, *root;
    bool lan;
    uint64_t limit;
};
#define AT(field) offsetof(struct search_options, field)
static const struct p2p_option options[] = {
    CLI_OPTION_DISCOVERY(struct search_options),
    {"mode", P2P_OPT_TEXT, AT(mode), 0, 0, "MODE",
     "exact, prefix, substring, fuzzy (tolerates typing errors), or auto: substring, "
     "then fuzzy"},
    {"root", P2P_OPT_TEXT, AT(root), 0, 0, "HEX",
     "instead of TEXT: find the content with this root"},
    {"lan", P2P_OPT_FLAG, AT(lan), 0, 0, NULL,
     "also ask peers on the local network (mDNS), even when a registry found "
     "something"},
    {"limit", P2P_OPT_NUMBER, AT(limit), 1, 1000, "N", "maximum number of results"},
    CLI_OPTION_TIMEOUT(struct search_options),
    CLI_OPTIONS_NAME(struct search_options),
    CLI_OPTION_KEYS(struct search_options),
    CLI_OPTION_MDNS(struct search_options),
    CLI_OPTION_JSON(struct search_options),
};
static const struct p2p_option_set set = {
    "p2p search", "[options] [TEXT]",
    "Finds files of all online peers by name or by root.", options,
    sizeof(options) / sizeof(options[0])};

static const char *const modes[] = {
    [P2P_SEARCH_EXACT] = "exact",
    [P2P_SEARCH_PREFIX] = "prefix",
    [P2P_SEARCH_SUBSTRING] = "substring",
    [P2P_SEARCH_FUZZY] = "fuzzy",
};

/* ---- The registries ---- */

/* Registries tell which peers have it; a peer tells its name and size
 * (search_lan.c). */
static enum p2p_err
search_root(struct p2p_discovery *d, const struct p2p_digest *root,
            struct p2p_search_results *results)
{
    struct p2p_peer_list peers = {0};
    enum p2p_err err = p2p_discovery_find_root(d, root, &peers);

    if (err == P2P_OK && peers.count > 0 &&
        (results->at = calloc(1, sizeof(*results->at))) == NULL)
        err = P2P_ERR_NOMEM;
    if (err == P2P_OK && peers.count > 0)
        results->at[results->count++] = (struct p2p_search_result){
            .root = *root, .root_known = true, .peers = peers};
    else
        p2p_peer_list_clear(&peers);
    return err;
}

static enum p2p_err
search_registries(const struct search_options *opt, struct p2p_discovery *d,
                  const struct lan_wanted *wanted, struct p2p_search_results *results)
{
    const char *text = wanted->text;
    enum p2p_err err;

    if (d == NULL)
        return P2P_ERR_UNREACHABLE;
    if (text == NULL)
        return search_root(d, &wanted->root, results);
    for (size_t mode = 0; mode < sizeof(modes) / sizeof(modes[0]); mode++)
        if (strcmp(opt->mode, modes[mode]) == 0)
            return p2p_discovery_search(d, text, (enum p2p_search_mode)mode,
                                        P2P_SEARCH_RESULTS_MAX, results);
    err = p2p_discovery_search(d, text, P2P_SEARCH_SUBSTRING, P2P_SEARCH_RESULTS_MAX,
                               results);
    if (err == P2P_OK && results->count == 0)
        err = p2p_discovery_search(d, text, P2P_SEARCH_FUZZY, P2P_SEARCH_RESULTS_MAX,
                                   results);
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

/* Only this device has it, so it cannot be downloaded. */
static bool
is_own(const struct p2p_id *self, const struct p2p_search_result *r)
{
    return r->peers.count == 1 && p2p_id_equal(&r->peers.at[0].id, self);
}

static void
print_json(const struct p2p_search_results *results, struct p2p_identity *identity)
{
    cJSON *object = cli_object(), *array = cli_put_array(object, "results");
    const struct p2p_id *self = p2p_identity_id(identity);

    for (size_t i = 0; i < results->count; i++) {
        const struct p2p_search_result *r = &results->at[i];
        cJSON *item = cli_add_object(array), *peers;
        cli_put_text(item, "name", r->name);
        cli_put_number(item, "size", r->size);
        cli_put_hex(item, "root", r->root.b, r->root_known);
        cli_put_hex(item, "sha256", r->sha256.b, r->sha256_known);
        cli_put_text(item, "trust", p2p_rank_name(p2p_peers_best(identity, &r->peers)));
        peers = cli_put_array(item, "peers");
        for (size_t k = 0; k < r->peers.count; k++) {
            const struct p2p_peer_info *p = &r->peers.at[k];
            cJSON *peer = cli_add_object(peers);
            cli_put_hex(peer, "peer_id", p->id.b, true);
            cli_put_name(peer, identity, &p->id, &p->about);
            cli_put_text(peer, "ip", p->addr.host);
            cli_put_number(peer, "port", p->addr.port);
            cli_put_bool(peer, "verified", p->verified);
            cli_put_text(peer, "trust", p2p_rank_name(p2p_rank_of(identity, &p->id)));
            cli_put_bool(peer, "self", p2p_id_equal(&p->id, self));
        }
    }
    cli_print_json(object);
}

static void
print_table(const struct p2p_search_results *results, struct p2p_identity *identity)
{
    for (size_t i = 0; i < results->count; i++) {
        const struct p2p_search_result *r = &results->at[i];
        char size[CLI_SHORT];
        size_t verified = 0;
        for (size_t k = 0; k < r->peers.count; k++)
            verified += r->peers.at[k].verified;
        printf("%10s  %3zu peer%s  %-7s  %-6s  %s\n",
               r->root_known || r->size > 0 ? cli_size(r->size, size) : "-",
               r->peers.count, r->peers.count == 1 ? " " : "s",
               is_own(p2p_identity_id(identity), r)
                   ? "own"
                   : p2p_rank_name(p2p_peers_best(identity, &r->peers)),
               verified > 0 ? "signed" : "", r->name[0] != '\0' ? r->name : "-");
    }
}

/* Cuts what comes last, and shows the rest. */
static int
show(const struct search_options *opt, const char *text, struct p2p_identity *identity,
     struct p2p_search_results *results)
{
    char shown[CLI_TEXT];

    while (results->count > opt->limit)
        p2p_peer_list_clear(&results->at[--results->count].peers);
    if (opt->common.json)
        print_json(results, identity);
    else
        print_table(results, identity);
    if (results->count > 0)
        return 0;
    if (text == NULL)
        return cli_fail(P2P_ERR_NOT_FOUND, "no peer shares a file with this root");
    return cli_fail(P2P_ERR_NOT_FOUND, "no file name matches \"%s\"",
                    cli_text(text, shown));
}

/* Checks that there is a text or --root; false: *status is the exit status. */
static bool
take_wanted(const struct search_options *opt, int arguments, char **argv,
            struct lan_wanted *wanted, int *status)
{
    *wanted = (struct lan_wanted){.limit = P2P_SEARCH_RESULTS_MAX};
    if (opt->root == NULL && arguments == 1 && argv[1][0] != '\0')
        wanted->text = argv[1];
    else if (opt->root == NULL || arguments != 0) {
        *status =
            cli_fail(P2P_ERR_USAGE,
                     "missing text; usage: p2p search [options] TEXT, or --root HEX");
        return false;
    } else if (strlen(opt->root) != 2 * P2P_DIGEST_LEN ||
               p2p_hex_parse(opt->root, wanted->root.b, sizeof(wanted->root.b)) !=
                   P2P_OK) {
        *status = cli_fail(P2P_ERR_USAGE, "invalid --root: use 64 hex digits");
        return false;
    }
    if (is_mode(opt->mode))
        return true;
    *status = cli_fail(P2P_ERR_USAGE,
                       "invalid --mode: use exact, prefix, substring, fuzzy or auto");
    return false;
}

/* Collects all results, best known peers first. P2P_OK if a registry or peer has
 * answered. */
static enum p2p_err
search(const struct search_options *opt, struct p2p_discovery *d,
       struct p2p_identity *identity, const struct lan_wanted *wanted,
       struct p2p_search_results *results)
{
    const struct p2p_ask ask = {.text = wanted->text,
                                .root = wanted->text == NULL ? &wanted->root : NULL,
                                .mdns = opt->common.mdns,
                                .timeout_ms = opt->common.timeout_ms};
    enum p2p_err err = search_registries(opt, d, wanted, results), asked;

    asked = p2p_ask_known(identity, &ask, results);
    if (asked != P2P_OK)
        return asked;
    if (err == P2P_OK) /* the first of them are asked what a root is */
        err = p2p_results_rank(identity, results);
    cli_search_lan(&opt->common, identity, wanted, opt->lan || results->count == 0,
                   results);
    if (results->count > 0)
        err = p2p_results_rank(identity, results);
    return err;
}

int
cmd_search(int argc, char **argv)
{
    struct search_options opt = {.common = CLI_DEFAULTS, .mode = "auto", .limit = 50};
    struct p2p_search_results results = {0};
    struct p2p_identity *identity = NULL;
    struct p2p_discovery *d = NULL;
    struct lan_wanted wanted;
    int arguments, status;
    enum p2p_err err;

    if (!cli_parse(&set, &opt, argc, argv, &arguments, &status) ||
        !take_wanted(&opt, arguments, argv, &wanted, &status))
        return status;
    err = cli_open_identity(&opt.common, &identity);
    if (err == P2P_OK)
        err = cli_open_discovery(&opt.common, &d);
    if (err != P2P_OK) {
        p2p_identity_close(identity);
        return p2p_err_exit_status(err);
    }
    err = search(&opt, d, identity, &wanted, &results);
    if (err != P2P_OK)
        status = cli_fail_registries(d, err);
    else
        status = show(&opt, wanted.text, identity, &results);
    p2p_search_results_clear(&results);
    p2p_discovery_close(d);
    p2p_identity_close(identity);
    return status;
}
