#include "discovery/index/fold.h"

#include <stdint.h>

#include "discovery/index/fold_table.h"
#include "p2p/bytes.h"

static const struct fold_row *
find_row(uint32_t code_point)
{
    size_t lo = 0, hi = sizeof(fold_rows) / sizeof(fold_rows[0]);

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (fold_rows[mid].code_point < code_point)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == sizeof(fold_rows) / sizeof(fold_rows[0]) ||
        fold_rows[lo].code_point != code_point)
        return NULL;
    return &fold_rows[lo];
}

size_t
fold_text(const char *in, size_t len, char *out)
{
    size_t o = 0;

    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)in[i];
        const struct fold_row *row;
        uint32_t code_point;
        size_t n;

        if (c < 0x80) {
            out[o++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
            i++;
            continue;
        }
        n = p2p_utf8_next((const uint8_t *)in + i, len - i, &code_point);
        if (n == 0)
            n = 1; /* was checked before; an invalid byte is kept unchanged */
        if (n > 1 && (row = find_row(code_point)) != NULL) {
            memcpy(out + o, row->text, strnlen(row->text, sizeof(row->text)));
            o += strnlen(row->text, sizeof(row->text));
        } else {
            memcpy(out + o, in + i, n);
            o += n;
        }
        i += n;
    }
    out[o] = '\0';
    return o;
}

size_t
fold_store(const char *in, size_t len, char *out)
{
    size_t n = fold_text(in, len, out) + 1;

    if (n - 1 == len && memcmp(out, in, len) == 0) {
        out[n] = '\0';
        return n + 1;
    }
    memcpy(out + n, in, len);
    out[n + len] = '\0';
    return n + len + 1;
}
