/*
 * relay - what opens a connection through p2p-relay (PROTOCOL.md, "Relay"). A registry
 * and its relay share a secret. For a session that the callee has agreed to, the
 * registry makes two tokens, one for each side; the relay joins the two connections
 * that show them. Each token works once, until it expires. Bytes only: no sockets, no
 * clock. Trust boundary: p2p_relay_token_parse. Thread-safe.
 */
#ifndef P2P_RELAY_H
#define P2P_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/base64.h"
#include "p2p/crypto.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

#define P2P_SESSION_LEN 16
/* A random number that stands for one call and the connection that it leads to. */
struct p2p_session_id {
    uint8_t b[P2P_SESSION_LEN];
};

enum p2p_relay_side { P2P_RELAY_CALLER, P2P_RELAY_CALLEE };

struct p2p_relay_token {
    uint64_t expires_s;
    struct p2p_session_id session;
    struct p2p_id from, to; /* caller and callee */
    enum p2p_relay_side side;
    uint64_t bytes; /* bytes that may pass, in both directions together; 0: the relay's
                       own limit */
};

#define P2P_RELAY_MAC_LEN   16
#define P2P_RELAY_TOKEN_LEN (8 + P2P_SESSION_LEN + 32 + 32 + 1 + 8 + P2P_RELAY_MAC_LEN)
/* Its text, with the NUL. */
#define P2P_RELAY_TOKEN_TEXT P2P_BASE64_TEXT(P2P_RELAY_TOKEN_LEN)

/* True if the text can be a token: for one that is only passed on. */
bool p2p_relay_token_is_text(const char *text);

/* A client's first line is P2P_RELAY_HELLO, the token and a newline. The relay answers
 * with "+" and a newline when both sides are there, or with a line that begins with
 * "-", and closes. */
#define P2P_RELAY_HELLO    "P2PRELAY1 "
#define P2P_RELAY_LINE_MAX (sizeof(P2P_RELAY_HELLO) - 1 + P2P_RELAY_TOKEN_TEXT)

/* The content of a file with a secret, and the key that it stands for. White space at
 * the end does not count. USAGE: shorter than this. */
#define P2P_RELAY_SECRET_MIN 16
#define P2P_RELAY_SECRET_MAX 4096
P2P_MUST_CHECK enum p2p_err p2p_relay_key(const void *secret, size_t len,
                                          struct p2p_secret *key);

/* Makes a token. CRYPTO. */
P2P_MUST_CHECK enum p2p_err p2p_relay_token_format(const struct p2p_secret *key,
                                                   const struct p2p_relay_token *token,
                                                   char out[P2P_RELAY_TOKEN_TEXT]);
/* Reads one that was made with this key. MALFORMED; AUTH: made with another key. Does
 * not look at the time. */
P2P_MUST_CHECK enum p2p_err p2p_relay_token_parse(const struct p2p_secret *key,
                                                  const char *text, size_t len,
                                                  struct p2p_relay_token *out);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
