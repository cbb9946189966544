/* p2p id: prints this device's peer id. */
#include <stdio.h>

#include "cli/commands/commands.h"

struct id_options {
    struct cli_common common;
};
static const struct p2p_option options[] = {
    CLI_OPTION_KEYS(struct id_options),
    CLI_OPTION_JSON(struct id_options),
};
static const struct p2p_option_set set = {
    "p2p id", "[options]",
    "Prints this device's peer id, which is the SHA-256 of its public key. The first "
    "call creates the key.",
    options, sizeof(options) / sizeof(options[0])};

int
cmd_id(int argc, char **argv)
{
    struct id_options opt = {.common = CLI_DEFAULTS};
    struct p2p_identity *identity = NULL;
    int arguments, status;
    enum p2p_err err;

    if (!cli_parse(&set, &opt, argc, argv, &arguments, &status))
        return status;
    if (arguments != 0)
        return cli_fail(P2P_ERR_USAGE, "p2p id takes no arguments");
    err = cli_open_identity(&opt.common, &identity);
    if (err != P2P_OK)
        return p2p_err_exit_status(err);
    if (opt.common.json) {
        struct cJSON *object = cli_object();
        cli_put_text(object, "peer_id", p2p_identity_id_hex(identity));
        cli_put_text(object, "public_key", p2p_identity_public_pem(identity));
        cli_print_json(object);
    } else {
        printf("%s\n", p2p_identity_id_hex(identity));
    }
    p2p_identity_close(identity);
    return 0;
}
