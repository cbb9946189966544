/* p2p key: this device's key pair. Passphrases come from a file, a descriptor or the
 * terminal, never from the command line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

struct key_options {
    struct cli_common common;
};
static const struct p2p_option options[] = {
    CLI_OPTION_KEYS(struct key_options),
    CLI_OPTION_JSON(struct key_options),
};
static const struct p2p_option_set set = {
    "p2p key", "[options] show|protect|unprotect|rotate",
    "Shows this device's key, gives it a passphrase or takes it away, or makes a new "
    "one. The "
    "passphrase comes from the file named by P2P_PASSPHRASE_FILE, the descriptor "
    "P2P_PASSPHRASE_FD, or the terminal.",
    options, sizeof(options) / sizeof(options[0])};

static void
forget_text(char *text)
{
    if (text != NULL)
        p2p_wipe(text, strlen(text));
    free(text);
}

/* Typed twice on a terminal; from anywhere else once. NULL: none, said why. */
static char *
new_passphrase(void)
{
    bool typed = getenv("P2P_PASSPHRASE_FILE") == NULL &&
                 getenv("P2P_PASSPHRASE_FD") == NULL &&
                 getenv("CREDENTIALS_DIRECTORY") == NULL;
    char *first = p2p_passphrase_default(NULL, "New passphrase: "), *second = NULL;

    if (first == NULL || first[0] == '\0') {
        cli_say("a passphrase is needed: on a terminal, or in the file that "
                "P2P_PASSPHRASE_FILE names");
        forget_text(first);
        return NULL;
    }
    if (typed && isatty(STDIN_FILENO)) {
        second = p2p_passphrase_default(NULL, "The same again: ");
        if (second == NULL || strcmp(first, second) != 0) {
            cli_say("the two are not the same; nothing was changed");
            forget_text(first);
            first = NULL;
        }
        forget_text(second);
    }
    return first;
}

static int
show(const struct key_options *opt, struct p2p_identity *identity)
{
    if (opt->common.json) {
        struct cJSON *object = cli_object();
        cli_put_text(object, "peer_id", p2p_identity_id_hex(identity));
        cli_put_text(object, "public_key", p2p_identity_public_pem(identity));
        cli_put_text(object, "keys_dir", opt->common.keys_dir);
        cli_print_json(object);
    } else {
        printf("peer id     %s\nkeys        %s\n%s", p2p_identity_id_hex(identity),
               opt->common.keys_dir, p2p_identity_public_pem(identity));
    }
    return 0;
}

static int
protect(const struct key_options *opt, struct p2p_identity *identity)
{
    char *passphrase = new_passphrase();
    enum p2p_err err;

    (void)opt;
    if (passphrase == NULL)
        return p2p_err_exit_status(P2P_ERR_PASSPHRASE);
    err = p2p_identity_protect(identity, passphrase);
    forget_text(passphrase);
    if (err != P2P_OK)
        return cli_fail(err, "the key could not be protected: %s", p2p_err_text(err));
    cli_say("the key has a passphrase now; the programs ask for it when they start");
    return 0;
}

static int
unprotect(const struct key_options *opt, struct p2p_identity *identity)
{
    enum p2p_err err = p2p_identity_protect(identity, NULL);

    (void)opt;
    if (err != P2P_OK)
        return cli_fail(err, "the passphrase could not be taken away: %s",
                        p2p_err_text(err));
    cli_say("the key has no passphrase any more");
    return 0;
}

/* A key that had a passphrase gets a new one with a passphrase. */
static int
rotate(const struct key_options *opt, struct p2p_identity *identity)
{
    bool wants =
        getenv("P2P_PASSPHRASE_FILE") != NULL || getenv("P2P_PASSPHRASE_FD") != NULL;
    char *passphrase = wants ? new_passphrase() : NULL;
    struct p2p_identity *fresh = NULL;
    enum p2p_err err = wants && passphrase == NULL
                           ? P2P_ERR_PASSPHRASE
                           : p2p_identity_rotate(opt->common.keys_dir, passphrase);

    (void)identity;
    forget_text(passphrase);
    if (err == P2P_OK)
        err = cli_open_identity(&opt->common, &fresh);
    if (err != P2P_OK)
        return cli_fail(err, "the key could not be replaced: %s", p2p_err_text(err));
    cli_say("there is a new key; the old one is kept beside it. Others will be told "
            "that this "
            "device's key has changed: give them the new id. Restart the programs that "
            "run.");
    printf("%s\n", p2p_identity_id_hex(fresh));
    p2p_identity_close(fresh);
    return 0;
}

int
cmd_key(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(const struct key_options *opt, struct p2p_identity *identity);
    } actions[] = {{"show", show},
                   {"protect", protect},
                   {"unprotect", unprotect},
                   {"rotate", rotate}};
    struct key_options opt = {.common = CLI_DEFAULTS};
    struct p2p_identity *identity = NULL;
    int arguments, status;
    enum p2p_err err;

    if (!cli_parse(&set, &opt, argc, argv, &arguments, &status))
        return status;
    for (size_t i = 0; arguments == 1 && i < sizeof(actions) / sizeof(actions[0]);
         i++) {
        if (strcmp(argv[1], actions[i].name) != 0)
            continue;
        err = cli_open_identity(&opt.common, &identity);
        if (err != P2P_OK)
            return p2p_err_exit_status(err);
        status = actions[i].run(&opt, identity);
        p2p_identity_close(identity);
        return status;
    }
    return cli_fail(P2P_ERR_USAGE,
                    "p2p key show, protect, unprotect or rotate is needed");
}
