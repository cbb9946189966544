/*
 * helper - a daemon that a command starts for itself: in a temporary folder, with no
 * settings of the user, and only for as long as the command runs. Single-threaded.
 */
#ifndef CLI_HELPER_H
#define CLI_HELPER_H

#include <sys/types.h>

#include "p2p/err.h"

struct helper {
    pid_t pid;       /* 0: none runs */
    char dir[4096];  /* its folder, or "" */
    int lock;        /* with a folder: shows others that it is in use */
    char ready[512]; /* its ready line */
};

/* Makes the folder. `h` is to be stopped in any case. */
P2P_MUST_CHECK enum p2p_err helper_make_folder(struct helper *h);
/* Starts the program of this name and waits until it is ready. `arguments` ends with
 * NULL, and does not contain the program. */
P2P_MUST_CHECK enum p2p_err helper_start(struct helper *h, const char *program,
                                         const char *const *arguments);
/* Ends it and removes its folder. One that was never started is fine. */
void helper_stop(struct helper *h);

#endif
