/* p2p: the command line. A table of commands; each has its own file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands/commands.h"
#include "cli/send/link.h"
#include "p2p/crypto.h"
#include "p2p/hardening.h"
#include "p2p/options.h"
#include "p2p/reach.h"

static const struct cli_command commands[] = {
    {"get", cmd_get, "NAME", "download a file or a folder (NAME/)"},
    {"send", cmd_send, "FILE|FOLDER|-", "send files to somebody with a code"},
    {"receive", cmd_receive, "CODE", "receive files that somebody sends"},
    {"inbox", cmd_inbox, "[accept|decline ID, always|ask DEVICE]",
     "what other devices would like to send you"},
    {"search", cmd_search, "TEXT", "find files by name"},
    {"peers", cmd_peers, "[trust|forget|block PEER]",
     "list online peers, choose whom to trust"},
    {"ls", cmd_ls, "PEER", "list what a peer shares"},
    {"status", cmd_status, "", "show the state of this device"},
    {"id", cmd_id, "", "show this device's peer id"},
    {"key", cmd_key, "show|protect|unprotect|rotate",
     "show or change this device's key"},
    {"ui", cmd_ui, "", "open the dashboard in the browser"},
    {"token", cmd_token, "new [NAME]|list|revoke ID", "manage access to the dashboard"},
    {"share", cmd_share, "ls|add|rm|rescan|confirm", "choose which folders are shared"},
    {"folder", cmd_folder, "private|public FOLDER|list",
     "choose which devices see a folder"},
    {"link", cmd_link, "new NAME...|ls|revoke ID",
     "give shared files to people with a browser"},
    {"history", cmd_history, "NAME | --deleted",
     "list old versions of a shared file, or deleted files"},
    {"restore", cmd_restore, "NAME", "bring an old version or a deleted file back"},
    {"versions", cmd_versions, "show|set KEY VALUE|purge NAME",
     "space and settings of old versions"},
    {"mirror", cmd_mirror, "add|list|status|pause|resume|accept|check|remove",
     "keep a folder here in step with a peer's"},
    {"keeper", cmd_keeper, "", "run the mirrors on a machine without p2p-ui"},
    {"unfinished", cmd_unfinished, "[remove NAME|ROOT|all]",
     "list or remove interrupted downloads"},
    {"init", cmd_init, "", "set up this device"},
    {"config", cmd_config, "get|set|unset|list|path", "show or change settings"},
    {"doctor", cmd_doctor, "", "find out why peers do not connect"},
    {"complete", cmd_complete, NULL, NULL}, /* for the shells; not listed */
};
#define COUNT (sizeof(commands) / sizeof(commands[0]))

enum { SUMMARY_COLUMN = 28 }; /* no line is longer than 80 columns */

static void
print_usage(FILE *out)
{
    fprintf(out, "p2p - peer-to-peer file sharing on your own machines\n\n"
                 "Usage: p2p COMMAND [options]\n\nCommands:\n");
    for (size_t i = 0; i < COUNT && commands[i].summary != NULL; i++) {
        int n = fprintf(out, "  %s %s", commands[i].name, commands[i].arguments);
        if (n >= SUMMARY_COLUMN)
            n = fprintf(out, "\n") - 1;
        fprintf(out, "%*s%s\n", SUMMARY_COLUMN - n, "", commands[i].summary);
    }
    fprintf(out, "\np2p COMMAND --help shows the options of a command.\n");
}

static const struct cli_command *
find_command(const char *name)
{
    for (size_t i = 0; i < COUNT; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int
not_a_command(const char *name)
{
    char shown[CLI_TEXT];

    return cli_fail(P2P_ERR_USAGE, "%s is not a command; `p2p help` lists them",
                    cli_text(name, shown));
}

/* `p2p help get` is `p2p get --help`. */
static int
help(int argc, char **argv)
{
    const struct cli_command *command = argc > 2 ? find_command(argv[2]) : NULL;
    char *asked[] = {argc > 2 ? argv[2] : NULL, (char[]){"--help"}, NULL};

    if (command != NULL)
        return command->run(2, asked);
    if (argc > 2 && strcmp(argv[1], "help") == 0)
        return not_a_command(argv[2]);
    print_usage(stdout);
    return 0;
}

static int
run(int argc, char **argv)
{
    const struct cli_command *command;
    const char *name = argc > 1 ? argv[1] : "";

    p2p_hardening_begin();
    if (name[0] == '\0') {
        print_usage(stderr);
        return 2;
    }
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 ||
        strcmp(name, "-h") == 0)
        return help(argc, argv);
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        printf("p2p %s\n", P2P_VERSION);
        p2p_libraries_print();
        return 0;
    }
    command = find_command(name);
    if (command == NULL)
        return not_a_command(name);
    /* Commands print their own error messages; --log-level debug shows the rest. */
    setenv("P2P_LOG_LEVEL", "error", 0);
    if (p2p_crypto_init() != P2P_OK)
        return cli_fail(P2P_ERR_CRYPTO,
                        "the cryptographic library does not work (OpenSSL)");
    return command->run(argc - 1, argv + 1);
}

int
main(int argc, char **argv)
{
    cli_outcome_ask(argc, argv);
    int status = run(argc, argv);

    /* Peers hear at once that paths to them are closed. */
    (void)p2p_reach_settle(P2P_REACH_SETTLE_MS);
    return cli_outcome_end(status);
}
