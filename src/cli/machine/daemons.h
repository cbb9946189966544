/* daemons - the daemons that run on this machine, as /proc shows them, and whether
 * their serving processes are in a sandbox (p2p/sandbox.h). */
#ifndef CLI_DAEMONS_H
#define CLI_DAEMONS_H

#include <stdbool.h>
#include <stddef.h>

#define CLI_DAEMON_NAME 16

struct cli_daemon {
    char name[CLI_DAEMON_NAME]; /* p2p-peer, p2p-ui, p2p-discovery */
    int pid;                    /* pid of the serving process */
    bool is_filtered;           /* seccomp and no_new_privs */
    bool has_rights;            /* any capability */
};

/* Finds at most `max` daemons and returns their number. Hidden processes are left
 * out. */
size_t cli_find_daemons(struct cli_daemon *out, size_t max);

#endif
