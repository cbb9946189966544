/*
 * owner - the secret by which programs of the owner prove themselves to the dashboard.
 *
 * `<keys>/owner.token` (0600) holds it, as text. p2p-ui makes the file at its first
 * start and accepts the token as `Authorization: Bearer`; `p2p ui` and scripts read the
 * file. A new token takes the place of one that others could have read. To replace the
 * token, delete the file and start p2p-ui again.
 */
#ifndef P2P_OWNER_H
#define P2P_OWNER_H

#include <sys/types.h>

#include "p2p/err.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

#define P2P_OWNER_TOKEN_LEN  64 /* hex digits, without a NUL */
#define P2P_OWNER_TOKEN_FILE "owner.token"

/* Reads the token, or creates one if there is no valid one. `keys_dir` exists.
 * PERMISSION and other system errors. */
P2P_MUST_CHECK enum p2p_err p2p_owner_token_obtain(const char *keys_dir,
                                                   char token[P2P_OWNER_TOKEN_LEN + 1]);

/* Reads the token that p2p-ui has created. `uid` (may be NULL) gets the owner of the
 * file. NOT_FOUND: there is none. CORRUPT: the file contains no token, or other users
 * may access it. */
P2P_MUST_CHECK enum p2p_err p2p_owner_token_read(const char *keys_dir,
                                                 char token[P2P_OWNER_TOKEN_LEN + 1],
                                                 uid_t *uid);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
