/*
 * turn - short-lived logins for a TURN server (RFC 8656) that shares a secret with a
 * registry, as coturn knows them with `use-auth-secret`: the user name begins with the
 * time until which it is valid, and the password is the HMAC-SHA-1 of the user name
 * under the secret. No sockets, no clock. Thread-safe.
 */
#ifndef P2P_TURN_H
#define P2P_TURN_H

#include "p2p/base64.h"
#include "p2p/crypto.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

#define P2P_TURN_SECRET_MIN 16
#define P2P_TURN_SECRET_MAX 256
/* Text: that of coturn's static-auth-secret. */
struct p2p_turn_secret {
    size_t len;
    char b[P2P_TURN_SECRET_MAX];
};
/* The content of a file with a secret. White space at the end does not count. USAGE:
 * too short or too long, or not one line. */
P2P_MUST_CHECK enum p2p_err p2p_turn_secret(const char *text, size_t len,
                                            struct p2p_turn_secret *out);

#define P2P_TURN_USER_MAX 64
struct p2p_turn_login {
    char username[P2P_TURN_USER_MAX];
    char password[P2P_BASE64_TEXT(20)];
};
/* A login for `user`, whose sessions the server may count together. USAGE: `user` is
 * too long; CRYPTO. */
P2P_MUST_CHECK enum p2p_err p2p_turn_login(const struct p2p_turn_secret *secret,
                                           const char *user, uint64_t expires_s,
                                           struct p2p_turn_login *out);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
