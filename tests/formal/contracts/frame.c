/*
 * The contract of p2p_frame_peek (p2p/frame.h) for Frama-C/WP: `make prove`. A frame's size is
 * told only after its length was found within the bounds that the caller gave, so no
 * arithmetic on it can wrap.
 *
 * prove: p2p_frame_peek
 */
#include "p2p/bytes.h"
#include "p2p/frame.h"

/*@ requires \valid_read(in + (0 .. 3)); assigns \nothing; */
uint32_t p2p_load_u32(const uint8_t in[4]);

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

#include "core/wire/frame.c"
