/*
 * The texts of base/text.c against their contracts: `make prove`. What is proven: no function reads
 * past the length that it was given or writes past what it was promised, every loop ends, and what
 * UTF-8 is decoded to is a code point.
 *
 * prove: p2p_hex_format,p2p_hex_digit,p2p_hex_parse,p2p_decimal_parse,utf8_lead,p2p_utf8_next,
 * prove: p2p_utf8_is_valid,p2p_utf8_is_in,p2p_utf8_is_invisible
 */
#include "text.h"

/*@ assigns \nothing; ensures -1 <= \result <= 15; */
int p2p_hex_digit(char c);

/*@
  requires \valid(bits);
  assigns *bits;
  ensures \result <= 4;
*/
static size_t utf8_lead(uint8_t lead, uint32_t *bits);

#include "core/base/text.c"
