/*
 * home - where the identity, the settings and the folders are when no option names
 * them, whatever the current folder is.
 *
 * The first of these that holds is the home:
 *
 * NAMED     $P2P_HOME: p2p.conf, keys, shared and downloads are in it.
 * UNIT      a systemd unit ($STATE_DIRECTORY): keys, shared and downloads are there,
 *           p2p.conf is in $CONFIGURATION_DIRECTORY, else in /etc/p2p.
 * CHECKOUT  the program runs from the bin/ of a source tree in which scripts/run.sh
 *           has made an identity: the folders and p2p.conf of that tree.
 * FOLDER    the user has no identity yet, but the current folder has one in keys/,
 *           as version 0.1.0 made it: the folders beside it. `p2p init` offers more.
 * USER      p2p.conf and keys in $XDG_CONFIG_HOME/p2p (~/.config/p2p), downloads in
 *           the download folder of the desktop, ~/Shared is shared.
 *
 * Nothing is created here. Reads the environment: call before threads start.
 */
#ifndef P2P_HOME_H
#define P2P_HOME_H

#include "p2p/err.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

#define P2P_HOME_PATH_MAX 4096 /* with the NUL */

enum p2p_home_kind {
    P2P_HOME_NAMED,
    P2P_HOME_UNIT,
    P2P_HOME_CHECKOUT,
    P2P_HOME_FOLDER,
    P2P_HOME_USER,
};

/* Absolute paths. For FOLDER only `config` is absolute, and it is the one of USER:
 * programs read it as soon as it exists. */
struct p2p_home {
    enum p2p_home_kind kind;
    char config[P2P_HOME_PATH_MAX]; /* p2p.conf; it need not exist */
    char keys_dir[P2P_HOME_PATH_MAX];
    char shared_dir[P2P_HOME_PATH_MAX];
    char downloads_dir[P2P_HOME_PATH_MAX];
};

/* RANGE: a path is too long. SYS: the current folder or the user's home folder cannot
 * be found. */
P2P_MUST_CHECK enum p2p_err p2p_home_find(struct p2p_home *home);
/* The same for a program at the path `program` (NULL: unknown). */
P2P_MUST_CHECK enum p2p_err p2p_home_find_for(const char *program,
                                              struct p2p_home *home);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
