/* p2p peers: lists online peers, and changes which peers this device trusts. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands/commands.h"
#include "p2p/bytes.h"

struct peers_options {
    struct cli_common common;
    const char *name;
    bool known;
};
#define AT(field) offsetof(struct peers_options, field)
static const struct p2p_option options[] = {
    CLI_OPTION_DISCOVERY(struct peers_options),
    {"known", P2P_OPT_FLAG, AT(known), 0, 0, NULL,
     "list the remembered peers instead of those online"},
    {"name", P2P_OPT_WORD, AT(name), 0, 0, "NAME", "with trust: a name for the peer"},
    CLI_OPTION_TIMEOUT(struct peers_options),
    CLI_OPTION_KEYS(struct peers_options),
    CLI_OPTION_MDNS(struct peers_options),
    CLI_OPTION_JSON(struct peers_options),
};
static const struct p2p_option_set set = {
    "p2p peers", "[options] [trust PEER [HOST:PORT] | forget PEER | block PEER]",
    "Lists the peers that are online, or changes which peers this device trusts.",
    options, sizeof(options) / sizeof(options[0])};

/* ---- Online ---- */

static const char *
found_by(const struct cli_peer *peer)
{
    return peer->in_registry && peer->on_lan ? "both"
           : peer->on_lan                    ? "mdns"
                                             : "registry";
}

static void
print_online_json(const struct cli_peers *peers)
{
    cJSON *object = cli_object(), *array = cli_put_array(object, "peers");

    for (size_t i = 0; i < peers->count; i++) {
        const struct cli_peer *p = &peers->at[i];
        cJSON *item = cli_add_object(array);
        cli_put_hex(item, "peer_id", p->id.b, true);
        cli_put_text(item, "name", p->name);
        cli_put_text(item, "claimed_name", p->about.name);
        cli_put_text(item, "kind", p2p_about_kind_name(p->about.kind));
        cli_put_text(item, "ip", p->addr.host);
        cli_put_number(item, "port", p->addr.port);
        cli_put_number(item, "files", p->file_count);
        cli_put_bool(item, "verified", p->verified);
        cli_put_bool(item, "self", p->is_self);
        cli_put_text(item, "trust", p2p_trust_name(p->trust));
        cli_put_text(item, "found_by", found_by(p));
        if (p->last_seen_s > 0)
            cli_put_number(item, "last_seen", p->last_seen_s);
    }
    cli_print_json(object);
}

/* Columns are characters, not bytes; wide ones may still stand out. */
static void
print_padded(const char *text, size_t width)
{
    size_t columns = 0;

    for (const char *at = text; *at != '\0'; at++)
        columns += ((unsigned char)*at & 0xc0) != 0x80;
    printf("%s%*s", text, columns < width ? (int)(width - columns) : 0, "");
}

static const char *
kind_of(const struct cli_peer *peer)
{
    return peer->about.kind == P2P_ABOUT_UNKNOWN
               ? "-"
               : p2p_about_kind_name(peer->about.kind);
}

static void
print_online(const struct cli_peers *peers)
{
    if (peers->count > 0)
        printf("%-24s  %-7s  %-19s  %-24s %7s  %-8s  %s\n", "NAME", "KIND", "PEER",
               "ADDRESS", "FILES", "TRUST", "FOUND BY");
    for (size_t i = 0; i < peers->count; i++) {
        const struct cli_peer *p = &peers->at[i];
        char hex[P2P_ID_HEX_LEN + 1], address[CLI_ADDRESS], files[CLI_SHORT] = "-";
        p2p_hex_format(p->id.b, sizeof(p->id.b), hex);
        if (p->in_registry)
            snprintf(files, sizeof(files), "%zu", p->file_count);
        print_padded(p->called, 24);
        printf("  %-7s  %.16s...  %-24s %7s  %-8s  %s%s%s\n", kind_of(p), hex,
               p2p_addr_format(&p->addr, address, sizeof(address)), files,
               p->is_self ? "-" : p2p_trust_name(p->trust), found_by(p),
               p->verified ? ", signed" : "", p->is_self ? " (this device)" : "");
    }
}

static int
list_online(const struct peers_options *opt, struct p2p_identity *identity)
{
    struct p2p_discovery *d = NULL;
    struct cli_peers peers = {0};
    enum p2p_err err = cli_open_discovery(&opt->common, &d);
    int status;

    if (err != P2P_OK)
        return p2p_err_exit_status(err);
    err = cli_find_peers(&opt->common, d, identity, &peers);
    status = p2p_err_exit_status(err);
    if (err == P2P_OK && peers.count == 0 && peers.registry_err != P2P_OK) {
        status = cli_fail_registries(d, peers.registry_err);
    } else if (err == P2P_OK) {
        if (opt->common.json)
            print_online_json(&peers);
        else
            print_online(&peers);
        if (peers.count == 0)
            cli_say("no peer is online; start one with p2p-peer");
    }
    cli_peers_clear(&peers);
    p2p_discovery_close(d);
    return status;
}

/* ---- Known ---- */

