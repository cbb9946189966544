/* p2p status: shows this device, its registries, and its own peer as they list it. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ask/running.h"
#include "cli/commands/commands.h"
#include "cli/machine/shared.h"

#define SHARED_LINE 512

struct status_options {
    struct cli_common common;
    struct p2p_option_list shared_dirs;
    bool metrics;
};
static const struct p2p_option options[] = {
    CLI_OPTION_DISCOVERY(struct status_options),
    {"shared-dir", P2P_OPT_LIST, offsetof(struct status_options, shared_dirs), 0, 0,
     "DIR",
     "shared folder to check (default: the one that p2p-peer shares, or shared)"},
    CLI_OPTION_TIMEOUT(struct status_options),
    CLI_OPTIONS_NAME(struct status_options),
    CLI_OPTION_KEYS(struct status_options),
    CLI_OPTION_MDNS(struct status_options),
    {"metrics", P2P_OPT_FLAG, offsetof(struct status_options, metrics), 0, 0, NULL,
     "print the counters of the running p2p-peer in Prometheus text format"},
    CLI_OPTION_JSON(struct status_options),
};
static const struct p2p_option_set set = {
    "p2p status", "[options]",
    "Shows this device's id, the state of its registries, whether its peer is "
    "registered, and what the peer uploads.",
    options, sizeof(options) / sizeof(options[0])};

struct report {
    const struct cli_common *common;
    struct cli_shared shared;
    struct p2p_identity *identity;
    struct cli_peers peers;
    const struct cli_peer *self; /* or NULL */
    struct p2p_registry_state registries[P2P_OPTION_LIST_MAX];
    size_t registry_count, known_count;
    cJSON *running, *uploads; /* answers of the running peer, or NULL */
};

static void
print_json(const struct report *r)
{
    cJSON *object = cli_object(), *array;
    char address[CLI_ADDRESS];
    size_t problems;
    uint64_t missing;
    enum p2p_err err = cli_look_at_shared(&r->shared, &problems, &missing);

    struct p2p_about about;

    p2p_identity_get_about(r->identity, &about);
    cli_put_text(object, "peer_id", p2p_identity_id_hex(r->identity));
    cli_put_text(object, "name", about.name);
    cli_put_text(object, "kind", p2p_about_kind_name(about.kind));
    cli_put_text(object, "keys_dir", r->common->keys_dir);
    cli_put_bool(object, "registered", r->self != NULL && r->self->in_registry);
    cli_put_text(object, "address",
                 r->self != NULL
                     ? p2p_addr_format(&r->self->addr, address, sizeof(address))
                     : NULL);
    if (r->self != NULL && !r->self->in_registry) /* mDNS does not announce how many */
        cli_put_text(object, "shared_files", NULL);
    else
        cli_put_number(object, "shared_files",
                       r->self != NULL ? r->self->file_count : 0);
    cli_put_text(object, "shared_dir", r->shared.dir);
    cli_put_text(object, "shared_state", err == P2P_OK ? "ok" : p2p_err_name(err));
    cli_put_number(object, "not_shared", problems);
    cli_put_number(object, "missing_files", missing);
    cli_put_number(object, "peers_online", r->peers.count - (r->self != NULL));
    cli_put_number(object, "peers_known", r->known_count);
    cli_put_running(object, r->running, r->uploads, r->identity);
    array = cli_put_array(object, "registries");
    for (size_t i = 0; i < r->registry_count; i++) {
        cJSON *item = cli_add_object(array);
        cli_put_text(item, "url", r->registries[i].url);
        cli_put_bool(item, "reachable", r->registries[i].reachable);
        if (r->registries[i].last_error != P2P_OK)
            cli_put_text(item, "error", p2p_err_name(r->registries[i].last_error));
    }
    cli_print_json(object);
}

