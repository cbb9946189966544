/*
 * dashboard - requests to this machine's p2p-ui with the owner's token. The token is
 * sent only to a program on this machine, and only if that program runs as the owner of
 * the token's file, because another user may listen on the port as well.
 */
#ifndef CLI_DASHBOARD_H
#define CLI_DASHBOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "p2p/addr.h"
#include "p2p/err.h"

struct cli_dashboard {
    const char *url;     /* http://localhost:8080 */
    const char *ca_file; /* certificates to trust for https; NULL: the system's */
    const char *token;   /* of p2p_owner_token_read */
    uid_t uid;           /* the owner of its file */
    uint64_t timeout_ms;
};

/*
 * Sends a POST to `path` without a body; writes the answer's JSON as text to `out`
 * (`cap` bytes with the NUL). On failure `why` gets a sentence. USAGE: the URL is
 * invalid or not of this machine. UNREACHABLE: nothing listens there. WRONG_PEER:
 * another user's program listens there. REMOTE: the status was not 2xx.
 */
P2P_MUST_CHECK enum p2p_err cli_dashboard_post(const struct cli_dashboard *d,
                                               const char *path, char *out, size_t cap,
                                               char *why, size_t why_cap);

/* True if a program of this user listens at this address of this machine. */
bool cli_dashboard_is_ours(const struct p2p_addr *addr);

#endif
