/* Checks file names that come from outside, and numbers a name that is taken. */
#include "p2p/path.h"

#include <string.h>
#include <strings.h>

#include "core/name/name_rules.h"
#include "p2p/bytes.h"
#include "p2p/limits.h"
#include "p2p/name.h"

/* An extension longer than this is part of the title ("Dr.Strangelove or how I ...").
 */
#define EXTENSION_MAX 16

bool
p2p_name_is_slash_lookalike(uint32_t cp)
{
    static const uint16_t slashes[] = {
        0x1735, 0x2044, 0x2215, 0x2571, 0x27cb, 0x29f8, 0x2f03, 0xff0f, /* '/' */
        0x2216, 0x2572, 0x29f5, 0x29f9, 0xfe68, 0xff3c,                 /* '\' */
    };

    /*@ loop assigns i;
        loop variant sizeof(slashes) / sizeof(slashes[0]) - i; */
    for (size_t i = 0; cp >= 0x80 && i < sizeof(slashes) / sizeof(slashes[0]); i++)
        if (cp == slashes[i])
            return true;
    return cp == '\\';
}

/* Software that normalises (NFKC) turns these into a full stop. */
bool
p2p_name_is_dot_lookalike(uint32_t cp)
{
    return cp == 0x2024 || cp == 0xfe52 || cp == 0xff0e;
}

/* Two or three dots in one character: common in titles, harmless beside other text. */
static bool
is_dots(uint32_t cp)
{
    return cp == '.' || cp == 0x2025 || cp == 0x2026;
}

static bool
is_control(uint32_t cp)
{
    return cp < 0x20 || (cp >= 0x7f && cp <= 0x9f);
}

const char *
p2p_name_character_problem(uint32_t cp, const struct p2p_name_neighbors *neighbors)
{
    const char *hidden = p2p_name_hidden(cp, neighbors);

    if (is_control(cp))
        return "it contains a control character";
    if (hidden)
        return hidden;
    if (p2p_name_is_slash_lookalike(cp))
        return "it contains a backslash or a character that looks like '/'";
    if (p2p_name_is_dot_lookalike(cp))
        return "it contains a character that looks like a dot";
    if (cp == ':')
        return "it contains ':'";
    return NULL;
}

/* Percent escapes that another program may decode once too often. */
static bool
has_escape(const char *part, size_t len)
{
    static const char escapes[][4] = {"%2f", "%5c", "%2e", "%00"};

    /*@ loop invariant i <= len;
        loop assigns i;
        loop variant len - i; */
    for (size_t i = 0; i + 3 <= len; i++)
        /*@ loop assigns k;
            loop variant sizeof(escapes) / sizeof(escapes[0]) - k; */
        for (size_t k = 0; k < sizeof(escapes) / sizeof(escapes[0]); k++)
            if (part[i] == '%' && strncasecmp(part + i, escapes[k], 3) == 0)
                return true;
    return false;
}

/* "com1" .. "lpt9"; Windows treats the superscript digits 1 to 3 in the same way. */
static bool
is_numbered_device(const char *stem, size_t len)
{
    static const char superscripts[][3] = {"\xc2\xb9", "\xc2\xb2", "\xc2\xb3"};

    if (len < 4 ||
        (strncasecmp(stem, "com", 3) != 0 && strncasecmp(stem, "lpt", 3) != 0))
        return false;
    if (len == 4)
        return stem[3] >= '0' && stem[3] <= '9';
    /*@ loop assigns i;
        loop variant 3 - i; */
    for (size_t i = 0; i < 3; i++)
        if (len == 5 && memcmp(stem + 3, superscripts[i], 2) == 0)
            return true;
    return false;
}

/* Device names of other systems, with any extension: such a file could be shared here,
 * but not stored there. */
bool
p2p_name_is_reserved(const char *part, size_t len)
{
    static const char devices[][8] = {"con",    "prn",     "aux",   "nul",
                                      "conin$", "conout$", "clock$"};
    const char *dot = memchr(part, '.', len);
    size_t stem = dot ? (size_t)(dot - part) : len;

    /*@ loop invariant stem <= len;
        loop assigns stem;
        loop variant stem; */
    while (stem > 0 && part[stem - 1] == ' ')
        stem--;
    /*@ loop assigns i;
        loop variant sizeof(devices) / sizeof(devices[0]) - i; */
    for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
        if (strnlen(devices[i], sizeof(devices[i])) == stem &&
            strncasecmp(part, devices[i], stem) == 0)
            return true;
    return is_numbered_device(part, stem);
}

static const char *
characters_problem(const char *part, size_t len)
{
    const uint8_t *at = (const uint8_t *)part;
    struct p2p_name_neighbors neighbors = {0, 0};
    bool only_dots = true;

    /*@ loop invariant left <= len && at == (uint8_t *)part + (len - left);
        loop assigns at, left, neighbors, only_dots;
        loop variant left; */
    for (size_t left = len; left > 0;) {
        uint32_t cp;
        size_t n = p2p_utf8_next(at, left, &cp);
        if (n == 0)
            return "it is not valid UTF-8";
        (void)p2p_utf8_next(at + n, left - n, &neighbors.after);
        const char *problem = p2p_name_character_problem(cp, &neighbors);
        if (problem)
            return problem;
        only_dots = only_dots && is_dots(cp);
        neighbors.before = cp;
        at += n;
        left -= n;
    }
    return only_dots ? "it consists only of dots" : NULL;
}