static void
print_known_json(const struct p2p_known_peer *known, size_t count)
{
    cJSON *object = cli_object(), *array = cli_put_array(object, "peers");

    for (size_t i = 0; i < count; i++) {
        cJSON *item = cli_add_object(array);
        cli_put_hex(item, "peer_id", known[i].id.b, true);
        cli_put_text(item, "trust", p2p_trust_name(known[i].trust));
        cli_put_text(item, "name", known[i].name);
        cli_put_text(item, "claimed_name", known[i].claim.name);
        cli_put_text(item, "kind", p2p_about_kind_name(known[i].claim.kind));
        cli_put_text(item, "address", known[i].addresses[0]);
        cJSON *addresses = cli_put_array(item, "addresses");
        for (size_t a = 0; a < P2P_PEER_ADDRESSES_MAX && known[i].addresses[a][0]; a++)
            cJSON_AddItemToArray(addresses, cJSON_CreateString(known[i].addresses[a]));
        cli_put_number(item, "first_seen", known[i].first_seen_s);
        cli_put_number(item, "last_seen", known[i].last_seen_s);
    }
    cli_print_json(object);
}

static int
list_known(const struct peers_options *opt, struct p2p_identity *identity)
{
    struct p2p_known_peer *known;
    size_t count;
    enum p2p_err err = p2p_known_list(identity, &known, &count);

    if (err != P2P_OK)
        return cli_fail(err, "cannot read or write the list of known peers: %s",
                        p2p_err_text(err));
    if (opt->common.json)
        print_known_json(known, count);
    for (size_t i = 0; i < count && !opt->common.json; i++) {
        char hex[P2P_ID_HEX_LEN + 1], seen[CLI_SHORT], address[CLI_TEXT],
            called[P2P_CALLED_MAX];
        p2p_hex_format(known[i].id.b, sizeof(known[i].id.b), hex);
        printf("%.16s...  %-8s  %-16s  %-24s  %s\n", hex,
               p2p_trust_name(known[i].trust), cli_time(known[i].last_seen_s, seen),
               cli_text(known[i].addresses[0], address),
               p2p_known_name(&known[i], NULL)[0] != '\0'
                   ? p2p_known_called(&known[i], &known[i].id, NULL, called)
                   : "");
    }
    if (count == 0 && !opt->common.json)
        cli_say("no peer has been met yet");
    free(known);
    return 0;
}

/* ---- Changing ---- */

static enum p2p_err
change(const struct peers_options *opt, struct p2p_identity *identity, char **words,
       const char *address, const struct p2p_id *id)
{
    if (strcmp(words[0], "forget") == 0)
        return p2p_known_forget(identity, id);
    return p2p_known_set(identity, id,
                         words[0][0] == 'b' ? P2P_TRUST_BLOCKED : P2P_TRUST_TRUSTED,
                         opt->name, address);
}

static int
change_trust(const struct peers_options *opt, struct p2p_identity *identity, int count,
             char **words)
{
    static const char *const done[] = {"trusted", "forgotten", "blocked"};
    bool trust = strcmp(words[0], "trust") == 0,
         forget = strcmp(words[0], "forget") == 0;
    char hex[P2P_ID_HEX_LEN + 1], address[CLI_ADDRESS];
    struct p2p_addr addr;
    struct p2p_id id;
    enum p2p_err err;

    if ((!trust && !forget && strcmp(words[0], "block") != 0) || count < 2 ||
        count > 2 + trust)
        return cli_fail(P2P_ERR_USAGE, "usage: p2p peers trust PEER [HOST:PORT], p2p "
                                       "peers forget PEER, or p2p peers block PEER; "
                                       "PEER is a name or an id");
    if (count == 3 && p2p_addr_parse(words[2], 0, &addr) != P2P_OK)
        return cli_fail(P2P_ERR_USAGE, "invalid address of the peer: use HOST:PORT");
    err = cli_resolve_id(&opt->common, identity, words[1], &id);
    if (err != P2P_OK)
        return p2p_err_exit_status(err);
    if (p2p_id_equal(&id, p2p_identity_id(identity)))
        return cli_fail(P2P_ERR_USAGE, "this is the id of this device itself");
    err = change(opt, identity, words,
                 count == 3 ? p2p_addr_format(&addr, address, sizeof(address)) : NULL,
                 &id);
    p2p_hex_format(id.b, sizeof(id.b), hex);
    if (err != P2P_OK)
        return cli_fail(err, "peer %.16s...: %s", hex, p2p_err_text(err));
    cli_say("peer %.16s... is %s", hex, done[trust ? 0 : forget ? 1 : 2]);
    if (trust && strncasecmp(hex, words[1], 8) != 0)
        cli_say("a name proves nothing: compare this id with the one that `p2p id` "
                "prints on that device: %s",
                hex);
    return 0;
}

int
cmd_peers(int argc, char **argv)
{
    struct peers_options opt = {.common = CLI_DEFAULTS};
    struct p2p_identity *identity = NULL;
    int arguments, status;
    enum p2p_err err;

    if (!cli_parse(&set, &opt, argc, argv, &arguments, &status))
        return status;
    err = cli_open_identity(&opt.common, &identity);
    if (err != P2P_OK)
        return p2p_err_exit_status(err);
    if (arguments > 0)
        status = change_trust(&opt, identity, arguments, argv + 1);
    else if (opt.known)
        status = list_known(&opt, identity);
    else
        status = list_online(&opt, identity);
    p2p_identity_close(identity);
    return status;
}
