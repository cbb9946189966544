/*
 * bytes - bounded cursors over caller's memory, and small byte and text helpers.
 *
 * A reader or writer never goes past its end: the first get or put that does not
 * fit marks the cursor as failed, later ones do nothing (gets give zero), and
 * p2p_rd_end / p2p_wr_end report it once. So a decoder is a straight list of gets
 * followed by one check. Integers are big endian (PROTOCOL.md), read byte by byte.
 * No allocation, no I/O. One cursor, one thread at a time.
 */
#ifndef P2P_BYTES_H
#define P2P_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/err.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* Reads from memory that the caller keeps alive. */
struct p2p_rd {
    const uint8_t *at;
    size_t left;
    bool failed;
};

/* Writes into memory that the caller owns; `used` bytes hold content. */
struct p2p_wr {
    uint8_t *buf;
    size_t cap;
    size_t used;
    bool failed;
};

/* Starts at the first byte. Borrows `data` for as long as the reader is used. */
void p2p_rd_init(struct p2p_rd *rd, const void *data, size_t len);
/* Reads the next integer, big endian. 0 when too few bytes are left, and after any
 * failure. */
uint8_t p2p_rd_get_u8(struct p2p_rd *rd);
/* Reads two bytes; otherwise like p2p_rd_get_u8. */
uint16_t p2p_rd_get_u16(struct p2p_rd *rd);
/* Reads four bytes; otherwise like p2p_rd_get_u8. */
uint32_t p2p_rd_get_u32(struct p2p_rd *rd);
/* Reads eight bytes; otherwise like p2p_rd_get_u8. */
uint64_t p2p_rd_get_u64(struct p2p_rd *rd);
/* Copies exactly `len` bytes out; zeroes `out` when they are not there. */
void p2p_rd_get_bytes(struct p2p_rd *rd, void *out, size_t len);
/* Borrows `len` bytes of the input (as long as the input lives); NULL when too few. */
const uint8_t *p2p_rd_get_ref(struct p2p_rd *rd, size_t len);
/* P2P_OK only when nothing failed and nothing is left over, else MALFORMED. */
P2P_MUST_CHECK enum p2p_err p2p_rd_end(const struct p2p_rd *rd);

/* Starts with nothing written. Borrows `buf` of `cap` bytes for as long as the writer
 * is used. */
void p2p_wr_init(struct p2p_wr *wr, void *buf, size_t cap);
/* Appends the integer, big endian. If it does not fit, nothing is written and the
 * writer has failed. */
void p2p_wr_put_u8(struct p2p_wr *wr, uint8_t value);
/* Appends two bytes; otherwise like p2p_wr_put_u8. */
void p2p_wr_put_u16(struct p2p_wr *wr, uint16_t value);
/* Appends four bytes; otherwise like p2p_wr_put_u8. */
void p2p_wr_put_u32(struct p2p_wr *wr, uint32_t value);
/* Appends eight bytes; otherwise like p2p_wr_put_u8. */
void p2p_wr_put_u64(struct p2p_wr *wr, uint64_t value);
/* Appends a copy of `len` bytes, all or none. */
void p2p_wr_put_bytes(struct p2p_wr *wr, const void *data, size_t len);
void p2p_wr_put_text(struct p2p_wr *wr, const char *text); /* without its NUL */
/* P2P_OK and `*len` = bytes written, or TOO_LARGE when something did not fit. */
P2P_MUST_CHECK enum p2p_err p2p_wr_end(const struct p2p_wr *wr, size_t *len);

/* Loads and stores for code that does not need a cursor. */
uint32_t p2p_load_u32(const uint8_t in[4]);
/* Stores an integer, big endian. */
void p2p_store_u32(uint8_t out[4], uint32_t value);
/* Loads an integer of eight bytes, big endian. */
uint64_t p2p_load_u64(const uint8_t in[8]);
/* Stores an integer of eight bytes, big endian. */
void p2p_store_u64(uint8_t out[8], uint64_t value);

/* The value of a hex digit in either case; -1: it is none. */
int p2p_hex_digit(char c);
/* Lower-case hex with a NUL: `out` holds 2 * len + 1 bytes. */
void p2p_hex_format(const void *data, size_t len, char *out);
/* Parses exactly 2 * len digits in either case, followed by a NUL; else MALFORMED. */
P2P_MUST_CHECK enum p2p_err p2p_hex_parse(const char *text, void *out, size_t len);

/*
 * Writes decimal digits and a NUL; returns the number of digits. Use it for every
 * integer in a text, because doubles (cJSON's numbers) are exact up to 15 digits only.
 */
#define P2P_U64_TEXT_MAX 21
size_t p2p_u64_format(uint64_t value, char out[P2P_U64_TEXT_MAX]);
/* Writes a size for people, such as "1.5 MB"; returns out. One system for everything
 * that people read: kB, MB, GB, with 1000. */
#define P2P_SIZE_TEXT_MAX 16
char *p2p_size_format(uint64_t bytes, char out[P2P_SIZE_TEXT_MAX]);

/* Parses plain decimal digits: no sign, space or leading zero. RANGE beyond `max`. */
P2P_MUST_CHECK enum p2p_err p2p_decimal_parse(const char *text, size_t len,
                                              uint64_t max, uint64_t *value);

/*
 * One UTF-8 code point (RFC 3629: shortest form, no surrogates, up to U+10FFFF).
 * Returns its length in bytes, 0 when `in` does not begin with one.
 */
size_t p2p_utf8_next(const uint8_t *in, size_t len, uint32_t *code_point);
/* True if every byte belongs to a code point that p2p_utf8_next accepts; also for no
 * bytes. */
bool p2p_utf8_is_valid(const void *text, size_t len);
struct p2p_code_range {
    uint32_t first, last;
};
/* True if one of the `count` ranges contains the code point; both ends are included.
 * The ranges ascend. */
bool p2p_utf8_is_in(uint32_t code_point, const struct p2p_code_range *ranges,
                    size_t count);
/* True for bidi controls, zero-width and other characters that hide or reorder text.
 * Not for joiners and the two emoji selectors, which depend on the characters beside
 * them. */
bool p2p_utf8_is_invisible(uint32_t code_point);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
