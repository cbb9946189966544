/* p2p id: prints this device's peer id. */
#include <stddef.h>
#include <stdio.h>

#include "cli/commands/commands.h"
#include "p2p/code.h"

struct id_options {
    struct cli_common common;
    bool words;
};
static const struct p2p_option options[] = {
    CLI_OPTION_KEYS(struct id_options),
    CLI_OPTION_JSON(struct id_options),
    {"words", P2P_OPT_FLAG, offsetof(struct id_options, words), 0, 0, NULL,
     "print the words of this device, as other devices show them to compare"},
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
    char words[P2P_CODE_ID_TEXT];
    int arguments, status;
    enum p2p_err err;

    if (!cli_parse(&set, &opt, argc, argv, &arguments, &status))
        return status;
    if (arguments != 0)
        return cli_fail(P2P_ERR_USAGE, "p2p id takes no arguments");
    err = cli_open_identity(&opt.common, &identity);
    if (err != P2P_OK)
        return p2p_err_exit_status(err);
    p2p_code_id_words(p2p_identity_id(identity), words);
    if (opt.common.json) {
        struct cJSON *object = cli_object();
        cli_put_text(object, "peer_id", p2p_identity_id_hex(identity));
        cli_put_text(object, "words", words);
        cli_put_text(object, "public_key", p2p_identity_public_pem(identity));
        cli_print_json(object);
    } else {
        printf("%s\n", opt.words ? words : p2p_identity_id_hex(identity));
    }
    p2p_identity_close(identity);
    return 0;
}
