/*
 * Contracts of the cursors (p2p/bytes.h). bytes.c proves them, others rely on them.
 */
#ifndef CONTRACTS_BYTES_H
#define CONTRACTS_BYTES_H

#include "p2p/bytes.h"

#include "libc.h"

/*@
  predicate sound_bool(integer b) = b == 0 || b == 1;

  predicate reads{L}(struct p2p_rd *rd) =
      \valid(rd) && sound_bool(rd->failed) &&
      \valid_read(rd->at + (0 .. rd->left - 1)) &&
      \separated(rd, rd->at + (0 .. rd->left - 1));

  predicate writes{L}(struct p2p_wr *wr) =
      \valid(wr) && sound_bool(wr->failed) && wr->used <= wr->cap &&
      \valid(wr->buf + (0 .. wr->cap - 1)) &&
      \separated(wr, wr->buf + (0 .. wr->cap - 1));

  // All of `len` bytes or none, behind what was there.
  predicate appends{K,L}(struct p2p_wr *wr, integer len) =
      \at(wr->buf, L) == \at(wr->buf, K) && \at(wr->cap, L) == \at(wr->cap, K) &&
      (\at(wr->failed, K) == 1 ==> \at(wr->failed, L) == 1) &&
      \at(wr->used, L) == \at(wr->used, K) + (\at(wr->failed, L) == 1 ? 0 : len);
*/

/*@
  requires \valid(rd);
  requires \valid_read((const uint8_t *)data + (0 .. len - 1));
  requires \separated(rd, (const uint8_t *)data + (0 .. len - 1));
  assigns *rd;
  ensures reads(rd);
  ensures rd->at == data && rd->left == len && rd->failed == 0;
*/
void p2p_rd_init(struct p2p_rd *rd, const void *data, size_t len);

/*@
  requires reads(rd);
  assigns *rd;
  ensures reads(rd);
  ensures rd->left <= \old(rd->left);
  ensures \old(rd->failed) == 1 ==> rd->failed == 1;
  ensures rd->failed == 1 ==> \result == \null && rd->left == \old(rd->left);
  ensures rd->failed == 0 ==>
      \result == \old(rd->at) && rd->left == \old(rd->left) - len;
  ensures \result != \null ==> \valid_read(\result + (0 .. len - 1));
*/
const uint8_t *p2p_rd_get_ref(struct p2p_rd *rd, size_t len);

/*@ requires reads(rd); assigns *rd; ensures reads(rd); */
uint8_t p2p_rd_get_u8(struct p2p_rd *rd);
/*@ requires reads(rd); assigns *rd; ensures reads(rd); */
uint16_t p2p_rd_get_u16(struct p2p_rd *rd);
/*@ requires reads(rd); assigns *rd; ensures reads(rd); */
uint32_t p2p_rd_get_u32(struct p2p_rd *rd);
/*@ requires reads(rd); assigns *rd; ensures reads(rd); */
uint64_t p2p_rd_get_u64(struct p2p_rd *rd);

/*@
  requires reads(rd) && len > 0;
  requires \valid((char *)out + (0 .. len - 1));
  requires \separated(rd, (char *)out + (0 .. len - 1));
  requires \separated((char *)out + (0 .. len - 1), rd->at + (0 .. rd->left - 1));
  assigns *rd, ((char *)out)[0 .. len - 1];
  ensures reads(rd) && rd->left <= \old(rd->left);
*/
void p2p_rd_get_bytes(struct p2p_rd *rd, void *out, size_t len);

/*@
  requires reads(rd);
  assigns \nothing;
  ensures \result == P2P_OK <==> rd->failed == 0 && rd->left == 0;
*/
enum p2p_err p2p_rd_end(const struct p2p_rd *rd);

/*@
  requires \valid(wr);
  requires \valid((uint8_t *)buf + (0 .. cap - 1));
  requires \separated(wr, (uint8_t *)buf + (0 .. cap - 1));
  assigns *wr;
  ensures writes(wr) && wr->buf == (uint8_t *)buf && wr->cap == cap;
  ensures wr->used == 0 && wr->failed == 0;
*/
void p2p_wr_init(struct p2p_wr *wr, void *buf, size_t cap);

/*@
  requires writes(wr);
  requires \valid_read((char *)data + (0 .. len - 1));
  requires \separated(wr, (char *)data + (0 .. len - 1));
  requires \separated((char *)data + (0 .. len - 1), wr->buf + (0 .. wr->cap - 1));
  assigns *wr, wr->buf[0 .. wr->cap - 1];
  ensures writes(wr) && appends{Old,Here}(wr, len);
*/
void p2p_wr_put_bytes(struct p2p_wr *wr, const void *data, size_t len);

/*@
  requires writes(wr);
  assigns *wr, wr->buf[0 .. wr->cap - 1];
  ensures writes(wr) && appends{Old,Here}(wr, 1);
*/
void p2p_wr_put_u8(struct p2p_wr *wr, uint8_t value);
/*@
  requires writes(wr);
  assigns *wr, wr->buf[0 .. wr->cap - 1];
  ensures writes(wr) && appends{Old,Here}(wr, 2);
*/
void p2p_wr_put_u16(struct p2p_wr *wr, uint16_t value);
/*@
  requires writes(wr);
  assigns *wr, wr->buf[0 .. wr->cap - 1];
  ensures writes(wr) && appends{Old,Here}(wr, 4);
*/
void p2p_wr_put_u32(struct p2p_wr *wr, uint32_t value);
/*@
  requires writes(wr);
  assigns *wr, wr->buf[0 .. wr->cap - 1];
  ensures writes(wr) && appends{Old,Here}(wr, 8);
*/
void p2p_wr_put_u64(struct p2p_wr *wr, uint64_t value);

/*@
  requires writes(wr) && valid_read_string(text);
  requires \separated(wr, text + (0 .. strlen(text)));
  requires \separated(text + (0 .. strlen(text)), wr->buf + (0 .. wr->cap - 1));
  assigns *wr, wr->buf[0 .. wr->cap - 1];
  ensures writes(wr) && appends{Old,Here}(wr, \old(strlen(text)));
*/
void p2p_wr_put_text(struct p2p_wr *wr, const char *text);

/*@
  requires writes(wr) && \valid(len);
  requires \separated(wr, len);
  assigns *len;
  ensures *len <= wr->cap;
  ensures \result == P2P_OK <==> wr->failed == 0;
  ensures wr->failed == 1 ==> *len == 0;
*/
enum p2p_err p2p_wr_end(const struct p2p_wr *wr, size_t *len);

/*@ requires \valid_read(in + (0 .. 3)); assigns \nothing; */
uint32_t p2p_load_u32(const uint8_t in[4]);
/*@ requires \valid(out + (0 .. 3)); assigns out[0 .. 3]; */
void p2p_store_u32(uint8_t out[4], uint32_t value);
/*@ requires \valid_read(in + (0 .. 7)); assigns \nothing; */
uint64_t p2p_load_u64(const uint8_t in[8]);
/*@ requires \valid(out + (0 .. 7)); assigns out[0 .. 7]; */
void p2p_store_u64(uint8_t out[8], uint64_t value);

/*@
  requires \valid(out + (0 .. P2P_U64_TEXT_MAX - 1));
  assigns out[0 .. P2P_U64_TEXT_MAX - 1];
  ensures 1 <= \result < P2P_U64_TEXT_MAX;
*/
size_t p2p_u64_format(uint64_t value, char out[P2P_U64_TEXT_MAX]);

#endif
