/*
 * caller - tells whether the other end of a loopback connection belongs to the user of
 * this process. The address 127.0.0.1 does not identify a person: a proxy, an ssh
 * tunnel or another user of the machine connects from there, too. So this module asks
 * the kernel which process holds the other end, and examines that process and its
 * ancestors (docs/SECURITY.md, "The owner"). It knows nothing of HTTP. It reads /proc
 * and a netlink socket, which it opens and closes for each check. It keeps no state.
 * Thread-safe.
 */
#ifndef P2P_CALLER_H
#define P2P_CALLER_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "p2p/err.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

enum p2p_caller {
    P2P_CALLER_UNPROVEN, /* anything else, and whatever could not be read */
    P2P_CALLER_SAME_USER,
};

#define P2P_CALLER_REASON_MAX 192

/*
 * `ours` and `theirs` are the two addresses of an established TCP connection, as
 * getsockname and getpeername give them at our end. SAME_USER if all of this is true:
 *
 * - Both addresses are loopback addresses, and the other end belongs to our effective
 *   uid.
 * - This process and the one that holds the other end run under no system unit.
 * - Neither a process that holds the other end nor any of its ancestors, up to the
 *   leader of its session, listens for TCP or is known to carry connections of others
 *   (ssh, socat, cloudflared, ...). In a service of the user's systemd, the check
 *   continues to the first process of the service. In session 0, which has no leader,
 *   it ends below the first process of the machine or container. Above the leader, only
 *   carriers that start programs count.
 *
 * A process that cannot be read counts against the caller, and so does a hidden /proc.
 * `reason` (may be NULL) gets a sentence for the log.
 */
enum p2p_caller p2p_caller_check(const struct sockaddr *ours,
                                 const struct sockaddr *theirs, char *reason,
                                 size_t cap);

/*
 * For the connecting side: finds the user whose program has accepted our connection on
 * this machine. NOT_FOUND: no program has accepted it yet. `ours` and `theirs` as
 * above.
 */
P2P_MUST_CHECK enum p2p_err p2p_caller_find_server(const struct sockaddr *ours,
                                                   const struct sockaddr *theirs,
                                                   uid_t *uid);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
