/*
 * Frames (wire/frame.c) against their contracts: `make prove`. A frame's size is told
 * only after its length was found within the bounds that the caller gave, so no
 * arithmetic on it can wrap. Sealing and opening touch the bytes of the frame and
 * nothing else; what was opened lies inside it. The cipher's contracts are assumed.
 *
 * prove: p2p_frame_peek,p2p_frame_seal,p2p_frame_open
 */
#include "p2p/frame.h"
#include "bytes.h"

/*@
  requires \valid_read(data + (0 .. len - 1)) && \valid(size);
  requires plain_min <= plain_max <= UINT32_MAX - 64;
  assigns *size;
  ensures \result == P2P_OK || \result == P2P_ERR_MORE || \result == P2P_ERR_MALFORMED;
  ensures \result == P2P_OK ==> *size <= len;
  ensures \result == P2P_OK ==>
      P2P_FRAME_OVERHEAD + plain_min <= *size <= P2P_FRAME_OVERHEAD + plain_max;
  ensures \result == P2P_ERR_MORE ==> *size > len;
  ensures *size <= P2P_FRAME_OVERHEAD + plain_max;
*/
enum p2p_err p2p_frame_peek(const uint8_t *data, size_t len, size_t plain_min,
                            size_t plain_max, size_t *size);

/* Assumed: what p2p/crypto.h says about its memory. The code behind it is OpenSSL's. */
/*@
  requires \valid_read(key) && \valid_read(nonce);
  requires \valid_read((uint8_t *)aad + (0 .. aad_len - 1));
  requires \valid_read(in + (0 .. len - 1)) && \valid(out + (0 .. len - 1));
  requires \valid(tag + (0 .. P2P_TAG_LEN - 1));
  requires \separated(out + (0 .. len - 1), tag + (0 .. P2P_TAG_LEN - 1));
  assigns out[0 .. len - 1], tag[0 .. P2P_TAG_LEN - 1];
*/
enum p2p_err p2p_gcm_seal(const struct p2p_secret *key, const struct p2p_nonce *nonce,
                          const void *aad, size_t aad_len, const uint8_t *in,
                          size_t len, uint8_t *out, uint8_t tag[P2P_TAG_LEN]);
/*@
  requires \valid_read(key) && \valid_read(nonce);
  requires \valid_read((uint8_t *)aad + (0 .. aad_len - 1));
  requires \valid_read(in + (0 .. len - 1)) && \valid(out + (0 .. len - 1));
  requires \valid_read(tag + (0 .. P2P_TAG_LEN - 1));
  assigns out[0 .. len - 1];
*/
enum p2p_err p2p_gcm_open(const struct p2p_secret *key, const struct p2p_nonce *nonce,
                          const void *aad, size_t aad_len, const uint8_t *in,
                          size_t len, uint8_t *out, const uint8_t tag[P2P_TAG_LEN]);

/*@
  requires \valid(frame + (0 .. P2P_FRAME_SIZE(plain_len) - 1));
  requires \valid_read(key) && \valid_read(nonce);
  requires \valid_read((uint8_t *)aad + (0 .. aad_len - 1));
  requires \separated(frame + (0 .. P2P_FRAME_SIZE(plain_len) - 1), nonce, key,
                      (uint8_t *)aad + (0 .. aad_len - 1));
  assigns frame[0 .. P2P_FRAME_SIZE(plain_len) - 1];
  ensures plain_len > UINT32_MAX - P2P_FRAME_OVERHEAD + P2P_FRAME_HEAD ==>
      \result == P2P_ERR_TOO_LARGE;
*/
enum p2p_err p2p_frame_seal(uint8_t *frame, size_t plain_len,
                            const struct p2p_secret *key, const struct p2p_nonce *nonce,
                            const void *aad, size_t aad_len);

/*@
  requires \valid(frame + (0 .. size - 1)) && \valid(plain) && \valid(plain_len);
  requires \valid_read(key);
  requires \valid_read((uint8_t *)aad + (0 .. aad_len - 1));
  requires \separated(frame + (0 .. size - 1), plain, plain_len, key,
                      (uint8_t *)aad + (0 .. aad_len - 1));
  assigns frame[0 .. size - 1], *plain, *plain_len;
  ensures \result == P2P_OK ==> *plain == frame + P2P_FRAME_PREFIX;
  ensures \result == P2P_OK ==> P2P_FRAME_SIZE(*plain_len) == size;
  ensures \result != P2P_OK ==> *plain == \null && *plain_len == 0;
*/
enum p2p_err p2p_frame_open(uint8_t *frame, size_t size, const struct p2p_secret *key,
                            const void *aad, size_t aad_len, uint8_t **plain,
                            size_t *plain_len);

#include "core/wire/frame.c"
