/*
 * commands - one function for each command of `p2p`. It gets its own argv and returns
 * the exit status. With --json, stdout is one object (get: one per line).
 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/ask/common.h"
#include "cli/ask/peers.h"

struct cli_command {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is the command */
    const char *arguments;
    const char *summary; /* NULL: `p2p help` does not list it */
};
/* The commands, by name. argv[0] is the command; each returns the exit status. */
int cmd_get(int argc, char **argv);
int cmd_send(int argc, char **argv);
int cmd_receive(int argc, char **argv);
int cmd_inbox(int argc, char **argv);
int cmd_search(int argc, char **argv);
int cmd_peers(int argc, char **argv);
int cmd_ls(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_id(int argc, char **argv);
int cmd_key(int argc, char **argv);
int cmd_token(int argc, char **argv);
int cmd_folder(int argc, char **argv);
int cmd_share(int argc, char **argv);
int cmd_history(int argc, char **argv);
int cmd_restore(int argc, char **argv);
/* A setting of old versions in all shared folders, for p2p config. `value` is for SET;
 * NULL: the default again. Returns the exit status. */
enum cli_setting_verb { CLI_SETTING_GET, CLI_SETTING_SET };
int cli_versions_setting(enum cli_setting_verb verb, const char *key, const char *value,
                         bool json);
int cmd_versions(int argc, char **argv);
int cmd_mirror(int argc, char **argv);
int cmd_keeper(int argc, char **argv);
int cmd_unfinished(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_ui(int argc, char **argv);
int cmd_init(int argc, char **argv);
int cmd_config(int argc, char **argv);
int cmd_complete(int argc, char **argv);

#endif