static const char *
part_problem(const char *part, size_t len)
{
    if (len == 0)
        return "it has an empty folder name (\"//\")";
    if (len > P2P_NAME_PART_MAX)
        return "it is too long";
    if (part[0] == '.')
        return "it begins with a dot";
    if (part[len - 1] == '.' || part[len - 1] == ' ')
        return "it ends in a dot or a space";
    if (p2p_name_is_reserved(part, len))
        return "the name is reserved on other systems";
    if (has_escape(part, len))
        return "it contains an escaped '/' or dot";
    return characters_problem(part, len);
}

const char *
p2p_name_problem(const char *name, size_t len, bool allow_folders)
{
    size_t parts = 0;

    if (len > P2P_NAME_MAX)
        return "it is too long";
    /*@ loop invariant len <= \at(len, Pre);
        loop invariant name == \at(name, Pre) + (\at(len, Pre) - len);
        loop assigns name, len, parts;
        loop variant len; */
    for (;;) {
        const char *slash = memchr(name, '/', len);
        size_t part = slash ? (size_t)(slash - name) : len;
        const char *problem = part_problem(name, part);
        if (problem)
            return problem;
        if (++parts > P2P_NAME_DEPTH_MAX)
            return "it has too many folders";
        if (!slash)
            return NULL;
        if (!allow_folders)
            return "it contains '/'";
        name += part + 1;
        len -= part + 1;
    }
}

enum p2p_err
p2p_name_check(const char *name, size_t len, bool allow_folders)
{
    return p2p_name_problem(name, len, allow_folders) ? P2P_ERR_NAME : P2P_OK;
}

/* The position of the extension's dot, or the end: ".gz" in "a.b.gz", ".tar.gz" in
 * "a.tar.gz", nothing in "Mr. Smith goes". */
size_t
p2p_name_extension(const char *leaf, size_t len)
{
    size_t dot = len;

    /*@ loop invariant i <= len && dot == len;
        loop assigns i, dot;
        loop variant i; */
    for (size_t i = len; i-- > 1;) {
        if (leaf[i] == ' ')
            break;
        if (leaf[i] == '.') {
            dot = i;
            break;
        }
    }
    if (dot == len || len - dot > EXTENSION_MAX)
        return len;
    if (dot > 4 && strncasecmp(leaf + dot - 4, ".tar", 4) == 0)
        return dot - 4;
    return dot;
}

/* How many of `len` bytes fit into `room` without cutting a character. */
static size_t
keep_in_room(const char *text, size_t len, size_t room)
{
    size_t keep = room;

    if (len <= room)
        return len;
    /*@ loop invariant keep < len && keep <= room;
        loop assigns keep;
        loop variant keep; */
    while (keep > 0 && ((uint8_t)text[keep] & 0xc0) == 0x80)
        keep--;
    return keep;
}

/* Writes `head (digits)tail` to `out` (P2P_NAME_MAX + 1 bytes) and returns the length;
 * 0 if it does not fit. */
static size_t
join(char *out, const char *head, size_t head_len, const char *digits,
     size_t digits_len, const char *tail, size_t tail_len)
{
    struct p2p_wr wr;
    size_t used;

    p2p_wr_init(&wr, out, P2P_NAME_MAX);
    p2p_wr_put_bytes(&wr, head, head_len);
    p2p_wr_put_u8(&wr, ' ');
    p2p_wr_put_u8(&wr, '(');
    p2p_wr_put_bytes(&wr, digits, digits_len);
    p2p_wr_put_u8(&wr, ')');
    p2p_wr_put_bytes(&wr, tail, tail_len);
    if (p2p_wr_end(&wr, &used) != P2P_OK)
        used = 0;
    out[used] = '\0';
    return used;
}

enum p2p_err
p2p_name_numbered(const char *name, unsigned number, char *out)
{
    const char *slash = strrchr(name, '/');
    size_t folder = slash ? (size_t)(slash - name) + 1 : 0;
    size_t len = strlen(name) - folder, stem = p2p_name_extension(name + folder, len);
    char digits[P2P_U64_TEXT_MAX];
    size_t digits_len = p2p_u64_format(number, digits);
    size_t added = digits_len + sizeof(" ()") - 1 + (len - stem);
    size_t room = P2P_NAME_PART_MAX, keep;

    out[0] = '\0';
    if (folder >= P2P_NAME_MAX)
        return P2P_ERR_NAME;
    if (room > P2P_NAME_MAX - folder)
        room = P2P_NAME_MAX - folder;
    if (added >= room)
        return P2P_ERR_NAME;
    keep = keep_in_room(name + folder, stem, room - added);
    len = join(out, name, folder + keep, digits, digits_len, name + folder + stem,
               len - stem);
    return p2p_name_check(out, len, true);
}
