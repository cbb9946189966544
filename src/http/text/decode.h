/* Decodes text from a URL: percent-encoding and UTF-8. Pure functions. */
#ifndef P2P_HTTP_DECODE_H
#define P2P_HTTP_DECODE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Decodes n bytes into out (at most n + 1 bytes with the NUL; may be the input). False
 * for a broken escape, an encoded NUL, or invalid UTF-8.
 */
bool http_percent_decode(const char *in, size_t n, char *out, size_t *out_len);

/* True for valid UTF-8 (RFC 3629: no surrogates, no overlong forms) without NUL. */
bool http_is_utf8(const char *s, size_t n);

#endif
