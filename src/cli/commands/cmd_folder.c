/* p2p folder: which devices may see a folder of the shared ones. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands/commands.h"
#include "p2p/bytes.h"
#include "p2p/grants.h"

struct folder_options {
    struct cli_common common;
    struct p2p_option_list allow;
};
#define AT(field) offsetof(struct folder_options, field)
static const struct p2p_option options[] = {
    {"allow", P2P_OPT_LIST, AT(allow), 0, 0, "PEER",
     "with private: a device that may see the folder, by name or id; may be repeated"},
    CLI_OPTION_DISCOVERY(struct folder_options),
    CLI_OPTION_TIMEOUT(struct folder_options),
    CLI_OPTION_KEYS(struct folder_options),
    CLI_OPTION_MDNS(struct folder_options),
    CLI_OPTION_JSON(struct folder_options),
};
static const struct p2p_option_set set = {
    "p2p folder", "[options] private FOLDER | public FOLDER | list",
    "Opens a shared folder to some devices only (private, with --allow for each of "
    "them), or to everyone again (public), or lists the rules (list). FOLDER is the "
    "folder's name as others see it, such as photos/2026; / means all files.",
    options, sizeof(options) / sizeof(options[0])};

static int
fail(enum p2p_err err)
{
    if (err == P2P_ERR_TOO_LARGE)
        return cli_fail(err, "at most %d rules, with %d devices each",
                        P2P_ACCESS_RULES_MAX, P2P_ACCESS_PEERS_MAX);
    return cli_fail(err,
                    "cannot read or write " P2P_GRANTS_FILE " in the keys folder: %s",
                    p2p_err_text(err));
}

/* ---- list ---- */

static void
print_rule(struct p2p_identity *identity, const struct p2p_grant *g)
{
    char folder[CLI_TEXT], called[P2P_CALLED_MAX];

    printf("%s  ", g->folder[0] != '\0' ? cli_text(g->folder, folder) : "/");
    if (g->everyone)
        printf("everyone\n");
    else if (g->peer_count == 0)
        printf("this device only\n");
    for (size_t i = 0; i < g->peer_count; i++) {
        p2p_peer_called(identity, &g->peers[i], NULL, called);
        printf("%s%s", called, i + 1 < g->peer_count ? ", " : "\n");
    }
}

static void
put_rule(cJSON *array, const struct p2p_grant *g)
{
    cJSON *item = cli_add_object(array), *peers;

    cli_put_number(item, "id", g->id);
    cli_put_text(item, "folder", g->folder[0] != '\0' ? g->folder : "/");
    cli_put_bool(item, "everyone", g->everyone);
    peers = cli_put_array(item, "peers");
    for (size_t i = 0; i < g->peer_count; i++) {
        char hex[P2P_ID_HEX_LEN + 1];
        p2p_hex_format(g->peers[i].b, sizeof(g->peers[i].b), hex);
        cJSON_AddItemToArray(peers, cJSON_CreateString(hex));
    }
    cli_put_number(item, "created", g->created_s);
}

static int
list(const struct folder_options *opt, struct p2p_identity *identity)
{
    cJSON *object = opt->common.json ? cli_object() : NULL;
    cJSON *array = object != NULL ? cli_put_array(object, "folders") : NULL;
    struct p2p_grant *grants;
    size_t count;
    enum p2p_err err = p2p_grants_list(opt->common.keys_dir, &grants, &count);

    if (err != P2P_OK) {
        cJSON_Delete(object);
        return fail(err);
    }
    for (size_t i = 0; i < count; i++)
        if (array != NULL)
            put_rule(array, &grants[i]);
        else
            print_rule(identity, &grants[i]);
    if (object != NULL)
        cli_print_json(object);
    else if (count == 0)
        cli_say("no folder is private");
    free(grants);
    return 0;
}

/* ---- private, public ---- */

static int
make_private(const struct folder_options *opt, struct p2p_identity *identity,
             const char *folder)
{
    struct p2p_id peers[P2P_OPTION_LIST_MAX];
    const char *shown = folder[0] != '\0' ? folder : "/";
    size_t count = opt->allow.count;
    enum p2p_err err;

    for (size_t i = 0; i < count; i++)
        if ((err = cli_resolve_id(&opt->common, identity, opt->allow.at[i],
                                  &peers[i])) != P2P_OK)
            return p2p_err_exit_status(err);
    err = p2p_grants_set_private(opt->common.keys_dir, folder, peers, count);
    if (err != P2P_OK)
        return fail(err);
    if (count == 0)
        cli_say("%s is private: no other device sees it", shown);
    else
        cli_say("%s is private: %zu device%s it", shown, count,
                count == 1 ? " sees" : "s see");
    return 0;
}

static int
make_public(const struct folder_options *opt, const char *folder)
{
    enum p2p_err err = p2p_grants_set_public(opt->common.keys_dir, folder);

    if (err != P2P_OK)
        return fail(err);
    cli_say("%s is open to everyone who may download from this device",
            folder[0] != '\0' ? folder : "/");
    return 0;
}

static int
act(const struct folder_options *opt, struct p2p_identity *identity, int count,
    char **words)
{
    const char *verb = count > 0 ? words[0] : "";
    bool is_private = strcmp(verb, "private") == 0;
    char folder[P2P_NAME_MAX + 2], shown[CLI_TEXT];

    if (opt->allow.count > 0 && !is_private)
        return cli_fail(P2P_ERR_USAGE, "--allow works only with `p2p folder private`");
    if (count == 1 && strcmp(verb, "list") == 0)
        return list(opt, identity);
    if (count != 2 || (!is_private && strcmp(verb, "public") != 0))
        return cli_fail(P2P_ERR_USAGE,
                        "usage: p2p folder private FOLDER --allow PEER ..., p2p folder "
                        "public FOLDER, or p2p folder list");
    if (p2p_grants_folder(words[1], folder) != P2P_OK)
        return cli_fail(P2P_ERR_USAGE,
                        "invalid folder %s: give its name as others see it, such as "
                        "photos or photos/2026 (p2p ls lists them)",
                        cli_text(words[1], shown));
    return is_private ? make_private(opt, identity, folder) : make_public(opt, folder);
}

int
cmd_folder(int argc, char **argv)
{
    struct folder_options opt = {.common = CLI_DEFAULTS};
    struct p2p_identity *identity = NULL;
    int arguments, status;
    enum p2p_err err;

    if (!cli_parse(&set, &opt, argc, argv, &arguments, &status))
        return status;
    err = cli_open_identity(&opt.common, &identity);
    if (err != P2P_OK)
        return p2p_err_exit_status(err);
    status = act(&opt, identity, arguments, argv + 1);
    p2p_identity_close(identity);
    return status;
}
