/* The parts of caller.c: what the kernel reports about sockets, what /proc reports
 * about processes, and two rules about names. */
#ifndef P2P_CALLER_INTERNAL_H
#define P2P_CALLER_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "p2p/err.h"

/* ---- caller_diag.c: NETLINK_SOCK_DIAG ---- */

struct p2p_caller_socket {
    uid_t uid;
    uint64_t inode;
};

/* Finds the socket with the own address `local` and the other end `remote`. NOT_FOUND:
 * there is none, or no process holds it any longer. */
P2P_MUST_CHECK enum p2p_err p2p_caller_find_socket(const struct sockaddr *local,
                                                   const struct sockaddr *remote,
                                                   struct p2p_caller_socket *out);

/* The inodes of sockets that listen, sorted. */
struct p2p_caller_inodes {
    uint64_t *at;
    size_t count, cap;
};
/* All listening TCP sockets of our network namespace. Release with _free. */
P2P_MUST_CHECK enum p2p_err p2p_caller_find_listeners(struct p2p_caller_inodes *out);
P2P_MUST_CHECK enum p2p_err p2p_caller_add_inode(struct p2p_caller_inodes *inodes,
                                                 uint64_t inode);
void p2p_caller_sort_inodes(struct p2p_caller_inodes *inodes);
bool p2p_caller_has_inode(const struct p2p_caller_inodes *inodes, uint64_t inode);
void p2p_caller_free_inodes(struct p2p_caller_inodes *inodes);

/* ---- caller_proc.c: /proc ---- */

#define P2P_CALLER_NAME_MAX 64
#define P2P_CALLER_UNIT_MAX 512

/* A process as /proc shows it. `dir` identifies it even if a later process gets the
 * same number. */
struct p2p_caller_process {
    int dir; /* -1: not open */
    pid_t pid, parent, session;
    char comm[P2P_CALLER_NAME_MAX];
};

/* Opens a process. NOT_FOUND: it has ended, or /proc hides it. p2p_caller_process_close
 * accepts one that is not open. */
P2P_MUST_CHECK enum p2p_err p2p_caller_process_open(pid_t pid,
                                                    struct p2p_caller_process *out);
void p2p_caller_process_close(struct p2p_caller_process *process);

/* The name of its executable, without the folder. PERMISSION and others. */
P2P_MUST_CHECK enum p2p_err
p2p_caller_process_name(const struct p2p_caller_process *process,
                        char out[P2P_CALLER_NAME_MAX]);
/* Its control group, as the path from which systemd's unit names are read. */
P2P_MUST_CHECK enum p2p_err
p2p_caller_process_unit(const struct p2p_caller_process *process,
                        char out[P2P_CALLER_UNIT_MAX]);
/* True if one of its descriptors is a socket of `inodes`. */
P2P_MUST_CHECK enum p2p_err
p2p_caller_process_holds(const struct p2p_caller_process *process,
                         const struct p2p_caller_inodes *inodes, bool *holds);
/* True if it listens for TCP connections. `inodes` are the listening sockets of our
 * network namespace; if the process is in another namespace, the sockets of that one
 * are read. */
P2P_MUST_CHECK enum p2p_err
p2p_caller_process_listens(const struct p2p_caller_process *process,
                           const struct p2p_caller_inodes *inodes, bool *listens);

/* ---- caller_rules.c: pure ---- */

/* True for names of programs that forward connections of others. */
bool p2p_caller_is_carrier(const char *name);
/* True if people also log in with this program, so that the processes below it are
 * their own. */
bool p2p_caller_is_login(const char *name);

enum p2p_caller_unit {
    P2P_CALLER_NO_UNIT, /* a login session, an application, a container */
    P2P_CALLER_USER_SERVICE,
    P2P_CALLER_SYSTEM_SERVICE,
};
/* The kind of systemd unit that a process runs in, by its cgroup path. */
enum p2p_caller_unit p2p_caller_unit_kind(const char *cgroup);

#endif
