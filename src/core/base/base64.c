#include "p2p/base64.h"

#include <string.h>

static const char plain[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char for_urls[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Writes the characters that carry bits; returns the end. */
static char *
format(const char *digits, const uint8_t *in, size_t len, char *out)
{
    uint32_t bits = 0;
    unsigned held = 0;

    for (size_t i = 0; i < len; i++) {
        bits = bits << 8 | in[i];
        held += 8;
        while (held >= 6) {
            held -= 6;
            *out++ = digits[bits >> held & 63];
        }
    }
    if (held > 0)
        *out++ = digits[bits << (6 - held) & 63];
    return out;
}

void
p2p_base64_format(const void *data, size_t len, char *out)
{
    char *end = format(plain, data, len, out);

    while ((end - out) % 4 != 0)
        *end++ = '=';
    *end = '\0';
}

void
p2p_base64url_format(const void *data, size_t len, char *out)
{
    *format(for_urls, data, len, out) = '\0';
}

/* The characters that carry bits, for `len` bytes. */
static size_t
chars_of(size_t len)
{
    return (len * 8 + 5) / 6;
}

static bool
parse(const char *digits, const char *text, uint8_t *out, size_t len)
{
    uint32_t bits = 0;
    unsigned held = 0;

    for (size_t i = 0; i < chars_of(len); i++) {
        const char *at = text[i] != '\0' ? strchr(digits, text[i]) : NULL;

        if (at == NULL)
            return false;
        bits = bits << 6 | (uint32_t)(at - digits);
        held += 6;
        if (held >= 8) {
            held -= 8;
            *out++ = (uint8_t)(bits >> held);
        }
    }
    return (bits & ((1u << held) - 1)) == 0;
}

bool
p2p_base64_parse(const char *text, void *out, size_t len)
{
    size_t chars = chars_of(len), padded = (len + 2) / 3 * 4;

    if (text == NULL || strlen(text) != padded || !parse(plain, text, out, len))
        return false;
    for (size_t i = chars; i < padded; i++)
        if (text[i] != '=')
            return false;
    return true;
}

bool
p2p_base64url_parse(const char *text, size_t text_len, void *out, size_t len)
{
    return text_len == chars_of(len) && parse(for_urls, text, out, len);
}
