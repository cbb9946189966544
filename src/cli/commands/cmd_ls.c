/* p2p ls: lists what a peer shares; asks the peer itself (protocol 2, LIST). */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "cli/ask/connect.h"
#include "cli/commands/commands.h"
#include "p2p/rank.h"

struct ls_options {
    struct cli_common common;
    bool reach;
};
static const struct p2p_option options[] = {
    CLI_OPTION_DISCOVERY(struct ls_options),
    {"reach", P2P_OPT_FLAG, offsetof(struct ls_options, reach), 0, 0, NULL,
     "ask the peer, through the registries, for a way over UDP or through a relay"},
    CLI_OPTION_TIMEOUT(struct ls_options),
    CLI_OPTIONS_NAME(struct ls_options),
    CLI_OPTION_KEYS(struct ls_options),
    CLI_OPTION_MDNS(struct ls_options),
    CLI_OPTION_JSON(struct ls_options),
};
static const struct p2p_option_set set = {
    "p2p ls", "[options] PEER",
    "Lists the files that a peer shares. PEER is its name, its id (the first 8 digits "
    "are enough) or HOST:PORT.",
    options, sizeof(options) / sizeof(options[0])};

/* Adds entries to the arrays, or prints them if the arrays are NULL. */
struct listing {
    cJSON *array, *folders;
    size_t count;
};

static enum p2p_err
print_file(void *arg, const char *name, const struct p2p_list_entry *entry)
{
    struct listing *listing = arg;
    cJSON *array = listing->array;
    char size[CLI_SHORT], time[CLI_SHORT], shown[CLI_TEXT];

    listing->count++;
    if (array != NULL) {
        cJSON *file = cli_add_object(array);
        cli_put_text(file, "name", name);
        cli_put_number(file, "size", entry->size);
        cli_put_number(file, "mtime", entry->mtime_s);
        cli_put_hex(file, "root", entry->root.b, true);
    } else {
        printf("%10s  %-16s  %s\n", cli_size(entry->size, size),
               cli_time(entry->mtime_s, time), cli_text(name, shown));
    }
    return P2P_OK;
}

/* An empty folder. */
static enum p2p_err
print_folder(void *arg, const char *name)
{
    struct listing *listing = arg;
    char shown[CLI_TEXT];

    listing->count++;
    if (listing->folders != NULL)
        cJSON_AddItemToArray(listing->folders, cJSON_CreateString(name));
    else
        printf("%10s  %-16s  %s\n", "-", "", cli_text(name, shown));
    return P2P_OK;
}

static enum p2p_err
list_all(struct p2p_conn *conn, struct listing *listing)
{
    const struct p2p_list_visitor visitor = {
        .file = print_file, .folder = print_folder, .arg = listing};
    char cursor[P2P_NAME_MAX + 1] = "";
    enum p2p_err err;

    do
        err = p2p_conn_list(conn, cursor, &visitor);
    while (err == P2P_OK && cursor[0] != '\0');
    return err;
}

static int
list(const struct ls_options *opt, struct p2p_identity *identity,
     struct p2p_discovery *discovery, const struct cli_peer *peer)
{
    struct listing listing = {0};
    cJSON *object = NULL;
    char address[CLI_ADDRESS];
    struct p2p_conn *conn = NULL;
    struct p2p_addr at;
    enum p2p_err err = cli_connect(&opt->common, identity, discovery, peer, &at, &conn);

    p2p_addr_format(&at, address, sizeof(address));
    if (err == P2P_OK)
        p2p_conn_remember(conn);
    if (err == P2P_OK && opt->common.json) {
        object = cli_object();
        cli_put_hex(object, "peer_id", p2p_conn_peer(conn)->b, true);
        cli_put_text(object, "address", address);
        cli_put_path(object, p2p_conn_path(conn), p2p_conn_rtt_us(conn));
        listing.array = cli_put_array(object, "files");
        listing.folders = cli_put_array(object, "empty_folders");
    }
    if (err == P2P_OK)
        err = list_all(conn, &listing);
    p2p_conn_close(conn);
    if (err == P2P_OK && object == NULL && listing.count == 0)
        cli_say("%s shares nothing", address);
    if (err == P2P_OK && object != NULL)
        cli_print_json(object);
    else
        cJSON_Delete(object);
    return err == P2P_OK ? 0
                         : cli_fail_peer(err, address, p2p_identity_id_hex(identity));
}

int
cmd_ls(int argc, char **argv)
{
    struct ls_options opt = {.common = CLI_DEFAULTS, .reach = true};
    struct p2p_discovery *discovery = NULL;
    struct p2p_identity *identity = NULL;
    struct cli_peer peer;
    int arguments, status;
    enum p2p_err err;

    if (!cli_parse(&set, &opt, argc, argv, &arguments, &status))
        return status;
    if (arguments != 1)
        return cli_fail(P2P_ERR_USAGE, "missing peer; usage: p2p ls [options] PEER");
    err = cli_open_identity(&opt.common, &identity);
    if (err == P2P_OK)
        err = cli_resolve_peer(&opt.common, identity, argv[1], &peer);
    if (err == P2P_OK && opt.reach)
        err = cli_open_discovery(&opt.common, &discovery);
    status = err == P2P_OK ? list(&opt, identity, discovery, &peer)
                           : p2p_err_exit_status(err);
    p2p_discovery_close(discovery);
    p2p_identity_close(identity);
    return status;
}
