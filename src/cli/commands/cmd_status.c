/* p2p status: shows this device, its registries, and its own peer as they list it. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands/commands.h"
#include "cli/machine/shared.h"

#define SHARED_LINE 512

struct status_options {
    struct cli_common common;
    const char *shared_dir; /* NULL: not named */
};
static const struct p2p_option options[] = {
    CLI_OPTION_DISCOVERY(struct status_options),
    {"shared-dir", P2P_OPT_TEXT, offsetof(struct status_options, shared_dir), 0, 0,
     "DIR",
     "shared folder to check (default: the one that p2p-peer shares, or shared)"},
    CLI_OPTION_TIMEOUT(struct status_options),
    CLI_OPTIONS_NAME(struct status_options),
    CLI_OPTION_KEYS(struct status_options),
    CLI_OPTION_MDNS(struct status_options),
    CLI_OPTION_JSON(struct status_options),
};
static const struct p2p_option_set set = {
    "p2p status", "[options]",
    "Shows this device's id, the state of its registries, and whether its peer is "
    "registered.",
    options, sizeof(options) / sizeof(options[0])};

struct view {
    const struct cli_common *common;
    struct cli_shared shared;
    struct p2p_identity *identity;
    struct cli_peers peers;
    const struct cli_peer *self; /* or NULL */
    struct p2p_registry_state registries[P2P_OPTION_LIST_MAX];
    size_t registry_count, known_count;
};

static void
print_json(const struct view *v)
{
    cJSON *object = cli_object(), *array;
    char address[CLI_ADDRESS];
    size_t problems;
    uint64_t missing;
    enum p2p_err err = cli_look_at_shared(&v->shared, &problems, &missing);

    struct p2p_about about;

    p2p_identity_get_about(v->identity, &about);
    cli_put_text(object, "peer_id", p2p_identity_id_hex(v->identity));
    cli_put_text(object, "name", about.name);
    cli_put_text(object, "kind", p2p_about_kind_name(about.kind));
    cli_put_text(object, "keys_dir", v->common->keys_dir);
    cli_put_bool(object, "registered", v->self != NULL && v->self->in_registry);
    cli_put_text(object, "address",
                 v->self != NULL
                     ? p2p_addr_format(&v->self->addr, address, sizeof(address))
                     : NULL);
    cli_put_number(object, "shared_files", v->self != NULL ? v->self->file_count : 0);
    cli_put_text(object, "shared_dir", v->shared.dir);
    cli_put_text(object, "shared_state", err == P2P_OK ? "ok" : p2p_err_name(err));
    cli_put_number(object, "not_shared", problems);
    cli_put_number(object, "missing_files", missing);
    cli_put_number(object, "peers_online", v->peers.count - (v->self != NULL));
    cli_put_number(object, "peers_known", v->known_count);
    array = cli_put_array(object, "registries");
    for (size_t i = 0; i < v->registry_count; i++) {
        cJSON *item = cli_add_object(array);
        cli_put_text(item, "url", v->registries[i].url);
        cli_put_bool(item, "reachable", v->registries[i].reachable);
        if (v->registries[i].last_error != P2P_OK)
            cli_put_text(item, "error", p2p_err_name(v->registries[i].last_error));
    }
    cli_print_json(object);
}

static void
print_text(const struct view *v)
{
    char address[CLI_ADDRESS], shared[SHARED_LINE];
    struct p2p_about about;

    p2p_identity_get_about(v->identity, &about);
    printf("this device   %s\n", p2p_identity_id_hex(v->identity));
    printf("name          %s (%s)\n", about.name, p2p_about_kind_name(about.kind));
    for (size_t i = 0; i < v->registry_count; i++)
        printf("registry      %s  %s\n", v->registries[i].url,
               p2p_err_text(v->registries[i].last_error));
    if (v->self != NULL)
        printf("own peer      %s, %zu file%s shared, listed%s\n",
               p2p_addr_format(&v->self->addr, address, sizeof(address)),
               v->self->file_count, v->self->file_count == 1 ? "" : "s",
               v->self->verified ? " (signed)" : "");
    else
        printf("own peer      not registered (p2p-peer is not running, or it uses "
               "other keys)\n");
    if (cli_tell_shared(&v->shared, shared, sizeof(shared)))
        printf("shared folder %s\n", shared);
    printf("peers online  %zu\npeers known   %zu\n", v->peers.count - (v->self != NULL),
           v->known_count);
}

static int
show(struct view *v, struct p2p_discovery *d)
{
    struct p2p_known_peer *known = NULL;
    enum p2p_err err = cli_find_peers(v->common, d, v->identity, &v->peers);

    if (err != P2P_OK)
        return cli_fail(err, "%s", p2p_err_text(err));
    for (size_t i = 0; i < v->peers.count; i++)
        if (v->peers.at[i].is_self)
            v->self = &v->peers.at[i];
    if (d != NULL)
        v->registry_count = p2p_discovery_states(d, v->registries, P2P_OPTION_LIST_MAX);
    (void)!p2p_known_list(v->identity, &known, &v->known_count); /* shown as none */
    free(known);
    if (v->common->json)
        print_json(v);
    else
        print_text(v);
    return d == NULL ? 0 : p2p_err_exit_status(v->peers.registry_err);
}

int
cmd_status(int argc, char **argv)
{
    struct status_options opt = {.common = CLI_DEFAULTS};
    struct view v = {.common = &opt.common};
    struct p2p_discovery *d = NULL;
    int arguments, status;
    enum p2p_err err;

    if (!cli_parse(&set, &opt, argc, argv, &arguments, &status))
        return status;
    if (arguments != 0)
        return cli_fail(P2P_ERR_USAGE, "p2p status takes no arguments");
    cli_find_shared(opt.common.keys_dir, opt.shared_dir, &v.shared);
    err = cli_open_identity(&opt.common, &v.identity);
    if (err == P2P_OK)
        err = cli_open_discovery(&opt.common, &d);
    status = err == P2P_OK ? show(&v, d) : p2p_err_exit_status(err);
    cli_peers_clear(&v.peers);
    p2p_discovery_close(d);
    p2p_identity_close(v.identity);
    return status;
}
