/* Makes a valid name that is similar to an invalid one. */
#include <string.h>

#include "core/name/name_rules.h"
#include "p2p/bytes.h"
#include "p2p/limits.h"
#include "p2p/name.h"

/* Space for one part while it is made; longer parts are cut. */
#define PART_ROOM 1024

struct part {
    char text[PART_ROOM + 8];
    size_t len;
};

static void
append(struct part *p, const char *text, size_t len)
{
    if (len == 0 || p->len + len > PART_ROOM)
        return;
    memcpy(p->text + p->len, text, len);
    p->len += len;
}

static bool
is_space(uint32_t cp)
{
    return cp == '\t' || cp == '\n' || cp == '\r' || cp == 0xa0 || cp == 0x1680 ||
           (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 || cp == 0x2029 ||
           cp == 0x202f || cp == 0x205f || cp == 0x3000;
}

/* The replacement of an invalid character, 0: none. "Re: a" loses its colon, "10:30"
 * gets a dash. */
static char
stand_in(uint32_t cp, uint32_t after)
{
    if (is_space(cp))
        return ' ';
    if (p2p_name_is_dot_lookalike(cp))
        return '.';
    if (cp == ':')
        return after == 0 || after == ' ' || after == '.' ? '\0' : '-';
    return p2p_name_is_slash_lookalike(cp) ? '-' : '\0';
}

static void
copy_characters(struct part *p, const char *text, size_t len)
{
    const uint8_t *at = (const uint8_t *)text;
    struct p2p_name_neighbors neighbors = {0, 0};

    /*@ loop invariant left <= len && at == (uint8_t *)text + (len - left);
        loop invariant p->len <= PART_ROOM;
        loop assigns at, left, neighbors, *p;
        loop variant left; */
    for (size_t left = len; left > 0;) {
        uint32_t cp;
        size_t n = p2p_utf8_next(at, left, &cp);
        char other = '\0';

        neighbors.after = 0;
        if (n > 0)
            (void)p2p_utf8_next(at + n, left - n, &neighbors.after);
        if (n == 0) {
            other = '_';
            n = 1;
        } else if (p2p_name_character_problem(cp, &neighbors) != NULL) {
            other = stand_in(cp, neighbors.after);
        } else {
            append(p, (const char *)at, n);
            neighbors.before = cp;
        }
        if (other != '\0') {
            append(p, &other, 1);
            neighbors.before = (uint8_t)other;
        }
        at += n;
        left -= n;
    }
}

static void
trim(struct part *p)
{
    size_t start = 0;

    /*@ loop invariant p->len <= \at(p->len, Pre);
        loop assigns p->len;
        loop variant p->len; */
    while (p->len > 0 && (p->text[p->len - 1] == '.' || p->text[p->len - 1] == ' '))
        p->len--;
    /*@ loop invariant start <= p->len;
        loop assigns start;
        loop variant p->len - start; */
    while (start < p->len && (p->text[start] == '.' || p->text[start] == ' '))
        start++;
    memmove(p->text, p->text + start, p->len - start);
    p->len -= start;
}

/* Percent escapes of '/' and of dots become plain text without their '%'. */
static void
break_escapes(struct part *p)
{
    /*@ loop invariant i <= p->len && p->len <= PART_ROOM;
        loop assigns i, p->text[0 .. PART_ROOM - 1];
        loop variant p->len - i; */
    for (size_t i = 0; i + 2 < p->len; i++) {
        char next = p->text[i + 1];

        if (p->text[i] == '%' && (next == '0' || next == '2' || next == '5'))
            p->text[i] = '_';
    }
}

/* "aux.c" becomes "aux_.c". */
static void
leave_devices(struct part *p)
{
    const char *dot = memchr(p->text, '.', p->len);
    size_t stem = dot != NULL ? (size_t)(dot - p->text) : p->len;

    if (!p2p_name_is_reserved(p->text, p->len) || p->len >= PART_ROOM)
        return;
    memmove(p->text + stem + 1, p->text + stem, p->len - stem);
    p->text[stem] = '_';
    p->len++;
}

/* Cuts the part before its extension, never inside a character. */
static void
shorten(struct part *p)
{
    size_t stem = p2p_name_extension(p->text, p->len), tail = p->len - stem, keep;

    if (p->len <= P2P_NAME_PART_MAX)
        return;
    keep = P2P_NAME_PART_MAX - tail;
    /*@ loop invariant keep <= P2P_NAME_PART_MAX - tail;
        loop assigns keep;
        loop variant keep; */
    while (keep > 0 && ((uint8_t)p->text[keep] & 0xc0) == 0x80)
        keep--;
    /*@ loop invariant keep <= P2P_NAME_PART_MAX - tail;
        loop assigns keep;
        loop variant keep; */
    while (keep > 0 && (p->text[keep - 1] == ' ' || p->text[keep - 1] == '.'))
        keep--;
    memmove(p->text + keep, p->text + stem, tail);
    p->len = keep + tail;
}

static bool
is_usable(const struct part *p)
{
    return p2p_name_check(p->text, p->len, false) == P2P_OK;
}

/* False if nothing of it is left. */
static bool
make_part(const char *text, size_t len, struct part *out)
{
    struct part from = {.len = 0};

    append(&from, text, len < PART_ROOM ? len : PART_ROOM);
    *out = from;
    if (is_usable(out))
        return true;
    /* Removing a character can bring together two others that are invalid side by side.
     */
    /*@ loop invariant from.len <= PART_ROOM && out->len <= PART_ROOM;
        loop assigns i, from, *out;
        loop variant 4 - i; */
    for (int i = 0; i < 4; i++) {
        out->len = 0;
        copy_characters(out, from.text, from.len);
        trim(out);
        if (!is_usable(out))
            break_escapes(out);
        leave_devices(out);
        shorten(out);
        if (is_usable(out))
            return true;
        from = *out;
    }
    return false;
}

enum p2p_err
p2p_name_usable(const char *name, size_t len, bool allow_folders, char *out)
{
    static const char unnamed[] = "unnamed";
    size_t used = 0;
    struct part part = {.len = 0};

    out[0] = '\0';
    /*@ loop invariant len <= \at(len, Pre) && used <= P2P_NAME_MAX;
        loop invariant name == \at(name, Pre) + (\at(len, Pre) - len);
        loop assigns name, len, used, part, out[0 .. P2P_NAME_MAX];
        loop variant len; */
    while (len > 0) {
        const char *slash = memchr(name, '/', len);
        size_t n = slash != NULL ? (size_t)(slash - name) : len;

        if (make_part(name, n, &part)) {
            if (used + part.len + 1 > P2P_NAME_MAX)
                return P2P_ERR_NAME;
            if (used > 0)
                out[used++] = allow_folders ? '/' : '-';
            memcpy(out + used, part.text, part.len);
            used += part.len;
            out[used] = '\0';
        }
        n += slash != NULL;
        name += n;
        len -= n;
    }
    if (used == 0) {
        memcpy(out, unnamed, sizeof(unnamed));
        used = sizeof(unnamed) - 1;
    }
    return p2p_name_check(out, used, allow_folders);
}
