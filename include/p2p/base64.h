/*
 * base64 - RFC 4648, in its two alphabets: the plain one with '=' at the end, and the
 * one for URLs without. Pure, thread-safe. Every value has one spelling: bits that mean
 * nothing must be zero.
 */
#ifndef P2P_BASE64_H
#define P2P_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* Room for `len` bytes as text in either alphabet, with the NUL. */
#define P2P_BASE64_TEXT(len) (((len) + 2) / 3 * 4 + 1)

/* Writes `len` bytes and a NUL; `out` holds P2P_BASE64_TEXT(len). */
void p2p_base64_format(const void *data, size_t len, char *out);
/* The same in the alphabet for URLs, without '='. */
void p2p_base64url_format(const void *data, size_t len, char *out);

/* Reads exactly `len` bytes from a text with its '='. False for anything else; then
 * `out` is undefined. `text` may be NULL. */
bool p2p_base64_parse(const char *text, void *out, size_t len);
/* The same in the alphabet for URLs, from `text_len` characters without '='. */
bool p2p_base64url_parse(const char *text, size_t text_len, void *out, size_t len);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
