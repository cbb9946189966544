/* The text functions of bytes.h: hex, decimal, UTF-8. */
#include "p2p/bytes.h"

#include <string.h>

void
p2p_hex_format(const void *data, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *in = data;

    /*@ loop invariant i <= len && out == \at(out, Pre) + 2 * i;
        loop assigns i, out, \at(out, Pre)[0 .. 2 * len - 1];
        loop variant len - i; */
    for (size_t i = 0; i < len; i++) {
        *out++ = digits[in[i] / 16];
        *out++ = digits[in[i] % 16];
    }
    *out = '\0';
}

int
p2p_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

enum p2p_err
p2p_hex_parse(const char *text, void *out, size_t len)
{
    uint8_t *bytes = out;
    size_t text_len = strnlen(text, 2 * len + 1);

    memset(out, 0, len);
    if (text_len != 2 * len)
        return P2P_ERR_MALFORMED;
    /*@ loop invariant i <= len;
        loop assigns i, bytes[0 .. len - 1];
        loop variant len - i; */
    for (size_t i = 0; i < len; i++) {
        int high = p2p_hex_digit(text[2 * i]), low = p2p_hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            memset(out, 0, len);
            return P2P_ERR_MALFORMED;
        }
        bytes[i] = (uint8_t)(high * 16 + low);
    }
    return P2P_OK;
}

enum p2p_err
p2p_decimal_parse(const char *text, size_t len, uint64_t max, uint64_t *value)
{
    uint64_t v = 0;

    *value = 0;
    if (len == 0 || (len > 1 && text[0] == '0'))
        return P2P_ERR_MALFORMED;
    /*@ loop invariant i <= len;
        loop assigns i, v;
        loop variant len - i; */
    for (size_t i = 0; i < len; i++) {
        unsigned digit = (unsigned)(unsigned char)text[i] - '0';
        if (digit > 9)
            return P2P_ERR_MALFORMED;
        if (v > (UINT64_MAX - digit) / 10)
            return P2P_ERR_RANGE;
        v = v * 10 + digit;
    }
    if (v > max)
        return P2P_ERR_RANGE;
    *value = v;
    return P2P_OK;
}

/* Length and payload bits of a lead byte; 0 if it is not a lead byte. */
static size_t
utf8_lead(uint8_t lead, uint32_t *bits)
{
    if (lead < 0x80) {
        *bits = lead;
        return 1;
    }
    if ((lead & 0xe0) == 0xc0) {
        *bits = lead & 0x1f;
        return 2;
    }
    if ((lead & 0xf0) == 0xe0) {
        *bits = lead & 0x0f;
        return 3;
    }
    if ((lead & 0xf8) == 0xf0) {
        *bits = lead & 0x07;
        return 4;
    }
    return 0;
}

size_t
p2p_utf8_next(const uint8_t *in, size_t len, uint32_t *code_point)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t cp = 0;
    size_t n = len > 0 ? utf8_lead(in[0], &cp) : 0;

    *code_point = 0;
    if (n == 0 || n > len)
        return 0;
    /*@ loop invariant 1 <= i <= n;
        loop assigns i, cp;
        loop variant n - i; */
    for (size_t i = 1; i < n; i++) {
        if ((in[i] & 0xc0) != 0x80)
            return 0;
        cp = cp << 6 | (in[i] & 0x3f);
    }
    if (cp < smallest[n] || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
        return 0;
    *code_point = cp;
    return n;
}

bool
p2p_utf8_is_valid(const void *text, size_t len)
{
    const uint8_t *in = text;

    /*@ loop invariant len <= \at(len, Pre);
        loop invariant in == (uint8_t *)text + (\at(len, Pre) - len);
        loop assigns in, len;
        loop variant len; */
    while (len > 0) {
        uint32_t cp;
        size_t n = p2p_utf8_next(in, len, &cp);
        if (n == 0)
            return false;
        in += n;
        len -= n;
    }
    return true;
}

bool
p2p_utf8_is_in(uint32_t cp, const struct p2p_code_range *ranges, size_t count)
{
    /*@ loop invariant i <= count;
        loop assigns i;
        loop variant count - i; */
    for (size_t i = 0; i < count && cp >= ranges[i].first; i++)
        if (cp <= ranges[i].last)
            return true;
    return false;
}

/* Default_Ignorable_Code_Point of Unicode 15, and the interlinear marks. */
bool
p2p_utf8_is_invisible(uint32_t cp)
{
    /* U+200C and U+200D (joiners), U+FE0E and U+FE0F (text or picture) belong to emoji
     * and several scripts. They are allowed here; name.c checks their position. */
    static const struct p2p_code_range invisible[] = {
        {0xad, 0xad},       {0x34f, 0x34f},     {0x61c, 0x61c},   {0x115f, 0x1160},
        {0x17b4, 0x17b5},   {0x180b, 0x180f},   {0x200b, 0x200b}, {0x200e, 0x200f},
        {0x2028, 0x202e},   {0x2060, 0x206f},   {0x3164, 0x3164}, {0xfe00, 0xfe0d},
        {0xfeff, 0xfeff},   {0xffa0, 0xffa0},   {0xfff0, 0xfffb}, {0x1bca0, 0x1bca3},
        {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
    };

    return p2p_utf8_is_in(cp, invisible, sizeof(invisible) / sizeof(invisible[0]));
}