static void
print_text(const struct report *r)
{
    char address[CLI_ADDRESS], shared[SHARED_LINE], shown[CLI_TEXT];
    const cJSON *is_public = cli_running_public(r->running);
    struct p2p_about about;
    const char *copy;

    p2p_identity_get_about(r->identity, &about);
    printf("this device   %s\n", p2p_identity_id_hex(r->identity));
    printf("name          %s", about.name);
    if (about.kind != P2P_ABOUT_UNKNOWN)
        printf(" (%s)", p2p_about_kind_name(about.kind));
    printf("\n");
    for (size_t i = 0; i < r->registry_count; i++)
        printf("registry      %s  %s\n", r->registries[i].url,
               p2p_err_text(r->registries[i].last_error));
    if (r->self != NULL && !r->self->in_registry)
        printf("own peer      %s, on the local network only: no registry lists it\n",
               p2p_addr_format(&r->self->addr, address, sizeof(address)));
    else if (r->self != NULL)
        printf("own peer      %s, %zu file%s shared, listed%s\n",
               p2p_addr_format(&r->self->addr, address, sizeof(address)),
               r->self->file_count, r->self->file_count == 1 ? "" : "s",
               r->self->verified ? " (signed)" : "");
    else
        printf("own peer      not registered (p2p-peer is not running, or it uses "
               "other keys)\n");
    if (cli_tell_shared(&r->shared, shared, sizeof(shared)))
        printf("shared folder %s\n", shared);
    printf("peers online  %zu\npeers known   %zu\n", r->peers.count - (r->self != NULL),
           r->known_count);
    if (is_public != NULL)
        printf("shares with   %s\n",
               cJSON_IsTrue(is_public)
                   ? "everyone on the Internet who can connect (--public)"
                   : "everyone on the local networks, and trusted devices from "
                     "anywhere");
    copy = cli_running_copy(r->running);
    if (copy != NULL)
        printf("warning       another device at %s uses the identity of this one: give "
               "one of them keys of its own\n",
               cli_text(copy, shown));
    if (r->uploads != NULL)
        cli_print_uploads(r->uploads, r->identity);
}

static int
print_report(struct report *r, struct p2p_discovery *d)
{
    struct p2p_known_peer *known = NULL;
    enum p2p_err err = cli_find_peers(r->common, d, r->identity, &r->peers);

    if (err != P2P_OK)
        return cli_fail(err, "%s", p2p_err_text(err));
    for (size_t i = 0; i < r->peers.count; i++)
        if (r->peers.at[i].is_self)
            r->self = &r->peers.at[i];
    if (d != NULL)
        r->registry_count = p2p_discovery_states(d, r->registries, P2P_OPTION_LIST_MAX);
    (void)!p2p_known_list(r->identity, &known, &r->known_count); /* shown as none */
    free(known);
    if (r->common->json)
        print_json(r);
    else
        print_text(r);
    return d == NULL ? 0 : p2p_err_exit_status(r->peers.registry_err);
}

static int
print_metrics(const struct status_options *opt)
{
    enum p2p_err err;
    cJSON *answer = cli_ask_running(opt->common.keys_dir, "metrics", &err);
    const char *text =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(answer, "text"));

    if (answer == NULL && (err == P2P_ERR_NOT_FOUND || err == P2P_ERR_UNREACHABLE))
        return cli_fail(err, "no p2p-peer with the keys in %s is running",
                        opt->common.keys_dir);
    if (answer == NULL)
        return cli_fail(err, "p2p-peer did not answer: %s", p2p_err_text(err));
    fputs(text != NULL ? text : "", stdout);
    cJSON_Delete(answer);
    return 0;
}

int
cmd_status(int argc, char **argv)
{
    struct status_options opt = {.common = CLI_DEFAULTS};
    struct report r = {.common = &opt.common};
    struct p2p_discovery *d = NULL;
    int arguments, status;
    enum p2p_err err;

    if (!cli_parse(&set, &opt, argc, argv, &arguments, &status))
        return status;
    if (arguments != 0)
        return cli_fail(P2P_ERR_USAGE, "p2p status takes no arguments");
    if (opt.metrics)
        return print_metrics(&opt);
    cli_find_shared(opt.common.keys_dir, cli_first_shared(&opt.shared_dirs), &r.shared);
    r.running = cli_ask_running(opt.common.keys_dir, "status", &err);
    r.uploads = cli_ask_running(opt.common.keys_dir, "uploads", &err);
    err = cli_open_identity(&opt.common, &r.identity);
    if (err == P2P_OK)
        err = cli_open_discovery(&opt.common, &d);
    status = err == P2P_OK ? print_report(&r, d) : p2p_err_exit_status(err);
    cJSON_Delete(r.running);
    cJSON_Delete(r.uploads);
    cli_peers_clear(&r.peers);
    p2p_discovery_close(d);
    p2p_identity_close(r.identity);
    return status;
}
