/* Makes names for file systems that allow less than we do. */
#include "p2p/name.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "p2p/bytes.h"
#include "p2p/limits.h"

/* An extension is kept when a name is cut, unless it is longer than this. */
#define EXTENSION_MAX 16

/* Characters that FAT, exFAT, NTFS and SMB refuse, in addition to those of
 * p2p_name_check. */
static bool
is_refused_elsewhere(uint32_t cp)
{
    static const char refused[] = {'<', '>', ':', '"', '|', '?', '*', '\\'};

    return cp < 0x80 && memchr(refused, (int)cp, sizeof(refused)) != NULL;
}

/* The length of the longest beginning of `part` that has whole characters and at most
 * `max` bytes. */
static size_t
cut(const char *part, size_t len, size_t max)
{
    size_t at = len < max ? len : max;

    /*@ loop invariant at <= len && at <= max;
        loop assigns at;
        loop variant at; */
    while (at > 0 && at < len && ((uint8_t)part[at] & 0xc0) == 0x80)
        at--;
    return at;
}

static size_t
shorten(char *part, size_t len, size_t max)
{
    size_t dot = len;

    if (len <= max)
        return len;
    /*@ loop invariant dot <= len;
        loop assigns dot;
        loop variant dot; */
    while (dot > 1 && part[dot - 1] != '.')
        dot--;
    size_t tail = dot > 1 && len - dot + 1 <= EXTENSION_MAX ? len - dot + 1 : 0;
    size_t head = cut(part, len - tail, max - tail);
    if (tail > 0)
        memmove(part + head, part + len - tail, tail);
    return head + tail;
}

/* Appends one part. Returns the number of bytes; 0 if nothing of the part is left. */
static size_t
put_part(const char *part, size_t len, size_t max, bool ascii, char *out)
{
    const uint8_t *at = (const uint8_t *)part;
    size_t n = 0;

    /*@ loop invariant left <= len && n <= len - left;
        loop invariant at == (uint8_t *)part + (len - left);
        loop assigns at, left, n, out[0 .. len - 1];
        loop variant left; */
    for (size_t left = len; left > 0;) {
        uint32_t cp;
        size_t bytes = p2p_utf8_next(at, left, &cp);
        if (bytes == 0)
            return 0;
        if (is_refused_elsewhere(cp) || (ascii && cp >= 0x80))
            out[n++] = '_';
        else {
            memcpy(out + n, at, bytes);
            n += bytes;
        }
        at += bytes;
        left -= bytes;
    }
    n = shorten(out, n, max);
    /*@ loop invariant n <= len;
        loop assigns n;
        loop variant n; */
    while (n > 0 && (out[n - 1] == ' ' || out[n - 1] == '.'))
        n--;
    return n;
}

enum p2p_err
p2p_name_safe(const char *name, size_t part_max, bool ascii, char *out)
{
    size_t n = 0, len = strlen(name);

    out[0] = '\0';
    if (len > P2P_NAME_MAX || part_max <= EXTENSION_MAX)
        return P2P_ERR_NAME;
    /*@ loop invariant n + len <= P2P_NAME_MAX;
        loop invariant \valid_read(name + (0 .. len - 1));
        loop invariant \separated(name + (0 .. len - 1), out + (0 .. P2P_NAME_MAX));
        loop assigns name, len, n, out[0 .. P2P_NAME_MAX];
        loop variant len; */
    for (;;) {
        const char *slash = memchr(name, '/', len);
        size_t part = slash != NULL ? (size_t)(slash - name) : len;
        size_t put = put_part(name, part, part_max, ascii, out + n);

        n += put;
        if (put == 0 || slash == NULL)
            break;
        out[n++] = '/';
        name += part + 1;
        len -= part + 1;
    }
    out[n] = '\0';
    return p2p_name_check(out, n, true);
}
