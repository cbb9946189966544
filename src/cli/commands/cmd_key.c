/* p2p key: this device's key pair. Passphrases come from a file, a descriptor, a
 * systemd credential or the terminal, never from the command line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands/commands.h"
#include "p2p/bytes.h"
#include "p2p/vault.h"

struct key_options {
    struct cli_common common;
    bool no_passphrase;
};
static const struct p2p_option options[] = {
    CLI_OPTION_KEYS(struct key_options),
    {"no-passphrase", P2P_OPT_FLAG, offsetof(struct key_options, no_passphrase), 0, 0,
     NULL, "with rotate: store the new key without a passphrase"},
    CLI_OPTION_JSON(struct key_options),
};
static const struct p2p_option_set set = {
    "p2p key", "[options] show|protect|unprotect|rotate",
    "Shows this device's key, adds or removes its passphrase, or replaces it with a "
    "new key. A new key keeps the passphrase of the old one. The passphrase is read "
    "from the file P2P_PASSPHRASE_FILE, the descriptor P2P_PASSPHRASE_FD, the systemd "
    "credential key-passphrase, or the terminal.",
    options, sizeof(options) / sizeof(options[0])};

/* The state of one run: the options, and the passphrase that opened the key. */
struct key_run {
    struct key_options opt;
    char *used; /* owned; NULL: the key has none */
};

static char *
copy_secret(const char *text)
{
    char *copy = text != NULL ? p2p_vault_new(strlen(text) + 1) : NULL;

    return copy != NULL ? strcpy(copy, text) : NULL;
}

/* A descriptor provides its passphrase only once, so this run keeps the one that opened
 * the key. */
static char *
remember(void *arg, const char *prompt)
{
    struct key_run *run = arg;
    char *passphrase = p2p_passphrase_default(NULL, prompt);

    p2p_vault_free(run->used);
    run->used = copy_secret(passphrase);
    return passphrase;
}

/* Reads a new passphrase: twice on a terminal, once from any other source. NULL: there
 * is none; prints the reason. */
static char *
new_passphrase(void)
{
    bool is_typed = p2p_passphrase_source() == P2P_PASSPHRASE_FROM_TERMINAL;
    char *first = p2p_passphrase_default(NULL, "New passphrase: "), *second = NULL;

    if (first == NULL || first[0] == '\0') {
        cli_say(
            "cannot read a passphrase: type it on a terminal, or name the file that "
            "holds it with P2P_PASSPHRASE_FILE");
        p2p_vault_free(first);
        return NULL;
    }
    if (is_typed) {
        second = p2p_passphrase_default(NULL, "Repeat it: ");
        if (second == NULL || strcmp(first, second) != 0) {
            cli_say("the two passphrases differ; nothing was changed");
            p2p_vault_free(first);
            first = NULL;
        }
        p2p_vault_free(second);
    }
    return first;
}

static int
show(const struct key_run *run, struct p2p_identity *identity)
{
    const struct key_options *opt = &run->opt;

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

/* A passphrase that is not typed is the same for the old and the new protection of the
 * key. */
static int
protect(const struct key_run *run, struct p2p_identity *identity)
{
    bool is_same =
        run->used != NULL && p2p_passphrase_source() != P2P_PASSPHRASE_FROM_TERMINAL;
    char *passphrase = is_same ? copy_secret(run->used) : new_passphrase();
    enum p2p_err err;

    if (passphrase == NULL)
        return p2p_err_exit_status(P2P_ERR_PASSPHRASE);
    err = p2p_identity_protect(identity, passphrase);
    p2p_vault_free(passphrase);
    if (err != P2P_OK)
        return cli_fail(err, "cannot protect the key: %s", p2p_err_text(err));
    cli_say(
        is_same
            ? "the key keeps the passphrase it has; to change it, run `p2p key "
              "protect` on a terminal without P2P_PASSPHRASE_FILE and "
              "P2P_PASSPHRASE_FD"
            : "the key now has a passphrase; the programs ask for it when they start");
    return 0;
}

static int
unprotect(const struct key_run *run, struct p2p_identity *identity)
{
    enum p2p_err err = p2p_identity_protect(identity, NULL);

    (void)run;
    if (err != P2P_OK)
        return cli_fail(err, "cannot remove the passphrase: %s", p2p_err_text(err));
    cli_say("the passphrase was removed from the key");
    return 0;
}

/* The new key gets the passphrase that opened the old one, from whatever source. If the
 * old key had none, a configured passphrase protects the new one. */
static int
rotate(const struct key_run *run, struct p2p_identity *identity)
{
    bool is_set = p2p_passphrase_source() != P2P_PASSPHRASE_FROM_TERMINAL;
    bool wants = !run->opt.no_passphrase && (run->used != NULL || is_set);
    char *passphrase = NULL, hex[P2P_ID_HEX_LEN + 1];
    struct p2p_id id;
    enum p2p_err err;

    (void)identity;
    if (wants)
        passphrase = run->used != NULL ? copy_secret(run->used) : new_passphrase();
    if (wants && passphrase == NULL)
        return cli_fail(P2P_ERR_PASSPHRASE, "nothing was changed");
    err = p2p_identity_rotate(run->opt.common.keys_dir, passphrase,
                              run->opt.no_passphrase, &id);
    p2p_vault_free(passphrase);
    if (err != P2P_OK)
        return cli_fail(err, "cannot replace the key: %s", p2p_err_text(err));
    cli_say("this device has a new key%s; the old key file is kept beside it. Other "
            "devices will warn that this device's key has changed: tell their owners "
            "the new id. Restart the p2p programs that are running.",
            !wants              ? ""
            : run->used != NULL ? " with the same passphrase"
                                : " with this passphrase");
    p2p_hex_format(id.b, sizeof(id.b), hex);
    printf("%s\n", hex);
    return 0;
}

static enum p2p_err
open_identity(struct key_run *run, struct p2p_identity **out)
{
    char why[512] = "";
    enum p2p_err err = p2p_identity_open(run->opt.common.keys_dir, true, remember, run,
                                         out, why, sizeof(why));

    if (err != P2P_OK)
        cli_say("%s", why[0] != '\0' ? why : p2p_err_text(err));
    return err;
}

int
cmd_key(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(const struct key_run *run, struct p2p_identity *identity);
    } actions[] = {{"show", show},
                   {"protect", protect},
                   {"unprotect", unprotect},
                   {"rotate", rotate}};
    struct key_run run = {.opt = {.common = CLI_DEFAULTS}};
    struct p2p_identity *identity = NULL;
    int arguments, status;
    enum p2p_err err;

    if (!cli_parse(&set, &run.opt, argc, argv, &arguments, &status))
        return status;
    if (run.opt.no_passphrase && (arguments != 1 || strcmp(argv[1], "rotate") != 0))
        return cli_fail(P2P_ERR_USAGE,
                        "--no-passphrase is an option of p2p key rotate");
    for (size_t i = 0; arguments == 1 && i < sizeof(actions) / sizeof(actions[0]);
         i++) {
        if (strcmp(argv[1], actions[i].name) != 0)
            continue;
        err = open_identity(&run, &identity);
        status =
            err == P2P_OK ? actions[i].run(&run, identity) : p2p_err_exit_status(err);
        p2p_identity_close(identity);
        p2p_vault_free(run.used);
        return status;
    }
    return cli_fail(
        P2P_ERR_USAGE,
        "missing or unknown command; use p2p key show, protect, unprotect or rotate");
}
