/* Names and kinds of devices: see p2p/about.h. */
#include "p2p/about.h"

#include <string.h>

#include "core/name/name_hidden.h"
#include "p2p/bytes.h"

static const char *const kinds[] = {
    [P2P_ABOUT_UNKNOWN] = "unknown", [P2P_ABOUT_LAPTOP] = "laptop",
    [P2P_ABOUT_DESKTOP] = "desktop", [P2P_ABOUT_PHONE] = "phone",
    [P2P_ABOUT_SERVER] = "server",   [P2P_ABOUT_TABLET] = "tablet",
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

const char *
p2p_about_kind_name(enum p2p_about_kind kind)
{
    return kinds[p2p_about_kind_of((uint64_t)kind)];
}

enum p2p_err
p2p_about_kind_parse(const char *word, enum p2p_about_kind *kind)
{
    *kind = P2P_ABOUT_UNKNOWN;
    for (unsigned i = 0; i < KINDS; i++)
        if (strcmp(word, kinds[i]) == 0) {
            *kind = (enum p2p_about_kind)i;
            return P2P_OK;
        }
    return P2P_ERR_USAGE;
}

enum p2p_about_kind
p2p_about_kind_of(uint64_t number)
{
    return number < KINDS ? (enum p2p_about_kind)number : P2P_ABOUT_UNKNOWN;
}

bool
p2p_text_is_displayable(const void *text, size_t len)
{
    struct p2p_name_neighbors beside = {0};
    const uint8_t *at = text;
    size_t left = len;

    if (len > 0 && (at[0] == ' ' || at[len - 1] == ' '))
        return false;
    while (left > 0) {
        uint32_t cp;
        size_t n = p2p_utf8_next(at, left, &cp);

        if (n == 0 || cp < 0x20 || (cp >= 0x7f && cp <= 0x9f))
            return false;
        beside.after = 0;
        if (left > n && p2p_utf8_next(at + n, left - n, &beside.after) == 0)
            return false;
        if (p2p_name_hidden(cp, &beside) != NULL)
            return false;
        beside.before = cp;
        at += n;
        left -= n;
    }
    return true;
}

enum p2p_err
p2p_about_name_check(const void *name, size_t len)
{
    bool is_good =
        len >= 1 && len <= P2P_ABOUT_NAME_MAX && p2p_text_is_displayable(name, len);

    return is_good ? P2P_OK : P2P_ERR_NAME;
}

bool
p2p_about_set_name(struct p2p_about *about, const void *name, size_t len)
{
    memset(about->name, 0, sizeof(about->name));
    if (p2p_about_name_check(name, len) != P2P_OK)
        return false;
    memcpy(about->name, name, len);
    return true;
}
