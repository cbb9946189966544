/*
 * sandbox - removes all rights that this process does not need, for the rest of its
 * life. Rules name folders and files; p2p_sandbox_enter then drops all capabilities,
 * sets no_new_privs, restricts the file system with Landlock, and restricts the system
 * calls with a seccomp allow list. p2p_sandbox_allow_system adds the files that the C
 * library, OpenSSL, libcurl and name resolution read. A rule is for the folder that has
 * the name when the rule is made: another folder that replaces it later is not allowed
 * (guardian.h starts a new process then). Trust boundary: code that an attacker
 * controls after p2p_sandbox_enter. It knows nothing of peers, keys or HTTP. One
 * thread, before others start.
 */
#ifndef P2P_SANDBOX_H
#define P2P_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/err.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

enum p2p_sandbox_access {
    P2P_SANDBOX_READ,
    P2P_SANDBOX_WRITE, /* read, write, create and remove files and folders in it */
};

#define P2P_SANDBOX_RULES_MAX   160
#define P2P_SANDBOX_WATCHED_MAX 24

struct p2p_sandbox_rules {
    struct {
        int fd; /* O_PATH */
        enum p2p_sandbox_access access;
    } at[P2P_SANDBOX_RULES_MAX];
    size_t count;
    /* Folders that the parent checks: when another folder has the name, the rules are
     * out of date. */
    struct {
        char *path;
        int fd; /* one of the above */
    } watched[P2P_SANDBOX_WATCHED_MAX];
    size_t watched_count;
};

/* No rules: nothing is allowed. */
void p2p_sandbox_rules_init(struct p2p_sandbox_rules *rules);
/* Closes and frees the content of the rules. */
void p2p_sandbox_rules_clear(struct p2p_sandbox_rules *rules);

/* Allows the file or folder that `path` names now, and everything in it. A path that
 * does not exist is left out: P2P_OK. */
P2P_MUST_CHECK enum p2p_err p2p_sandbox_allow(struct p2p_sandbox_rules *rules,
                                              const char *path,
                                              enum p2p_sandbox_access access);
/* The same for a folder of the user; it is created with `mode` if missing. */
P2P_MUST_CHECK enum p2p_err p2p_sandbox_allow_folder(struct p2p_sandbox_rules *rules,
                                                     const char *path, unsigned mode,
                                                     enum p2p_sandbox_access access);
/* Allows to read a folder and to write its `.p2p`, which is created if possible. */
P2P_MUST_CHECK enum p2p_err p2p_sandbox_allow_shared(struct p2p_sandbox_rules *rules,
                                                     const char *path);
/* For a folder that is missing and must not be created (p2p_root_open_away). */
P2P_MUST_CHECK enum p2p_err p2p_sandbox_allow_away(struct p2p_sandbox_rules *rules,
                                                   const char *path, const char *near);
/* Makes the parent check the folder that was allowed last. Copies `path`. */
P2P_MUST_CHECK enum p2p_err p2p_sandbox_watch(struct p2p_sandbox_rules *rules,
                                              const char *path);
/* Libraries, certificates, name resolution, time zones, devices without secrets:
 * docs/SECURITY.md has the list. */
P2P_MUST_CHECK enum p2p_err p2p_sandbox_allow_system(struct p2p_sandbox_rules *rules);

/* What is in force. */
struct p2p_sandbox_state {
    int landlock_abi; /* 0: the kernel has none, or one that is too old */
    bool seccomp;     /* false: built without libseccomp, or the kernel has none */
};

/* The Landlock version of this kernel that the sandbox can use; 0: none. */
int p2p_sandbox_landlock_abi(void);
/* True if this build can filter system calls. */
bool p2p_sandbox_has_seccomp(void);
/* False in builds with sanitizers, whose own calls the sandbox would refuse. */
bool p2p_sandbox_is_possible(void);

/*
 * Confines the process. What the kernel does not have is left out and shows in `state`;
 * anything else that fails is an error, and the process must not serve then. SYS,
 * PERMISSION.
 */
P2P_MUST_CHECK enum p2p_err p2p_sandbox_enter(const struct p2p_sandbox_rules *rules,
                                              struct p2p_sandbox_state *state);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
