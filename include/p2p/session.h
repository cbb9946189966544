/*
 * session - encrypts and decrypts records after the handshake (PROTOCOL.md, "Records",
 * and protocol 1's frames). Bytes in, bytes out: no socket, no clock, and the caller
 * passes the nonces (p2p_random in the programs, fixed ones in tests).
 *
 * Protocol 2 has one key per direction; AAD = sender, epoch, seq. Each key has a
 * counter that is never reset, so each record can be decrypted only once and in order.
 * Rekeying: a sender must send REKEY when p2p_direction_wants_rekey is true. Protocol 1
 * has one key for both directions and no AAD; the nonces of both directions are
 * remembered, and a repeated one is refused. After P2P_FRAME1_NONCES_MAX frames, no
 * more are possible.
 *
 * Every AUTH, MALFORMED or PROTOCOL error here ends the connection. In protocol 2, one
 * thread may send while another one receives.
 */
#ifndef P2P_SESSION_H
#define P2P_SESSION_H

#include <stdbool.h>

#include "p2p/crypto.h"
#include "p2p/frame.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

enum p2p_role { P2P_CLIENT, P2P_SERVER };

/* One direction of protocol 2. */
struct p2p_direction {
    struct p2p_secret secret; /* S(epoch) */
    struct p2p_secret key;    /* key(epoch) */
    uint8_t sender;           /* 'C' or 'S' */
    uint32_t epoch;
    uint64_t seq;    /* of the next record */
    uint64_t frames; /* in this epoch */
    uint64_t bytes;
    uint64_t since_s; /* when the epoch began, caller's clock */
    bool ended;       /* after CLOSE, a failure or clear: nothing is sealed or opened */
};

/* Starts at epoch 1, seq 1; copies the secret. */
P2P_MUST_CHECK enum p2p_err p2p_direction_init(struct p2p_direction *d, uint8_t sender,
                                               const struct p2p_secret *secret,
                                               uint64_t now_s);
void p2p_direction_clear(struct p2p_direction *d); /* wipes */

/* Seals in place (layout of p2p_frame_seal); plain_len 1..P2P_RECORD_PLAIN_MAX. */
P2P_MUST_CHECK enum p2p_err p2p_direction_seal(struct p2p_direction *d, uint8_t *frame,
                                               size_t plain_len,
                                               const struct p2p_nonce *nonce);
/* P2P_OK and a frame's size when one is there, MORE, or MALFORMED (see frame.h). */
P2P_MUST_CHECK enum p2p_err p2p_direction_peek(const uint8_t *data, size_t len,
                                               size_t *size);
/*
 * Opens the next record in place; borrows the plaintext. REKEY records are handled
 * inside: then `*plain_len` is 0 and there is nothing to act on. PROTOCOL: the sender
 * has exceeded twice its rekey limits.
 */
P2P_MUST_CHECK enum p2p_err p2p_direction_open(struct p2p_direction *d, uint8_t *frame,
                                               size_t size, uint64_t now_s,
                                               uint8_t **plain, size_t *plain_len);
/* True if p2p_direction_rekey is due: a limit of the epoch (frames, bytes, seconds) is
 * near or reached. */
bool p2p_direction_wants_rekey(const struct p2p_direction *d, uint64_t now_s);
/* Encrypts a REKEY record into `frame` (P2P_FRAME_SIZE(1) bytes) and starts the next
 * epoch. */
P2P_MUST_CHECK enum p2p_err p2p_direction_rekey(struct p2p_direction *d, uint8_t *frame,
                                                const struct p2p_nonce *nonce,
                                                uint64_t now_s);

/* Protocol 1. Opaque: holds the key and the nonces seen. One thread at a time. */
struct p2p_session1;
/* Copies `key`. *Returns owned*, free with p2p_session1_free. */
P2P_MUST_CHECK enum p2p_err p2p_session1_new(const struct p2p_secret *key,
                                             struct p2p_session1 **out);
void p2p_session1_free(struct p2p_session1 *s); /* wipes */
/* True if fewer than `margin` frames are left before P2P_FRAME1_NONCES_MAX: connect
 * again. False (and 0) for NULL. */
bool p2p_session1_is_worn(const struct p2p_session1 *s, size_t margin);
size_t p2p_session1_memory(const struct p2p_session1 *s); /* grows with the nonces */
/* Seals in place (layout of p2p_frame_seal). `nonce` is random and new for each frame.
 */
P2P_MUST_CHECK enum p2p_err p2p_session1_seal(struct p2p_session1 *s, uint8_t *frame,
                                              size_t plain_len,
                                              const struct p2p_nonce *nonce);
/* Decrypts a frame. AUTH also for a nonce that was used before on this connection. */
P2P_MUST_CHECK enum p2p_err p2p_session1_open(struct p2p_session1 *s, uint8_t *frame,
                                              size_t size, uint8_t **plain,
                                              size_t *plain_len);

/* The HELLO of protocol 1, in both directions. */
#define P2P_HELLO1_SIZE   (6 + P2P_ID_HEX_LEN + 1 + P2P_PEM_LEN)
#define P2P_SESSION1_SIZE (8 + P2P_RSA_LEN)
/* Writes our hello: id and key. */
P2P_MUST_CHECK enum p2p_err p2p_hello1_put(const struct p2p_spki *spki,
                                           uint8_t out[P2P_HELLO1_SIZE]);
/*
 * Reads a HELLO from the beginning of `data`. MORE until its END line is there; `*used`
 * is its length afterwards. MALFORMED or AUTH: close. Checks id and key.
 */
P2P_MUST_CHECK enum p2p_err p2p_hello1_parse(const uint8_t *data, size_t len,
                                             struct p2p_spki *spki, struct p2p_id *id,
                                             size_t *used);
/* Server: the message that carries the session key, encrypted to the client. */
P2P_MUST_CHECK enum p2p_err p2p_session1_offer(const struct p2p_spki *client,
                                               const struct p2p_secret *key,
                                               uint8_t out[P2P_SESSION1_SIZE]);
/* Client: decrypts the session key from that message. MALFORMED, AUTH; then `key` is
 * zero. */
P2P_MUST_CHECK enum p2p_err p2p_session1_accept(const struct p2p_rsa *own,
                                                const uint8_t in[P2P_SESSION1_SIZE],
                                                struct p2p_secret *key);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
