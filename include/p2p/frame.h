/*
 * frame - length-prefixed frames, as bytes arrive (PROTOCOL.md, both protocols).
 *
 *   u32 length || nonce[12] || ciphertext || tag[16]        length counts what follows
 * it
 *
 * Knows lengths only: no keys, no sockets. Limits are checked from the header alone,
 * before anything is allocated or waited for.
 */
#ifndef P2P_FRAME_H
#define P2P_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "p2p/crypto.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

#define P2P_FRAME_HEAD            4                                /* the length word */
#define P2P_FRAME_PREFIX          (P2P_FRAME_HEAD + P2P_NONCE_LEN) /* before the ciphertext */
#define P2P_FRAME_OVERHEAD        (P2P_FRAME_PREFIX + P2P_TAG_LEN)
#define P2P_FRAME_SIZE(plain_len) ((plain_len) + P2P_FRAME_OVERHEAD)

/*
 * Examines the beginning of the received bytes. P2P_OK: there is a complete frame of
 * `*size` bytes, including its length word. MORE: `*size` bytes are needed in total (4
 * until the length is known). MALFORMED: the length is outside plain_min..plain_max +
 * 28: close the connection.
 */
P2P_MUST_CHECK enum p2p_err p2p_frame_peek(const uint8_t *data, size_t len,
                                           size_t plain_min, size_t plain_max,
                                           size_t *size);

/*
 * Seals in place: `frame` holds plain_len bytes of plaintext at P2P_FRAME_PREFIX and
 * room for the tag behind them; length word and nonce are written before. The whole
 * takes P2P_FRAME_SIZE(plain_len) bytes.
 */
P2P_MUST_CHECK enum p2p_err p2p_frame_seal(uint8_t *frame, size_t plain_len,
                                           const struct p2p_secret *key,
                                           const struct p2p_nonce *nonce,
                                           const void *aad, size_t aad_len);

/* Decrypts a complete frame of `size` bytes in place; borrows the plaintext inside it.
 * AUTH if that fails. */
P2P_MUST_CHECK enum p2p_err p2p_frame_open(uint8_t *frame, size_t size,
                                           const struct p2p_secret *key,
                                           const void *aad, size_t aad_len,
                                           uint8_t **plain, size_t *plain_len);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
