/*
 * Contracts of the texts (p2p/bytes.h). text.c proves them, others rely on them.
 */
#ifndef CONTRACTS_TEXT_H
#define CONTRACTS_TEXT_H

#include "bytes.h"

/*@
  requires \valid_read((uint8_t *)data + (0 .. len - 1)) && \valid(out + (0 .. 2 * len));
  requires \separated((uint8_t *)data + (0 .. len - 1), out + (0 .. 2 * len));
  assigns out[0 .. 2 * len];
  ensures out[2 * len] == 0;
*/
void p2p_hex_format(const void *data, size_t len, char *out);

/*@
  requires 0 < len <= SIZE_MAX / 4;
  requires READABLE_STRING(text, 2 * len + 1);
  requires \valid((uint8_t *)out + (0 .. len - 1));
  requires \separated(text + (0 .. 2 * len), (uint8_t *)out + (0 .. len - 1));
  assigns ((uint8_t *)out)[0 .. len - 1];
  ensures \result == P2P_OK || \result == P2P_ERR_MALFORMED;
*/
enum p2p_err p2p_hex_parse(const char *text, void *out, size_t len);

/*@
  requires READABLE(text, len) && \valid(value);
  requires \separated(text + (0 .. len - 1), value);
  assigns *value;
  ensures *value <= max;
  ensures \result != P2P_OK ==> *value == 0;
*/
enum p2p_err p2p_decimal_parse(const char *text, size_t len, uint64_t max, uint64_t *value);

/*@
  requires \valid_read(in + (0 .. len - 1)) && \valid(code_point);
  requires \separated(in + (0 .. len - 1), code_point);
  assigns *code_point;
  ensures \result <= len && \result <= 4;
  ensures *code_point <= 0x10ffff && !(0xd800 <= *code_point <= 0xdfff);
  ensures \result == 0 ==> *code_point == 0;
*/
size_t p2p_utf8_next(const uint8_t *in, size_t len, uint32_t *code_point);

/*@ requires \valid_read((uint8_t *)text + (0 .. len - 1)); assigns \nothing; */
bool p2p_utf8_is_valid(const void *text, size_t len);

/*@ requires \valid_read(ranges + (0 .. count - 1)); assigns \nothing; */
bool p2p_utf8_is_in(uint32_t code_point, const struct p2p_code_range *ranges, size_t count);

/*@ assigns \nothing; */
bool p2p_utf8_is_invisible(uint32_t code_point);

#endif
