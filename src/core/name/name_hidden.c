/*
 * Finds characters of a name that are invisible or drawn over others. With them, two
 * names can look the same, or an extension can be hidden. Some of these characters are
 * allowed in the one place where real names use them: a joiner in an emoji or in a word
 * of a script that joins letters, a selector after an emoji, the narrow space of a time
 * ("9.41\u202fAM") that macOS puts into the names of screenshots, and the stroke of a
 * composed relation sign.
 */
#include "core/name/name_hidden.h"

#include "p2p/bytes.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Fillers that are invisible, and code points without a meaning. */
static bool
is_blank_or_nothing(uint32_t cp)
{
    static const struct p2p_code_range blank[] = {
        {0x2800, 0x2800}, {0xfdd0, 0xfdef}, {0x1d159, 0x1d159}};

    return p2p_utf8_is_in(cp, blank, COUNT(blank)) || (cp & 0xfffe) == 0xfffe;
}

/* All spaces of Unicode except U+0020. */
static bool
is_foreign_space(uint32_t cp)
{
    static const struct p2p_code_range spaces[] = {{0xa0, 0xa0},     {0x1680, 0x1680},
                                                   {0x2000, 0x200a}, {0x202f, 0x202f},
                                                   {0x205f, 0x205f}, {0x3000, 0x3000}};

    return p2p_utf8_is_in(cp, spaces, COUNT(spaces));
}

/* Combining marks that are drawn over the letter and make it look like another
 * letter. */
static bool
is_overlay(uint32_t cp)
{
    static const struct p2p_code_range overlays[] = {
        {0x334, 0x338},   {0x20d2, 0x20d3}, {0x20d8, 0x20da},
        {0x20e5, 0x20e6}, {0x20ea, 0x20eb}, {0x1d167, 0x1d169}};

    return p2p_utf8_is_in(cp, overlays, COUNT(overlays));
}

/* Characters that a selector shows as an emoji or as text. */
static bool
is_emoji_base(uint32_t cp)
{
    static const struct p2p_code_range bases[] = {
        {0xa9, 0xa9},     {0xae, 0xae},      {0x203c, 0x203c}, {0x2049, 0x2049},
        {0x2122, 0x2122}, {0x2139, 0x2139},  {0x2194, 0x21aa}, {0x231a, 0x23ff},
        {0x24c2, 0x24c2}, {0x25aa, 0x25fe},  {0x2600, 0x27bf}, {0x2934, 0x2935},
        {0x2b05, 0x2b55}, {0x3030, 0x3030},  {0x303d, 0x303d}, {0x3297, 0x3297},
        {0x3299, 0x3299}, {0x1f000, 0x1faff}};

    return p2p_utf8_is_in(cp, bases, COUNT(bases));
}

static bool
is_keycap(uint32_t cp)
{
    return (cp >= '0' && cp <= '9') || cp == '#' || cp == '*';
}

/* Scripts that join letters, and emoji, have higher code points: Latin, Greek,
 * Cyrillic, Armenian and Hebrew do not join. */
static bool
is_joined(uint32_t cp)
{
    return cp >= 0x600 && !(cp >= 0x1e00 && cp <= 0x1fff);
}

static bool
is_in_place(uint32_t cp, const struct p2p_name_neighbors *n)
{
    switch (cp) {
    case 0x200c: /* non-joiner */
    case 0x200d: /* joiner */
        return is_joined(n->before) && is_joined(n->after);
    case 0xfe0e: /* as text */
    case 0xfe0f: /* as a picture */
        return is_emoji_base(n->before) || (is_keycap(n->before) && n->after == 0x20e3);
    case 0x202f: /* between a time and AM or PM */
        return n->before >= '0' && n->before <= '9' &&
               (n->after == 'A' || n->after == 'P' || n->after == 'a' ||
                n->after == 'p');
    case 0x338: /* not equal, not less, not an element, ... */
        return n->before == '<' || n->before == '=' || n->before == '>' ||
               (n->before >= 0x2190 && n->before <= 0x22ff);
    default:
        return false;
    }
}

const char *
p2p_name_hidden(uint32_t cp, const struct p2p_name_neighbors *neighbors)
{
    bool is_selector = cp == 0xfe0e || cp == 0xfe0f || cp == 0x200c || cp == 0x200d;

    if (cp < 0x80 || is_in_place(cp, neighbors)) /* ASCII hides nothing */
        return NULL;
    if (is_selector || is_blank_or_nothing(cp) ||
        (p2p_utf8_is_invisible(cp) && !is_foreign_space(cp)))
        return "it contains an invisible character";
    if (is_foreign_space(cp))
        return "it contains a space other than the usual one";
    if (is_overlay(cp))
        return "it contains a mark that is drawn over a letter";
    return NULL;
}
