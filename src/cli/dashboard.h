/*
 * dashboard - asking this machine's p2p-ui for something with the token of its owner.
 *
 * The token is sent to a program on this machine only, and only when that program
 * belongs to the user of the token's file: another user may listen on the port as well.
 */
#ifndef CLI_DASHBOARD_H
#define CLI_DASHBOARD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "p2p/err.h"

struct cli_dashboard {
    const char *url;     /* http://localhost:8080 */
    const char *ca_file; /* certificates to trust for https; NULL: the system's */
    const char *token;   /* of p2p_owner_token_read */
    uid_t uid;           /* the user of its file */
    uint64_t timeout_ms;
};

/*
 * POST to `path` without a body; the answer's JSON as text into `out` (`cap` bytes with
 * the NUL). `why` gets a sentence when it fails. USAGE: the URL is none, or not of this
 * machine. UNREACHABLE: nothing listens there. WRONG_PEER: another user's program does.
 * REMOTE: an answer other than 2xx.
 */
P2P_MUST_CHECK enum p2p_err cli_dashboard_post(const struct cli_dashboard *d,
                                               const char *path, char *out, size_t cap,
                                               char *why, size_t why_cap);

#endif
