/*
 * guardian - a daemon as two processes: a small parent that has neither a connection
 * nor a key, and a sandboxed child (sandbox.h) that serves.
 *
 * The parent holds the listening sockets, takes the signals, talks to systemd, and does
 * for the child what the sandbox forbids, after checking each request against what it
 * was told at start. When one of the two dies, the other one ends.
 *
 * Landlock cannot let in what a child was not allowed at its start. So the parent
 * starts a new child when a folder of the rules is another one now, when the child asks
 * for it (p2p_guardian_replace), and when SIGHUP finds settings that a running child
 * cannot take. Each child asks `allow` for the folders of its time, as many as there
 * are. The old child stops within 5 s, then the new one gets the same listening
 * sockets: those who connect in between wait. A new child that cannot start with new
 * settings is followed by one with the former settings.
 *
 * Trust boundary: every message of a child. The child's half of this header can also be
 * called where there is no parent (tests, the command line): it then acts directly.
 */
#ifndef P2P_GUARDIAN_H
#define P2P_GUARDIAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/caller.h"
#include "p2p/err.h"
#include "p2p/options.h"
#include "p2p/relay.h"
#include "p2p/reload.h"
#include "p2p/sandbox.h"
#include "p2p/turn.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* ---- Settings: the same three options in each daemon ---- */

struct p2p_guardian_settings {
    bool sandbox;     /* default: true */
    const char *user; /* NULL: the owner of the folders */
    bool run_as_root;
};

/* Rows of an option table; `base` is the offset of the settings. */
#define P2P_GUARDIAN_AT(base, field) \
    ((base) + offsetof(struct p2p_guardian_settings, field))
/* clang-format off */
#define P2P_GUARDIAN_OPTIONS(base) \
    {"sandbox", P2P_OPT_FLAG, P2P_GUARDIAN_AT(base, sandbox), 0, 0, NULL, "run the serving process in a sandbox"}, \
    {"user", P2P_OPT_TEXT, P2P_GUARDIAN_AT(base, user), 0, 0, "NAME", "serve as this user when started as root (default: the owner of the folders)"}, \
    {"run-as-root", P2P_OPT_FLAG, P2P_GUARDIAN_AT(base, run_as_root), 0, 0, NULL, "when started as root, serve folders that belong to root: as user root, but without its privileges"}
/* clang-format on */

/* ---- The parent ---- */

#define P2P_GUARDIAN_PATHS_MAX 32

struct p2p_guardian_options {
    const char *program; /* for messages */
    struct p2p_guardian_settings settings;
    /* Fills in `folders`, `files` and `avahi` from the settings in use. Called at the
     * start and after each change of the settings; NULL: they never change. */
    void (*describe)(void *arg, struct p2p_guardian_options *opt);
    /* The settings that SIGHUP reads again; NULL: SIGHUP only calls the function of
     * p2p_service_on_hangup. */
    struct p2p_reload *reload;
    /* NULL-terminated. For root: the owner of the existing ones is the user who serves.
     */
    const char *folders[P2P_GUARDIAN_PATHS_MAX + 1];
    /* NULL-terminated: the exact paths that p2p_guardian_open may open. */
    const char *files[P2P_GUARDIAN_PATHS_MAX + 1];
    /* Descriptors that the child keeps open in addition to stdin, stdout and stderr:
     * listening sockets. */
    const int *descriptors;
    size_t descriptor_count;
    /* A file in memory is passed from child to child: p2p_guardian_state. */
    bool keeps_state;
    /* Answers p2p_guardian_passphrase, once per child; returns owned text
     * (p2p_vault_free) or NULL. */
    char *(*passphrase)(void *arg, const char *prompt);
    /* Answers p2p_guardian_caller, with the effective uid of the serving user:
     * p2p_caller_check. NULL: no caller is proven. */
    enum p2p_caller (*caller)(const struct sockaddr *ours,
                              const struct sockaddr *theirs, char *reason, size_t cap);
    /* The child may have connections to Avahi and the system bus. It has no other Unix
     * socket. */
    bool avahi;
    /* The keys directory of the p2p-peer that the child may ask (control.h); NULL:
     * none. `describe` fills it in. */
    const char *control_dir;
    /* Between two checks of the watched folders, and the first pause after a new child
     * that could not start, which doubles. 0: a second. */
    unsigned look_ms;
    /* Signals this close to the first one are the same request. 0:
     * P2P_SERVICE_SAME_MS. */
    unsigned same_ms;
    /* Fills in the rules; called as the serving user, before the sandbox. */
    enum p2p_err (*allow)(void *arg, struct p2p_sandbox_rules *rules);
    /* Serves until p2p_service_wait returns; gives the exit status. */
    int (*serve)(void *arg);
    void *arg;
};

/*
 * Runs until the daemon ends. Returns twice: in the parent with the exit status of the
 * program, and in each child with what `serve` returned; both end with it. Call before
 * threads start, after p2p_service_begin.
 */
int p2p_guardian_run(const struct p2p_guardian_options *opt);

/* ---- The child; any thread ---- */

/* Opens a file of the list `files` for reading. NOT_ALLOWED: it is not in the list. */
P2P_MUST_CHECK enum p2p_err p2p_guardian_open(const char *path, int *fd);
/* Reads the secret of a relay from a file of the list `files` (p2p/relay.h). Logs why
 * it cannot. USAGE: too short. */
P2P_MUST_CHECK enum p2p_err p2p_guardian_relay_key(const char *path,
                                                   struct p2p_secret *key);
/* The same for the secret of a TURN server (p2p/turn.h). USAGE: too short, too long. */
P2P_MUST_CHECK enum p2p_err p2p_guardian_turn_secret(const char *path,
                                                     struct p2p_turn_secret *out);
/* For p2p_identity_open: gets the passphrase from the parent, which asks for it once
 * and remembers it. *Returns owned*, free with p2p_vault_free. `arg` is not used. NULL:
 * there is none. */
char *p2p_guardian_passphrase(void *arg, const char *prompt);
/* p2p_caller_check, done by the parent, which can see other processes. Without a
 * parent: UNPROVEN. */
enum p2p_caller p2p_guardian_caller(const struct sockaddr *ours,
                                    const struct sockaddr *theirs, char *reason,
                                    size_t cap);
/* p2p_control_connect, done by the parent, for the control_dir of its options. Without
 * a parent: connects to `keys_dir`. */
P2P_MUST_CHECK enum p2p_err p2p_guardian_control(const char *keys_dir, int *fd);
/* A file in memory: empty at first, then what the previous child wrote when it ended.
 * That child may have been taken over. Do not close it. -1: there is none. */
int p2p_guardian_state(void);
/* Asks the parent for a new child with new rules, for example because a folder was
 * added; this child will be stopped soon. Does nothing without a parent. */
void p2p_guardian_replace(void);

/* Asks the parent to read the settings again, as on SIGHUP. Does nothing without a
 * parent. */
void p2p_guardian_reload(void);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
