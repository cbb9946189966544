/*
 * The cursors, integers and decimals of base/bytes.c against their contracts: `make prove`.
 * What is proven: no function reads or writes outside of the memory that its cursor was
 * given, no run-time error, and a cursor stays sound whatever is asked of it.
 *
 * prove: p2p_rd_init,p2p_rd_get_ref,get_uint,p2p_rd_get_u8,p2p_rd_get_u16,p2p_rd_get_u32,
 * prove: p2p_rd_get_u64,p2p_rd_get_bytes,p2p_rd_end,p2p_wr_init,p2p_wr_put_bytes,p2p_wr_end,
 * prove: put_uint,p2p_wr_put_u8,p2p_wr_put_u16,p2p_wr_put_u32,p2p_wr_put_u64,p2p_wr_put_text,
 * prove: p2p_load_u32,p2p_store_u32,p2p_load_u64,p2p_store_u64,p2p_u64_format
 */
#include "bytes.h"

/*@
  requires reads(rd) && width <= 8;
  assigns *rd;
  ensures reads(rd) && rd->left <= \old(rd->left);
  ensures \old(rd->failed) == 1 ==> rd->failed == 1;
*/
static uint64_t get_uint(struct p2p_rd *rd, size_t width);

/*@
  requires writes(wr) && 1 <= width <= 8;
  assigns *wr, wr->buf[0 .. wr->cap - 1];
  ensures writes(wr) && appends{Old,Here}(wr, width);
*/
static void put_uint(struct p2p_wr *wr, uint64_t value, size_t width);

/*@
  // What is left of a value when its digits before place `at` of 20 are still to be written.
  predicate fits(integer v, integer at) =
      (at <= 20 ==> v <= 18446744073709551615) && (at <= 19 ==> v <= 1844674407370955161) &&
      (at <= 18 ==> v <= 184467440737095516) && (at <= 17 ==> v <= 18446744073709551) &&
      (at <= 16 ==> v <= 1844674407370955) && (at <= 15 ==> v <= 184467440737095) &&
      (at <= 14 ==> v <= 18446744073709) && (at <= 13 ==> v <= 1844674407370) &&
      (at <= 12 ==> v <= 184467440737) && (at <= 11 ==> v <= 18446744073) &&
      (at <= 10 ==> v <= 1844674407) && (at <= 9 ==> v <= 184467440) &&
      (at <= 8 ==> v <= 18446744) && (at <= 7 ==> v <= 1844674) &&
      (at <= 6 ==> v <= 184467) && (at <= 5 ==> v <= 18446) &&
      (at <= 4 ==> v <= 1844) && (at <= 3 ==> v <= 184) &&
      (at <= 2 ==> v <= 18) && (at <= 1 ==> v <= 1) &&
      (at <= 0 ==> v <= 0);
*/

#include "core/base/bytes.c"
