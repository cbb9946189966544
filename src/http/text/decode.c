#include "http/text/decode.h"

#include <string.h>

#include "p2p/bytes.h"

bool
http_percent_decode(const char *in, size_t n, char *out, size_t *out_len)
{
    size_t o = 0;

    for (size_t i = 0; i < n; i++) {
        char c = in[i];

        if (c == '%') {
            int hi = i + 1 < n ? p2p_hex_digit(in[i + 1]) : -1;
            int lo = i + 2 < n ? p2p_hex_digit(in[i + 2]) : -1;

            if (hi < 0 || lo < 0)
                return false;
            c = (char)(hi << 4 | lo);
            i += 2;
        }
        out[o++] = c;
    }
    out[o] = '\0';
    *out_len = o;
    return http_is_utf8(out, o);
}

bool
http_is_utf8(const char *s, size_t n)
{
    return memchr(s, '\0', n) == NULL && p2p_utf8_is_valid(s, n);
}
